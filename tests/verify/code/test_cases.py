"""The shared file of real answers: every program is judged as expected."""

import gzip
import json
from pathlib import Path

import pytest

from r1kit.files.json_lines import JsonRow
from r1kit.renderers.thinking import parse_foreign
from r1kit.tasks.code import CODE_TASKS
from r1kit.verify_file import grade

FILE = Path(__file__).parents[1] / "cases" / "verifier_cases.jsonl.gz"
ROWS = [json.loads(line) for line in gzip.decompress(FILE.read_bytes()).decode().splitlines()]
PROGRAMS = [row for row in ROWS if row["kind"] == "code"]


def outcome(row: JsonRow) -> str:
    """Grade a row as `r1 verify code` does, or by the task that its row of a public set is for."""
    if not isinstance(row["tests"], dict):
        return str(grade("code", row)["outcome"])
    kind = CODE_TASKS[row["tests"]["task"].lower()]
    task = kind.__new__(kind)
    problem = task.read_row(row["tests"]["task_row"])
    assert problem is not None
    return task.verify(problem, parse_foreign(row["text"]).answer or "").outcome


@pytest.mark.parametrize("row", PROGRAMS, ids=[row["id"] for row in PROGRAMS])
def test_a_program_is_judged_as_expected(row: JsonRow) -> None:
    unpaid = {"incorrect", "no answer"}
    assert outcome(row) in (unpaid if row["expected"] == "incorrect" else {row["expected"]})


def test_the_file_has_programs_of_every_fault() -> None:
    assert len(PROGRAMS) == 87
    assert len({row.get("fault") for row in PROGRAMS}) > 12
