"""What an answer can be, beside a number or an expression (`algebra.Ratio`)."""

from __future__ import annotations

from dataclasses import dataclass

from r1kit.verify.math.algebra import Ratio


@dataclass(frozen=True, slots=True)
class Quantity:
    """`5.4 \\text{ cents}` is `Quantity(27/5, "cent")`; "%" is a unit too."""

    number: Ratio
    unit: str


@dataclass(frozen=True, slots=True)
class Infinity:
    """`-\\infty` is `Infinity(-1)`."""

    sign: int


@dataclass(frozen=True, slots=True)
class Words:
    """`\\text{Evelyn}` is `Words("evelyn")`."""

    text: str


@dataclass(frozen=True, slots=True)
class Based:
    """`52_8` is `Based("52", 8)`."""

    digits: str
    base: int


@dataclass(frozen=True, slots=True)
class Dots:
    """`\\ldots` in a list: what it stands for is anybody's guess."""


@dataclass(frozen=True, slots=True)
class Ordered:
    """A point, a tuple or an interval: `(3, 4]` is `Ordered("(", "]", (3, 4))`."""

    opening: str
    closing: str
    items: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Unordered:
    """A set `\\{1, 2\\}`, or a bare list `1, 2` in which repetition counts."""

    items: tuple[Value, ...]
    is_set: bool


@dataclass(frozen=True, slots=True)
class Union:
    """`(0, 9) \\cup (9, 36)`."""

    parts: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Matrix:
    """Rows of equal length."""

    rows: tuple[tuple[Value, ...], ...]


@dataclass(frozen=True, slots=True)
class EquationValue:
    """`x = 5`, and `x \\in [0, 1]`."""

    left: Value
    right: Value
    is_member: bool = False


Value = (
    Ratio
    | Quantity
    | Infinity
    | Words
    | Based
    | Dots
    | Ordered
    | Unordered
    | Union
    | Matrix
    | EquationValue
)
