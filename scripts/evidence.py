"""Run a recipe with several seeds and store the results in results/<date>-<name>/.

    python scripts/evidence.py recipes/tiny.toml --seeds 0 1 2
    python scripts/evidence.py --redraw results/2026-11-28-tiny

Finished runs are not repeated, so the script resumes after a kill. The folder contains the recipe,
metrics and results of every seed, the claims over all seeds, readable samples, pictures, and a
README whose numbers are computed here. `--redraw` computes claims, tables and pictures again from
the metrics and results in such a folder, without any run.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

from r1kit import claims
from r1kit.config import load
from r1kit.console import markdown_text
from r1kit.console.formatting import duration
from r1kit.files.atomic import to_json
from r1kit.files.json_lines import read_lines
from r1kit.processes import process_guard, signals
from r1kit.renderers.thinking import parse
from r1kit.report import figures, markdown, plots
from r1kit.report.facts import claim_line, main_showcase
from r1kit.report.tables import tables
from r1kit.runs.run_reader import RunContents, read

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
"""maximum number of metrics rows stored per stage; longer stages are thinned evenly"""
ORIGIN = "## Where it comes from"
N_GROUPS = 12
"""number of groups whose first completion is shown"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipe", type=Path, nargs="?")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--out", type=Path)
    parser.add_argument("--to", default=None, help="the last stage; default: all")
    parser.add_argument("--set", dest="changes", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--redraw", type=Path, metavar="DIR")
    arguments = parser.parse_args()
    if arguments.redraw is not None:
        redraw(arguments.redraw)
        return
    if arguments.recipe is None:
        parser.error("name a recipe, or a folder of evidence with --redraw")
    name = load(arguments.recipe).name
    runs = []
    for seed in arguments.seeds:
        folder = arguments.runs / f"{name}-seed{seed}"
        command = ["run", str(arguments.recipe), "--out", str(folder)]
        command += ["--to", arguments.to] if arguments.to else []
        for change in (f"seed={seed}", *arguments.changes):
            command += ["--set", change]
        make(command)
        runs.append(read(folder))
    out = arguments.out or Path("results") / f"{date.today():%Y-%m-%d}-{name}"
    options = [f"--to {arguments.to}"] if arguments.to else []
    options += [f"--set {anywhere(change)}" for change in arguments.changes]
    keep(runs, arguments.recipe, out, options)
    print(f"Evidence: {out}")


def anywhere(change: str) -> str:
    """Return a change of the recipe without the folders of this machine."""
    key, _, value = change.partition("=")
    return f"{key}={Path(value).name}" if Path(value).is_absolute() else change


def make(command: list[str]) -> None:
    """Run `r1`, which ends when this script does and prints its own errors."""
    running = process_guard.start([sys.executable, "-m", "r1kit", *command])
    try:
        if code := running.wait():
            raise SystemExit(code)
    finally:
        process_guard.stop(running)


def keep(runs: list[RunContents], recipe: Path, out: Path, options: list[str]) -> None:
    """Write the results folder."""
    out.mkdir(parents=True, exist_ok=True)
    shutil.copy(recipe, out / "recipe.toml")
    for run in runs:
        seed = run.manifest["seed"]
        shutil.copy(run.path / "results.json", out / f"results-seed{seed}.json")
        with (out / f"metrics-seed{seed}.jsonl").open("w", encoding="utf-8") as file:
            for row in thinned(run.metrics):
                short = {k: round(v, 6) if isinstance(v, float) else v for k, v in row.items()}
                file.write(json.dumps(short) + "\n")
    (out / "samples.md").write_text(samples(runs[0]), encoding="utf-8")
    runs_of_seeds = [kept_run(path) for path in sorted(out.glob("results-seed*.json"))]
    text = summary(runs_of_seeds, recipe.stem, out) + origin(runs, recipe, options)
    (out / "README.md").write_text(text, encoding="utf-8")


def redraw(folder: Path) -> None:
    """Write claims, tables and pictures of a results folder again, from its stored numbers."""
    runs = [kept_run(path) for path in sorted(folder.glob("results-seed*.json"))]
    readme = folder / "README.md"
    name = readme.read_text(encoding="utf-8").partition(":")[0].removeprefix("# ")
    _, heading, rest = readme.read_text(encoding="utf-8").partition(ORIGIN)
    readme.write_text(summary(runs, name, folder) + heading + rest, encoding="utf-8")
    print(f"Redrawn: {folder}")


def kept_run(results: Path) -> RunContents:
    """Load one seed of a results folder, which stores neither samples nor clock."""
    seed = int(results.stem.removeprefix("results-seed"))
    recipe = load(results.parent / "recipe.toml", [f"seed={seed}"]).model_dump(mode="json")
    metrics = results.parent / f"metrics-seed{seed}.jsonl"
    return RunContents(
        path=results.parent,
        manifest={"seed": seed, "sessions": [], "lineage": []},
        recipe=recipe,
        metrics=[row for _, row in read_lines(metrics)],
        samples=[],
        results=json.loads(results.read_text(encoding="utf-8")),
        clock={},
    )


def thinned(metrics: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield at most MAX_ROWS rows per stage, evenly spaced."""
    n_rows = Counter(row["stage"] for row in metrics)
    seen: Counter[str] = Counter()
    for row in metrics:
        stage = row["stage"]
        seen[stage] += 1
        # Always keep the first row, which shows where the stage began.
        if (seen[stage] - 1) % -(-n_rows[stage] // MAX_ROWS) == 0:
            yield row


def summary(runs: list[RunContents], name: str, out: Path) -> str:
    """Write pictures and claims to `out`, and return the text of README.md about them."""
    stage = next(name for name in ("zero", "reasoning") if name in runs[0].results["stages"])
    drawn = [*figures.pictures(runs), figures.curves(runs, stage)]
    for item in drawn:
        plots.save_picture(item.size, item.paint, out / item.key)
    rows = claims.table(runs)
    (out / "claims.json").write_text(to_json(rows, indent=2) + "\n", encoding="utf-8")
    parts = [f"# {name}: {len(runs)} seed{'s' * (len(runs) > 1)}", verdict(rows)]
    for picture in drawn:
        parts += [f"![{picture.title}]({picture.key}.png)", picture.caption]
    parts += ["## What the paper claims", markdown.claims(list(map(claim_line, rows)))]
    for table in tables(runs):
        parts += [f"## {table.title}", markdown_text.table(table.head, table.rows), table.note]
    return "\n\n".join(filter(None, parts)) + "\n\n"


def origin(runs: list[RunContents], recipe: Path, options: list[str]) -> str:
    """Return the end of README.md: time, command, machine and versions."""
    seeds = [run.manifest["seed"] for run in runs]
    took = ", ".join(
        f"{duration(sum(run.clock.values()))} (seed {seed})"
        for run, seed in zip(runs, seeds, strict=True)
    )
    session = runs[0].manifest["sessions"][-1]
    again = f"python scripts/evidence.py {recipe} --seeds {' '.join(map(str, seeds))}"
    again = " ".join([again, *options])
    parts = [
        ORIGIN,
        f"Time: {took}. Readable completions: [samples.md](samples.md). Made by:",
        markdown_text.fenced(again),
        f"Machine and versions: {', '.join(f'{key} {session[key]}' for key in MACHINE)}.",
    ]
    return "\n\n".join(parts) + "\n"


def verdict(rows: list[dict[str, Any]]) -> str:
    """Return how many claims hold, fail and are undecided."""
    counts = Counter(str(row["holds"]) for row in rows)
    return (
        f"Of {len(rows)} claims of the paper {counts['True']} hold here, {counts['False']} do not, "
        f"{counts['undecided']} are undecided."
    )


def samples(run: RunContents) -> str:
    """Render the showcase of the main path's stages, then about N_GROUPS completions of RL."""
    parts = ["# What it wrote", "", "Greedy completions of the same questions, stage by stage.", ""]
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
    """Return thinking and answer as a code block that the text cannot close."""
    parsed = parse(text)
    answer = parsed.answer if parsed.answer is not None else "(never stopped thinking)"
    body = f"{parsed.thinking or '(no thinking)'}\n=> {answer}".replace("```", "'''")
    return ["```text", body, "```"]


if __name__ == "__main__":
    signals.run(main)
