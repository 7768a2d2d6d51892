"""Compare two parsed answers: True, False, or None if the exact part cannot decide.

`same_value` is equality: symmetric and reflexive. `accepts` adds r1kit's policy on details that a
gold answer may leave open (docs/verifiers.md): variables, units, percent, bases.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from r1kit.verify.math import algebra, units
from r1kit.verify.math.algebra import Ratio
from r1kit.verify.math.identities import are_identical
from r1kit.verify.math.intervals import is_number, is_separate
from r1kit.verify.math.numeric import differ
from r1kit.verify.math.refusals import RefusalError
from r1kit.verify.math.values import (
    EllipsisValue,
    EquationValue,
    Infinity,
    Matrix,
    NumberInBase,
    OrderedItems,
    Quantity,
    Residue,
    Union,
    UnorderedItems,
    Value,
    WordsValue,
)

ValueComparison = Callable[[Value, Value], bool | None]

_PERCENT = algebra.rational(100)


def accepts(gold: Value, answer: Value) -> bool | None:
    """Return True if `answer` satisfies `gold`. A set of one element counts as that element.

    A gold answer that lists several forms of one answer (`0.5 或 1/2`) counts as each of them.
    """
    gold, answer = _without_indices(_single_item(gold)), _without_indices(_single_item(answer))
    is_equal = _accepts(gold, answer)
    if is_equal or not isinstance(gold, UnorderedItems) or gold.is_set or len(gold.items) < 2:
        return is_equal
    first, *others = gold.items
    are_forms = all(same_value(first, other) for other in others)
    return _accepts(first, answer) if are_forms else is_equal


def _single_item(value: Value) -> Value:
    if not isinstance(value, UnorderedItems) or len(value.items) != 1:
        return value
    return value if isinstance(value.items[0], UnorderedItems) else value.items[0]


def _without_indices(value: Value) -> Value:
    """Return the roots `x_1 = 5, x_2 = -2` as `x = 5, x = -2`."""
    if not isinstance(value, UnorderedItems):
        return value
    names = [_indexed_name(item) for item in value.items]
    if None in names or len(set(names)) != 1 or len(names) < 2:
        return value
    stem = algebra.symbol(str(names[0]))
    items = [EquationValue(stem, i.right) for i in value.items if isinstance(i, EquationValue)]
    return UnorderedItems(tuple(items), value.is_set)


def _indexed_name(item: Value) -> str | None:
    if not isinstance(item, EquationValue) or item.is_member or not isinstance(item.left, Ratio):
        return None
    name = next(iter(algebra.symbols(item.left)), "") if algebra.is_name(item.left) else ""
    stem, _, index = name.partition("_")
    return stem if index.isdecimal() else None


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
        return _same_quantity(a, b)
    return _compare(a, b, same_value)


def _same_quantity(a: Quantity, b: Quantity) -> bool | None:
    """Units agree if they are the same, if one is any counter, or in a sum of units."""
    is_same_unit = a.unit == b.unit or (
        units.COUNTER in (a.unit, b.unit) and units.is_noun(a.unit) and units.is_noun(b.unit)
    )
    if is_same_unit:
        return _same_expression(a.number, b.number)
    scales = units.scale(a.unit), units.scale(b.unit)
    if not (a.is_compound or b.is_compound) or scales[0] is None or scales[1] is None:
        return False
    left, right = (
        algebra.multiply(quantity.number, algebra.rational(scale[1]))
        for quantity, scale in ((a, scales[0]), (b, scales[1]))
    )
    return scales[0][0] == scales[1][0] and _same_expression(left, right)


def _same_expression(a: Ratio, b: Ratio) -> bool | None:
    """Return whether two expressions are equal: normal form, a differing point, an identity."""
    is_equal = algebra.same(a, b)
    if is_equal is None:
        return False if differ(a, b) else are_identical(a, b) or None
    return is_equal


def _accepts_side(gold: Value, answer: Value) -> bool | None:
    """Accept `x = 5` or `2 + 3 = 5` for `5`, and `5` for them.

    The left side must be just a name, or a computation that has the right side as its value.
    """
    equation, other = (gold, answer) if isinstance(gold, EquationValue) else (answer, gold)
    assert isinstance(equation, EquationValue)
    left, right = equation.left, equation.right
    if not _is_computation(equation) and (not _names(left, right) or same_value(left, right)):
        return False
    return _accepts(right, other) if equation is gold else _accepts(other, right)


def _is_computation(equation: EquationValue) -> bool:
    """Return True for a true equation between numbers."""
    sides = [s.number if isinstance(s, Quantity) else s for s in (equation.left, equation.right)]
    if not all(isinstance(side, Ratio) and is_number(side) for side in sides):
        return False
    return are_equal_sides(equation.left, equation.right) is True


def are_equal_sides(left: Value, right: Value) -> bool | None:
    """Return True if two sides of an equation are equal; a unit may stand on one side only."""
    if isinstance(left, Quantity) and isinstance(right, Ratio):
        return same_value(left.number, right)
    if isinstance(left, Ratio) and isinstance(right, Quantity):
        return same_value(left, right.number)
    return same_value(left, right)


def _names(left: Value, right: Value) -> bool:
    """Return True if `left` only names `right`: `x = 5`, `m + n = 11`, `(x, y) = (2, 3)`."""
    if isinstance(left, OrderedItems) and isinstance(right, OrderedItems):
        return len(left.items) == len(right.items) and all(map(_is_name, left.items))
    is_constant = isinstance(right, Ratio) and is_number(right)
    return _is_name(left) or (is_constant and isinstance(left, Ratio) and _is_sum_of_letters(left))


def _is_name(value: Value) -> bool:
    return isinstance(value, WordsValue) or (isinstance(value, Ratio) and algebra.is_name(value))


def _is_sum_of_letters(value: Ratio) -> bool:
    """Return True for `m + n`: what a question asks for, and no equation to solve."""
    is_whole = value.bottom == {algebra.UNIT: 1} and len(value.top) > 1
    return is_whole and all(
        abs(c) == 1 and radicand == 1 and [n for _, n in powers] == [1] and powers[0][0][0] != "?"
        for (radicand, powers), c in value.top.items()
    )


def _accepts_quantity(gold: Value, answer: Value) -> bool | None:
    """Compare quantities: two units must agree, a unit on one side only is ignored.

    A percentage also equals a hundredth of its number.
    """
    if isinstance(gold, Quantity) and isinstance(answer, Quantity):
        return same_value(gold, answer)
    quantity, other = (gold, answer) if isinstance(gold, Quantity) else (answer, gold)
    assert isinstance(quantity, Quantity)
    if not isinstance(other, Ratio) or (quantity is answer and quantity.unit.startswith("?")):
        return False
    values = [quantity.number]
    if quantity.unit == "%":
        values.append(algebra.divide(quantity.number, _PERCENT))
    return _any([_same_expression(value, other) for value in values])


def _compare(a: Value, b: Value, compare: ValueComparison) -> bool | None:
    """Compare two values by their types; `compare` is applied to their elements."""
    if isinstance(a, Ratio) and isinstance(b, Ratio):
        return _same_expression(a, b)
    if isinstance(a, UnorderedItems) and isinstance(b, UnorderedItems):
        return _unordered(a, b, compare)
    if isinstance(a, Union) and isinstance(b, Union):
        # Parts may overlap, so that different parts can still be the same union.
        is_equal = _matched(a.parts, b.parts, compare)
        return is_equal if is_equal or (_is_separate(a) and _is_separate(b)) else None
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
    if isinstance(a, Matrix) and isinstance(b, OrderedItems):
        return _vectors(a, b, compare)
    if isinstance(a, OrderedItems) and isinstance(b, Matrix):
        return _vectors(b, a, lambda x, y: compare(y, x))
    if isinstance(a, EquationValue) and isinstance(b, EquationValue):
        return _equations(a, b, compare)
    if isinstance(a, Residue) and isinstance(b, Residue):
        return _residues(a, b, compare)
    if isinstance(a, EllipsisValue) or isinstance(b, EllipsisValue):
        return True if a == b else None
    if type(a) is type(b):  # Words, Based, Infinity
        return a == b
    return _different_kinds(a, b)


def _vectors(matrix: Matrix, point: OrderedItems, compare: ValueComparison) -> bool | None:
    """Accept `(1, 2)` for a column: both are ways to write a vector."""
    if (point.opening, point.closing) != ("(", ")") or any(len(row) != 1 for row in matrix.rows):
        return False
    return _pairwise([row[0] for row in matrix.rows], point.items, compare)


def _is_separate(union: Union) -> bool:
    intervals = [part for part in union.parts if isinstance(part, OrderedItems)]
    try:
        return len(intervals) == len(union.parts) and is_separate(intervals)
    except RefusalError:
        return False


def _residues(a: Residue, b: Residue, compare: ValueComparison) -> bool | None:
    """Compare residue classes: the same modulus, and numbers that differ by a multiple of it."""
    numbers = [algebra.constant(x) for x in (a.number, b.number, a.modulus, b.modulus)]
    if None in numbers or compare(a.left, b.left) is not True:
        return compare(a.left, b.left) and None
    left, right, modulus, other = (x for x in numbers if x is not None)
    return abs(modulus) == abs(other) and modulus != 0 and (left - right) % modulus == 0


def _different_kinds(a: Value, b: Value) -> bool | None:
    """Compare values of different types: a number is not a list, words or an interval.

    None (undecided) if both have parts, or for words against an expression with letters.
    """
    single_types = (Ratio, Quantity, Infinity, NumberInBase, WordsValue, Residue)
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
    return is_bare and _pairwise(point.items, _by_name(items.items), compare)


def _by_name(items: tuple[Value, ...]) -> Sequence[Value]:
    """Return the coordinates `y = 3, x = 2` in the order of their letters."""
    equations = [item for item in items if isinstance(item, EquationValue)]
    if len(equations) < len(items) or not all(_is_name(item.left) for item in equations):
        return items
    return sorted(equations, key=lambda item: str(getattr(item.left, "top", item.left)))


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
