"""Columns of a data file: which one is the question, which one the answer.

A recipe maps them (`columns = { problem = "frage" }`); the others are guessed from common names. A
name with dots looks into nested values: `reward_model.ground_truth`, `generations.0`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

from r1kit.errors import DataError
from r1kit.files.json_lines import JsonRow

ColumnRole = Literal[
    "problem", "answer", "id", "language", "options", "tests", "entry_point", "numbers", "target"
]
ColumnMap = dict[str, str]
"""role → name of the column"""

N_ROWS_SEEN = 100
"""number of rows from which columns are guessed"""
GUESSES: dict[ColumnRole, tuple[str, ...]] = {
    "problem": (
        "problem", "question", "prompt", "query", "instruction", "input", "messages",
    ),
    "answer": (
        "answer", "final_answer", "gold", "gold_answer", "ground_truth", "expected_answer",
        "reward_model.ground_truth", "correct_answer", "answerKey", "solution",
        "canonical_solution", "code", "output", "response",
    ),
    "id": ("id", "unique_id", "task_id", "problem_id", "question_id", "uuid"),
    "language": ("language", "lang"),
    "options": ("options", "choices"),
    "tests": ("tests", "test_cases", "input_output", "test_list", "test"),
    "entry_point": ("entry_point", "fn_name"),
    "numbers": ("numbers", "nums"),
    "target": ("target",),
}  # fmt: skip
"""common names of the columns, the likeliest first"""


def cell(row: JsonRow, column: str) -> Any:
    """Return a value of a row; None if it has none at this column or path."""
    if column in row or "." not in column:
        return row.get(column)
    value: Any = row
    for part in column.split("."):
        if isinstance(value, Mapping):
            value = value.get(part)
        elif isinstance(value, list) and part.isdecimal() and int(part) < len(value):
            value = value[int(part)]
        else:
            return None
    return value


def map_columns(source: str, rows: Sequence[JsonRow], given: Mapping[str, str]) -> ColumnMap:
    """Return the column of every role that `given` maps or that some of the first rows have.

    Raises DataError for a role that does not exist, and for a column that no row has.
    """
    roles = get_args(ColumnRole)
    if unknown := sorted(set(given) - set(roles)):
        raise DataError(f"There is no column {unknown[0]!r} to map; there are {', '.join(roles)}.")
    for role, column in given.items():
        if not any(cell(row, column) is not None for row in rows):
            raise DataError(
                f"{source} has no column {column!r} for {role} in its first {len(rows)} rows; it "
                f"has {column_names(rows)}."
            )
    guessed = {role: _guess(rows, GUESSES[role]) for role in GUESSES if role not in given}
    return {role: name for role, name in guessed.items() if name is not None} | dict(given)


def column_names(rows: Sequence[JsonRow]) -> str:
    """List the columns of some rows, for an error."""
    return ", ".join(dict.fromkeys(str(key) for row in rows for key in row)) or "no columns"


def _guess(rows: Sequence[JsonRow], names: Sequence[str]) -> str | None:
    """Return the name that most rows have, the first of equals; None if no row has any."""
    counts = {name: sum(cell(row, name) is not None for row in rows) for name in names}
    best = max(counts, key=lambda name: counts[name])
    return best if counts[best] else None
