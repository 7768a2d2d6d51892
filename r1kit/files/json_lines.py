"""Files with one JSON object per line: r1kit's own, which only grow, and those from outside.

Every error has one form: the file, then each bad line with a phrase, then the remedy.

    answers.jsonl: line 2 is not JSON; line 5 has no text at "gold". A line is ...
"""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from r1kit.errors import R1Error, RunError
from r1kit.files.atomic import explaining_full_disk, read_file, replace_file
from r1kit.files.checksums import Checksum
from r1kit.files.text_files import read_text
from r1kit.files.untrusted import UnwritableError, read_json, refuse_unwritable, to_json

T = TypeVar("T")
JsonRow = dict[str, Any]

MAX_LISTED = 5
"""maximum number of bad lines listed individually in an error"""
REMEDY_LINES = "delete that line, or move the run folder away and start again"


class JsonLines:
    """An append-only file with one JSON object per line."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._checksum = Checksum(read_file(path, RunError, REMEDY_LINES) or b"")
        with explaining_full_disk(path):
            self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def append(self, record: dict[str, Any]) -> None:
        """Append a line; if the disk is full, a partially written line is removed again."""
        line = (to_json(record) + "\n").encode()
        size = os.fstat(self._descriptor).st_size
        with explaining_full_disk(self.path):
            try:
                rest = line
                while rest:
                    rest = rest[os.write(self._descriptor, rest) :]
            except OSError:
                os.ftruncate(self._descriptor, size)
                raise
        self._checksum.update(line)

    def sync(self) -> tuple[int, str]:
        """Make all lines durable. Returns the size in bytes and the checksum."""
        with explaining_full_disk(self.path):
            os.fsync(self._descriptor)
        return os.fstat(self._descriptor).st_size, str(self._checksum)

    def replace(self, content: bytes) -> None:
        """Replace the content atomically; later appends go to the new content."""
        self.close()
        replace_file(self.path, content)
        self._descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND)
        self._checksum = Checksum(content)

    def close(self) -> None:
        """Close the file; appending afterwards is an error."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def read_lines(path: Path, remedy: str = REMEDY_LINES) -> list[tuple[bytes, JsonRow]]:
    """Read one of r1kit's own files: raw and parsed lines, without an incomplete last line.

    Raises RunError, which ends with `remedy`, if the file cannot be read or a line before the end
    is damaged.
    """
    lines: list[tuple[bytes, JsonRow]] = []
    damaged = 0
    data = read_file(path, RunError, remedy) or b""
    for number, raw in enumerate(data.splitlines(keepends=True), start=1):
        record = _parse(raw)
        if record is None:
            damaged = damaged or number
        elif damaged:
            raise damaged_line_error(path, damaged, remedy)
        else:
            lines.append((raw, record))
    return lines


def damaged_line_error(path: Path, number: int, remedy: str, why: str = "") -> RunError:
    """Return the error for a line of one of r1kit's own files."""
    fault = f"is damaged ({why})" if why else "is damaged"
    return RunError(f"{bad_lines(path, [(number, fault)])}; {remedy}.")


def _parse(raw: bytes) -> JsonRow | None:
    if not raw.endswith(b"\n"):
        return None
    try:
        record = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None


def converted_rows(
    path: Path, convert: Callable[[int, JsonRow], T], error: type[R1Error], content: str
) -> list[T]:
    """Read a file from outside; `convert(number, row)` raises ValueError with a phrase.

    Raises `error`, which says what a line contains (`content`), if the file is empty or a line bad.
    """
    rows, bad = [], []
    for number, line in numbered_lines(path, error):
        try:
            rows.append(convert(number, parse_row(line)))
        except ValueError as fault:
            bad.append((number, str(fault)))
    if bad:
        raise error(f"{bad_lines(path, bad)}. A line is a JSON object with {content}.")
    if not rows:
        raise error(f"{path} is empty; a line is a JSON object with {content}.")
    return rows


def numbered_lines(path: Path, error: type[R1Error]) -> Iterator[tuple[int, str]]:
    """Yield the non-blank lines of a file, which may be zipped (.gz), with their numbers.

    Raises `error` if the file cannot be read.
    """
    # splitlines() would also split at characters that JSON strings may contain.
    lines = _unzipped(path, error) if path.suffix == ".gz" else read_text(path, error).split("\n")
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield number, line


def _unzipped(path: Path, error: type[R1Error]) -> Iterator[str]:
    try:
        with gzip.open(path, "rt", encoding="utf-8-sig", newline="\n") as lines:
            yield from lines
    except (OSError, EOFError, UnicodeDecodeError) as failure:
        raise error(f"{path} cannot be read ({failure}); name another file.") from None


def parse_row(line: str) -> JsonRow:
    """Parse a line from outside. Raises ValueError with a phrase, as `bad_lines` takes."""
    try:
        row = read_json(line)
    except ValueError:
        raise ValueError("is not JSON") from None
    if not isinstance(row, dict):
        raise ValueError("is not a JSON object")
    return row


def require_text(value: Any) -> None:
    """Raise ValueError, as `parse_row` does, if the value contains a lone surrogate."""
    try:
        refuse_unwritable(value)
    except UnwritableError:
        raise ValueError("has half of a surrogate pair, which is no text") from None


def bad_lines(path: Path | str, bad: Sequence[tuple[int, str]], unit: str = "line") -> str:
    """List the bad lines of a file, each by its number and a phrase such as "is not JSON"."""
    and_more = f" and {len(bad) - MAX_LISTED} more" if len(bad) > MAX_LISTED else ""
    listed = "; ".join(f"{unit} {number} {fault}" for number, fault in bad[:MAX_LISTED])
    return f"{path}: {listed}" + and_more
