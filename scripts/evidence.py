"""Run a recipe with several seeds and keep the evidence in results/<date>-<name>/.

    python scripts/evidence.py recipes/tiny.toml --seeds 0 1 2

Runs that are finished are not run again, so a killed evidence run goes on where it stopped. What is
kept: the recipe, metrics and results of every seed, the claims over all of them, readable samples,
pictures, and a README whose numbers are computed here.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

from r1kit import claims
from r1kit.config import load
from r1kit.durable import to_json
from r1kit.evidence import Evidence, read
from r1kit.live import duration
from r1kit.report import figures, markdown, plots
from r1kit.report.facts import claim_line, main_showcase
from r1kit.report.tables import tables
from r1kit.template import parse

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
MAX_ROWS = 200
"""of the metrics of a stage that are kept; of longer ones every so many"""
N_GROUPS = 12
"""groups whose first completion is shown"""


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
            for row in thinned(run.metrics):
                short = {k: round(v, 6) if isinstance(v, float) else v for k, v in row.items()}
                file.write(json.dumps(short) + "\n")
    drawn = [*figures.pictures(runs), figures.curves(runs, "zero")]
    for item in drawn:
        plots.as_png(item.size, item.paint, out / f"{item.key}.png")
    rows = claims.table(runs)
    (out / "claims.json").write_text(to_json(rows, indent=2) + "\n", encoding="utf-8")
    (out / "samples.md").write_text(samples(runs[0]), encoding="utf-8")
    (out / "README.md").write_text(page(runs, recipe, rows, drawn), encoding="utf-8")


def thinned(metrics: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Of each stage at most so many rows, evenly."""
    n_rows = Counter(row["stage"] for row in metrics)
    seen: Counter[str] = Counter()
    for row in metrics:
        stage = row["stage"]
        seen[stage] += 1
        if seen[stage] % -(-n_rows[stage] // MAX_ROWS) == 0:
            yield row


def page(
    runs: list[Evidence],
    recipe: Path,
    rows: list[dict[str, Any]],
    drawn: list[figures.Picture],
) -> str:
    """README.md: every table over the seeds, and the claims."""
    seeds = [run.manifest["seed"] for run in runs]
    parts = [f"# {recipe.stem}: {len(runs)} seed{'s' * (len(runs) > 1)}", verdict(rows)]
    for picture in drawn:
        parts += [f"![{picture.title}]({picture.key}.png)", picture.caption]
    parts += ["## What the paper claims", markdown.claims(list(map(claim_line, rows)))]
    for table in tables(runs):
        parts += [f"## {table.title}", markdown.table(table.head, table.rows), table.note]
    took = ", ".join(
        f"{duration(sum(run.clock.values()))} (seed {seed})"
        for run, seed in zip(runs, seeds, strict=True)
    )
    session = runs[0].manifest["sessions"][-1]
    again = f"python scripts/evidence.py {recipe} --seeds {' '.join(map(str, seeds))}"
    parts += [
        "## Where it comes from",
        f"Time: {took}. Readable answers: [samples.md](samples.md). Made by:",
        markdown.fenced(again),
        f"Machine and versions: {', '.join(f'{key} {session[key]}' for key in MACHINE)}.",
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def verdict(rows: list[dict[str, Any]]) -> str:
    """How many claims came out."""
    counts = Counter(str(row["holds"]) for row in rows)
    return (
        f"Of {len(rows)} claims of the paper {counts['True']} hold here, {counts['False']} do not, "
        f"{counts['undecided']} are undecided."
    )


def samples(run: Evidence) -> str:
    """The same questions to every stage of the main path, then a group every so many steps."""
    parts = ["# What it wrote", "", "Greedy answers to the same questions, stage by stage.", ""]
    shown = main_showcase(run.samples)
    for question in dict.fromkeys(record["question"] for record in shown):
        parts += [f"## {question}", ""]
        for record in (record for record in shown if record["question"] == question):
            parts += [f"**{record['stage']}**, {mark(record)}:", "", *quoted(record["text"]), ""]
    parts += ["# During RL: the first completion of a group", ""]
    groups = [record for record in run.samples if record["kind"] == "group"]
    for record in groups[:: max(1, len(groups) // N_GROUPS)]:
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
