"""Types of parsed answers other than numbers and expressions (`algebra.Ratio`)."""

from __future__ import annotations

from dataclasses import dataclass

from r1kit.verify.math.algebra import Ratio


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number with a unit: `5.4 \\text{ cents}` is `Quantity(27/5, "cent")`; "%" is a unit too."""

    number: Ratio
    unit: str
    is_compound: bool = False
    """True for a sum of units: `4 \\text{ hours } 30 \\text{ minutes}`"""


@dataclass(frozen=True, slots=True)
class Infinity:
    """A signed infinity: `-\\infty` is `Infinity(-1)`."""

    sign: int


@dataclass(frozen=True, slots=True)
class WordsValue:
    """An answer in words: `\\text{Evelyn}` is `WordsValue("evelyn")`."""

    text: str


@dataclass(frozen=True, slots=True)
class NumberInBase:
    """A number in a given base: `52_8` is `NumberInBase("52", 8)`."""

    digits: str
    base: int


@dataclass(frozen=True, slots=True)
class EllipsisValue:
    """An ellipsis, `\\ldots`, in a list; the omitted items are unknown."""


@dataclass(frozen=True, slots=True)
class OrderedItems:
    """A point, a tuple or an interval: `(3, 4]` is `OrderedItems("(", "]", (3, 4))`."""

    opening: str
    closing: str
    items: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class UnorderedItems:
    """A set `\\{1, 2\\}`, or a bare list `1, 2` in which repetition counts."""

    items: tuple[Value, ...]
    is_set: bool


@dataclass(frozen=True, slots=True)
class Union:
    """A union such as `(0, 9) \\cup (9, 36)`."""

    parts: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Matrix:
    """A matrix; all rows have the same length."""

    rows: tuple[tuple[Value, ...], ...]


@dataclass(frozen=True, slots=True)
class EquationValue:
    """An equation such as `x = 5`, or a membership such as `x \\in [0, 1]`."""

    left: Value
    right: Value
    is_member: bool = False


@dataclass(frozen=True, slots=True)
class Residue:
    """A residue class: `x \\equiv 3 \\pmod{7}` is `Residue(x, 3, 7)`."""

    left: Value
    number: Ratio
    modulus: Ratio


Value = (
    Ratio
    | Quantity
    | Infinity
    | WordsValue
    | NumberInBase
    | EllipsisValue
    | OrderedItems
    | UnorderedItems
    | Union
    | Matrix
    | EquationValue
    | Residue
)
