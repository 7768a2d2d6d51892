"""What a program is tested with: its input and output, calls of a function, or a checking program.

    {"stdin": "3 4\\n", "stdout": "7\\n"}
    {"function": "add", "args": [3, 4], "expected": 7}
    {"check": "def check(candidate):\\n    assert candidate(3, 4) == 7", "entry_point": "add"}

Expected outputs stay on this side; what of a test goes where the candidate runs is said in each
type.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from r1kit.verify.code import values


@dataclass(frozen=True, slots=True)
class StdioTest:
    """The program reads `stdin`, alone, and must write `stdout`."""

    stdin: str
    stdout: str
    checker: str | None = None
    """A program that judges outputs where several are right. It runs in the sandbox with
    `sys.argv[1:] = ["input.txt", "answer.txt", "output.txt"]` and prints 1 (or a share) or 0."""


@dataclass(frozen=True, slots=True)
class CallTest:
    """`CallTest("add", (3, 4), 7)`: a function or a method of `Solution`; it gets the arguments."""

    function: str
    args: tuple[Any, ...]
    expected: Any

    def __post_init__(self) -> None:
        for value in (*self.args, self.expected):
            values.coded(value)


@dataclass(frozen=True, slots=True)
class CheckTest:
    """Test code that defines `check(candidate)`, as in HumanEval, for the function `entry_point`.

    It runs in a process of its own, which the candidate never sees, and calls a stand-in; the
    candidate gets the arguments of those calls and nothing else.
    """

    check: str
    entry_point: str


Test = StdioTest | CallTest | CheckTest

_KEYS: dict[type[Test], tuple[dict[str, type], dict[str, type]]] = {
    StdioTest: ({"stdin": str, "stdout": str}, {"checker": str}),
    CallTest: ({"function": str, "args": list, "expected": object}, {}),
    CheckTest: ({"check": str, "entry_point": str}, {}),
}
"""what a test is written with: needed and optional keys"""


def read(rows: Any) -> list[Test]:
    """Tests as they stand in a file. Raises ValueError with a sentence that names what is off."""
    if not isinstance(rows, Sequence) or isinstance(rows, str) or not rows:
        raise ValueError("tests is a list of at least one test")
    return [_read(row, place) for place, row in enumerate(rows)]


def _read(row: Any, place: int) -> Test:
    if not isinstance(row, Mapping):
        raise ValueError(f"test {place} is not an object")
    for kind, (needed, optional) in _KEYS.items():
        if needed.keys() <= row.keys() <= needed.keys() | optional.keys():
            for key, value in row.items():
                wanted = (needed | optional)[key]
                if not isinstance(value, wanted):
                    raise ValueError(f"test {place}: {key} is not a {wanted.__name__}")
            make: Callable[..., Test] = kind
            return make(**{k: tuple(v) if k == "args" else v for k, v in row.items()})
    known = " or ".join(", ".join(needed) for needed, _ in _KEYS.values())
    raise ValueError(f"test {place} has the keys {', '.join(row)}; a test has {known}")
