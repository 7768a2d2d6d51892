"""The kinds of tests for a program: input and output, function calls, or a checking program.

    {"stdin": "3 4\\n", "stdout": "7\\n"}            optionally "compare", "tolerance", "checker"
    {"function": "add", "args": [3, 4], "expected": 7}         optionally "compare"
    {"check": "def check(candidate):\\n    assert candidate(3, 4) == 7", "entry_point": "add"}

Expected outputs never enter the sandbox process of the candidate; the docstring of each type says
what the candidate receives.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from r1kit.verify.code import values
from r1kit.verify.code.output import COMPARE_RULES, TOLERANCE, CompareRule


@dataclass(frozen=True, slots=True)
class StdioTest:
    """A test by input and output: the program receives only `stdin` and must write `stdout`."""

    stdin: str
    stdout: str
    checker: str | None = None
    """A program that grades the output if several outputs are correct. It runs in the sandbox with
    `sys.argv[1:] = ["input.txt", "answer.txt", "output.txt"]` and prints a score from 0 to 1."""
    compare: CompareRule = "auto"
    """the rule by which outputs are the same, without a checker (output.py)"""
    tolerance: float = TOLERANCE
    """absolute or relative error of decimals, for the rules auto and floats"""

    def __post_init__(self) -> None:
        if self.compare not in COMPARE_RULES:
            raise ValueError(f"compare is one of {', '.join(COMPARE_RULES)}")


@dataclass(frozen=True, slots=True)
class CallTest:
    """A call of a function or a method of `Solution`: `CallTest("add", (3, 4), 7)`.

    The candidate receives only the arguments.
    """

    function: str
    args: tuple[Any, ...]
    expected: Any
    compare: Literal["auto", "any_order"] = "auto"
    """any_order: the items of a list may come in any order"""

    def __post_init__(self) -> None:
        for value in (*self.args, self.expected):
            values.encoded(value)
        if self.compare not in ("auto", "any_order"):
            raise ValueError("compare is one of auto, any_order")


@dataclass(frozen=True, slots=True)
class CheckTest:
    """Test code for the function `entry_point`: defines `check(candidate)`, or calls it by name.

    It runs in a separate process that the candidate cannot access, and calls a stub; the
    candidate receives only the arguments of those calls.
    """

    check: str
    entry_point: str


Test = StdioTest | CallTest | CheckTest

_KEYS: dict[type[Test], tuple[dict[str, type], dict[str, type]]] = {
    StdioTest: (
        {"stdin": str, "stdout": str},
        {"checker": str, "compare": str, "tolerance": float},
    ),
    CallTest: ({"function": str, "args": list, "expected": object}, {"compare": str}),
    CheckTest: ({"check": str, "entry_point": str}, {}),
}
"""required and optional keys of each kind of test, with their types"""


def read(rows: Any) -> list[Test]:
    """Parse tests from the rows of a file. Raises ValueError; its message names the fault."""
    if not isinstance(rows, Sequence) or isinstance(rows, str) or not rows:
        raise ValueError("tests is a list of at least one test")
    return [_read(row, index) for index, row in enumerate(rows)]


def _read(row: Any, index: int) -> Test:
    if not isinstance(row, Mapping):
        raise ValueError(f"test {index} is not an object")
    for kind, (required, optional) in _KEYS.items():
        if required.keys() <= row.keys() <= required.keys() | optional.keys():
            for key, value in row.items():
                expected_type = (required | optional)[key]
                if not isinstance(value, expected_type):
                    raise ValueError(f"test {index}: {key} is not a {expected_type.__name__}")
            make: Callable[..., Test] = kind
            try:
                return make(**{k: tuple(v) if k == "args" else v for k, v in row.items()})
            except ValueError as error:
                raise ValueError(f"test {index}: {error}") from None
    alternatives = " or ".join(", ".join(required) for required, _ in _KEYS.values())
    raise ValueError(f"test {index} has the keys {', '.join(row)}; a test has {alternatives}")
