"""The records of a run, metrics.jsonl and samples.jsonl: appending and truncating them.

A checkpoint stores the size and the checksum of both files, so that lines lost or changed since
then are detected.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from r1kit.errors import RunError
from r1kit.files.atomic import read_file
from r1kit.files.checksums import Checksum
from r1kit.files.json_lines import REMEDY_LINES, JsonLines
from r1kit.runs.run_reader import RECORDS, is_later, read_metrics
from r1kit.runs.schemas import FileMark, Line
from r1kit.runs.validated import read_records
from r1kit.runs.verify_artifacts import RecordLines, changed_lines_error

Position = Mapping[str, FileMark | int]
"""size and checksum of each record file; earlier versions stored the size alone"""


class Records:
    """Write access to both record files."""

    def __init__(self, run: Path) -> None:
        self._files = {name: JsonLines(run / name) for name in RECORDS}

    def append(self, name: str, record: dict[str, Any]) -> None:
        self._files[name].append(record)

    def lines(self, name: str) -> RecordLines:
        """Return the lines of a record file. Raises RunError if a line is damaged."""
        file = self._files[name].path
        if name == "metrics.jsonl":
            return read_metrics(file)
        return read_records(file, Line, REMEDY_LINES)

    def sync(self) -> dict[str, FileMark]:
        """Make every line durable. Returns a position for `rewind`."""
        return {name: file.sync() for name, file in self._files.items()}

    def all_lines(self) -> dict[str, RecordLines]:
        return {name: self.lines(name) for name in RECORDS}

    def rewind(self, stage: str, step: int, position: Position | None) -> None:
        """Drop the lines of `stage` above `step` and those of later stages; see `RunDir.rewind`."""
        for name, file in self._files.items():
            if position is not None:
                file.replace(_beginning(file.path, stage, position[name]))
            else:
                self._keep(
                    name,
                    lambda line: not is_later(line["stage"], line.get("step"), stage, step),
                )

    def forget(self, is_kept: Callable[[str], bool]) -> None:
        """Drop the lines of all stages that `is_kept` rejects."""
        for name in RECORDS:
            self._keep(name, lambda line: is_kept(line["stage"]))

    def close(self) -> None:
        for file in self._files.values():
            file.close()

    def _keep(self, name: str, is_kept: Callable[[dict[str, Any]], bool]) -> None:
        content = b"".join(raw for raw, line in self.lines(name) if is_kept(line))
        self._files[name].replace(content)


def _beginning(path: Path, stage: str, mark: FileMark | int) -> bytes:
    """Return the content that a record file had when the checkpoint was written."""
    size, checksum = (mark, None) if isinstance(mark, int) else mark
    data = (read_file(path, RunError, REMEDY_LINES) or b"")[:size]
    if len(data) < size or (checksum is not None and str(Checksum(data)) != checksum):
        raise changed_lines_error(path, stage, f"the newest checkpoint of {stage} was written")
    return data
