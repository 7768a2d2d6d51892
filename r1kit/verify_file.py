"""Verdicts for a file of answers: `r1 verify math --jsonl answers.jsonl`.

A row is `{"id": ..., "gold": "5", "text": "<think>...</think>\\\\boxed{5}"}`; its verdict
`{"id": ..., "outcome": "correct", "extracted": "5", "why": "equal", "ms": 0.03}`. The thinking part
is removed first, and `gold` may be a JSON number. For code, a row is `{"id": ...,
"program": "print(7)", "tests": [...]}`, or has a `text` that contains the program; its tests may be
a row of a public set, `{"task": "humaneval", "task_row": {...}}`. Without a kind on the command
line, each row names its own: `{"kind": "math", ...}`. Rows that say which verdict they expect
(`"expected": "correct"`) are counted in a table at the end.
Verdicts are written one at a time; rows that cannot be read are reported at the end.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table as RichTable

from r1kit.errors import ConfigError, R1Error, TaskError
from r1kit.files.json_lines import bad_lines, numbered_lines, parse_row
from r1kit.files.untrusted import to_json
from r1kit.renderers.thinking import parse_foreign
from r1kit.types import Problem, Verdict
from r1kit.verify.statements.policy import STRICT, GradingPolicy

if TYPE_CHECKING:
    from r1kit.tasks.code import CodeTask

AnswerRow = dict[str, Any]

SHOW_PROGRESS_AFTER_S = 2.0
UNANSWERED = Verdict(False, None, "the thinking never ended")


@dataclass(frozen=True)
class AnswerKind:
    """A kind of answer that can be verified, such as math or code."""

    needs: tuple[str, ...]
    """keys that must hold text in every row"""
    verify: Callable[[AnswerRow, GradingPolicy], Verdict]
    fault: Callable[[AnswerRow], str | None] = lambda row: None
    """Describes any further fault of a row in a phrase; None if the row is valid."""


def _math(row: AnswerRow, policy: GradingPolicy) -> Verdict:
    from r1kit.verify.math import check_math

    answer = answer_part(row["text"])
    return UNANSWERED if answer is None else check_math(answer, row["gold"], policy=policy)


def _choice(row: AnswerRow, policy: GradingPolicy) -> Verdict:
    from r1kit.verify.choice import check_choice

    answer, n_options = answer_part(row["text"]), row.get("n_options", 4)
    if answer is None:
        return UNANSWERED
    return check_choice(answer, row["gold"], n_options, policy)


def _exact(row: AnswerRow, policy: GradingPolicy) -> Verdict:
    from r1kit.verify.exact import check_exact

    answer = answer_part(row["text"])
    return UNANSWERED if answer is None else check_exact(answer, row["gold"], policy)


def _choice_fault(row: AnswerRow) -> str | None:
    n_options = row.get("n_options", 4)
    is_number = isinstance(n_options, int) and 2 <= n_options <= 10
    return None if is_number else 'has no number from 2 to 10 at "n_options"'


def _code(row: AnswerRow, policy: GradingPolicy) -> Verdict:
    from r1kit.verify import code

    if isinstance(row["tests"], dict):
        return _public_code(row)
    program, tests = row.get("program"), code.read(row["tests"])
    if program is None:
        answer = answer_part(row["text"])
        if answer is None:
            return UNANSWERED
        program = code.extract_program(answer, tests)
    if program is None:
        return Verdict(False, None, "no program in the text")
    return code.check_code(program, tests, code.default_sandbox()).verdict(program)


def _public_code(row: AnswerRow) -> Verdict:
    """Grade the answer to a problem of a public set, which is given as its row."""
    problem_task, problem = _public_problem(row)
    answer = answer_part(row["text"] if "text" in row else row["program"])
    return UNANSWERED if answer is None else problem_task.verify(problem, answer)


def _public_problem(row: AnswerRow) -> tuple[CodeTask, Problem]:
    """Read `{"task": "HumanEval", "task_row": {...}}`. Raises ValueError for anything else."""
    from r1kit.tasks.code import CODE_TASKS

    name, problem_row = str(row["tests"].get("task")).lower(), row["tests"].get("task_row")
    if name not in CODE_TASKS or not isinstance(problem_row, dict):
        raise ValueError(
            f'"task" is one of {", ".join(CODE_TASKS)}, and "task_row" one of its rows'
        )
    task = CODE_TASKS[name].__new__(CODE_TASKS[name])
    problems = list(task.read([problem_row]))
    if not problems:
        raise ValueError(f"the row of {name} has no tests that can be run")
    return task, problems[0]


def _code_fault(row: AnswerRow) -> str | None:
    from r1kit.verify import code

    if not isinstance(row.get("program", row.get("text")), str):
        return 'has no text at "program" or "text"'
    try:
        tests = row.get("tests")
        _ = _public_problem(row) if isinstance(tests, dict) else code.read(tests)
    except (ValueError, TaskError) as error:
        return f'has no tests at "tests" ({error})'
    return None


KINDS: dict[str, AnswerKind] = {
    "math": AnswerKind(("gold", "text"), _math),
    "choice": AnswerKind(("gold", "text"), _choice, _choice_fault),
    "exact": AnswerKind(("gold", "text"), _exact),
    "code": AnswerKind((), _code, _code_fault),
}


def run(
    kind: str | None,
    source: Path,
    out: TextIO,
    console: Console,
    policy: GradingPolicy = STRICT,
    by: str = "kind",
) -> None:
    """Write one verdict per row to `out`; a slow run shows its progress on `console`.

    If rows have an expected verdict, a table on `console` counts the others by the value at `by`.
    Raises ConfigError before the first row for an unknown kind or an unreadable file, and after the
    last row if any row is invalid: the verdicts of all other rows have been written by then.
    """
    if kind is not None and kind not in KINDS:
        raise ConfigError(f"There is no verifier {kind!r}; choose one of {', '.join(KINDS)}.")
    lines = list(numbered_lines(source, ConfigError))
    bad: list[tuple[int, str]] = []
    results = ExpectedVerdicts(by)
    for number, line in _watched(lines, console):
        try:
            row_kind, row = _row(line, kind)
        except ValueError as fault:
            bad.append((number, str(fault)))
        else:
            verdict = grade(row_kind, row, policy)
            print(to_json(verdict), file=out, flush=True)
            results.add({"kind": row_kind, **row}, verdict["outcome"])
    if not lines:
        raise ConfigError(f"{source} is empty; `r1 verify --help` shows a line.")
    if results.counts:
        console.print(results.table())
    if bad:
        rest = "A line is a JSON object; `r1 verify --help` shows one."
        if len(bad) < len(lines):
            rest = f"{len(bad)} of {len(lines)} rows are left out; the other verdicts are written."
        raise ConfigError(f"{bad_lines(source, bad)}. {rest}")


def grade(kind: str, row: AnswerRow, policy: GradingPolicy = STRICT) -> AnswerRow:
    """Return the verdict on one row, as an output row."""
    start = time.perf_counter()
    try:
        verdict = KINDS[kind].verify(row, policy)
    except R1Error:  # affects every row, for example when there is no sandbox on this machine
        raise
    except Exception as error:  # a bug in a verifier must not cost the verdicts of later rows
        verdict = Verdict(None, None, f"the verifier failed ({type(error).__name__}: {error})")
    return {
        "id": row["id"],
        "outcome": verdict.outcome,
        "extracted": verdict.extracted,
        "why": verdict.why,
        "ms": round((time.perf_counter() - start) * 1000, 3),
    }


class ExpectedVerdicts:
    """Counts verdicts beside the expected ones, in groups of rows with the same value at `by`."""

    COLUMNS = ("rows", "as expected", "paid though wrong", "refused though right", "undecided")

    def __init__(self, by: str) -> None:
        self.by = by
        self.counts: dict[str, Counter[str]] = {}

    def add(self, row: AnswerRow, outcome: str) -> None:
        """Count a row that has an expected verdict; "no answer" is one form of incorrect."""
        expected = row.get("expected")
        if not isinstance(expected, str):
            return
        same = {"no answer": "incorrect"}
        decided, wanted = same.get(outcome, outcome), same.get(expected, expected)
        column = {"correct": "paid though wrong", "incorrect": "refused though right"}
        result = "as expected" if decided == wanted else column.get(decided, "undecided")
        group = self.counts.setdefault(str(row.get(self.by, "-")), Counter())
        group.update(("rows", result))

    def table(self) -> RichTable:
        """Return the table: a row per group, and the sum."""
        table = RichTable(self.by, box=box.SIMPLE)
        for column in self.COLUMNS:
            table.add_column(column, justify="right")
        total = sum(self.counts.values(), Counter[str]())
        for name, counts in (*sorted(self.counts.items()), ("all", total)):
            table.add_row(escape(name), *(str(counts[column]) for column in self.COLUMNS))
        return table


def answer_part(text: str) -> str | None:
    """Return the text after the thinking, even if the opening tag was part of the prompt."""
    return parse_foreign(text).answer


def _row(line: str, kind_name: str | None) -> tuple[str, AnswerRow]:
    """Parse a row; return its kind too. Raises ValueError with a phrase for an invalid line."""
    row = parse_row(line)
    if "id" not in row:
        raise ValueError('has no "id"')
    name = row.get("kind") if kind_name is None else kind_name
    if not isinstance(name, str) or name not in KINDS:
        raise ValueError(f'has none of {", ".join(KINDS)} at "kind", and the command names none')
    kind = KINDS[name]
    row = {key: _as_text(value) if key == "gold" else value for key, value in row.items()}
    for key in kind.needs:
        if not isinstance(row.get(key), str):
            raise ValueError(f'has no text at "{key}"')
    if fault := kind.fault(row):
        raise ValueError(fault)
    return name, row


def _as_text(gold: Any) -> Any:
    """Return a number as plain decimal text; leave any other value unchanged."""
    is_number = isinstance(gold, (int, float)) and not isinstance(gold, bool)
    return format(Decimal(str(gold)), "f") if is_number else gold


def _watched(lines: list[tuple[int, str]], console: Console) -> Iterator[tuple[int, str]]:
    """Yield the lines; show a progress bar after SHOW_PROGRESS_AFTER_S seconds."""
    start = time.monotonic()
    progress = Progress(console=console, transient=True)
    task = progress.add_task("verify", total=len(lines))
    with ExitStack() as stack:
        for line in lines:
            yield line
            progress.advance(task)
            if not progress.live.is_started and time.monotonic() - start > SHOW_PROGRESS_AFTER_S:
                stack.enter_context(progress)
