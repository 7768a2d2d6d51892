"""Rows of a dataset: local JSON lines, or a dataset on the Hugging Face hub."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from r1kit.errors import TaskError
from r1kit.files.outside import UnwritableError, read_json, refuse_unwritable
from r1kit.files.text_files import read_json_lines

DatasetRow = dict[str, Any]


def read_rows(source: str) -> Iterator[DatasetRow]:
    """Read the rows of `file.jsonl`, `file.jsonl.gz` or `repository[:configuration[:split]]`.

    Raises TaskError that names the file and line, or the package to install.
    """
    if source.endswith((".jsonl", ".jsonl.gz")):
        return _from_file(Path(source))
    return _from_hub(source)


def _from_file(path: Path) -> Iterator[DatasetRow]:
    if path.suffix != ".gz":
        for number, line in read_json_lines(path, TaskError):
            yield _row(line, f"{path}, line {number}")
        return
    try:
        with gzip.open(path, "rt", encoding="utf-8-sig") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield _row(line, f"{path}, line {number}")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise TaskError(f"{path} cannot be read as JSON lines: {error}.") from None


def _row(line: str, location: str) -> DatasetRow:
    try:
        row = read_json(line)
        refuse_unwritable(row)
    except ValueError as error:
        raise TaskError(f"{location}: not JSON ({error}).") from None
    except UnwritableError as error:
        raise TaskError(f"{location}: {error}; leave that row out, or mend it.") from None
    if not isinstance(row, dict):
        raise TaskError(f"{location}: a row is a JSON object.")
    return row


def _from_hub(source: str) -> Iterator[DatasetRow]:
    try:
        from datasets import load_dataset
    except ImportError:
        raise TaskError(
            f"Reading {source!r} from the hub needs the package datasets: "
            "pip install datasets, or name a .jsonl file as the task's path."
        ) from None
    repository, _, rest = source.partition(":")
    configuration, _, split = rest.partition(":")
    try:
        yield from load_dataset(repository, configuration or None, split=split or "train")
    except Exception as error:  # the hub's client may raise anything, above all offline
        raise TaskError(
            f"{repository} could not be loaded from the hub ({type(error).__name__}: {error}); "
            "download it once, or name a .jsonl file as the task's path."
        ) from None
