"""Error messages for invalid recipes, in the terms of the TOML file: keys, sections and lists."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

MAX_LISTED = 5
"""maximum number of mistakes listed one by one"""
MAX_VALUE_CHARS = 60
"""maximum number of characters shown of a rejected value"""

_WHOLE, _NUMBER = "a whole number", "a number"
_REQUIREMENTS = {
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
    "compute.max_rows": "sampler.max_num_seqs",
    "eval.samples": "eval.n_completions",
}
"""maps a section or key of earlier recipes to its name now"""
RENAMED_IN_ANY_SECTION = {
    "clip_high": "epsilon_high",
    "clip_low": "epsilon",
    "kl_beta": "beta",
    "loss": "loss_type",
    "max_rows": "max_num_seqs",
    "reference_every": "ref_model_sync_steps",
    "truncated": "mask_truncated_completions",
}
"""the same for a key of several sections; the names now are those of TRL and vLLM"""

KeyPath = tuple[int | str, ...]


def explain(error: ValidationError, where: str, model: type[BaseModel]) -> str:
    """Return one sentence with all mistakes; `where` names the file, `model` is its schema."""
    by_place: dict[KeyPath, list[ErrorDetails]] = {}
    for item in error.errors():
        by_place.setdefault(_key_path(item["loc"], model), []).append(item)
    # A list with invalid entries is also reported as too short; drop that second error.
    deepest = [path for path in by_place if not _has_deeper_mistake(path, by_place)]
    lines = [_line(path, by_place[path], model) for path in deepest]
    rest = [f"and {len(lines) - MAX_LISTED} more"] if len(lines) > MAX_LISTED else []
    return f"{where}: {'; '.join(lines[:MAX_LISTED] + rest)}."


def _has_deeper_mistake(path: KeyPath, paths: Iterable[KeyPath]) -> bool:
    return any(len(other) > len(path) and other[: len(path)] == path for other in paths)


def _key_path(loc: Sequence[int | str], model: type[BaseModel]) -> KeyPath:
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


def _line(path: KeyPath, items: Sequence[ErrorDetails], model: type[BaseModel]) -> str:
    first = items[0]
    if first["type"] == "extra_forbidden":
        return f"unknown key {_key(path)!r} {_nearest(path, model)}"
    if first["type"] == "missing" and isinstance(path[-1], int):
        return f"{_key(path[:-1])} needs {path[-1] + 1} numbers"
    if first["type"] == "missing":
        return f"{_key(path)!r} is missing: {_how_to_write(path, model)}"
    if first["type"] not in _REQUIREMENTS:
        return f"{_key(path) or 'the recipe'}: {first['msg'].removeprefix('Value error, ')}"
    needs = " or ".join(dict.fromkeys(_requirement(item, path, model) for item in items))
    return f"{_key(path)} needs {needs} (it is {_shown(first['input'])})"


def _requirement(item: ErrorDetails, path: KeyPath, model: type[BaseModel]) -> str:
    sentence = _REQUIREMENTS[item["type"]]
    return sentence.format(write=_how_to_write(path, model), **item.get("ctx", {}))


def _how_to_write(path: KeyPath, model: type[BaseModel]) -> str:
    """Return the hint for a key at this place: `write [zero] and its keys below`."""
    owner, last = _owner(path, model), path[-1]
    dotted = ".".join(part for part in path if isinstance(part, str))
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


def _key(path: KeyPath) -> str:
    """Format a place: `zero.optim.lr` or `entry 2 of tasks, level`."""
    key = ""
    for part in path:
        if isinstance(part, int):
            key = f"entry {part + 1} of {key}"
        elif key.startswith("entry "):
            key = f"{key}, {part}" if ", " not in key else f"{key}.{part}"
        else:
            key = f"{key}.{part}" if key else part
    return key


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= MAX_VALUE_CHARS else f"{text[:MAX_VALUE_CHARS]}..."


def _nearest(path: KeyPath, model: type[BaseModel]) -> str:
    if (name := RENAMED.get(_key(path))) is not None:
        return f"(it is called {name!r} now)"
    owner = _owner(path, model)
    renamed = RENAMED_IN_ANY_SECTION.get(str(path[-1]))
    if owner is not None and renamed in owner.model_fields:
        return f"(it is called {renamed!r} now)"
    keys = sorted(owner.model_fields) if owner is not None else []
    close = difflib.get_close_matches(str(path[-1]), keys, n=1)
    return f"(did you mean {close[0]!r}?)" if close else f"(known keys: {', '.join(keys)})"


def _owner(path: KeyPath, model: type[BaseModel]) -> type[BaseModel] | None:
    """Return the section that contains the last part of `path`."""
    at: type[BaseModel] | None = model
    for part in path[:-1]:
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
