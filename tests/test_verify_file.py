"""`r1 verify`: a verdict a row, and nothing lost."""

import io
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from rich.console import Console
from typer.testing import CliRunner

from r1kit import cli, verify_file
from r1kit.errors import ConfigError
from r1kit.types import Json, Verdict
from r1kit.verify.statements.policy import GradingPolicy
from tests import hostile

ROWS: list[Json] = [
    {"id": 1, "gold": "\\frac{1}{2}", "text": "<think>1?</think>\\boxed{0.5}"},
    {"id": "b", "gold": "5", "text": "\\boxed{9}</think>\\boxed{5}"},
    {"id": "c", "gold": "5", "text": "<think>\\boxed{5}"},
    {"id": "d", "gold": "5", "text": "<think>\\boxed{5}</think>I do not know."},
    {"id": "e", "gold": "", "text": "\\boxed{5}", "more": [1]},
    {"id": "f", "gold": "5", "text": "\\boxed{6\u2028}"},
]
OUTCOMES = ["correct", "correct", "no answer", "no answer", "undecided", "incorrect"]


def verify(*arguments: object) -> tuple[int, list[Json], str]:
    result = CliRunner().invoke(cli.app, ["verify", *map(str, arguments)])
    return (
        result.exit_code,
        [json.loads(line) for line in result.stdout.split("\n") if line],
        result.stderr,
    )


@pytest.fixture
def answers(tmp_path: Path) -> Path:
    path = tmp_path / "answers.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return path


def test_a_verdict_a_row(answers: Path) -> None:
    code, verdicts, output = verify("math", "--jsonl", answers)
    assert (code, output) == (0, "")
    assert [verdict["id"] for verdict in verdicts] == [row["id"] for row in ROWS]
    assert [verdict["outcome"] for verdict in verdicts] == OUTCOMES
    assert all(
        verdict.keys() == {"id", "outcome", "extracted", "why", "ms"} for verdict in verdicts
    )
    assert verdicts[0]["extracted"] == "0.5"
    assert verdicts[2]["why"] == "the thinking never ended"
    assert 0 < verdicts[0]["ms"] < 1000


def test_verdicts_go_to_a_file(answers: Path, tmp_path: Path) -> None:
    out = tmp_path / "verdicts.jsonl"
    assert verify("math", "--jsonl", answers, "--out", out) == (0, [], "")
    assert [json.loads(line)["outcome"] for line in out.read_text().splitlines()] == OUTCOMES
    code, _, output = verify("math", "--jsonl", answers, "--out", tmp_path)
    assert code == 2
    assert "cannot be written" in output


def test_choices(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    row = {"id": 1, "gold": "E", "text": "Answer: E"}
    path.write_text(json.dumps(row) + "\n" + json.dumps(row | {"n_options": 5}))
    _, verdicts, _ = verify("choice", "--jsonl", path)
    assert [verdict["outcome"] for verdict in verdicts] == ["undecided", "correct"]
    path.write_text(json.dumps(row | {"n_options": 1}))
    code, verdicts, output = verify("choice", "--jsonl", path)
    assert (code, verdicts) == (2, [])
    assert 'line 1 has no number from 2 to 10 at "n_options"' in output


def test_programs(tmp_path: Path) -> None:
    path = tmp_path / "programs.jsonl"
    tests = [{"stdin": "3 4", "stdout": "7"}, {"stdin": "1 1", "stdout": "2"}]
    right = "print(sum(map(int, input().split())))"
    rows = [
        {"id": 1, "program": right, "tests": tests},
        {"id": 2, "program": "print(7)", "tests": tests},
        {"id": 3, "text": f"<think>?</think>\n```python\n{right}\n```", "tests": tests},
        {"id": 4, "text": "<think>I do not know", "tests": tests},
        {"id": 5, "text": "I do not know", "tests": tests},
        {"id": 6, "program": right, "tests": []},
        {"id": 7, "tests": tests},
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    code, verdicts, output = verify("code", "--jsonl", path)
    outcomes = [verdict["outcome"] for verdict in verdicts]
    assert outcomes == ["correct", "incorrect", "correct", "no answer", "no answer"]
    assert verdicts[1]["why"] == "test 1: line 1 is '7', not '2'"
    assert code == 2
    assert 'line 6 has no tests at "tests" (tests is a list of at least one test)' in output
    assert 'line 7 has no text at "program" or "text"' in output


def test_bad_rows_are_told_and_the_others_are_kept(answers: Path) -> None:
    bad = ['{"id": 7', "[]", '{"id": 9, "gold": [5], "text": ""}', '{"id": 9, "gold": "5"}']
    with answers.open("a") as file:
        file.write("\n".join(["", *bad]))
    code, verdicts, output = verify("math", "--jsonl", answers)
    assert code == 2
    assert [verdict["outcome"] for verdict in verdicts] == OUTCOMES
    for phrase in (
        "4 of 10 rows",
        "line 8 is not JSON",
        "line 9 is not a JSON object",
        'line 10 has no text at "gold"',
        'line 11 has no text at "text"',
    ):
        assert phrase in output


def test_progress_is_shown_only_when_it_takes_long(
    answers: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[str] = []
    for seconds in (60.0, 0.0):
        monkeypatch.setattr(verify_file, "SHOW_PROGRESS_AFTER_S", seconds)
        console = Console(file=io.StringIO(), force_terminal=True)
        verify_file.run("math", answers, io.StringIO(), console)
        assert isinstance(console.file, io.StringIO)
        shown.append(console.file.getvalue())
    assert shown[0] == ""
    assert "verify" in shown[1]


def test_an_unknown_kind_is_told_before_the_file_is_read() -> None:
    with pytest.raises(ConfigError, match="no verifier 'maths'; choose one of math, choice"):
        verify_file.run("maths", Path("none"), io.StringIO(), Console())


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_file_from_windows_is_read_and_a_gold_may_be_a_number(
    tmp_path: Path, encoding: str
) -> None:
    rows = [(5, "5"), (0.5, r"\\boxed{\\frac{1}{2}}"), (1e-7, "0.0000001"), (5, "6")]
    lines = [f'{{"id": 1, "gold": {gold}, "text": "{text}"}}' for gold, text in rows]
    file = tmp_path / "windows.jsonl"
    file.write_bytes("\r\n".join(lines).encode(encoding))
    code, verdicts, output = verify("math", "--jsonl", file)
    assert code == 0, output
    actual = [verdict["outcome"] for verdict in verdicts]
    assert actual == ["correct", "correct", "correct", "incorrect"]


ROW: dict[str, dict[str, Any]] = {
    "math": {"id": 1, "gold": "5", "text": "<think>try</think>\\boxed{5}"},
    "choice": {"id": 1, "gold": "A", "text": "Answer: A", "n_options": 4},
    "code": {"id": 1, "program": "print(7)", "tests": [{"stdin": "3", "stdout": "7"}]},
}


@pytest.mark.parametrize(("kind", "n_times"), [("math", 6), ("choice", 6), ("code", 2)])
def test_no_row_ends_the_command_or_is_lost(tmp_path: Path, kind: str, n_times: int) -> None:
    """A file of what nobody means, and a good row at its end."""

    @settings(
        max_examples=n_times, database=None, derandomize=True,
        phases=[Phase.generate],  # a smaller case is not worth minutes
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(st.lists(hostile.spoilt(ROW[kind]), min_size=8, max_size=8))
    def graded(rows: list[Any]) -> None:
        path, out = tmp_path / "rows.jsonl", tmp_path / "out.jsonl"
        path.write_bytes(b"\n".join(map(hostile.as_bytes, [*rows, ROW[kind]])))
        code, _, output = verify(kind, "--jsonl", path, "--out", out)
        verdicts = [json.loads(line) for line in out.read_bytes().splitlines()]
        actual = re.search(r"(\d+) of 9 rows", output)
        assert len(verdicts) + (int(actual[1]) if actual else 0) == 9, output
        assert code == (2 if actual else 0)
        assert (verdicts[-1]["id"], verdicts[-1]["outcome"]) == (1, "correct")
        assert not any("verifier failed" in verdict["why"] for verdict in verdicts)

    graded()


def test_a_verdict_has_the_id_of_its_row_whatever_that_is(tmp_path: Path) -> None:
    ids = [hostile.HALF, [hostile.HALF, {"a\udc00": 2**70}], 10**30, hostile.nested(200), "\u2028"]
    path = tmp_path / "rows.jsonl"
    rows = [ROW["math"] | {"id": name} for name in ids]
    path.write_bytes(b"\n".join(map(hostile.as_bytes, rows)))
    code, verdicts, output = verify("math", "--jsonl", path)
    assert (code, output) == (0, "")
    assert [verdict["id"] for verdict in verdicts] == ids


@pytest.mark.parametrize("part", ["stdin", "stdout", "checker"])
def test_a_test_that_is_no_text_decides_nothing(tmp_path: Path, part: str) -> None:
    path = tmp_path / "rows.jsonl"
    test = {"stdin": "3", "stdout": "7", part: f"print(1) # {hostile.HALF}"}
    rows = [
        ROW["code"] | {"tests": [test]},
        ROW["code"] | {"program": f"print(7) # {hostile.HALF}"},
    ]
    path.write_bytes(b"\n".join(map(hostile.as_bytes, rows)))
    code, verdicts, _ = verify("code", "--jsonl", path)
    assert code == 0
    assert [verdict["outcome"] for verdict in verdicts] == ["undecided", "correct"]
    assert verdicts[0]["why"] == "test 0: the test has half of a surrogate pair, which is no text"


def test_a_verifier_that_fails_costs_one_verdict(
    answers: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    math = verify_file.KINDS["math"]

    def fails_at(row: dict[str, Any], policy: GradingPolicy) -> Verdict:
        if row["id"] == "b":
            raise ZeroDivisionError("division by zero")
        return math.verify(row, policy)

    monkeypatch.setitem(verify_file.KINDS, "math", replace(math, verify=fails_at))
    code, verdicts, _ = verify("math", "--jsonl", answers)
    assert (code, len(verdicts)) == (0, len(ROWS))
    assert verdicts[1]["outcome"] == "undecided"
    assert verdicts[1]["why"] == "the verifier failed (ZeroDivisionError: division by zero)"
