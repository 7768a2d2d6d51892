"""Error messages for invalid recipes, in the terms of the TOML file: keys, sections and lists."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

MAX_TOLD = 5
"""maximum number of mistakes listed one by one"""
MAX_SHOWN = 60
"""maximum number of characters shown of a rejected value"""

_WHOLE, _NUMBER = "a whole number", "a number"
_NEEDS = {
    "int_type": _WHOLE,
    "int_parsing": _WHOLE,
    "int_parsing_size": "a smaller number",
    "int_from_float": _WHOLE,
    "float_type": _NUMBER,
    "float_parsing": _NUMBER,
    "finite_number": "a finite number",
    "string_type": "a text in quotes",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "literal_error": "{expected}",
    "greater_than_equal": "at least {ge:g}",
    "greater_than": "more than {gt:g}",
    "less_than_equal": "at most {le:g}",
    "less_than": "less than {lt:g}",
    "string_too_long": "at most {max_length} characters",
    "string_pattern_mismatch": 'small letters, digits, "-" and "_" only, and no sign at its start',
    "too_short": "at least {min_length} entry: {write}",
    "too_long": "at most {max_length} entries",
    "tuple_type": "a list: {write}",
    "list_type": "a list: {write}",
    "model_type": "a section: {write}",
    "model_attributes_type": "a section: {write}",
    "dict_type": "a table, such as {{ n_steps = 40 }}",
}
"""maps pydantic's error type to what the key needs"""
RENAMED = {
    "bench": "eval",
    "compute.max_rows": "sampler.max_rows",
    "eval.samples": "eval.n_completions",
}
"""maps a section or key of earlier recipes to its name now"""

Place = tuple[int | str, ...]


def explain(error: ValidationError, where: str, model: type[BaseModel]) -> str:
    """Return one sentence with all mistakes; `where` names the file, `model` is its schema."""
    by_place: dict[Place, list[ErrorDetails]] = {}
    for item in error.errors():
        by_place.setdefault(_place(item["loc"], model), []).append(item)
    # A list with invalid entries is also reported as too short; drop that second error.
    deepest = [place for place in by_place if not _is_told_below(place, by_place)]
    lines = [_line(place, by_place[place], model) for place in deepest]
    rest = [f"and {len(lines) - MAX_TOLD} more"] if len(lines) > MAX_TOLD else []
    return f"{where}: {'; '.join(lines[:MAX_TOLD] + rest)}."


def _is_told_below(place: Place, places: Iterable[Place]) -> bool:
    return any(len(other) > len(place) and other[: len(place)] == place for other in places)


def _place(loc: Sequence[int | str], model: type[BaseModel]) -> Place:
    """Convert pydantic's location into a place in the TOML file, without names of union members."""
    parts: list[int | str] = []
    at: type[BaseModel] | None = model
    for part in loc:
        if isinstance(part, str):
            parts.append(part)
            field = at.model_fields.get(part) if at is not None else None
            at = _inner(field.annotation) if field is not None else None
            if field is not None and at is None and not _is_list(field.annotation):
                break
        else:
            parts.append(part)
    return tuple(parts)


def _line(place: Place, items: Sequence[ErrorDetails], model: type[BaseModel]) -> str:
    first = items[0]
    if first["type"] == "extra_forbidden":
        return f"unknown key {_key(place)!r} {_nearest(place, model)}"
    if first["type"] == "missing" and isinstance(place[-1], int):
        return f"{_key(place[:-1])} needs {place[-1] + 1} numbers"
    if first["type"] == "missing":
        return f"{_key(place)!r} is missing: {_how_to_write(place, model)}"
    if first["type"] not in _NEEDS:
        return f"{_key(place) or 'the recipe'}: {first['msg'].removeprefix('Value error, ')}"
    needs = " or ".join(dict.fromkeys(_need(item, place, model) for item in items))
    return f"{_key(place)} needs {needs} (it is {_shown(first['input'])})"


def _need(item: ErrorDetails, place: Place, model: type[BaseModel]) -> str:
    sentence = _NEEDS[item["type"]]
    return sentence.format(write=_how_to_write(place, model), **item.get("ctx", {}))


def _how_to_write(place: Place, model: type[BaseModel]) -> str:
    """Return the hint for a key at this place: `write [zero] and its keys below`."""
    owner, last = _owner(place, model), place[-1]
    dotted = ".".join(part for part in place if isinstance(part, str))
    if isinstance(last, int):
        return f"write [[{dotted}]] and its keys below"
    field = owner.model_fields.get(last) if owner is not None else None
    annotation = field.annotation if field is not None else None
    if _inner(annotation) is None:
        is_list = field is not None and isinstance(field.default, tuple)
        example = '"..."' if annotation is str else "..."
        return f"write {last} = {_shown(field.default) if is_list and field else example}"
    brackets = f"[[{dotted}]]" if _is_list(annotation) else f"[{dotted}]"
    return f"write {brackets} and its keys below"


def _key(place: Place) -> str:
    """Format a place: `zero.optim.lr` or `entry 2 of tasks, level`."""
    key = ""
    for part in place:
        if isinstance(part, int):
            key = f"entry {part + 1} of {key}"
        elif key.startswith("entry "):
            key = f"{key}, {part}" if ", " not in key else f"{key}.{part}"
        else:
            key = f"{key}.{part}" if key else part
    return key


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}..."


def _nearest(place: Place, model: type[BaseModel]) -> str:
    if (name := RENAMED.get(_key(place))) is not None:
        return f"(it is called {name!r} now)"
    owner = _owner(place, model)
    keys = sorted(owner.model_fields) if owner is not None else []
    close = difflib.get_close_matches(str(place[-1]), keys, n=1)
    return f"(did you mean {close[0]!r}?)" if close else f"(known keys: {', '.join(keys)})"


def _owner(place: Place, model: type[BaseModel]) -> type[BaseModel] | None:
    """Return the section that contains the last part of `place`."""
    at: type[BaseModel] | None = model
    for part in place[:-1]:
        if isinstance(part, str) and at is not None:
            field = at.model_fields.get(part)
            at = _inner(field.annotation) if field is not None else None
    return at


def _inner(annotation: Any) -> type[BaseModel] | None:
    """Return the section type of a key that holds a section or a list of sections."""
    for candidate in (annotation, *get_args(annotation)):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
    return None


def _is_list(annotation: Any) -> bool:
    return getattr(annotation, "__origin__", None) is tuple
