"""Evaluate expressions in floating point, only to prove that two of them differ.

Equality is never concluded from numbers. A point counts only if every root and logarithm in the
expressions has a real, non-negative argument there, so that no convention about branches matters.
"""

from __future__ import annotations

import cmath
import math
from collections.abc import Callable, Mapping
from fractions import Fraction

from r1kit.verify.math.algebra import OpaqueName, Polynomial, Ratio, symbols

TOLERANCE = 1e-6
MAX_SIZE = 1e12
MAX_DEPTH = 20
_CONSTANTS = {"pi": math.pi, "e": math.e}
_POINTS = (
    (0.731, 1.377, 0.459, 1.913, 2.171, 0.877, 1.123),
    (1.619, 0.543, 2.237, 0.391, 1.271, 1.787, 0.667),
    (7.393, 6.151, 8.627, 9.109, 5.881, 7.919, 6.673),
    (0.217, 0.283, 0.179, 0.353, 0.419, 0.137, 0.311),
    (-1.283, -0.619, -2.087, -0.347, -1.741, -0.883, -2.551),
    (53.17, 47.39, 61.73, 71.21, 43.87, 67.31, 59.53),
)
_FUNCTIONS: dict[str, Callable[[float], float]] = {
    "sin": math.sin,
    "cos": math.cos,
    "tan": math.tan,
    "exp": math.exp,
    "ln": math.log,
    "arcsin": math.asin,
    "arccos": math.acos,
    "arctan": math.atan,
    "cot": lambda x: 1 / math.tan(x),
    "sec": lambda x: 1 / math.cos(x),
    "csc": lambda x: 1 / math.sin(x),
}


class _NoValueError(Exception):
    """The expression has no value at this point, or none that can be trusted."""


def approximate(value: Ratio) -> float | None:
    """Return the real value of an expression without letters; None if it has none."""
    number = evaluate(value, {})
    return None if number is None or abs(number.imag) > TOLERANCE else number.real


def evaluate(value: Ratio, point: Mapping[str, float]) -> complex | None:
    """Return the value at a point; None if it is undefined, too large, or a letter is missing."""
    try:
        return _value(value, point, 0)
    except (_NoValueError, ArithmeticError, ValueError):
        return None


def differ(a: Ratio, b: Ratio) -> bool:
    """Return True if two expressions have different values at a point where both have one."""
    letters = sorted(_letters(a, 0) | _letters(b, 0))
    if len(letters) > len(_POINTS[0]):
        return False
    for numbers in _POINTS:
        point = dict(zip(letters, numbers, strict=False))
        left, right = evaluate(a, point), evaluate(b, point)
        if left is None or right is None or max(abs(left), abs(right)) > MAX_SIZE:
            continue
        if abs(left - right) > TOLERANCE * max(1.0, abs(left), abs(right)):
            return True
    return False


def _letters(value: Ratio, depth: int) -> set[str]:
    letters: set[str] = set()
    for name in symbols(value):
        if isinstance(name, OpaqueName) and depth < MAX_DEPTH:
            for argument in name.arguments:
                letters |= _letters(argument, depth + 1)
        elif not name.startswith("?") and name not in _CONSTANTS:
            letters.add(name)
    return letters


def _value(value: Ratio, point: Mapping[str, float], depth: int) -> complex:
    bottom = _sum(value.bottom, point, depth)
    if abs(bottom) < 1e-12:
        raise _NoValueError
    return _sum(value.top, point, depth) / bottom


def _sum(polynomial: Polynomial, point: Mapping[str, float], depth: int) -> complex:
    total = 0j
    for (radicand, powers), coefficient in polynomial.items():
        term = _float(coefficient) * cmath.sqrt(radicand)
        for name, exponent in powers:
            term *= _symbol(name, point, depth) ** exponent
        total += term
    return total


def _float(coefficient: Fraction) -> float:
    if max(coefficient.numerator.bit_length(), coefficient.denominator.bit_length()) > 900:
        raise _NoValueError
    return coefficient.numerator / coefficient.denominator


def _symbol(name: str, point: Mapping[str, float], depth: int) -> complex:
    if isinstance(name, OpaqueName):
        return _opaque(name, point, depth + 1)
    number = _CONSTANTS.get(name, point.get(name))
    if number is None:
        raise _NoValueError
    return number


def _opaque(name: OpaqueName, point: Mapping[str, float], depth: int) -> float:
    if depth > MAX_DEPTH:
        raise _NoValueError
    arguments = [_real(_value(argument, point, depth)) for argument in name.arguments]
    if name.function.startswith("root"):
        return _root(arguments[0], int(name.function[4:]))
    if name.function == "pow" and arguments[0] > 0:
        return math.pow(*arguments)
    if name.function in ("factorial", "binomial"):
        return _gamma(*arguments)
    if name.function == "abs":
        return abs(arguments[0])
    if name.function == "log":
        base, argument = arguments
        return math.log(argument) / math.log(base or 10)
    if name.function in _FUNCTIONS and arguments[0] == 0:
        return _FUNCTIONS[name.function](arguments[1])
    raise _NoValueError


def _gamma(n: float, k: float = 0.0) -> float:
    """Return n!, or n! / (k! (n - k)!), of positive real numbers."""
    if min(n, k, n - k) < 0 or n > 150:
        raise _NoValueError
    return (
        math.gamma(n + 1) / (math.gamma(k + 1) * math.gamma(n - k + 1)) if k else math.gamma(n + 1)
    )


def _root(value: float, degree: int) -> float:
    if value < 0 and degree % 2 == 0:
        raise _NoValueError
    return math.copysign(abs(value) ** (1 / degree), value)


def _real(value: complex) -> float:
    if abs(value.imag) > 1e-12:
        raise _NoValueError
    return value.real
