"""Run a recipe with several seeds and keep the evidence in results/<date>-<name>/.

    python scripts/evidence.py recipes/tiny.toml --seeds 0 1 2

Runs that are finished are not run again, so a killed evidence run goes on where it stopped. What is
kept: the recipe, metrics and results of every seed, readable samples, one picture, and a README
whose numbers are computed here.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
from datetime import date
from itertools import cycle
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot

from r1kit.config import load
from r1kit.evidence import Evidence, read
from r1kit.report.plots import COLORS, smooth
from r1kit.template import parse

CURVES = (
    ("rewards/accuracy", "accuracy"),
    ("completions/mean_length", "tokens per answer"),
    ("reflection_per_answer", "reflection words per answer"),
    ("entropy", "entropy (nats per token)"),
)

MACHINE = (
    "r1kit",
    "git_commit",
    "torch",
    "transformers",
    "python",
    "platform",
    "cpu_count",
    "gpus",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    name = load(arguments.recipe).name
    runs = []
    for seed in arguments.seeds:
        folder = arguments.runs / f"{name}-seed{seed}"
        command = ["run", str(arguments.recipe), "--out", str(folder), "--set", f"seed={seed}"]
        subprocess.run([sys.executable, "-m", "r1kit", *command], check=True)
        runs.append(read(folder))
    out = arguments.out or Path("results") / f"{date.today():%Y-%m-%d}-{name}"
    keep(runs, arguments.recipe, out)
    print(f"Evidence: {out}")


def keep(runs: list[Evidence], recipe: Path, out: Path) -> None:
    """Write the folder of evidence."""
    out.mkdir(parents=True, exist_ok=True)
    shutil.copy(recipe, out / "recipe.toml")
    for run in runs:
        seed = run.manifest["seed"]
        shutil.copy(run.path / "results.json", out / f"results-seed{seed}.json")
        with (out / f"metrics-seed{seed}.jsonl").open("w", encoding="utf-8") as file:
            for row in run.metrics:
                short = {k: round(v, 6) if isinstance(v, float) else v for k, v in row.items()}
                file.write(json.dumps(short) + "\n")
    draw(runs, out / "curves.png")
    (out / "samples.md").write_text(samples(runs[0]), encoding="utf-8")
    (out / "README.md").write_text(page(runs, recipe), encoding="utf-8")


def draw(runs: list[Evidence], path: Path) -> None:
    """The paper's curves, one line a seed."""
    figure, axes = pyplot.subplots(1, len(CURVES), figsize=(14, 3.1), layout="constrained")
    for axis, (key, title) in zip(axes, CURVES, strict=True):
        for run, color in zip(runs, cycle(COLORS), strict=False):
            rows = [row for row in run.metrics if row["stage"] == "zero" and key in row]
            steps, values = [row["step"] for row in rows], [row[key] for row in rows]
            label = f"seed {run.manifest['seed']}"
            axis.plot(steps, smooth(values, 5), label=label, color=color, linewidth=1.6)
        axis.set_title(title, fontsize=10, loc="left")
        axis.set_xlabel("RL step")
        axis.set_ylim(bottom=0)
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(alpha=0.25)
    axes[0].legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=130)


def page(runs: list[Evidence], recipe: Path) -> str:
    """README.md: the table over seeds, each number with its spread."""
    seeds = [run.manifest["seed"] for run in runs]
    rows = [
        "| seed | base pass@1 | Zero pass@1 | tokens, base → Zero | reflection words, base → Zero |"
        " share of the question's language | wall |",
        "|---|---|---|---|---|---|---|",
    ]
    for run in runs:
        base, zero = stages(run)
        rows.append(
            f"| {run.manifest['seed']} | {percent(base)} | {percent(zero)} "
            f"| {change(base, zero, 'mean_tokens', 1)} "
            f"| {change(base, zero, 'reflection_per_answer', 2)} "
            f"| {base['language_consistency']:.2f} → {zero['language_consistency']:.2f} "
            f"| {(base['wall_s'] + zero['wall_s']) / 60:.1f} min |"
        )
    session = runs[0].manifest["sessions"][0]
    facts = [
        spread(runs),
        f"{stages(runs[0])[0]['n_problems']} held-out problems, one completion each, T = "
        f"{runs[0].recipe['bench']['temperature']:g}.",
    ]
    by_task = ["| family | base | Zero |", "|---|---|---|"]
    for task in sorted(stages(runs[0])[0]["by_task"]):
        values = [
            [stages(run)[stage]["by_task"].get(task, 0.0) for run in runs] for stage in (0, 1)
        ]
        cells = [f"{100 * statistics.fmean(column):.0f} %" for column in values]
        by_task.append(f"| {task} | {cells[0]} | {cells[1]} |")
    again = f"python scripts/evidence.py {recipe} --seeds {' '.join(map(str, seeds))}"
    machine = ", ".join(f"{key} {session[key]}" for key in MACHINE)
    return "\n".join(
        [
            f"# {recipe.stem}: R1-Zero, {len(runs)} seed{'s' * (len(runs) > 1)}", "",
            *facts, "", *rows, "",
            "By family, mean over seeds:", "", *by_task, "", "![curves](curves.png)", "",
            "Readable answers: [samples.md](samples.md). Made by:", "", "```", again, "```", "",
            f"Machine and versions of the first seed: {machine}.", "",
        ]
    )  # fmt: skip


def stages(run: Evidence) -> tuple[dict[str, Any], dict[str, Any]]:
    return run.results["stages"]["base"], run.results["stages"]["zero"]


def percent(stage: dict[str, Any]) -> str:
    return f"{100 * stage['pass_at_1']:.1f} ± {100 * stage['stderr']:.1f} %"


def change(base: dict[str, Any], zero: dict[str, Any], key: str, digits: int) -> str:
    ratio = zero[key] / base[key] if base[key] else float("inf")
    return f"{base[key]:.{digits}f} → {zero[key]:.{digits}f} ({ratio:.1f}x)"


def spread(runs: list[Evidence]) -> str:
    """One seed has no spread to tell."""
    within = "± is the standard error over problems."
    if len(runs) == 1:
        return f"One seed only: what another seed would give is not known. {within}"
    return (
        f"Base {over_seeds(runs, 0)}, Zero {over_seeds(runs, 1)} pass@1 (mean over seeds ± their "
        f"standard deviation); within a seed {within}"
    )


def over_seeds(runs: list[Evidence], stage: int) -> str:
    values = [100 * stages(run)[stage]["pass_at_1"] for run in runs]
    return f"{statistics.fmean(values):.1f} ± {statistics.stdev(values):.1f} %"


def samples(run: Evidence) -> str:
    """The same questions to base and Zero, then a group every so many steps."""
    parts = ["# What it wrote", "", "Greedy answers to the same questions, base and Zero.", ""]
    shown = [record for record in run.samples if record["kind"] == "showcase"]
    for question in dict.fromkeys(record["question"] for record in shown):
        parts += [f"## {question}", ""]
        for record in (record for record in shown if record["question"] == question):
            parts += [f"**{record['stage']}**, {mark(record)}:", "", *quoted(record["text"]), ""]
    parts += ["# During RL: the first completion of a group", ""]
    groups = [record for record in run.samples if record["kind"] == "group"]
    for record in groups[:: max(1, len(groups) // 12)]:
        first = record["rollouts"][0]
        asked = f"step {record['step']}, {record['problem']['question']}"
        parts += [f"**{asked}** ({mark(first)})", "", *quoted(first["text"]), ""]
    return "\n".join(parts)


def mark(record: dict[str, Any]) -> str:
    return "right" if record["correct"] else f"wrong ({record['why']})"


def quoted(text: str) -> list[str]:
    """Thinking and answer as a code block, which no model text can leave."""
    parsed = parse(text)
    answer = parsed.answer if parsed.answer is not None else "(never stopped thinking)"
    body = f"{parsed.thinking or '(no thinking)'}\n=> {answer}".replace("```", "'''")
    return ["```text", body, "```"]


if __name__ == "__main__":
    main()
