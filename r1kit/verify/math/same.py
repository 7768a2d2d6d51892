"""Compare two parsed answers: True, False, or None if the exact part cannot decide.

`same_value` is equality: symmetric and reflexive. `accepts` adds r1kit's policy on details that a
gold answer may leave open (docs/verifiers.md): variables, units, percent, bases.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from r1kit.verify.math import algebra
from r1kit.verify.math.algebra import Ratio
from r1kit.verify.math.values import (
    EllipsisValue,
    EquationValue,
    Infinity,
    Matrix,
    NumberInBase,
    OrderedItems,
    Quantity,
    Union,
    UnorderedItems,
    Value,
    WordsValue,
)

ValueComparison = Callable[[Value, Value], bool | None]

_PERCENT = algebra.rational(100)


def accepts(gold: Value, answer: Value) -> bool | None:
    """Return True if `answer` satisfies `gold`. A set of one element counts as that element."""
    return _accepts(_single_item(gold), _single_item(answer))


def _single_item(value: Value) -> Value:
    if not isinstance(value, UnorderedItems) or len(value.items) != 1:
        return value
    return value if isinstance(value.items[0], UnorderedItems) else value.items[0]


def _accepts(gold: Value, answer: Value) -> bool | None:
    if isinstance(gold, EquationValue) != isinstance(answer, EquationValue):
        return _accepts_side(gold, answer)
    if isinstance(gold, Quantity) or isinstance(answer, Quantity):
        return _accepts_quantity(gold, answer)
    if isinstance(gold, NumberInBase) and isinstance(answer, Ratio):
        digits = algebra.constant(answer)
        return digits is not None and gold.digits.isdecimal() and digits == int(gold.digits)
    return _compare(gold, answer, _accepts)


def same_value(a: Value, b: Value) -> bool | None:
    """Return True if two values are equal; None if undecided."""
    if isinstance(a, Quantity) and isinstance(b, Quantity):
        return a.unit == b.unit and algebra.same(a.number, b.number)
    return _compare(a, b, same_value)


def _accepts_side(gold: Value, answer: Value) -> bool | None:
    """Accept `x = 5` for `5` and `5` for `x = 5`, provided the left side is just a name."""
    equation, other = (gold, answer) if isinstance(gold, EquationValue) else (answer, gold)
    assert isinstance(equation, EquationValue)
    if not _is_name(equation.left) or same_value(equation.left, equation.right):
        return False
    right = equation.right
    return _accepts(right, other) if equation is gold else _accepts(other, right)


def _is_name(value: Value) -> bool:
    return isinstance(value, WordsValue) or (isinstance(value, Ratio) and algebra.is_name(value))


def _accepts_quantity(gold: Value, answer: Value) -> bool | None:
    """Compare quantities: two units must agree, a unit on one side only is ignored.

    A percentage also equals a hundredth of its number.
    """
    if isinstance(gold, Quantity) and isinstance(answer, Quantity):
        return same_value(gold, answer)
    quantity, other = (gold, answer) if isinstance(gold, Quantity) else (answer, gold)
    assert isinstance(quantity, Quantity)
    if not isinstance(other, Ratio):
        return False
    values = [quantity.number]
    if quantity.unit == "%":
        values.append(algebra.divide(quantity.number, _PERCENT))
    return _any([algebra.same(value, other) for value in values])


def _compare(a: Value, b: Value, compare: ValueComparison) -> bool | None:
    """Compare two values by their types; `compare` is applied to their elements."""
    if isinstance(a, Ratio) and isinstance(b, Ratio):
        return algebra.same(a, b)
    if isinstance(a, UnorderedItems) and isinstance(b, UnorderedItems):
        return _unordered(a, b, compare)
    if isinstance(a, Union) and isinstance(b, Union):
        # Parts may overlap, so that different parts can still be the same union.
        return _matched(a.parts, b.parts, compare) or None
    if isinstance(a, OrderedItems) and isinstance(b, OrderedItems):
        same_brackets = (a.opening, a.closing) == (b.opening, b.closing)
        return same_brackets and _pairwise(a.items, b.items, compare)
    if isinstance(a, OrderedItems) and isinstance(b, UnorderedItems):
        return _without_brackets(a, b, compare)
    if isinstance(a, UnorderedItems) and isinstance(b, OrderedItems):
        return _without_brackets(b, a, lambda x, y: compare(y, x))
    if isinstance(a, Matrix) and isinstance(b, Matrix):
        if [len(row) for row in a.rows] != [len(row) for row in b.rows]:
            return False
        return _all([_pairwise(r, s, compare) for r, s in zip(a.rows, b.rows, strict=True)])
    if isinstance(a, EquationValue) and isinstance(b, EquationValue):
        return _equations(a, b, compare)
    if isinstance(a, EllipsisValue) or isinstance(b, EllipsisValue):
        return True if a == b else None
    if type(a) is type(b):  # Words, Based, Infinity
        return a == b
    return _different_kinds(a, b)


def _different_kinds(a: Value, b: Value) -> bool | None:
    """Compare values of different types: a number is not a list, words or an interval.

    None (undecided) if both have parts, or for words against an expression with letters.
    """
    single_types = (Ratio, Quantity, Infinity, NumberInBase, WordsValue)
    if isinstance(a, single_types) and isinstance(b, single_types):
        has_letters = any(isinstance(value, Ratio) and algebra.symbols(value) for value in (a, b))
        return (
            None
            if has_letters and (isinstance(a, WordsValue) or isinstance(b, WordsValue))
            else False
        )
    return False if isinstance(a, single_types) or isinstance(b, single_types) else None


def _unordered(a: UnorderedItems, b: UnorderedItems, compare: ValueComparison) -> bool | None:
    """Compare as sets if either is a set, else as lists in which repetition counts."""
    if any(isinstance(item, EllipsisValue) for item in (*a.items, *b.items)):
        return _pairwise(a.items, b.items, compare) or None
    if a.is_set or b.is_set:
        return _matched(_distinct(a.items), _distinct(b.items), compare)
    return _matched(a.items, b.items, compare)


def _without_brackets(
    point: OrderedItems, items: UnorderedItems, compare: ValueComparison
) -> bool | None:
    """Accept `1, 2` for `(1, 2)`, in the same order; a set never equals a point or an interval."""
    is_bare = not items.is_set and (point.opening, point.closing) == ("(", ")")
    return is_bare and _pairwise(point.items, items.items, compare)


def _distinct(items: Sequence[Value]) -> list[Value]:
    unique_items: list[Value] = []
    for item in items:
        if not any(same_value(item, other) for other in unique_items):
            unique_items.append(item)
    return unique_items


def _matched(a: Sequence[Value], b: Sequence[Value], compare: ValueComparison) -> bool | None:
    """Return True if the items can be paired in any order."""
    if len(a) != len(b):
        return False
    remaining, is_sure = list(b), True
    for item in a:
        verdicts = [compare(item, other) for other in remaining]
        if True in verdicts:
            del remaining[verdicts.index(True)]
        elif None not in verdicts:
            return False
        else:
            is_sure = False
    return True if is_sure else None


def _pairwise(a: Sequence[Value], b: Sequence[Value], compare: ValueComparison) -> bool | None:
    if len(a) != len(b):
        return False
    return _all([compare(x, y) for x, y in zip(a, b, strict=True)])


def _equations(a: EquationValue, b: EquationValue, compare: ValueComparison) -> bool | None:
    """Compare side by side; between expressions, left minus right up to a constant factor."""
    if a.is_member != b.is_member:
        return None
    if compare(a.left, b.left) and compare(a.right, b.right):
        return True
    a_difference, b_difference = _difference(a), _difference(b)
    if a_difference is None or b_difference is None:
        return _pairwise((a.left, a.right), (b.left, b.right), compare)
    if not a_difference.top or not b_difference.top:
        return False  # x = x is no information
    if algebra.are_proportional(a_difference, b_difference):
        return True
    return False if algebra.is_linear(a_difference) and algebra.is_linear(b_difference) else None


def _difference(equation: EquationValue) -> Ratio | None:
    left, right = equation.left, equation.right
    if not isinstance(left, Ratio) or not isinstance(right, Ratio):
        return None
    return algebra.add(left, algebra.negative(right))


def _all(verdicts: Sequence[bool | None]) -> bool | None:
    if False in verdicts:
        return False
    return None if None in verdicts else True


def _any(verdicts: Sequence[bool | None]) -> bool | None:
    if True in verdicts:
        return True
    return None if None in verdicts else False
