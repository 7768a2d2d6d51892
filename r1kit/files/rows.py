"""Rows of a dataset: local JSON lines, or a dataset on the Hugging Face hub."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from r1kit.errors import TaskError
from r1kit.files.json_lines import JsonRow, bad_lines, numbered_lines, parse_row, require_text


def read_rows(source: str) -> Iterator[JsonRow]:
    """Read the rows of `file.jsonl`, `file.jsonl.gz` or `repository[:configuration[:split]]`.

    Raises TaskError that names the file and line, or the package to install.
    """
    if source.endswith((".jsonl", ".jsonl.gz")):
        return _from_file(Path(source))
    return _from_hub(source)


def _from_file(path: Path) -> Iterator[JsonRow]:
    for number, line in numbered_lines(path, TaskError):
        try:
            row = parse_row(line)
            require_text(row)
        except ValueError as error:
            message = bad_lines(path, [(number, str(error))])
            raise TaskError(f"{message}; delete that line, or correct it.") from None
        yield row


def _from_hub(source: str) -> Iterator[JsonRow]:
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
