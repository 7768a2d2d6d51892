"""Conversations from files: what a stage used stays in the run, also if the file changes."""

import json
from pathlib import Path

from r1kit.config import FineTuneConfig, Recipe, parse
from r1kit.model.ranks import Ranks
from r1kit.runs.run_dir import RunDir
from r1kit.stages import file_data
from r1kit.stages.context import Context
from r1kit.stages.plan import PlannedStage
from r1kit.types import Json

STAGE = PlannedStage("cold_start", "cold_start.run", "base", "traces.jsonl", ("base",))


def trace(i: int) -> Json:
    return {"question": f"What is {i} + 1?", "reasoning": f"{i}, {i + 1}", "response": f"{i + 1}"}


def recipe(path: Path, **cold_start: object) -> Recipe:
    path.write_text("".join(json.dumps(trace(i)) + "\n" for i in range(30)), encoding="utf-8")
    return parse(
        {
            "name": "t",
            "tasks": [{"path": str(path), "columns": {"answer": "response"}, "held_out": 0.2}],
            "eval": {"n_problems": 2},
            "cold_start": {"traces": str(path), **cold_start},
        },
        "t",
    )


def test_a_resumed_stage_learns_from_the_same_rows(tmp_path: Path) -> None:
    path = tmp_path / "traces.jsonl"
    made = recipe(path, n_traces=12, conversations=str(path), n_conversations=3)
    config = made.cold_start or FineTuneConfig()
    with RunDir.create_or_resume(tmp_path / "run", made) as run:
        context = Context(made, Ranks(), run, None)
        rows = file_data.traces(context, STAGE, config)
        others = file_data.conversations(context, STAGE, config)
        assert (len(rows), len(others)) == (12, 3)
        path.write_text(json.dumps(trace(99)), encoding="utf-8")
        assert file_data.traces(context, STAGE, config) == rows
        assert file_data.conversations(context, STAGE, config) == others
    held_out = {p.messages[-1].content for p in context.tasks("held_out").distinct(2)}
    assert not held_out & {row["messages"][0]["content"] for row in rows + others}


def test_without_a_file_there_are_no_conversations(tmp_path: Path) -> None:
    made = recipe(tmp_path / "traces.jsonl")
    context = Context(made, Ranks(), None, None)
    assert file_data.conversations(context, STAGE, made.cold_start or FineTuneConfig()) == []
