"""A file of lines that another process appends to, read from where the last reading ended."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, TypeGuard

import orjson

from r1kit.files.untrusted import read_repaired_json

_CHUNK = 8 << 20
_MARK = 64
"""bytes before the offset that are compared, to notice a file that was replaced"""


class GrowingFile:
    """A file of lines that grows, and that a resumed run replaces by a shorter one.

    `read_new()` gives each whole line once. A line without its newline is half written and is
    waited for.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.offset = 0
        """bytes of whole lines that were read"""
        self._identity: tuple[int, int] | None = None
        self._mark = b""

    def read_new(self) -> tuple[bool, Iterator[tuple[int, bytes]]]:
        """Return whether the file was replaced, and its new lines with their offsets.

        After a replacement the lines begin with the first one, and those read before are void. A
        missing file is an empty one.
        """
        try:
            file = self.path.open("rb")
        except OSError:
            return self._restart(None), iter(())
        status = os.fstat(file.fileno())
        is_new = self._identity not in (None, (status.st_dev, status.st_ino))
        is_new = is_new or status.st_size < self.offset or not self._has_mark(file)
        is_restart = self._restart((status.st_dev, status.st_ino)) if is_new else False
        self._identity = (status.st_dev, status.st_ino)
        return is_restart, self._lines(file)

    def _restart(self, identity: tuple[int, int] | None) -> bool:
        was_read = self.offset > 0
        self.offset, self._mark, self._identity = 0, b"", identity
        return was_read

    def _has_mark(self, file: BinaryIO) -> bool:
        file.seek(self.offset - len(self._mark))
        return file.read(len(self._mark)) == self._mark

    def _lines(self, file: BinaryIO) -> Iterator[tuple[int, bytes]]:
        with file:
            file.seek(self.offset)
            rest = b""
            while chunk := file.read(_CHUNK):
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    at = self.offset
                    self.offset += len(line) + 1
                    self._mark = (self._mark + line + b"\n")[-_MARK:]
                    yield at, line


def parsed_line(line: bytes) -> dict[str, Any] | None:
    """Parse a line as a JSON object; None if it is damaged. Lone surrogates are replaced."""
    try:
        record = orjson.loads(line)
    except ValueError:
        try:
            record = read_repaired_json(line)
        except (ValueError, RecursionError):
            return None
    return record if isinstance(record, dict) else None


def is_step(value: Any) -> TypeGuard[int]:
    """Return True for a number of steps or tokens, which a column of numbers can hold."""
    return isinstance(value, int) and 0 <= value < 2**31
