"""Encode plain Python values as JSON and back, between processes that do not trust each other.

A candidate's result is encoded in the candidate's own process; whatever it forges there arrives as
data. Only exact types are decoded (an `int` subclass with a false `__eq__` arrives as the plain
number), so the comparison outside never runs the candidate's code.

    5 · "a" · None · 0.5       unchanged
    (1, [2])                   ["tuple", [1, ["list", [2]]]]
    2**60                      ["int", "0x1000000000000000"]
    Fraction(1, 2)             ["Fraction", [1, 2]]; also Decimal, dates and times
    range(3)                   ["range", [0, 3, 1]]
    map(f, [1]), generators    ["iterator", [f(1)]]; "endless" after MAX_TAKEN items
    object()                   ["other", "object"], equal to nothing

`SOURCE` is the source of `encode` and `decode`; `BEGIN` is the prologue of r1kit's own programs in
the sandbox.
"""

from __future__ import annotations

import math
import re
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Any

SOURCE = '''
import builtins, collections, datetime, decimal, fractions, numbers, operator


def _fields(*names):
    return lambda value: [getattr(value, name) for name in names]


_DAY, _CLOCK = ("year", "month", "day"), ("hour", "minute", "second", "microsecond")
_PARTS = {
    range: _fields("start", "stop", "step"),
    fractions.Fraction: _fields("numerator", "denominator"),
    decimal.Decimal: lambda value: [str(value)],
    datetime.date: _fields(*_DAY),
    datetime.datetime: _fields(*_DAY, *_CLOCK),
    datetime.time: _fields(*_CLOCK),
    datetime.timedelta: _fields("days", "seconds", "microseconds"),
    collections.deque: lambda value: [list(value)],
}
_TYPES = {kind.__name__: kind for kind in _PARTS}
_VIEWS = {"dict_keys": lambda items: dict.fromkeys(items).keys(),
          "dict_values": lambda items: dict(enumerate(items)).values(),
          "dict_items": lambda items: dict(items).items()}
_MAX_TAKEN, _MAX_SIZE = 200_000, 1 << 22


def _taken(iterator):
    items, size = [], 0
    for item in iterator:
        if len(items) == _MAX_TAKEN or size > _MAX_SIZE:
            return ["endless", items]
        items.append(encode(item))
        size += len(repr(items[-1]))
    return ["iterator", items]


def _endless(items):
    yield from items
    raise RuntimeError("more items than are transferred")


def encode(value):
    kind = type(value)
    if value is None or kind is bool or kind is str or kind is float:
        return value
    if isinstance(value, int):
        number = int.__add__(value, 0)
        return number if -2**53 < number < 2**53 else ["int", hex(number)]
    for base in (list, tuple, set, frozenset, dict, str, float):
        if isinstance(value, base):
            break
    else:
        if kind is bytes:
            return ["bytes", value.hex()]
        if kind is bytearray:
            return ["bytes", bytes(value).hex()]
        if kind is complex:
            return ["complex", [value.real, value.imag]]
        if kind in _PARTS and getattr(value, "tzinfo", None) is None:
            return [kind.__name__, [encode(part) for part in _PARTS[kind](value)]]
        if hasattr(kind, "__next__"):
            return _taken(value)
        if kind.__name__ in _VIEWS:
            return [kind.__name__, [encode(item) for item in value]]
        if kind is type and vars(builtins).get(value.__name__) is value:
            return ["type", value.__name__]
        if kind.__module__ == "numpy":
            return _encode_numpy(value)
        return ["other", str(kind.__name__)[:80]]
    if base is str:
        return str.__str__(value)
    if base is float:
        return float.__float__(value)
    if base is dict:
        return ["dict", [[encode(k), encode(v)] for k, v in dict.items(value)]]
    items = [encode(item) for item in base.__iter__(value)]
    return [base.__name__, sorted(items, key=repr) if base in (set, frozenset) else items]


def _encode_numpy(value):
    name = type(value).__name__
    if name == "ndarray":
        return ["ndarray", encode(value.tolist())]
    if name in ("bool", "bool_"):
        return bool(value)
    if isinstance(value, numbers.Integral):
        return encode(operator.index(value))
    return encode(value.item()) if isinstance(value, numbers.Number) else ["other", name]


def _decode_array(items):
    try:
        import numpy
    except ImportError:
        return items
    return numpy.array(items)


class Opaque:
    """A value of a type that does not travel; equal to nothing."""
    def __init__(self, name):
        self.name = name
    def __eq__(self, other):
        return False
    __hash__ = None
    def __repr__(self):
        return "<" + self.name + ">"


def decode(coded):
    if type(coded) is not list:
        return coded
    kind, value = coded
    if kind == "int":
        return int(value, 16)
    if kind == "bytes":
        return bytes.fromhex(value)
    if kind == "complex":
        return complex(*value)
    if kind == "dict":
        return {decode(k): decode(v) for k, v in value}
    if kind == "other":
        return Opaque(value)
    if kind == "type":
        return builtin if type(builtin := getattr(builtins, value)) is type else Opaque(value)
    if kind == "ndarray":
        return _decode_array(decode(value))
    if kind in _TYPES:
        return _TYPES[kind](*[decode(part) for part in value])
    if kind in _VIEWS:
        return _VIEWS[kind]([decode(item) for item in value])
    if kind in ("iterator", "endless"):
        items = [decode(item) for item in value]
        return iter(items) if kind == "iterator" else _endless(items)
    return {"list": list, "tuple": tuple, "set": set, "frozenset": frozenset}[kind](
        [decode(item) for item in value])
'''

BEGIN = (
    """
import io, json, os, sys
_request = json.load(sys.stdin)
_out = os.fdopen(os.dup(1), "w", encoding="ascii")
os.dup2(2, 1)
sys.stdin = io.StringIO()
"""
    + SOURCE
)
"""Prologue: reads the request from stdin, reserves stdout for the reply and redirects all other
prints to stderr."""

_LISTED = ("iterator", "endless", "dict_keys", "dict_values", "dict_items", "deque", "ndarray")
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,14})")
MAX_SHOWN = 200
"""maximum length of a value shown in a message"""
MAX_DEPTH = 200
"""maximum nesting of containers"""
_KINDS: dict[str, type] = {
    **dict.fromkeys(("list", "tuple", "set", "frozenset", "dict", "complex"), list),
    **dict.fromkeys(("dict_keys", "dict_values", "dict_items", "iterator", "endless"), list),
    **dict.fromkeys(("range", "Fraction", "Decimal", "deque", "ndarray"), list),
    **dict.fromkeys(("date", "datetime", "time", "timedelta"), list),
    **dict.fromkeys(("int", "bytes", "type", "other"), str),
}


def encoded(value: Any) -> Any:
    """Encode a plain value as JSON data. Raises ValueError for anything that is not plain data."""
    if value is None or isinstance(value, bool | str | float):
        return value
    if isinstance(value, int):
        return value if -(2**53) < value < 2**53 else ["int", hex(value)]
    if isinstance(value, dict):
        return ["dict", [[encoded(key), encoded(item)] for key, item in value.items()]]
    if isinstance(value, list | tuple | set | frozenset):
        items = [encoded(item) for item in value]
        is_set = isinstance(value, set | frozenset)
        return [type(value).__name__, sorted(items, key=repr) if is_set else items]
    if isinstance(value, bytes):
        return ["bytes", value.hex()]
    if isinstance(value, complex):
        return ["complex", [value.real, value.imag]]
    if isinstance(value, Fraction):
        return ["Fraction", [encoded(value.numerator), encoded(value.denominator)]]
    if isinstance(value, Decimal):
        return ["Decimal", [str(value)]]
    raise ValueError(f"{type(value).__name__} is not plain data")


def check(value: Any, depth: int = 0) -> None:
    """Raise ValueError unless `value` is an encoded value; only such may be compared or shown."""
    if depth > MAX_DEPTH:
        raise ValueError(f"nested deeper than {MAX_DEPTH}")
    if value is None or isinstance(value, bool | str | float | int):
        return
    if not _is_tagged(value):
        raise ValueError("not an encoded value")
    kind, content = value
    if kind == "int":
        int(content, 16)
    elif kind in ("Fraction", "Decimal"):
        _rational(value)
    elif kind == "ndarray":
        check(content, depth + 1)
    elif kind == "dict":
        for pair in content:
            if type(pair) is not list or len(pair) != 2:
                raise ValueError("not an encoded value")
            check(pair[0], depth + 1)
            check(pair[1], depth + 1)
    elif isinstance(content, list):
        for item in content:
            check(item, depth + 1)


def _is_tagged(value: Any) -> bool:
    is_pair = type(value) is list and len(value) == 2 and type(value[0]) is str
    return is_pair and type(value[1]) is _KINDS.get(value[0])


def same(actual: Any, expected: Any) -> bool:
    """Return True if an encoded result equals an encoded expected value.

    Compares like Python's `==` on plain data, with two relaxations that test sets assume: a list
    equals a tuple with the same items, and an expected float allows an error of 1e-6 (absolute or
    relative). Both values must have passed `check`.
    """
    if _is_number(actual) and _is_number(expected):
        return _same_number(actual, expected)
    if type(actual) is not list or type(expected) is not list:
        return type(actual) is type(expected) and bool(actual == expected)
    kind, a, expected_kind, b = actual[0], actual[1], expected[0], expected[1]
    if kind in ("list", "tuple") and expected_kind in ("list", "tuple"):
        return len(a) == len(b) and all(map(same, a, b))
    if kind in ("set", "frozenset") and expected_kind in ("set", "frozenset"):
        return len(a) == len(b) and _sorted(a) == _sorted(b)
    if kind == expected_kind == "dict":
        return _same_dict(a, b)
    return kind == expected_kind and kind in ("bytes", "complex") and bool(a == b)


def _same_dict(a: list[Any], b: list[Any]) -> bool:
    """Compare pairs of keys and values; JSON has written the integer keys of `b` as text."""
    if all(type(key) is int for key, _ in a) and all(_is_index(key) for key, _ in b):
        b = [[int(key), value] for key, value in b]
    b_items = {repr(_hashed(key)): value for key, value in b}
    return len(a) == len(b_items) and all(
        (key := repr(_hashed(a_key))) in b_items and same(value, b_items[key]) for a_key, value in a
    )


def _is_index(key: Any) -> bool:
    return isinstance(key, str) and bool(_INTEGER.fullmatch(key))


def same_in_any_order(actual: Any, expected: Any) -> bool:
    """Return True if two encoded lists have the same items, in any order."""
    both = [value for value in (actual, expected) if type(value) is list]
    if len(both) < 2 or any(value[0] not in ("list", "tuple") for value in both):
        return same(actual, expected)
    a, b = (sorted(value[1], key=lambda item: repr(_hashed(item))) for value in both)
    return len(a) == len(b) and all(map(same, a, b))


def display(value: Any) -> str:
    """Return an encoded value as Python source, truncated to MAX_SHOWN characters."""
    text = _source(value, MAX_SHOWN)
    return text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 1] + "…"


def _source(value: Any, limit: int) -> str:
    if type(value) is not list:
        return repr(value[:MAX_SHOWN] if isinstance(value, str) else value)
    kind, content = value
    if kind == "dict":
        pairs = [f"{_source(k, limit)}: {_source(v, limit)}" for k, v in content[:limit]]
        return "{" + ", ".join(pairs) + "}"
    if kind in ("list", "tuple", "set", "frozenset"):
        items = ", ".join(_source(item, limit) for item in content[:limit])
        begin, end = {"list": ("[", "]"), "tuple": ("(", ")")}.get(kind, ("{", "}"))
        return begin + items + ("," if kind == "tuple" and len(content) == 1 else "") + end
    if kind in ("int", "bytes", "type", "other"):
        return f"<{content}>" if kind == "other" else str(content)[:MAX_SHOWN]
    return f"{kind}({_source(['list', content], limit) if kind in _LISTED else content})"[:limit]


def _is_number(value: Any) -> bool:
    is_tagged = type(value) is list and value[0] in ("int", "Fraction", "Decimal")
    return is_tagged or isinstance(value, int | float)


def _same_number(actual: Any, expected: Any) -> bool:
    a, b = map(_rational, (actual, expected))
    if isinstance(b, float):
        try:
            is_close = math.isclose(a, b, rel_tol=1e-6, abs_tol=1e-6)
        except (OverflowError, ValueError):  # too large for a float, or a signalling NaN
            return False
        return is_close or (math.isnan(b) and isinstance(a, float) and math.isnan(a))
    return not _is_signalling(a) and not _is_signalling(b) and bool(a == b)


def _rational(value: Any) -> Any:
    """Return the number that is encoded. Raises ValueError if it is none."""
    if type(value) is not list:
        return value
    kind, content = value
    if kind == "int":
        return int(content, 16)
    if kind == "Decimal":
        [text] = content
        try:
            return Decimal(text)
        except (InvalidOperation, TypeError):
            raise ValueError("not an encoded value") from None
    numerator, denominator = map(_rational, content)
    if not (isinstance(numerator, int) and isinstance(denominator, int) and denominator):
        raise ValueError("not an encoded value")
    return Fraction(numerator, denominator)


def _is_signalling(number: Any) -> bool:
    """Return True for the one kind of number that cannot be compared."""
    return isinstance(number, Decimal) and number.is_snan()


def _sorted(values: list[Any]) -> list[str]:
    return sorted(repr(_hashed(value)) for value in values)


def _hashed(value: Any) -> Any:
    """Normalize numbers so that equal ones are written alike, as 1, 1.0 and True hash alike."""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if type(value) is list and value[0] in ("tuple", "frozenset"):
        return [value[0], [_hashed(item) for item in value[1]]]
    return value
