"""Contamination of a benchmark by the training data of the run that is measured."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from r1kit import config
from r1kit.curate import BenchmarkQuestions
from r1kit.errors import R1Error
from r1kit.evals import scores
from r1kit.evals.evaluate import MeasuredBenchmark
from r1kit.files.rows import read_rows
from r1kit.runs.run_reader import read_manifest, read_recipe
from r1kit.tasks import mix
from r1kit.tasks.file_task import FileTask

MODES = ("exact", "13-gram")
"""kinds of overlap that count"""
MAX_LISTED = 20


def contamination(model: str | None, measurements: Sequence[MeasuredBenchmark]) -> dict[str, Any]:
    """Return, by benchmark, the problems whose question is in the run's training data.

    Empty for a model that is no run of r1kit or has only trained on generated problems, whose
    held-out part is disjoint by construction.
    """
    folder = None if model is None else _run_of(Path(model).expanduser())
    if folder is None:
        return {}
    questions = list(dict.fromkeys(_questions(folder)))
    if not questions:
        return {}
    own = BenchmarkQuestions("training data", questions)
    return {m.name: _overlaps(own, m) for m in measurements}


def _overlaps(own: BenchmarkQuestions, measurement: MeasuredBenchmark) -> dict[str, Any]:
    contaminated = [
        problem.id
        for problem in measurement.problems
        if any(overlap.mode in MODES for overlap in own.overlaps(problem.meta["question"]))
    ]
    clean = scores.estimate(p.rate for p in measurement.graded() if p.id not in set(contaminated))
    return {
        "n_problems": len(contaminated),
        "share": len(contaminated) / max(1, len(measurement.problems)),
        "clean": clean and {"value": clean.value, "stderr": clean.stderr},
        "examples": contaminated[:MAX_LISTED],
    }


def _run_of(path: Path) -> Path | None:
    """Return the folder of the run that a path is, or is a checkpoint of."""
    for folder in (path, path.parent.parent):
        if (folder / "manifest.json").is_file():
            return folder
    return None


def _questions(folder: Path) -> Iterator[str]:
    """Yield the questions of the recipe's files and of the run's own conversations."""
    try:
        recipe = config.parse(read_recipe(folder, read_manifest(folder)), folder.name)
        for task in recipe.tasks:
            if task.path is not None:
                loaded = mix.load_tasks(recipe.model_copy(update={"tasks": (task,)}), "train")
                for item in loaded.tasks:
                    if isinstance(item, FileTask):
                        for question in item.questions:
                            yield question.text(item.verifier)
    except R1Error:  # data of the run that is no longer there
        pass
    for file in sorted(folder.glob("data/*.jsonl")):
        for row in read_rows(str(file)):
            messages = row.get("messages")
            if isinstance(messages, list):
                for turn in messages:
                    if isinstance(turn, dict) and turn.get("role") == "user":
                        yield str(turn.get("content"))
