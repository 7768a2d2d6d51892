"""Text and JSON as nobody means it, for tests of every place that takes some from outside."""

import json
from typing import Any

from hypothesis import strategies as st

HALF = "\ud83d"
WORDS = [
    HALF, "\udc00x", "a\ud800", "\ude00\ud83d", "\0", "a\0b", "\u2028", "\u2029\x85", "\u202ekcab",
    "\ufeff5", "\x1b[2J", "</think>", "<think>", "<｜User｜>", "\N{THINKING FACE}", "e\u0301" * 40,
    "\r\n", " ", "", "nan", "\\boxed{\ud83d}", "\\boxed{" * 60, "'\"\\",
    "```python\nprint('\ud83d')\n```",
]  # fmt: skip
NUMBERS = [
    2**53 + 1, 2**63, -(2**63) - 1, 2**64, 10**400, -1, 0, float("nan"), float("inf"),
    -float("inf"), 1e308, 5e-324, -0.0,
]  # fmt: skip


def nested(levels: int) -> Any:
    """Lists and objects in one another."""
    value: Any = 1
    for level in range(levels):
        value = [value] if level % 2 else {"a": value}
    return value


texts = st.sampled_from(WORDS) | st.text(st.characters(exclude_categories=()), max_size=6)
leaves = st.none() | st.booleans() | st.sampled_from(NUMBERS) | texts
deep = st.sampled_from([30, 90, 249, 260, 400]).map(nested)
values = st.recursive(
    leaves | deep,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place inside a JSON value."""
    inside = value.items() if isinstance(value, dict) else enumerate(value)
    result = []
    for key, part in inside:
        result.append((*path, key))
        if isinstance(part, (dict, list)):
            result += places(part, (*path, key))
    return result


def put(value: Any, path: tuple[Any, ...], part: Any) -> Any:
    """A copy with something else at one place."""
    if not path:
        return part
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = put(value[path[0]], path[1:], part)
    return copy


@st.composite
def spoilt(draw: st.DrawFn, body: dict[str, Any]) -> Any:
    """A good body with something else in one or two places, or with a field more."""
    for _ in range(draw(st.integers(1, 2))):
        index = draw(st.sampled_from(places(body)))
        body = put(body, index, draw(values))
        if not isinstance(body, dict) or not places(body):
            break
    if draw(st.booleans()) and draw(st.booleans()):
        body = {**body, draw(texts): draw(values)}
    return body


def as_bytes(body: Any, escaped: bool = True) -> bytes:
    """JSON in Python's dialect: NaN and halves of pairs as they come, escaped or raw."""
    return json.dumps(body, ensure_ascii=escaped).encode("utf-8", "surrogatepass")
