"""Parse whole answers (LaTeX or plain text): lists, equations, intervals, units, words.

    list     = element { "," element }                     "and", "or", ";" also separate
    element  = side { "=" side } | side "\\in" side | side "<" side [ "<" side ]
             | side "\\equiv" sum
    side     = words | whole { "\\cup" whole }
    whole    = [ "-" ] \\infty | [ "$" ] sum [ unit ]

Sums are parsed in arithmetic.py.
"""

from __future__ import annotations

import itertools

from r1kit.verify.math import algebra, units
from r1kit.verify.math.algebra import Ratio
from r1kit.verify.math.arithmetic import ArithmeticParser, plain
from r1kit.verify.math.cursor import ENDS
from r1kit.verify.math.intervals import (
    COMPARISONS,
    REAL_WORDS,
    REALS,
    all_but,
    condition,
    is_number,
    union_of_conditions,
)
from r1kit.verify.math.meanings import meaning
from r1kit.verify.math.refusals import OversizeError, UndefinedError, UnsureError
from r1kit.verify.math.same import are_equal_sides
from r1kit.verify.math.tokens import tokenize
from r1kit.verify.math.values import (
    EllipsisValue,
    EquationValue,
    Infinity,
    OrderedItems,
    Quantity,
    Residue,
    Union,
    UnorderedItems,
    Value,
)

MAX_ITEMS = 64

_SIGNS = {"+": 1, "-": -1}
_CURRENCIES = {
    "$": "dollar",
    "\\$": "dollar",
    "£": "british pound",
    "€": "euro",
    "₩": "won",
    "¥": "yuan",
    "₹": "rupee",
}
_CLOSING = {"(": (")", "]"), "[": ("]", ")"), "\\{": ("\\}",)}


def parse(text: str) -> Value:
    """Return the value of a cleaned text. Raises a RefusalError if it declines to parse it."""
    return _Answer(tokenize(text)).whole()


class _Answer(ArithmeticParser):
    def whole(self) -> Value:
        items = self._items()
        if self.position < len(self.tokens):
            raise UnsureError(f"unexpected {self.tokens[self.position].text!r}")
        return items[0] if len(items) == 1 else self._list(items)

    def _list(self, items: list[Value]) -> Value:
        """Return a list; `4 hours, 30 minutes` is one quantity, and inequalities are a union."""
        if all(isinstance(item, Quantity) for item in items):
            total = self._compound([item for item in items if isinstance(item, Quantity)])
            if total is not None:
                return total
        return union_of_conditions(items) or UnorderedItems(tuple(items), is_set=False)

    def _compound(self, parts: list[Quantity]) -> Quantity | None:
        """Add quantities of one dimension in falling units; None if they are something else."""
        scales = [units.scale(part.unit) for part in parts]
        sizes = [scale[1] for scale in scales if scale is not None]
        if len({scale[0] for scale in scales if scale}) != 1 or len(sizes) != len(parts):
            return None
        if any(size <= following for size, following in itertools.pairwise(sizes)):
            return None
        total = parts[0].number
        for part, size in zip(parts[1:], sizes[1:], strict=True):
            factor = algebra.rational(size / sizes[0])
            total = self.do(algebra.add, total, self.do(algebra.multiply, part.number, factor))
        return Quantity(total, parts[0].unit, is_compound=True)

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
        start = self.position
        left = self._side()
        if self.is_mark("="):
            return self._chain(left, self._texts(start))
        if self.is_command("in"):
            self.position += 1
            return EquationValue(left, self._side(), is_member=True)
        if self.is_comparison():
            return self._comparison(left)
        if self.is_command("equiv"):
            return self._residue(left)
        return left

    def _chain(self, left: Value, texts: list[str]) -> Value:
        """Parse `a = b = c`, an equation of its ends if the others are equal.

        `texts` are the tokens of the left side: `5 = 5` says nothing and is refused.
        """
        sides, is_vacuous = [left], True
        while self.take("="):
            start = self.position
            sides.append(self._side())
            is_vacuous &= self._texts(start) == texts
        if is_vacuous:
            raise UndefinedError("an equation of equal sides")
        if not all(are_equal_sides(side, sides[-1]) for side in sides[1:-1]):
            raise UndefinedError("equations that do not hold")
        return EquationValue(left, sides[-1])

    def _texts(self, start: int) -> list[str]:
        return [token.text for token in self.tokens[start : self.position]]

    def _comparison(self, left: Value) -> Value:
        """Parse an inequality of one variable as the membership in an interval."""
        sides, signs = [left], []
        while self.is_comparison():
            token = self.peek()
            assert token is not None
            self.position += 1
            signs.append(COMPARISONS[token.text])
            sides.append(self._side())
        return condition(sides, signs)

    def is_comparison(self) -> bool:
        token = self.peek()
        return token is not None and token.kind in ("mark", "command") and token.text in COMPARISONS

    def _residue(self, left: Value) -> Value:
        self.position += 1
        number = plain(self.sum())
        is_open = self.take("(")
        if not self.is_command("pmod", "bmod", "mod"):
            raise UnsureError("an equivalence without a modulus")
        self.position += 1
        modulus = plain(self.sum())
        if is_open:
            self.expect(")")
        return Residue(left, number, modulus)

    def _side(self) -> Value:
        if self.is_command("ldots"):
            self.position += 1
            return EllipsisValue()
        if (words := self._words()) is not None:
            return words
        if (currency := self.take(*_CURRENCIES)) is not None:
            return self._amount(plain(self.sum()), _CURRENCIES[currency])
        parts = [self._bound()]
        while self.is_command("cup"):
            self.position += 1
            parts.append(self._bound())
        return parts[0] if len(parts) == 1 else Union(tuple(parts))

    def _amount(self, amount: Ratio, currency: str) -> Value:
        token = self.peek()
        if token is not None and units.is_rate(token.text):
            return Quantity(amount, self._unit(currency))
        if not self.at_end():
            value = self._quantity(amount)
            amount = plain(value.number if isinstance(value, Quantity) else value)
            if isinstance(value, Quantity) and value.unit != currency:
                raise UndefinedError("an amount with another unit")
        return Quantity(amount, currency)

    def _bound(self) -> Value:
        """Parse an infinity, a set, a matrix, or a sum with an optional unit."""
        infinity = self._infinity()
        if infinity is not None:
            return infinity
        if self.is_command("mathbbR"):
            self.position += 1
            return self._without_points() if self.take_difference() else REALS
        value = self.sum()
        if self.is_mark(":") and isinstance(value, Ratio) and is_number(value):
            value = self._proportion(value)
            if isinstance(value, OrderedItems):
                return value
        if (
            self.at_end()
            or self.is_comparison()
            or self.is_mark("|", ":")
            or self.is_command("equiv")
        ):
            return value
        token = self.peek()
        is_degree = token is not None and token.kind == "unit"
        if not isinstance(value, Ratio) or (is_degree and algebra.has_opaque(value)):
            raise UnsureError("a unit after something that is no number")
        return self._quantity(value)

    def take_difference(self) -> bool:
        """Consume the sign of a difference of sets before a set, if it comes next."""
        token, following = self.peek(), self.peek(1)
        is_difference = token is not None and token.text in ("setminus", "backslash", "-")
        if not is_difference or following is None or following.text != "\\{":
            return False
        self.position += 1
        return True

    def _without_points(self) -> Value:
        self.position += 1
        points = self._items()
        self.expect("\\}")
        return all_but(points)

    def _proportion(self, first: Ratio) -> Value:
        """Parse `3:4` as a quotient, and `3:4:5` as numbers of which the last is 1."""
        terms = [first]
        while self.take(":"):
            terms.append(plain(self.sum()))
        if not all(map(is_number, terms)):
            raise UnsureError("a ratio of letters")
        if len(terms) == 2:
            return self.do(algebra.divide, *terms)
        return OrderedItems(":", ":", tuple(self.do(algebra.divide, t, terms[-1]) for t in terms))

    def _quantity(self, number: Ratio) -> Value:
        """Parse what follows a number: a multiplier, a unit, or numbers with smaller units."""
        token = self.peek()
        if token is not None and (times := units.multiplier(token.text.rstrip("."))):
            self.position += 1
            number = self.do(algebra.multiply, number, algebra.rational(times))
            if self.at_end():
                return number
        unit = self._unit()
        if unit.startswith("?") and unit[1:].isalpha() and algebra.constant(number) == 1:
            unit = unit[1:]  # one thing, in the singular
        parts = [Quantity(number, unit)]
        while self.is_number():
            parts.append(Quantity(plain(self.sum()), self._unit()))
        quantity = parts[0] if len(parts) == 1 else self._compound(parts)
        if quantity is None:
            raise UnsureError("several units that do not add up")
        return quantity.number if quantity.unit == units.COUNTER else quantity

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
        if text in REAL_WORDS:
            self.position += n
            return REALS
        if len(text) == 1:
            self.position += n
            return algebra.symbol(tokens[0].text.strip(" .()"))
        if len(tokens) == 1 and len(text) < 4 and text.isalpha() and not set("aeiou") & set(text):
            return None
        self.position += n
        return meaning(" ".join(text.split()))

    def _unit(self, text: str = "") -> str:
        depth = 0
        while (token := self.peek()) and (depth or not self.is_mark(*ENDS)):
            if text and not depth and token.kind == "number" and not text.endswith(("^", "{", "/")):
                break
            depth += {"{": 1, "}": -1}.get(token.text, 0)
            text += f" {token.text}"
            self.position += 1
        unit = units.canonical(text)
        if unit is None:
            raise UnsureError(f"{text.strip()!r} is no unit")
        return unit

    def cases(self) -> Value:
        """Parse the rows of a system or of a piecewise function, whose rows have conditions."""
        rows: list[Value] = []
        while not self.is_command("end"):
            cells = [self._relation()]
            self.take(",")
            if self.take("&") and not self.is_mark("\\\\") and not self.is_command("end"):
                cells.append(self._relation())
            rows.append(cells[0] if len(cells) == 1 else OrderedItems("{", "&", tuple(cells)))
            self.take(",", ";")
            if not self.take("\\\\"):
                break
        return UnorderedItems(tuple(rows), is_set=False)

    def _set_builder(self, variable: Value) -> Value:
        """Parse the rest of `\\{x | x > 3\\}`: the set that the condition describes."""
        conditions = self._items()
        self.expect("\\}")
        value = conditions[0] if len(conditions) == 1 else union_of_conditions(conditions)
        if not isinstance(value, EquationValue) or not value.is_member or value.left != variable:
            raise UnsureError("a set by a condition of another form")
        return value.right

    def bracketed(self, opening: str) -> Value:
        """Parse the rest of a set, a point, an interval, or a parenthesized value."""
        if opening == "\\{":
            items = [] if self.is_mark("\\}") else self._items()
            if len(items) == 1 and self.take("|", ":"):
                return self._set_builder(items[0])
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
