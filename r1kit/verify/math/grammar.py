"""Parse whole answers (LaTeX or plain text): lists, equations, intervals, units, words.

    list     = element { "," element }                     "and", "or", ";" also separate
    element  = side [ "=" side | "\\in" side ]
    side     = words | whole { "\\cup" whole }
    whole    = [ "-" ] \\infty | [ "$" ] sum [ unit ]

Sums are parsed in arithmetic.py.
"""

from __future__ import annotations

from r1kit.verify.math import algebra, units
from r1kit.verify.math.algebra import Ratio
from r1kit.verify.math.arithmetic import ArithmeticParser, plain
from r1kit.verify.math.cursor import ENDS
from r1kit.verify.math.refusals import OversizeError, UndefinedError, UnsureError
from r1kit.verify.math.tokens import tokenize
from r1kit.verify.math.values import (
    EllipsisValue,
    EquationValue,
    Infinity,
    OrderedItems,
    Quantity,
    Union,
    UnorderedItems,
    Value,
    WordsValue,
)

MAX_ITEMS = 64

_SIGNS = {"+": 1, "-": -1}
_CLOSING = {"(": (")", "]"), "[": ("]", ")"), "\\{": ("\\}",)}


def parse(text: str) -> Value:
    """Return the value of a cleaned text. Raises a RefusalError if it declines to parse it."""
    return _Answer(tokenize(text)).whole()


class _Answer(ArithmeticParser):
    def whole(self) -> Value:
        items = self._items()
        if self.position < len(self.tokens):
            raise UnsureError(f"unexpected {self.tokens[self.position].text!r}")
        return items[0] if len(items) == 1 else UnorderedItems(tuple(items), is_set=False)

    def _items(self) -> list[Value]:
        """Parse one or more elements; an element with \\pm yields two."""
        items = self._element()
        while self.take(",", ";"):
            self.take(",")  # "1, 2, and 3"
            items += self._element()
            if len(items) > MAX_ITEMS:
                raise OversizeError(f"more than {MAX_ITEMS} items")
        return items

    def _element(self) -> list[Value]:
        start, outer_signs = self.position, (self.sign, self.n_signs)
        self.sign, self.n_signs = 1, 0
        values = [self._relation()]
        if self.n_signs > 1:
            raise UnsureError("more than one plus-minus")
        if self.n_signs == 1:
            self.position, self.sign = start, -1
            values.append(self._relation())
        self.sign, self.n_signs = outer_signs
        return values

    def _relation(self) -> Value:
        left = self._side()
        if self.take("="):
            return EquationValue(left, self._side())
        if self.is_command("in"):
            self.position += 1
            return EquationValue(left, self._side(), is_member=True)
        return left

    def _side(self) -> Value:
        if self.is_command("ldots"):
            self.position += 1
            return EllipsisValue()
        if (words := self._words()) is not None:
            return words
        if self.take("$", "\\$"):
            return Quantity(plain(self.sum()), "dollar")
        parts = [self._bound()]
        while self.is_command("cup"):
            self.position += 1
            parts.append(self._bound())
        return parts[0] if len(parts) == 1 else Union(tuple(parts))

    def _bound(self) -> Value:
        """Parse an infinity, a set, a matrix, or a sum with an optional unit."""
        infinity = self._infinity()
        if infinity is not None:
            return infinity
        value = self.sum()
        if self.at_end():
            return value
        unit = self._unit()
        if not isinstance(value, Ratio) or algebra.has_opaque(value):
            raise UnsureError("a unit after something that is no plain number")
        return Quantity(value, unit)

    def _infinity(self) -> Infinity | None:
        sign = _SIGNS.get(self.tokens[self.position].text, 0) if self.peek() else 0
        token = self.peek(1 if sign else 0)
        if token is None or (token.kind, token.text) != ("command", "infty"):
            return None
        self.position += 2 if sign else 1
        if not self.at_end():
            raise UndefinedError("computes with infinity")
        return Infinity(sign or 1)

    def _words(self) -> Value | None:
        """Parse words up to the next separator; None if they can be a name or product like `xy`."""
        n = 0
        while (token := self.peek(n)) and token.kind in ("word", "text", "name"):
            n += 1
        tokens = self.tokens[self.position : self.position + n]
        if all(token.kind == "name" for token in tokens):
            return None
        follower = self.peek(n)
        if follower is not None and not (follower.kind == "mark" and follower.text in ENDS):
            return None
        text = " ".join(token.text for token in tokens).strip(" .()").lower()
        if len(text) == 1:
            self.position += n
            return algebra.symbol(tokens[0].text.strip(" .()"))
        if len(tokens) == 1 and len(text) < 4 and text.isalpha() and not set("aeiou") & set(text):
            return None
        self.position += n
        return WordsValue(" ".join(text.split()))

    def _unit(self) -> str:
        text, depth = "", 0
        while (token := self.peek()) and (depth or not self.is_mark(*ENDS)):
            depth += {"{": 1, "}": -1}.get(token.text, 0)
            text += f" {token.text}"
            self.position += 1
        unit = units.canonical(text)
        if unit is None:
            raise UnsureError(f"{text.strip()!r} is no unit")
        return unit

    def bracketed(self, opening: str) -> Value:
        """Parse the rest of a set, a point, an interval, or a parenthesized value."""
        if opening == "\\{":
            items = [] if self.is_mark("\\}") else self._items()
            self.expect("\\}")
            return UnorderedItems(tuple(items), is_set=True)
        n_signs = self.n_signs
        items = [self._relation()]
        while self.take(",", ";"):
            items.append(self._relation())
        closing = self.expect(*_CLOSING[opening])
        if len(items) == 1 and (opening, closing) == ("(", ")"):
            return items[0]
        if len(items) == 1 or len(items) > MAX_ITEMS or self.n_signs != n_signs:
            raise UnsureError("brackets that are no point and no interval")
        return OrderedItems(opening, closing, tuple(items))
