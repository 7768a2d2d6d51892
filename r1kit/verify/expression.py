"""Verify Countdown answers: the expression uses exactly the given numbers and makes the target.

Source: the game of TinyZero. Departures: its verifier and two others that were measured run `eval`
on the model's text and reward `2.5*4` for the numbers 2, 5, 4, as well as `2**3` and `7//2`; here
the text is tokenized, parsed by hand and evaluated in exact fractions.

    sum     = ["-"] product {("+" | "-") product}
    product = operand {("*" | "/") operand}
    operand = NUMBER | "(" sum ")"
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction

from r1kit.types import Verdict
from r1kit.verify.answer import final_answer

MAX_CHARS = 500
MAX_DEPTH = 50

_TOKEN = re.compile(r"\s*(?:([0-9]+)|([-+*/()=×÷·⋅−])|\\(times|cdot|div))")
_SAME_OPERATOR = {
    **dict.fromkeys(("×", "·", "⋅", "times", "cdot"), "*"),
    **dict.fromkeys(("÷", "div"), "/"),
    "−": "-",
}


def check_countdown(text: str, numbers: Sequence[int], target: int) -> Verdict:
    """Verify that the answer makes `target` from `numbers` (all >= 0), each used exactly once.

    The answer is the boxed or marked one (`final_answer`), else the whole text. A trailing
    "= target" is accepted if it is true.
    """
    answer = final_answer(text)
    expression = (text if answer is None else answer).strip()
    if not expression or len(expression) > MAX_CHARS:
        extracted = expression[:MAX_CHARS] or None
        return Verdict(False, extracted, f"not an expression of 1 to {MAX_CHARS} characters")
    try:
        left, right = _split_equation(_tokenize(expression))
        value = _Parser(left).value()
        claim = _signed_integer(right) if right is not None else target
    except _NotAnExpressionError as error:
        return Verdict(False, expression, str(error))
    operands = sorted(token for token in left if token.isdecimal())
    if operands != sorted(map(str, numbers)):
        return Verdict(False, expression, f"uses {_join(operands)}, not {_join(numbers)}")
    if value != target:
        return Verdict(False, expression, f"makes {value}, not {target}")
    if claim != target:
        return Verdict(False, expression, f"claims {claim}, not {target}")
    return Verdict(True, expression, f"makes {target}")


def evaluate(text: str) -> Fraction | None:
    """Return the exact value of an expression of integers; None if `text` is not one."""
    if len(text) > MAX_CHARS:
        return None
    try:
        return _Parser(_tokenize(text)).value()
    except _NotAnExpressionError:
        return None


class _NotAnExpressionError(Exception):
    """The text is not a valid expression; the message says why in a phrase."""


def _tokenize(text: str) -> list[str]:
    tokens, position = [], 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise _NotAnExpressionError(f"cannot read {text[position : position + 20]!r}")
        token = match[match.lastindex or 0]
        tokens.append(_SAME_OPERATOR.get(token, token))
        position = match.end()
    return tokens


def _split_equation(tokens: list[str]) -> tuple[list[str], list[str] | None]:
    if "=" not in tokens:
        return tokens, None
    middle = tokens.index("=")
    return tokens[:middle], tokens[middle + 1 :]


def _signed_integer(tokens: list[str]) -> int:
    sign = -1 if tokens[:1] == ["-"] else 1
    digits = tokens[1:] if sign < 0 else tokens
    if len(digits) != 1 or not digits[0].isdecimal():
        raise _NotAnExpressionError("what follows '=' is not one number")
    return sign * int(digits[0])


class _Parser:
    """A recursive-descent parser and evaluator; every method consumes the tokens it parses."""

    def __init__(self, tokens: list[str]) -> None:
        self._tokens = tokens
        self._next = 0
        self._depth = 0

    def value(self) -> Fraction:
        value = self._sum()
        if self._next < len(self._tokens):
            raise _NotAnExpressionError(f"unexpected {self._tokens[self._next]!r}")
        return value

    def _take(self, *allowed: str) -> str | None:
        if self._next < len(self._tokens) and self._tokens[self._next] in allowed:
            self._next += 1
            return self._tokens[self._next - 1]
        return None

    def _sum(self) -> Fraction:
        value = -self._product() if self._take("-") else self._product()
        while operator := self._take("+", "-"):
            operand = self._product()
            value = value + operand if operator == "+" else value - operand
        return value

    def _product(self) -> Fraction:
        value = self._operand()
        while operator := self._take("*", "/"):
            operand = self._operand()
            if operator == "/" and operand == 0:
                raise _NotAnExpressionError("divides by zero")
            value = value * operand if operator == "*" else value / operand
        return value

    def _operand(self) -> Fraction:
        if self._take("("):
            return self._group()
        if self._next == len(self._tokens):
            raise _NotAnExpressionError("ends too early")
        token = self._tokens[self._next]
        if not token.isdecimal():
            raise _NotAnExpressionError(f"unexpected {token!r}")
        self._next += 1
        return Fraction(int(token))

    def _group(self) -> Fraction:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise _NotAnExpressionError(f"nested deeper than {MAX_DEPTH}")
        value = self._sum()
        if not self._take(")"):
            raise _NotAnExpressionError("a parenthesis is not closed")
        self._depth -= 1
        return value


def _join(numbers: Sequence[object]) -> str:
    return ", ".join(map(str, numbers)) or "no number"
