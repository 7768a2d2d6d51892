"""A position in a token list, with limits on parsing depth and computation."""

from __future__ import annotations

from collections.abc import Callable

from r1kit.verify.math import algebra
from r1kit.verify.math.algebra import Ratio
from r1kit.verify.math.refusals import LimitError, OversizeError, UnsureError
from r1kit.verify.math.tokens import MathToken
from r1kit.verify.math.values import Value

MAX_DEPTH = 30
MAX_GROUPS = 400
MAX_WORK = 1_500_000
"""maximum total size of all results in bits; about a tenth of a second of work"""
ENDS = (")", "]", "}", "\\}", ",", ";", "=", "&", "\\\\")
"""marks that end a side of an element"""


class Cursor:
    """A token cursor. `take` and `expect` advance it; `peek`, `at_end` and `is_...` do not."""

    def __init__(self, tokens: list[MathToken]) -> None:
        self.tokens = tokens
        self.position = 0
        self._depth = 0
        self._n_groups = 0
        self._work = 0

    def peek(self, ahead: int = 0) -> MathToken | None:
        position = self.position + ahead
        return self.tokens[position] if position < len(self.tokens) else None

    def is_mark(self, *marks: str) -> bool:
        token = self.peek()
        return token is not None and token.kind == "mark" and token.text in marks

    def is_command(self, *commands: str) -> bool:
        token = self.peek()
        return token is not None and token.kind == "command" and token.text in commands

    def take(self, *marks: str) -> str | None:
        if not self.is_mark(*marks):
            return None
        self.position += 1
        return self.tokens[self.position - 1].text

    def expect(self, *marks: str) -> str:
        mark = self.take(*marks)
        if mark is None:
            raise UnsureError(f"expected {' or '.join(marks)}")
        return mark

    def at_end(self) -> bool:
        return self.peek() is None or self.is_mark(*ENDS) or self.is_command("cup", "in", "end")

    def do(self, operation: Callable[..., Ratio], *values: object) -> Ratio:
        result = operation(*values)
        self._work += algebra.n_bits(result)
        if self._work > MAX_WORK:
            raise LimitError("too much to compute")
        return result

    def nested(self, read: Callable[[], Value]) -> Value:
        self._depth += 1
        self._n_groups += 1
        if self._depth > MAX_DEPTH or self._n_groups > MAX_GROUPS:
            raise OversizeError(f"groups more than {MAX_DEPTH} deep, or more than {MAX_GROUPS}")
        value = read()
        self._depth -= 1
        return value
