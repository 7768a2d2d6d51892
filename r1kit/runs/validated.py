"""The only functions that read the files of a run folder: they check each against its schema.

Any damaged file gives an error that names the file and the remedy. The schemas catch what the
checksum of a sealed file (atomic.py) cannot: manual edits and files of earlier versions.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import (
    TypeAdapter,
    ValidationError,
)

from r1kit.errors import R1Error, RunError, first_line
from r1kit.files.atomic import read_file, unsealed
from r1kit.files.json_lines import damaged_line_error, read_lines


def read_json(path: Path, shape: Any, remedy: str, error: type[R1Error] = RunError) -> Any:
    """Read a JSON object, check its schema and remove its seal; None if the file is missing.

    Raises `error`, which ends with `remedy`, if the file is unreadable or does not fit the schema.
    """
    data = read_file(path, error, remedy)
    if data is None:
        return None
    try:
        record = json.loads(data)
        if not isinstance(record, dict):
            raise ValueError(f"it is no object but a {type(record).__name__}")
        content = unsealed(record)
        _adapter(shape).validate_python(content, strict=True)
        return content
    except (ValueError, RecursionError) as reason:
        raise damaged_file_error(path, reason, remedy, error) from None


def read_records(path: Path, shape: Any, remedy: str) -> list[tuple[bytes, dict[str, Any]]]:
    """Read a JSON-lines file: raw and parsed lines, without an incomplete last line.

    Raises RunError if the file cannot be read, or if a line is damaged or does not fit the schema.
    """
    lines = read_lines(path, remedy)
    numbered = enumerate(lines, start=1)
    lines = [(raw, _unsealed(path, number, line, remedy)) for number, (raw, line) in numbered]
    try:
        _adapter(list[shape]).validate_python([record for _, record in lines], strict=True)
    except ValidationError as error:
        [number, *_] = error.errors()[0]["loc"]
        raise damaged_line_error(path, int(number) + 1, remedy, _described(error, skip=1)) from None
    return lines


def _unsealed(path: Path, number: int, line: dict[str, Any], remedy: str) -> dict[str, Any]:
    try:
        return unsealed(line)
    except ValueError as error:
        raise damaged_line_error(path, number, remedy, str(error)) from None


def damaged_file_error(
    path: Path, reason: BaseException, remedy: str, error: type[R1Error] = RunError
) -> R1Error:
    """Return the error for a damaged file."""
    return error(f"{path} is damaged ({_described(reason)}); {remedy}.")


def _described(reason: BaseException, skip: int = 0) -> str:
    """Describe a failure: `zero.step: it should be a valid integer`; `skip` drops place parts."""
    if isinstance(reason, ValidationError):
        [first, *_] = reason.errors()
        location = ".".join(map(str, first["loc"][skip:]))
        problem = first["msg"].replace("Input should", "it should")
        return f"{location}: {problem}" if location else problem
    return first_line(reason)


@cache
def _adapter(shape: Any) -> TypeAdapter[Any]:
    return TypeAdapter(shape)
