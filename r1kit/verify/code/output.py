"""Compare the output of a program with the expected output.

Trailing white space of lines and empty lines at the end of the output are ignored; numbers may be
written differently (`0.50` for `0.5`).
Source: LiveCodeBench's rule. Departure: every line counts; a correct first line is not enough.
"""

from __future__ import annotations

import re
from decimal import Decimal

_NUMBER = re.compile(
    r"[+-]?(?:[0-9]{1,100}(?:\.[0-9]{0,100})?|\.[0-9]{1,100})(?:[eE][+-]?[0-9]{1,3})?"
)


def same_output(actual: str, expected: str) -> bool:
    """Return True if two outputs are the same, line by line."""
    lines, expected_lines = _lines(actual), _lines(expected)
    return len(lines) == len(expected_lines) and all(map(_same_line, lines, expected_lines))


def first_difference(actual: str, expected: str) -> str:
    """Describe the first difference between two different outputs, in a phrase."""
    lines, expected_lines = _lines(actual), _lines(expected)
    for number, (a, b) in enumerate(zip(lines, expected_lines, strict=False), start=1):
        if not _same_line(a, b):
            return f"line {number} is {a[:80]!r}, not {b[:80]!r}"
    return f"{len(lines)} lines, not {len(expected_lines)}"


def _lines(text: str) -> list[str]:
    lines = [line.rstrip() for line in text.split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    return lines


def _same_line(a: str, b: str) -> bool:
    if a == b:
        return True
    a_words, b_words = a.split(), b.split()
    return len(a_words) == len(b_words) and all(map(_same_word, a_words, b_words))


def _same_word(a: str, b: str) -> bool:
    if a == b:
        return True
    are_numbers = _NUMBER.fullmatch(a) and _NUMBER.fullmatch(b)
    return bool(are_numbers) and Decimal(a) == Decimal(b)
