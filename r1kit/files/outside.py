"""Text and JSON from outside: read so that it can be written again, and written without fail.

JSON can escape half of a surrogate pair (`"\\ud83d"`), which no file, socket, tokenizer or terminal
takes, and Python's reader also takes NaN, integers of any size and hundreds of levels, which other
writers refuse. A place that reads text from outside decides what happens to it there: `refuse` it
(a request), `mended` (what another server says, what somebody types), or keep it as it is (the rows
of a file), since `to_json` and `to_bytes` write whatever `read_json` has read.
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
"""levels of lists and objects; a little less than orjson writes"""
HALF = "Half of a surrogate pair is no text"
_HALF_ESCAPED = re.compile(r"\\u[dD][89a-fA-F]")

Path = tuple[str | int, ...]


class UnwritableError(Exception):
    """A value that others cannot read once it is written: where it stands, and a sentence."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(why)
        self.path = path
        self.why = why


def is_text(text: str) -> bool:
    """Whether every character is a whole one."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def mended(text: str) -> str:
    """The text with a replacement character for each half of a pair."""
    if is_text(text):
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def read_json(data: str | bytes) -> Any:
    """A JSON value. Raises ValueError for what is none, and for more than `MAX_DEPTH` levels."""
    text = data if isinstance(data, str) else data.decode("utf-8-sig")
    try:
        value = json.loads(text)
        if text.count("[") + text.count("{") > MAX_DEPTH:
            deque(_parts(value), maxlen=0)
    except (RecursionError, UnwritableError):
        raise ValueError(f"it is nested deeper than {MAX_DEPTH} levels") from None
    return value


def read_mended(data: str | bytes) -> Any:
    """A JSON value with all of its texts mended, keys too. Raises ValueError, as `read_json`."""
    text = data if isinstance(data, str) else data.decode("utf-8-sig")
    value = read_json(text)
    return _mended(value) if _HALF_ESCAPED.search(text) else value


def refuse_unwritable(value: Any) -> None:
    """Raises UnwritableError for half a character anywhere, and for too many levels."""
    try:
        orjson.dumps(value)  # ten times faster than a look at every part
    except TypeError:
        for path, part in _parts(value):
            if isinstance(part, str) and not is_text(part):
                raise UnwritableError(path, HALF) from None


def to_json(value: Any, *, indent: int | None = None) -> str:
    """JSON that every encoding of Unicode can hold: half a character is written as its escape.

    Every float reads back bit-equal; NaN and infinities are null.
    """
    text = json.dumps(_finite(value), ensure_ascii=False, indent=indent, allow_nan=False)
    return text if is_text(text) else text.encode("utf-8", "backslashreplace").decode()


def to_bytes(value: Any) -> bytes:
    """The same, compact, in UTF-8, and fast where nothing is odd."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return to_json(value).encode()


def _parts(value: Any) -> Iterator[tuple[Path, Any]]:
    """Every part of a JSON value with its place. Raises UnwritableError for too many levels."""
    level: list[tuple[Path, Any]] = [((), value)]
    for _ in range(MAX_DEPTH):
        yield from level
        level = [(place, part) for path, whole in level for place, part in _inside(path, whole)]
        if not level:
            return
    raise UnwritableError(level[0][0], f"It is nested deeper than {MAX_DEPTH} levels")


def _inside(path: Path, whole: Any) -> Iterator[tuple[Path, Any]]:
    if isinstance(whole, dict):
        for key, part in whole.items():
            yield path, key
            yield (*path, key), part
    elif isinstance(whole, list):
        for place, part in enumerate(whole):
            yield (*path, place), part


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return value


def _mended(value: Any) -> Any:
    if isinstance(value, str):
        return mended(value)
    if isinstance(value, dict):
        return {mended(key): _mended(item) for key, item in value.items()}
    return [_mended(item) for item in value] if isinstance(value, list) else value
