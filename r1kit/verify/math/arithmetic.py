"""A recursive-descent parser from expressions in LaTeX or plain text to exact values.

    sum      = [ "-" | "\\pm" ] product { ("+" | "-" | "\\pm") product }
    product  = factor { [ "*" | "/" ] factor }             no operator means "*"
    factor   = primary [ "!" ] [ "^" exponent ]
    primary  = number | name | \\frac.. | \\sqrt.. | function factor | "(" list ")" | ...

It accepts only unambiguous input and raises UnsureError for the rest: `1/2x`, `2 3`, `a < b`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from fractions import Fraction

from r1kit.verify.math import algebra, units
from r1kit.verify.math.algebra import Ratio
from r1kit.verify.math.cursor import Cursor
from r1kit.verify.math.intervals import COMPARISONS
from r1kit.verify.math.refusals import UndefinedError, UnsureError
from r1kit.verify.math.tokens import MathToken
from r1kit.verify.math.values import Matrix, NumberInBase, UnorderedItems, Value

_FUNCTIONS = (
    *("sin", "cos", "tan", "cot", "sec", "csc", "arcsin", "arccos", "arctan"),
    *("log", "ln", "exp"),
)
_INVERTED = ("sin", "cos", "tan")
"""functions of which the power -1 is the inverse: `\\tan^{-1} 2`"""
_GREEK = (
    *("alpha", "beta", "gamma", "delta", "epsilon", "theta", "lambda", "mu", "nu", "rho"),
    *("sigma", "tau", "phi", "varphi", "psi", "omega", "Gamma", "Delta", "Phi", "Omega"),
)
_NO_FACTORS = frozenset(
    (
        "cup",
        "in",
        "pm",
        "end",
        "equiv",
        "pmod",
        "bmod",
        "mod",
        "approx",
        "setminus",
        "backslash",
        *COMPARISONS,
    )
)
"""commands that end a product"""
_SIGNS = {"+": 1, "-": -1}
_BRACKETS = ("(", "[", "\\{")


class ArithmeticParser(Cursor, ABC):
    """A parser of sums and their parts."""

    def __init__(self, tokens: list[MathToken]) -> None:
        super().__init__(tokens)
        self.sign = 1
        """the sign that \\pm stands for in this pass over an element"""
        self.n_signs = 0

    def sum(self) -> Value:
        sign = self._plus_minus()
        value = self._product()
        if sign is None and not self.starts_sum():
            return value
        total = plain(value)
        total = algebra.negative(total) if sign == -1 else total
        while (sign := self._plus_minus()) is not None:
            operand = plain(self._product())
            operand = algebra.negative(operand) if sign == -1 else operand
            total = self.do(algebra.add, total, operand)
        return total

    def starts_sum(self) -> bool:
        return self.is_mark("+", "-") or self.is_command("pm")

    def _plus_minus(self) -> int | None:
        if self.is_command("pm"):
            self.position += 1
            self.n_signs += 1
            return self.sign
        sign = self.take("+", "-")
        return None if sign is None else _SIGNS[sign]

    def _product(self) -> Value:
        value = self._mixed_number()
        is_after_slash = False
        while True:
            operator = self.take("*", "/")
            if operator is None and not self.starts_factor():
                return value
            if operator is None and is_after_slash:
                raise UnsureError("a product after a slash")
            if self.is_number() and operator is None:
                raise UnsureError("two numbers side by side")
            factor = plain(self._factor())
            is_after_slash = operator == "/"
            operation = algebra.divide if operator == "/" else algebra.multiply
            value = self.do(operation, plain(value), factor)

    def is_number(self, ahead: int = 0) -> bool:
        token = self.peek(ahead)
        return token is not None and token.kind == "number"

    def starts_factor(self) -> bool:
        token = self.peek()
        if token is None:
            return False
        if token.kind == "word":
            return not token.spaced and _is_product_of_letters(token.text)
        if token.kind == "command":
            return token.text not in _NO_FACTORS
        return token.kind in ("number", "name") or token.text in ("(", "[", "\\{", "{")

    def _mixed_number(self) -> Value:
        """Parse a mixed number (`1\\frac{4}{5}` and `1 4/5` are sums), else a factor."""
        token = self.peek()
        start = self.position
        value = self._factor()
        is_integer = token is not None and token.kind == "number" and token.text.isdecimal()
        if not is_integer or self.position != start + 1:
            return value
        part = self._fraction_of_integers()
        if part is None:
            return value
        if not 0 < part < 1:
            raise UnsureError("a mixed number with an improper fraction")
        return self.do(algebra.add, plain(value), algebra.rational(part))

    def _fraction_of_integers(self) -> Fraction | None:
        """Consume `\\frac{4}{5}` or ` 4/5` if it comes next; None otherwise."""
        shapes = (
            (("frac", "{", None, "}", "{", None, "}"), (2, 5)),
            ((None, "/", None), (0, 2)),
        )
        for shape, indices in shapes:
            tokens = self.tokens[self.position : self.position + len(shape)]
            fits = len(tokens) == len(shape) and all(
                token.text.isdecimal() if text is None else token.text == text
                for token, text in zip(tokens, shape, strict=True)
            )
            if fits and (shape[0] or tokens[0].spaced):
                self.position += len(shape)
                top, bottom = (int(tokens[index].text) for index in indices)
                return Fraction(top, bottom) if bottom else Fraction(-1)
        return None

    def _factor(self) -> Value:
        value = self._primary()
        if self.take("!"):
            value = self.do(algebra.factorial, plain(value))
            if self.is_mark("!"):
                raise UnsureError("a double factorial")
        if self.take("^"):
            base = plain(value)
            value = self.do(algebra.power, base, self.nested(self._exponent))
            if self.is_mark("!"):
                raise UnsureError("a factorial after a power")
        return value

    def _exponent(self) -> Ratio:
        sign = -1 if self.take("-") else 1
        value = plain(self._primary())
        if self.is_mark("!"):
            raise UnsureError("a factorial in an exponent")
        if self.take("^"):
            value = self.do(algebra.power, value, self.nested(self._exponent))
        return algebra.negative(value) if sign < 0 else value

    def _primary(self) -> Value:
        token = self.peek()
        if token is None:
            raise UnsureError("ends too early")
        self.position += 1
        if token.kind == "number":
            return self._number(token.text)
        if token.kind == "name":
            return self._name(token.text)
        if token.kind == "command":
            return self.nested(lambda: self._command(token.text))
        if token.kind == "word" and _is_product_of_letters(token.text):
            return self._letters(token.text)
        if token.kind == "mark" and token.text == "{":
            return self.nested(self._braced_sum)
        if token.kind == "mark" and token.text in _BRACKETS:
            return self.nested(lambda: self.bracketed(token.text))
        raise UnsureError(f"unexpected {token.text!r}")

    def _number(self, text: str) -> Value:
        if self.take("_"):
            base = algebra.constant(self._argument())
            if base is None or not text.isdecimal() or not 2 <= base <= 36:
                raise UnsureError("a subscript of a number that is no base")
            return NumberInBase(text.lstrip("0") or "0", int(base))
        if text.isdecimal() and text.startswith("00"):
            raise UnsureError("a part of a number")  # (1,000) is not a point
        return self.do(algebra.rational, Fraction(text))

    def _name(self, name: str) -> Ratio:
        if not self.take("_"):
            return self._letter(name)
        token = self.peek()
        if token is None or token.kind not in ("number", "name"):
            raise UnsureError("a subscript")
        self.position += 1
        return algebra.symbol(f"{name}_{token.text}")

    def _letters(self, word: str) -> Ratio:
        """Parse `xy` as x · y; an exponent after it applies to the last letter only."""
        *first, last = map(self._letter, word)
        if self.is_mark("!", "_"):
            raise UnsureError("of which letter?")
        product = last
        if self.take("^"):
            product = self.do(algebra.power, last, self.nested(self._exponent))
        for letter in first:
            product = self.do(algebra.multiply, product, letter)
        return product

    def _letter(self, name: str) -> Ratio:
        return algebra.imaginary_unit() if name == "i" else algebra.symbol(name)

    def _braced_sum(self) -> Value:
        value = self.sum()
        self.expect("}")
        return value

    @abstractmethod
    def bracketed(self, opening: str) -> Value:
        """Parse the rest of a bracketed value; implemented in grammar.py, which parses lists."""

    @abstractmethod
    def cases(self) -> Value:
        """Parse the rows of a `cases` environment; implemented in grammar.py."""

    def _command(self, name: str) -> Value:
        if name == "pi" or name in _GREEK:
            return algebra.symbol(name)
        if name == "frac":
            top, bottom = self._argument(), self._argument()
            return self.do(algebra.divide, top, bottom)
        if name == "sqrt":
            return self._root()
        if name in ("binom", "dbinom", "tbinom"):
            return self.do(algebra.binomial, self._argument(), self._argument())
        if name in _FUNCTIONS:
            return self._function(name)
        if name == "begin":
            return self.nested(self._matrix)
        if name == "emptyset":
            return UnorderedItems((), is_set=True)
        if name == "infty":
            raise UndefinedError("computes with infinity")
        raise UnsureError(f"\\{name}")

    def _argument(self) -> Ratio:
        """Parse an argument of \\frac, \\sqrt and similar commands: a group, or one token."""
        token = self.peek()
        if token is not None and token.kind == "number" and len(token.text) > 1:
            previous = self.peek(-1)
            if previous is None or previous.text != "sqrt":
                raise UnsureError("more than one digit without braces")
        return plain(self._primary())

    def _root(self) -> Ratio:
        degree: Fraction | None = Fraction(2)
        if self.take("["):
            degree = algebra.constant(plain(self.sum()))
            self.expect("]")
        if degree is None or degree.denominator != 1 or not 2 <= degree <= 1000:
            raise UnsureError("a root of no whole degree")
        return self.do(algebra.root, self._argument(), int(degree))

    def _function(self, name: str) -> Ratio:
        """Parse `\\sin^2 x`, `\\log_2 (x)` or `\\cot 2x` to an opaque symbol with its argument.

        An argument in parentheses ends with them: `\\sin(x)^2` is the square of the sine.
        """
        base = self._argument() if self.take("_") else algebra.rational(0)
        exponent = self._exponent() if self.take("^") else None
        if exponent is not None and name in _INVERTED and algebra.constant(exponent) == -1:
            name, exponent = f"arc{name}", None
        is_enclosed = self.is_mark("(")
        argument = plain(self._primary() if is_enclosed else self._factor())
        while self.starts_factor() and not self.is_command(*_FUNCTIONS):
            if self.is_mark("(", "[", "\\{"):
                raise UnsureError("a function of how much?")
            if is_enclosed:
                break
            argument = self.do(algebra.multiply, argument, plain(self._factor()))
        value = algebra.opaque(name, base, argument)
        return value if exponent is None else self.do(algebra.power, value, exponent)

    def _matrix(self) -> Value:
        name = self._environment()
        if name == "cases":
            rows_of_cases = self.cases()
            if not self.is_command("end"):
                raise UnsureError("cases that do not end")
            self.position += 1
            if self._environment() != name:
                raise UnsureError("cases that end as something else")
            return rows_of_cases
        if name not in ("pmatrix", "bmatrix"):
            raise UnsureError(f"\\begin{{{name}}}")
        rows: list[tuple[Value, ...]] = []
        while not self.is_command("end"):
            row = [self.sum()]
            while self.take("&"):
                row.append(self.sum())
            rows.append(tuple(row))
            if not self.take("\\\\"):
                break
        if not self.is_command("end"):
            raise UnsureError("a matrix that does not end")
        self.position += 1
        if self._environment() != name or len({len(row) for row in rows}) != 1:
            raise UnsureError("a ragged matrix")
        return Matrix(tuple(rows))

    def _environment(self) -> str:
        self.expect("{")
        token = self.peek()
        self.position += 1
        self.expect("}")
        return token.text if token is not None else ""


def plain(value: Value) -> Ratio:
    """Return `value` if it is an expression. Raises UnsureError otherwise."""
    if not isinstance(value, Ratio):
        raise UnsureError("computes with something that is no number")
    return value


def _is_product_of_letters(word: str) -> bool:
    return word.isalpha() and word.isascii() and len(word) < 4 and not units.is_known(word)
