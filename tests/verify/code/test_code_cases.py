"""The shared file of real answers: every program is judged as expected."""

import gzip
import json
from pathlib import Path

import pytest

from r1kit.files.json_lines import JsonRow
from r1kit.verify_file import grade

FILE = Path(__file__).parents[1] / "cases" / "verifier_cases.jsonl.gz"
ROWS = [json.loads(line) for line in gzip.decompress(FILE.read_bytes()).decode().splitlines()]
PROGRAMS = [row for row in ROWS if row["kind"] == "code"]


@pytest.mark.parametrize("row", PROGRAMS, ids=[row["id"] for row in PROGRAMS])
def test_a_program_is_judged_as_expected(row: JsonRow) -> None:
    unpaid = {"incorrect", "no answer"}
    expected = unpaid if row["expected"] == "incorrect" else {row["expected"]}
    assert grade("code", row)["outcome"] in expected


def test_the_file_has_programs_of_every_fault() -> None:
    assert len(PROGRAMS) == 87
    assert len({row.get("fault") for row in PROGRAMS}) > 12
