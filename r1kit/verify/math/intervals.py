"""Inequalities as intervals: `-2 \\le x < 1` is the membership of x in [-2, 1).

Two inequalities of one variable are the union of their intervals if these do not meet; otherwise
they could also be meant as an intersection, and UnsureError is raised.
"""

from __future__ import annotations

import itertools

from r1kit.verify.math import algebra
from r1kit.verify.math.algebra import Ratio
from r1kit.verify.math.numeric import approximate
from r1kit.verify.math.refusals import UnsureError
from r1kit.verify.math.values import EquationValue, Infinity, OrderedItems, Union, Value

COMPARISONS = {
    **dict.fromkeys(("<", "lt"), "<"),
    **dict.fromkeys((">", "gt"), ">"),
    **dict.fromkeys(("le", "leq", "leqslant", "leqq"), "<="),
    **dict.fromkeys(("ne", "neq"), "!="),
    **dict.fromkeys(("ge", "geq", "geqslant", "geqq"), ">="),
}
_FLIPPED = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "!=": "!="}
REALS = OrderedItems("(", ")", (Infinity(-1), Infinity(1)))

REAL_WORDS = ("all real numbers", "all reals", "all real", "全体实数", "任意实数", "모든 실수")


def is_number(value: Ratio) -> bool:
    """Return True for an expression without letters other than π and e."""
    return algebra.symbols(value) <= {"pi", "e"}


def condition(sides: list[Value], signs: list[str]) -> EquationValue:
    """Return the membership that an inequality states. Raises UnsureError for other forms."""
    if len(sides) == 2 and _is_variable(sides[1]) and not _is_variable(sides[0]):
        sides, signs = sides[::-1], [_FLIPPED[signs[0]]]
    if len(sides) == 2:
        variable, bound, sign = sides[0], sides[1], signs[0]
        if sign == "!=" and _is_variable(variable):
            return EquationValue(variable, all_but([bound]), is_member=True)
        is_upper = sign.startswith("<")
        low, high = (Infinity(-1), bound) if is_upper else (bound, Infinity(1))
        is_closed = sign.endswith("=")
        opening = "[" if is_closed and not is_upper else "("
        closing = "]" if is_closed and is_upper else ")"
    elif len(sides) == 3 and "!=" not in signs and signs[0][0] == signs[1][0]:
        if signs[0][0] == ">":
            sides, signs = sides[::-1], signs[::-1]
        low, variable, high = sides
        opening = "[" if signs[0].endswith("=") else "("
        closing = "]" if signs[1].endswith("=") else ")"
    else:
        raise UnsureError("an inequality of another form")
    if not _is_variable(variable) or not all(_is_bound(bound) for bound in (low, high)):
        raise UnsureError("an inequality of another form")
    return EquationValue(variable, OrderedItems(opening, closing, (low, high)), is_member=True)


def all_but(points: list[Value]) -> Union:
    """Return the real numbers without some points: `x \\ne 2` is (-∞, 2) ∪ (2, ∞)."""
    if not points or not all(isinstance(point, Ratio) and _is_bound(point) for point in points):
        raise UnsureError("a point that is no number")
    ends = [Infinity(-1), *sorted(points, key=_size), Infinity(1)]
    return Union(tuple(OrderedItems("(", ")", pair) for pair in itertools.pairwise(ends)))


def union_of_conditions(items: list[Value]) -> EquationValue | None:
    """Return the union of the intervals of several conditions; None if they are none."""
    conditions = [item for item in items if isinstance(item, EquationValue) and item.is_member]
    if len(conditions) == len(items) and len({str(item.left) for item in conditions}) == 1:
        excluded = [item for item in conditions if _is_all_but(item.right)]
        if excluded:
            return _without_points(conditions[0].left, conditions, excluded)
    intervals = [item.right for item in conditions if isinstance(item.right, OrderedItems)]
    if len(intervals) < len(items) or any(item.left != conditions[0].left for item in conditions):
        return None
    ordered = sorted(intervals, key=lambda interval: _ends(interval)[0])
    if not is_separate(ordered):
        raise UnsureError("inequalities that overlap")
    return EquationValue(conditions[0].left, Union(tuple(ordered)), is_member=True)


def _is_all_but(value: Value) -> bool:
    """Return True for a union that `all_but` made: the real numbers without some points."""
    if not isinstance(value, Union):
        return False
    parts = [part for part in value.parts if isinstance(part, OrderedItems)]
    ends = [part.items for part in parts]
    return (
        len(parts) == len(value.parts)
        and ends[0][0] == Infinity(-1)
        and ends[-1][1] == Infinity(1)
        and all(one[1] == other[0] for one, other in itertools.pairwise(ends))
    )


def _without_points(
    variable: Value, conditions: list[EquationValue], excluded: list[EquationValue]
) -> EquationValue:
    """Return `x > 0, x \\ne 1` as (0, 1) ∪ (1, ∞): not-equal signs hold beside the other one."""
    points = [
        part.items[1]
        for item in excluded
        if isinstance(item.right, Union)
        for part in item.right.parts[:-1]
        if isinstance(part, OrderedItems)
    ]
    others = [item.right for item in conditions if item not in excluded]
    if not others:
        return EquationValue(variable, all_but(points), is_member=True)
    if len(others) > 1 or not isinstance(others[0], OrderedItems):
        raise UnsureError("several conditions and exceptions")
    low, high = _ends(others[0])
    inside = sorted((p for p in points if low < _size(p) < high), key=_size)
    if len(inside) < len(points):
        raise UnsureError("an exception outside")
    bounds = [others[0].items[0], *inside, others[0].items[1]]
    parts = [OrderedItems("(", ")", pair) for pair in itertools.pairwise(bounds)]
    first, last = parts[0], parts[-1]
    parts[0] = OrderedItems(others[0].opening, ")", first.items)
    parts[-1] = OrderedItems("(", others[0].closing, last.items)
    return EquationValue(variable, Union(tuple(parts)), is_member=True)


def is_separate(intervals: list[OrderedItems]) -> bool:
    """Return True if the intervals, ordered by their lower ends, do not meet or touch."""
    ends = [_ends(interval) for interval in intervals]
    return all(one[1] < other[0] for one, other in itertools.pairwise(ends))


def _ends(interval: OrderedItems) -> tuple[float, float]:
    low, high = (_size(end) for end in interval.items)
    return low, high


def _size(end: Value) -> float:
    if isinstance(end, Infinity):
        return end.sign * float("inf")
    value = approximate(end) if isinstance(end, Ratio) else None
    if value is None:
        raise UnsureError("an end of no known size")
    return value


def _is_variable(value: Value) -> bool:
    return isinstance(value, Ratio) and algebra.is_name(value) and not is_number(value)


def _is_bound(value: Value) -> bool:
    return isinstance(value, Infinity) or (isinstance(value, Ratio) and is_number(value))
