"""Plain data between processes that do not trust each other: there and back, and comparisons."""

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from r1kit.verify.code import values

SCOPE: dict[str, Any] = {}
exec(values.SOURCE, SCOPE)  # our own text, run here as it is run in the sandbox
encode, decode = SCOPE["encode"], SCOPE["decode"]

atoms: st.SearchStrategy[Any] = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
)
atoms |= st.binary() | st.complex_numbers(allow_nan=False)
keys = st.integers() | st.text() | st.tuples(st.integers(), st.text())
plain = st.recursive(
    atoms,
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(keys, inner)
        | st.sets(keys)
        | st.frozensets(keys)
    ),
    max_leaves=12,
)


@given(plain)
def test_what_is_encoded_over_there_is_what_is_meant_here(value: object) -> None:
    over = json.loads(json.dumps(encode(value)))
    values.check(over)
    assert over == json.loads(json.dumps(values.encoded(value)))
    assert decode(over) == value
    assert type(decode(over)) is type(value)
    assert values.same(over, over)
    assert isinstance(values.display(over), str)


@given(plain, plain)
def test_same_is_symmetric_but_for_floats_and_agrees_with_python(a: object, b: object) -> None:
    if a == b:
        assert values.same(values.encoded(a), values.encoded(b)) or _holds(a, bool) != _holds(
            b, bool
        )


def _holds(value: object, kind: type) -> bool:
    return isinstance(value, kind) or (
        isinstance(value, list | tuple | dict | set | frozenset)
        and any(_holds(item, kind) for item in value)
    )


@pytest.mark.parametrize(
    ("got", "expected", "is_same"),
    [
        (7, 7, True),
        (7, 8, False),
        (7.0, 7, True),
        (0.1 + 0.2, 0.3, True),
        (1.001, 1.0, False),
        (math.nan, math.nan, True),
        (math.nan, 1.0, False),
        (math.inf, math.inf, True),
        (10**400, 1.5, False),
        (2**70, 2**70, True),
        (2**70, 2**70 + 1, False),
        ((1, 2), [1, 2], True),
        ([1, [2, (3,)]], (1, (2, [3])), True),
        ([1], [1, 2], False),
        ({1, 2}, {2, 1}, True),
        ({1, 2}, [1, 2], False),
        ({1: "a", "b": None}, {"b": None, 1: "a"}, True),
        ({1.0: "a"}, {1: "a"}, True),
        ({1: "a"}, {1: "b"}, False),
        ("7", 7, False),
        (None, False, False),
        (b"a", b"a", True),
        (b"a", "a", False),
        (1j, 1j, True),
    ],
)
def test_same_by_hand(got: object, expected: object, is_same: bool) -> None:
    assert values.same(values.encoded(got), values.encoded(expected)) is is_same


def test_a_lying_number_arrives_as_the_number_it_is() -> None:
    class Always(int):
        def __eq__(self, other: object) -> bool:
            return True

        __hash__ = int.__hash__

    class Forged:
        def __eq__(self, other: object) -> bool:
            return True

    assert encode(Always(3)) == 3
    assert type(encode(Always(3))) is int
    assert encode([Forged()]) == ["list", [["other", "Forged"]]]
    assert not values.same(["other", "Forged"], 7)
    assert not values.same(["other", "Forged"], ["other", "Forged"])


@pytest.mark.parametrize(
    "forged",
    [
        [],
        [1, 2],
        ["list"],
        ["list", 5],
        ["int", "nine"],
        ["int", 9],
        ["dict", [[1]]],
        ["dict", [1]],
        ["list", [["set"]]],
        {"a": 1},
        ["nothing", []],
        ["complex", "1"],
        [["list"], []],
    ],
)
def test_what_is_no_encoded_value_is_refused(forged: object) -> None:
    with pytest.raises(ValueError, match=r"encoded value|invalid literal"):
        values.check(forged)


def test_nesting_is_bounded() -> None:
    deep: object = 1
    for _ in range(values.MAX_DEPTH + 2):
        deep = ["list", [deep]]
    with pytest.raises(ValueError, match="nested deeper"):
        values.check(deep)


def test_what_is_not_data_cannot_be_expected() -> None:
    with pytest.raises(ValueError, match="object is not plain data"):
        values.encoded([object()])


def test_values_are_shown_short() -> None:
    assert values.display(values.encoded((1, "a", {2: None}))) == "(1, 'a', {2: None})"
    assert values.display(values.encoded((1,))) == "(1,)"
    assert len(values.display(values.encoded(list(range(10_000))))) <= values.MAX_SHOWN
