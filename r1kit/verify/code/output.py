"""Compare the output of a program with the expected output, by one of several rules.

auto          lines, word by word; numbers by value (below); "yes" and "no" in any case
exact         lines as written, without blanks at their ends
tokens        words as written; line ends count as blanks (testlib's wcmp)
floats        words, numbers up to the tolerance; line ends count as blanks (testlib's rcmp)
ignore_case   words in any case (testlib's nyesno)
any_order     lines in any order, compared as by auto
livecodebench lines without surrounding blanks, else their words as exact numbers

Empty lines at the end never count. The rule auto never pays for luck: a number needs the form of a
number (`11` is not `0011`), at least the decimals that only a deliberate format writes (`1.1` is
not `1.10`), and the same value; an expected decimal allows an error of the tolerance, relative only
if it has as many decimals as a computed number has. A line without letters and digits is a drawing,
in which blanks count. Sources: LiveCodeBench's and testlib's rules.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Context, Decimal
from functools import partial
from typing import Literal, get_args

CompareRule = Literal[
    "auto", "exact", "tokens", "floats", "ignore_case", "any_order", "livecodebench"
]
COMPARE_RULES: tuple[str, ...] = get_args(CompareRule)
TOLERANCE = 1e-6
"""absolute or relative error that contests allow"""

_NUMBER = re.compile(
    r"[+-]?(?:[0-9]{1,100}(?:\.[0-9]{0,100})?|\.[0-9]{1,100})(?:[eE][+-]?[0-9]{1,3})?"
)
_PADDED = re.compile(r"[+-]?0[0-9]|\+")
_YES_NO = {"yes", "no"}
_COMPUTED_DECIMALS = 6
"""number of decimals from which an expected number was computed, not formatted or exact"""
_CONTEXT = Context(prec=120)
_SameUnit = Callable[[str, str], bool]


def same_output(
    actual: str, expected: str, rule: CompareRule = "auto", tolerance: float = TOLERANCE
) -> bool:
    """Return True if two outputs are the same by the rule."""
    if actual == expected:
        return True
    lines, expected_lines = _units(actual, rule), _units(expected, rule)
    same = _comparison(rule, tolerance)
    if rule == "any_order":
        return _same_in_any_order(lines, expected_lines, same)
    return len(lines) == len(expected_lines) and all(map(same, lines, expected_lines))


def first_difference(
    actual: str, expected: str, rule: CompareRule = "auto", tolerance: float = TOLERANCE
) -> str:
    """Describe the first difference between two different outputs, in a phrase."""
    lines, expected_lines = _units(actual, rule), _units(expected, rule)
    same = _comparison(rule, tolerance)
    unit = "word" if rule in ("tokens", "floats", "ignore_case") else "line"
    if rule != "any_order":
        for number, (a, b) in enumerate(zip(lines, expected_lines, strict=False), start=1):
            if not same(a, b):
                return f"{unit} {number} is {a[:80]!r}, not {b[:80]!r}"
    if len(lines) == len(expected_lines):
        return "other lines than the expected ones"
    return f"{len(lines)} {unit}s, not {len(expected_lines)}"


def _units(text: str, rule: CompareRule) -> list[str]:
    """Split an output into the units that the rule compares: words, or lines."""
    if rule in ("tokens", "floats", "ignore_case"):
        return text.split()
    if rule == "livecodebench":
        return [line.strip() for line in text.strip().split("\n")]
    lines = [line.rstrip() for line in text.split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    return lines


def _comparison(rule: CompareRule, tolerance: float) -> _SameUnit:
    """Return the comparison of two units."""
    if rule == "floats":
        return partial(_close, tolerance=tolerance)
    if rule == "ignore_case":
        return lambda a, b: a.casefold() == b.casefold()
    if rule == "livecodebench":
        return _same_line_of_numbers
    if rule in ("exact", "tokens"):
        return str.__eq__
    return partial(_same_line, tolerance=tolerance)


def _same_in_any_order(lines: list[str], expected: list[str], same: _SameUnit) -> bool:
    """Compare the lines in the order of their words."""
    pairs = zip(sorted(lines, key=str.split), sorted(expected, key=str.split), strict=False)
    return len(lines) == len(expected) and all(same(a, b) for a, b in pairs)


def _same_line(a: str, b: str, tolerance: float) -> bool:
    if a == b:
        return True
    if not any(map(str.isalnum, b)):
        return False
    a_words, b_words = a.split(), b.split()
    same = partial(_same_word, tolerance=tolerance)
    return len(a_words) == len(b_words) and all(map(same, a_words, b_words))


def _same_word(a: str, b: str, tolerance: float) -> bool:
    if a == b:
        return True
    if b.lower() in _YES_NO:
        return a.lower() == b.lower()
    are_numbers = _NUMBER.fullmatch(a) and _NUMBER.fullmatch(b)
    if not are_numbers or _PADDED.match(a) or _PADDED.match(b):
        return False
    is_computed = _decimals(b) >= _COMPUTED_DECIMALS or "e" in b.lower()
    has_format = not is_computed and b.endswith("0") and not b.endswith(".0") and "." in b
    if has_format and _decimals(a) < _decimals(b):
        return False
    if Decimal(a) == Decimal(b):
        return True
    is_decimal = "." in b or is_computed
    return is_decimal and _is_near(Decimal(a), Decimal(b), tolerance, is_relative=is_computed)


def _is_near(a: Decimal, b: Decimal, tolerance: float, *, is_relative: bool) -> bool:
    """Return True if `a` is within the tolerance; a tiny `b` needs a small relative error."""
    bound = Decimal(tolerance)
    error = _CONTEXT.abs(_CONTEXT.subtract(a, b))
    is_close = is_relative and error <= _CONTEXT.multiply(bound, abs(b))
    return is_close or ((b == 0 or abs(b) > bound) and error <= bound)


def _close(a: str, b: str, tolerance: float) -> bool:
    """Compare two words: numbers up to an absolute or relative error, others as written."""
    if a == b:
        return True
    if not (_NUMBER.fullmatch(a) and _NUMBER.fullmatch(b)):
        return False
    x, y, bound = Decimal(a), Decimal(b), Decimal(tolerance)
    return _CONTEXT.abs(_CONTEXT.subtract(x, y)) <= _CONTEXT.multiply(
        bound, max(Decimal(1), abs(y))
    )


def _same_line_of_numbers(a: str, b: str) -> bool:
    if a == b:
        return True
    a_words, b_words = a.split(), b.split()
    return len(a_words) == len(b_words) and all(
        bool(_NUMBER.fullmatch(x) and _NUMBER.fullmatch(y)) and Decimal(x) == Decimal(y)
        for x, y in zip(a_words, b_words, strict=True)
    )


def _decimals(number: str) -> int:
    return len(number.lower().partition("e")[0].partition(".")[2])
