"""Prove that expressions with roots and trigonometric functions are equal, by exact rewriting.

Their difference is zero if its numerator is, after r^d has become the base of r = base^(1/d), tan,
cot, sec and csc quotients of sin and cos, and cos^2 has become 1 - sin^2. These rules hold wherever
both sides are defined; what they do not prove stays undecided.
"""

from __future__ import annotations

from fractions import Fraction

from r1kit.verify.math.algebra import (
    UNIT,
    OpaqueName,
    Polynomial,
    Ratio,
    add,
    divide,
    factorial,
    multiply,
    negative,
    opaque,
    power,
    rational,
    symbol,
)
from r1kit.verify.math.refusals import RefusalError

_QUOTIENTS = {"tan": ("sin", "cos"), "cot": ("cos", "sin"), "sec": ("", "cos"), "csc": ("", "sin")}
ONE = rational(1)
MAX_SHIFT = 20


def are_identical(a: Ratio, b: Ratio) -> bool:
    """Return True if the rules prove that two expressions are equal."""
    try:
        difference = add(_rewritten(a), negative(_rewritten(b)))
        return not difference.top or not _opened(difference.top).top
    except RefusalError:
        return False


def _rewritten(value: Ratio) -> Ratio:
    return divide(_opened(value.top), _opened(value.bottom))


def _opened(polynomial: Polynomial) -> Ratio:
    total = rational(0)
    for (radicand, powers), coefficient in polynomial.items():
        term = Ratio({(radicand, ()): coefficient}, {UNIT: ONE.top[UNIT]})
        for name, exponent in powers:
            term = multiply(term, _opened_power(name, exponent))
        total = add(total, term)
    return total


def _factorial(argument: Ratio) -> Ratio:
    """Return (n + 2)! as (n + 2)(n + 1) n!, so that factorials of close arguments cancel."""
    shift = argument.top.get(UNIT, Fraction(0)) if argument.bottom == ONE.bottom else Fraction(0)
    if not shift or shift.denominator > 1 or abs(shift) > MAX_SHIFT or len(argument.top) == 1:
        return factorial(argument)
    base = add(argument, rational(-shift))
    product = factorial(base)
    for step in range(1, abs(int(shift)) + 1):
        if shift > 0:
            product = multiply(product, add(base, rational(step)))
        else:
            product = divide(product, add(base, rational(1 - step)))
    return product


def _opened_power(name: str, exponent: int) -> Ratio:
    plain = power(symbol(name), rational(exponent))
    if not isinstance(name, OpaqueName):
        return plain
    if name.function.startswith("root"):
        degree = int(name.function[4:])
        whole = power(name.arguments[0], rational(exponent // degree))
        return multiply(whole, power(symbol(name), rational(exponent % degree)))
    if name.function == "factorial":
        return power(_factorial(name.arguments[0]), rational(exponent))
    if name.function == "binomial":
        n, k = name.arguments
        chosen = multiply(_factorial(k), _factorial(add(n, negative(k))))
        return power(divide(_factorial(n), chosen), rational(exponent))
    if name.function in _QUOTIENTS:
        top, bottom = (
            opaque(function, *name.arguments) if function else ONE
            for function in _QUOTIENTS[name.function]
        )
        return power(divide(top, bottom), rational(exponent))
    if name.function == "cos" and exponent > 1:
        sine = power(opaque("sin", *name.arguments), rational(2))
        squares = power(add(ONE, negative(sine)), rational(exponent // 2))
        return multiply(squares, power(symbol(name), rational(exponent % 2)))
    return plain
