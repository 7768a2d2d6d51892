"""Exact numbers and rational expressions in a normal form, so that equality is a comparison.

Source: textbook. A polynomial is a sum of terms c · √r · x^a · y^b ... with rational c and
square-free r (negative r carries i); such terms are linearly independent, so two polynomials are
equal if and only if their terms are. An expression is a quotient of two polynomials; quotients are
compared by cross-multiplication.
Departures: π and e count as free symbols. Expressions without a normal form (sin x, 2^n, ∛2) are
opaque symbols, whose names begin with "?": they can prove equality but never inequality. Powers and
factorials beyond MAX_BITS are opaque too; their names begin with "?!".
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from functools import reduce

from r1kit.verify.math.refusals import LimitError, UndefinedError, UnsureError

MAX_BITS = 64_000
"""maximum size of the numerator or denominator of a coefficient"""
MAX_TERMS = 120
"""maximum number of terms of a polynomial"""
MAX_POWER = 60
"""maximum power to which a sum is expanded"""
MAX_EXPONENT = 10**6
"""maximum exponent of a single symbol"""
MAX_SURE_ROOT = 10**12
"""Below this, division by the primes up to 10^4 finds every square factor."""

Term = tuple[int, tuple[tuple[str, int], ...]]
"""(square-free radicand, ((symbol, exponent), ...) sorted)"""
Polynomial = dict[Term, Fraction]
"""coefficients by term, none of them zero"""

UNIT: Term = (1, ())


@dataclass(frozen=True, slots=True)
class Ratio:
    """A quotient of polynomials: `√3 / 2` is `Ratio({(3, ()): 1}, {(1, ()): 2})`."""

    top: Polynomial
    bottom: Polynomial


def rational(value: Fraction | int) -> Ratio:
    fraction = Fraction(value)
    return Ratio({UNIT: fraction} if fraction else {}, {UNIT: Fraction(1)})


def symbol(name: str) -> Ratio:
    return Ratio({(1, ((name, 1),)): Fraction(1)}, {UNIT: Fraction(1)})


def imaginary_unit() -> Ratio:
    return Ratio({(-1, ()): Fraction(1)}, {UNIT: Fraction(1)})


class OpaqueName(str):
    """The name of an opaque symbol, with the function and the arguments that it stands for."""

    function: str
    arguments: tuple[Ratio, ...]


def opaque(name: str, *arguments: Ratio) -> Ratio:
    """Return a symbol for a function of which only the name and the arguments are known."""
    text = OpaqueName(f"?{name}({','.join(map(canonical_text, arguments))})")
    text.function, text.arguments = name, arguments
    return symbol(text)


def add(a: Ratio, b: Ratio) -> Ratio:
    if a.bottom == b.bottom:
        return _ratio(_sum(a.top, b.top), a.bottom)
    top = _sum(_product(a.top, b.bottom), _product(b.top, a.bottom))
    return _ratio(top, _product(a.bottom, b.bottom))


def negative(a: Ratio) -> Ratio:
    return Ratio({term: -c for term, c in a.top.items()}, a.bottom)


def multiply(a: Ratio, b: Ratio) -> Ratio:
    return _ratio(_product(a.top, b.top), _product(a.bottom, b.bottom))


def divide(a: Ratio, b: Ratio) -> Ratio:
    """Return a / b. Raises UndefinedError if b is zero."""
    if not b.top:
        raise UndefinedError("divides by zero")
    return _ratio(_product(a.top, b.bottom), _product(a.bottom, b.top))


def power(base: Ratio, exponent: Ratio) -> Ratio:
    """Return base^exponent: exact for integer exponents, by `root` for fractions, else opaque."""
    n = constant(exponent)
    if n is None:
        return opaque("pow", base, exponent)
    if n.denominator > 1:
        return power(root(base, n.denominator), rational(n.numerator))
    if n < 0:
        return power(divide(rational(1), base), rational(-n))
    if n == 0 and not base.top:
        raise UndefinedError("zero to the power of zero")
    return _whole_power(base, n.numerator)


def root(base: Ratio, degree: int) -> Ratio:
    """Return the principal root: exact for square roots of rationals and for rational results."""
    value = constant(base)
    if value is not None and degree == 2:
        return _square_root(value)
    if value is not None and value >= 0 and degree <= 64:
        top, bottom = _whole_root(value.numerator, degree), _whole_root(value.denominator, degree)
        if top is not None and bottom is not None:
            return rational(Fraction(top, bottom))
    if value is None and base.bottom != {UNIT: Fraction(1)}:  # as for positive numbers
        return divide(root(_whole(base.top), degree), root(_whole(base.bottom), degree))
    return opaque(f"root{degree}", base)


def _whole(polynomial: Polynomial) -> Ratio:
    return Ratio(polynomial, {UNIT: Fraction(1)})


def factorial(a: Ratio) -> Ratio:
    """Return a!, opaque if `a` has symbols. Raises UnsureError for other non-integers and a < 0."""
    value = constant(a)
    if value is None:
        return opaque("factorial", a)
    if value < 0 or value.denominator > 1:
        raise UnsureError("a factorial of no whole number")
    if value > 5800:  # above it every factorial has more than MAX_BITS
        return symbol(f"?!{value.numerator:x}!")
    return rational(_checked(Fraction(math.factorial(value.numerator))))


def constant(a: Ratio) -> Fraction | None:
    """Return the value of a constant expression; None if it is not a rational number."""
    if not a.top:
        return Fraction(0)
    if a.top.keys() == {UNIT} == a.bottom.keys():
        return a.top[UNIT] / a.bottom[UNIT]
    return None


def binomial(a: Ratio, b: Ratio) -> Ratio:
    """Return the binomial coefficient: exact for integers >= 0, opaque otherwise."""
    n, k = constant(a), constant(b)
    if n is None or k is None or n < 0 or k < 0 or n.denominator > 1 or k.denominator > 1:
        return opaque("binomial", a, b)
    top, chosen = n.numerator, min(k, n - k).numerator
    if top.bit_length() > 64 or chosen < 0:
        raise LimitError("a binomial of too many digits")
    bits = (
        math.lgamma(top + 1) - math.lgamma(chosen + 1) - math.lgamma(top - chosen + 1)
    ) / math.log(2)
    if bits > MAX_BITS + 1:
        return symbol(f"?!binomial({top:x},{chosen:x})")
    return rational(math.comb(n.numerator, k.numerator))


def same(a: Ratio, b: Ratio) -> bool | None:
    """Return True if two expressions are equal; None if the normal form cannot decide."""
    left, right = _product(a.top, b.bottom), _product(b.top, a.bottom)
    if left == right:
        return True
    if any(_is_huge(x) and constant(y) is not None for x, y in ((a, b), (b, a))):
        return False  # a constant has at most MAX_BITS
    return None if has_opaque(a) or has_opaque(b) else False


def has_opaque(a: Ratio) -> bool:
    return any(name.startswith("?") for name in symbols(a))


def has_huge(a: Ratio) -> bool:
    return any("?!" in name for name in symbols(a))


def symbols(a: Ratio) -> set[str]:
    """Return the names of all symbols, including opaque ones."""
    terms = (*a.top, *a.bottom)
    return {name for _, powers in terms for name, _ in powers}


def is_name(a: Ratio) -> bool:
    """Return True for one symbol or a product of two, as `f(x)` is parsed; never for a number."""
    if a.bottom != {UNIT: Fraction(1)} or len(a.top) != 1:
        return False
    [((radicand, powers), coefficient)] = a.top.items()
    is_plain = all(n == 1 and not name.startswith("?") for name, n in powers)
    return radicand == 1 and coefficient == 1 and is_plain and 1 <= len(powers) <= 2


def are_proportional(a: Ratio, b: Ratio) -> bool:
    """Return True if one expression is a nonzero rational multiple of the other."""
    left, right = _product(a.top, b.bottom), _product(b.top, a.bottom)
    if left.keys() != right.keys():
        return False
    return len({left[term] / right[term] for term in left}) == 1


def is_linear(a: Ratio) -> bool:
    """Return True if every term has at most one symbol, to the first power in the numerator."""
    is_whole = a.bottom.keys() == {UNIT}
    return is_whole and all(sum(n for _, n in powers) <= 1 for _, powers in a.top)


def canonical_text(a: Ratio) -> str:
    """Return a text that is the same for equal normal forms.

    Integers are in base 16, which has no length limit in Python.
    """
    return f"{_written(a.top)}/{_written(a.bottom)}"


def n_bits(a: Ratio) -> int:
    """Return the size of an expression in bits, a measure of the work it causes."""
    coefficients = (*a.top.values(), *a.bottom.values())
    return sum(_bits(c) + 64 for c in coefficients)


def _written(polynomial: Polynomial) -> str:
    return "+".join(
        f"{c.numerator:x}:{c.denominator:x}r{radicand}{powers}"
        for (radicand, powers), c in sorted(polynomial.items())
    )


def _bits(c: Fraction) -> int:
    return c.numerator.bit_length() + c.denominator.bit_length()


def _ratio(top: Polynomial, bottom: Polynomial) -> Ratio:
    if not bottom:
        raise UndefinedError("divides by zero")
    if len(bottom) == 1:  # move the coefficient of the denominator into the numerator
        [((radicand, powers), c)] = bottom.items()
        if c != 1 and radicand == 1:
            top = {term: _checked(value / c) for term, value in top.items()}
            bottom = {(1, powers): Fraction(1)}
    return Ratio(top, bottom)


def _sum(a: Polynomial, b: Polynomial) -> Polynomial:
    return _collect([*a.items(), *b.items()])


def _product(a: Polynomial, b: Polynomial) -> Polynomial:
    if len(a) * len(b) > MAX_TERMS**2:
        raise LimitError("a product of too many terms")
    return _collect(_times(s, c, t, d) for s, c in a.items() for t, d in b.items())


def _collect(terms: Iterable[tuple[Term, Fraction]]) -> Polynomial:
    total: Polynomial = {}
    for term, c in terms:
        total[term] = _checked(total.get(term, Fraction(0)) + c)
        if len(total) > MAX_TERMS:
            raise LimitError("too many terms")
    return {term: c for term, c in total.items() if c}


def _checked(c: Fraction) -> Fraction:
    if max(c.numerator.bit_length(), c.denominator.bit_length()) > MAX_BITS:
        raise LimitError("a number of too many digits")
    return c


def _times(s: Term, c: Fraction, t: Term, d: Fraction) -> tuple[Term, Fraction]:
    (a, a_powers), (b, b_powers) = s, t
    divisor = math.gcd(a, b)
    radicand = abs(a * b) // divisor**2
    factor = -divisor if a < 0 and b < 0 else divisor
    if (a < 0) != (b < 0):
        radicand = -radicand
    return (radicand, _merged(a_powers, b_powers)), c * d * factor


def _merged(
    a: tuple[tuple[str, int], ...], b: tuple[tuple[str, int], ...]
) -> tuple[tuple[str, int], ...]:
    if not a or not b:
        return a or b
    total = dict(a)
    for name, n in b:
        total[name] = total.get(name, 0) + n
        if total[name] > MAX_EXPONENT:
            raise LimitError("too large an exponent")
    return tuple(sorted(total.items()))


def _whole_power(base: Ratio, n: int) -> Ratio:
    value = constant(base)
    if value is not None:
        if abs(value) in (0, 1):
            return rational(value ** (2 - n % 2))
        if n * (max(abs(value.numerator), value.denominator).bit_length() - 1) > MAX_BITS:
            return _huge_power(value, n)
        return rational(_checked(value**n))
    if len(base.top) == len(base.bottom) == 1:
        return Ratio(_term_power(base.top, n), _term_power(base.bottom, n))
    if n > MAX_POWER:
        raise LimitError("a power of a sum with too many terms")
    return reduce(multiply, [base] * n, rational(1))


def _term_power(polynomial: Polynomial, n: int) -> Polynomial:
    """Return (c √r x^a)^n, where √r^n is r^(n // 2), times √r if n is odd."""
    [((radicand, powers), c)] = polynomial.items()
    if max((k for _, k in powers), default=1) * n > MAX_EXPONENT:
        raise LimitError("too large an exponent")
    if (_bits(c) + abs(radicand).bit_length()) * n > MAX_BITS and not (c == 1 and radicand == 1):
        raise LimitError("a number of too many digits")
    new_powers = tuple((name, k * n) for name, k in powers) if n else ()
    new_radicand = radicand if n % 2 else 1
    return {(new_radicand, new_powers): c**n * Fraction(radicand) ** (n // 2)}


def _huge_power(value: Fraction, n: int) -> Ratio:
    """Return a power beyond MAX_BITS as an opaque symbol with the smallest base: 4^n as 2^2n."""
    if value.denominator > 1 or value < 0:
        raise LimitError("a power of too many digits")
    base = value.numerator
    for degree in range(min(base.bit_length(), 64), 1, -1):
        smaller = _whole_root(base, degree)
        if smaller is not None:
            return symbol(f"?!{smaller:x}^{n * degree:x}")
    return symbol(f"?!{base:x}^{n:x}")


def _is_huge(a: Ratio) -> bool:
    """Return True for a single huge power or factorial, up to its sign."""
    if a.bottom != {UNIT: 1} or len(a.top) != 1:
        return False
    [((radicand, powers), c)] = a.top.items()
    is_one_symbol = radicand == 1 and abs(c) == 1 and len(powers) == 1
    return is_one_symbol and powers[0][0].startswith("?!")


def _whole_root(n: int, degree: int) -> int | None:
    """Return the integer r with r^degree = n; None if there is none or n exceeds 4096 bits."""
    if n < 2:
        return n
    if n.bit_length() > 4096:
        return None
    low, high = 1, 1 << (n.bit_length() // degree + 1)
    while low < high:
        middle = (low + high) // 2
        if middle**degree < n:
            low = middle + 1
        else:
            high = middle
    return low if low**degree == n else None


def _square_root(value: Fraction) -> Ratio:
    """Return √(p/q) = √(pq) / q, with the square factors of pq taken out of the root."""
    n, sign = abs(value.numerator) * value.denominator, -1 if value < 0 else 1
    if n == 0:
        return rational(0)
    whole_root = math.isqrt(n)
    if whole_root * whole_root == n:
        factor, radicand = whole_root, 1
    elif n.bit_length() > 256:
        raise LimitError("a root of too large a number")
    else:
        factor, radicand = _without_squares(n)
    coefficient = Fraction(factor, value.denominator)
    return Ratio({(sign * radicand, ()): coefficient}, {UNIT: Fraction(1)})


def _without_squares(n: int) -> tuple[int, int]:
    """Return (factor, radicand) with n = factor² · radicand and a square-free radicand.

    Raises UnsureError if the factors of n are too large.
    """
    factor, radicand, prime = 1, 1, 2
    while prime * prime <= n and prime < 10_000:
        count = 0
        while n % prime == 0:
            n, count = n // prime, count + 1
        factor *= prime ** (count // 2)
        radicand *= prime if count % 2 else 1
        prime += 1 if prime == 2 else 2
    whole_root = math.isqrt(n)
    if whole_root * whole_root == n:
        return factor * whole_root, radicand
    if n > MAX_SURE_ROOT:
        raise UnsureError("a root of a number with large factors")
    return factor, radicand * n
