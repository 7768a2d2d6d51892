"""Files with one JSON object per line."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from r1kit.errors import R1Error, RunError
from r1kit.files.atomic import full_disk_said, read_file, replace_file
from r1kit.files.checksums import Checksum
from r1kit.files.outside import to_json
from r1kit.files.text_files import read_text

MEND_LINES = "delete that line, or move the run folder away and start again"


class JsonLines:
    """An append-only file with one JSON object per line."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._checksum = Checksum(read_file(path, RunError, MEND_LINES) or b"")
        with full_disk_said(path):
            self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def append(self, record: dict[str, Any]) -> None:
        """Append a line; if the disk is full, a partially written line is removed again."""
        line = (to_json(record) + "\n").encode()
        size = os.fstat(self._descriptor).st_size
        with full_disk_said(self.path):
            try:
                left = line
                while left:
                    left = left[os.write(self._descriptor, left) :]
            except OSError:
                os.ftruncate(self._descriptor, size)
                raise
        self._checksum.update(line)

    def sync(self) -> tuple[int, str]:
        """Make all lines durable. Returns the size in bytes and the checksum."""
        with full_disk_said(self.path):
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


def read_lines(path: Path, mend: str = MEND_LINES) -> list[tuple[bytes, dict[str, Any]]]:
    """Read a JSON-lines file: raw and parsed lines, without an incomplete last line.

    Raises RunError, with `mend` as the remedy, if the file cannot be read or a line before the end
    is damaged.
    """
    lines: list[tuple[bytes, dict[str, Any]]] = []
    damaged = 0
    data = read_file(path, RunError, mend) or b""
    for number, raw in enumerate(data.splitlines(keepends=True), start=1):
        record = _parse(raw)
        if record is None:
            damaged = damaged or number
        elif damaged:
            raise RunError(f"Line {damaged} of {path} is damaged; {mend}.")
        else:
            lines.append((raw, record))
    return lines


def _parse(raw: bytes) -> dict[str, Any] | None:
    if not raw.endswith(b"\n"):
        return None
    try:
        record = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None


def read_json_lines(path: Path, error: type[R1Error]) -> list[tuple[int, str]]:
    """Return the non-blank lines of a file with their numbers. Raises as `read_text` does."""
    # splitlines() would also split at characters that JSON strings may contain.
    lines = enumerate(read_text(path, error).split("\n"), 1)
    return [(number, line) for number, line in lines if line.strip()]
