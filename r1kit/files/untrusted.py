"""External text and JSON, read so that it can be written again without errors.

JSON can escape a lone surrogate (`"\\ud83d"`), which no file, socket, tokenizer or terminal
accepts. Python's parser also accepts NaN, integers of any size and hundreds of nesting levels,
which other JSON writers reject. Each place that reads external text decides how to handle it:
reject it with `refuse_unwritable` (a request), replace lone surrogates with `replace_surrogates`
(text from another server or typed by a user), or keep it (the rows of a file), since `to_json` and
`to_bytes` can write everything that `read_json` accepts.
"""

from __future__ import annotations

import json
import math
import re
from collections import deque
from collections.abc import Iterator
from typing import Any

import orjson

MAX_DEPTH = 250
"""maximum nesting depth of lists and objects, a little below orjson's limit"""
LONE_SURROGATE = "Half of a surrogate pair is no text"
_ESCAPED_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")

JsonPath = tuple[str | int, ...]


class UnwritableError(Exception):
    """A value that would be unreadable once written, with its location and an error message."""

    def __init__(self, path: JsonPath, why: str) -> None:
        super().__init__(why)
        self.path = path
        self.why = why


def is_text(text: str) -> bool:
    """Return True if the text has no lone surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def replace_surrogates(text: str) -> str:
    """Return the text with each lone surrogate replaced by a replacement character."""
    if is_text(text):
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def read_json(data: str | bytes) -> Any:
    """Parse a JSON value. Raises ValueError for invalid JSON or more than `MAX_DEPTH` levels."""
    text = data if isinstance(data, str) else data.decode("utf-8-sig")
    try:
        value = json.loads(text)
        if text.count("[") + text.count("{") > MAX_DEPTH:
            deque(_parts(value), maxlen=0)
    except (RecursionError, UnwritableError):
        raise ValueError(f"it is nested deeper than {MAX_DEPTH} levels") from None
    return value


def read_repaired_json(data: str | bytes) -> Any:
    """Parse a JSON value and replace lone surrogates in strings and keys. Raises ValueError."""
    text = data if isinstance(data, str) else data.decode("utf-8-sig")
    value = read_json(text)
    return _replace_surrogates(value) if _ESCAPED_SURROGATE.search(text) else value


def refuse_unwritable(value: Any) -> None:
    """Raise UnwritableError if the value contains a lone surrogate or is nested too deeply."""
    try:
        orjson.dumps(value)  # ten times faster than visiting every part
    except TypeError:
        for path, part in _parts(value):
            if isinstance(part, str) and not is_text(part):
                raise UnwritableError(path, LONE_SURROGATE) from None


def to_json(value: Any, *, indent: int | None = None) -> str:
    """Serialize to JSON that any Unicode encoding can hold: lone surrogates are written as escapes.

    Every float reads back bit-identical; NaN and infinities become null.
    """
    text = json.dumps(_finite(value), ensure_ascii=False, indent=indent, allow_nan=False)
    return text if is_text(text) else text.encode("utf-8", "backslashreplace").decode()


def to_bytes(value: Any) -> bytes:
    """Serialize to compact UTF-8 JSON, with orjson if it accepts the value, else like `to_json`."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return to_json(value).encode()


def _parts(value: Any) -> Iterator[tuple[JsonPath, Any]]:
    """Yield every part of a JSON value with its path. Raises UnwritableError if too deep."""
    level: list[tuple[JsonPath, Any]] = [((), value)]
    for _ in range(MAX_DEPTH + 1):  # the parts of the deepest container are a level below it
        yield from level
        level = [
            (location, part) for path, whole in level for location, part in _inside(path, whole)
        ]
        if not level:
            return
    raise UnwritableError(level[0][0], f"It is nested deeper than {MAX_DEPTH} levels")


def _inside(path: JsonPath, whole: Any) -> Iterator[tuple[JsonPath, Any]]:
    if isinstance(whole, dict):
        for key, part in whole.items():
            yield path, key
            yield (*path, key), part
    elif isinstance(whole, list):
        for location, part in enumerate(whole):
            yield (*path, location), part


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return value


def _replace_surrogates(value: Any) -> Any:
    if isinstance(value, str):
        return replace_surrogates(value)
    if isinstance(value, dict):
        return {replace_surrogates(key): _replace_surrogates(item) for key, item in value.items()}
    return [_replace_surrogates(item) for item in value] if isinstance(value, list) else value
