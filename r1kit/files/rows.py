"""Rows of a data set: a local file in any of the usual formats, or a data set of the hub.

questions.jsonl  questions.json  questions.csv  questions.tsv  questions.parquet   (text also .gz)
openai/gsm8k:main:train    repository[:configuration[:split]], or a folder in its place
"""

from __future__ import annotations

import csv
import gzip
import re
from collections.abc import Callable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any

from r1kit.errors import DataError, require
from r1kit.files.json_lines import JsonRow, bad_lines, numbered_lines, parse_row, require_text
from r1kit.files.text_files import did_you_mean, read_text
from r1kit.files.untrusted import read_json

TEXT_SUFFIXES = (".jsonl", ".ndjson", ".json", ".csv", ".tsv")
MAX_CELL_CHARS = 1 << 27

NumberedRow = tuple[int, JsonRow]
RowWatch = Callable[[Iterator[NumberedRow]], Iterator[NumberedRow]]
"""function that passes rows on and shows how many have been read"""
Faults = list[tuple[int, str]]
"""rows that cannot be used: number and a phrase, such as "is not JSON" """

_HUB = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


def numbered_rows(source: str, faults: Faults | None = None) -> Iterator[NumberedRow]:
    """Yield the rows of a source with their numbers: lines of a text file, else counted from 1.

    Rows that are no objects are added to `faults`; without it they raise DataError, as does a
    source that cannot be read.
    """
    bad: Faults = [] if faults is None else faults
    for number, row in _rows(source, bad):
        if faults is None and bad:
            break
        yield number, row
    if faults is None and bad:
        listed = bad_lines(Path(source), bad, unit_of(source))
        raise DataError(f"{listed}; delete that {unit_of(source)}, or correct it.")


def read_rows(source: str) -> Iterator[JsonRow]:
    """Yield the rows of a source. Raises DataError as `numbered_rows` does."""
    return (row for _, row in numbered_rows(source))


def n_rows(source: str) -> int | None:
    """Return the number of rows of a file where it costs little to know, for progress alone."""
    path = Path(source)
    try:
        if path.suffix == ".parquet":
            from pyarrow.parquet import ParquetFile

            return int(ParquetFile(path).metadata.num_rows)
        if path.suffix in (".jsonl", ".ndjson", ".csv", ".tsv"):
            with path.open("rb") as file:
                return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))
    except (OSError, ValueError, ImportError):
        pass
    return None


def unit_of(source: str) -> str:
    """Return what the numbers of a source count: "line" or "row"."""
    return "line" if _suffix(source) in (".jsonl", ".ndjson") else "row"


def is_file(source: str) -> bool:
    """True if a source names a file, of whatever format, rather than a folder or a hub id."""
    return _suffix(source) in (*TEXT_SUFFIXES, ".parquet") or Path(source).is_file()


def source_stem(source: str) -> str:
    """Return a short name: `gsm8k` of `data/gsm8k.jsonl.gz` and of `openai/gsm8k:main:train`."""
    if not is_file(source):
        return Path(source.partition(":")[0]).name
    return Path(source).name.partition(".")[0]


def _suffix(source: str) -> str:
    return Path(source.removesuffix(".gz")).suffix.lower()


def _rows(source: str, faults: Faults) -> Iterator[NumberedRow]:
    suffix = _suffix(source)
    if suffix == ".parquet":
        return enumerate(_parquet(Path(source)), start=1)
    if suffix in (".jsonl", ".ndjson"):
        return _json_lines(Path(source), faults)
    if suffix == ".json":
        return _json(Path(source), faults)
    if suffix in (".csv", ".tsv"):
        return _table(Path(source), "\t" if suffix == ".tsv" else ",", faults)
    folder = source.partition(":")[0]
    if Path(source).is_file() or not (Path(folder).is_dir() or _HUB.fullmatch(folder)):
        raise DataError(_unknown(source))
    from r1kit.files.hub import hub_rows

    return enumerate(hub_rows(source), start=1)


def _unknown(source: str) -> str:
    formats = f"{', '.join(TEXT_SUFFIXES)} or .parquet"
    if Path(source).exists():
        return f"{source} has a name that tells no format; rename it so that it ends in {formats}."
    return (
        f"There is no file {source}{did_you_mean(Path(source))} Data is a file ({formats}), a "
        "folder of such files, or a data set of the hub (org/name:configuration:split)."
    )


def _json_lines(path: Path, faults: Faults) -> Iterator[NumberedRow]:
    for number, line in numbered_lines(path, DataError):
        try:
            row = parse_row(line)
            require_text(row)
        except ValueError as error:
            faults.append((number, str(error)))
        else:
            yield number, row


def _json(path: Path, faults: Faults) -> Iterator[NumberedRow]:
    """Yield the objects of a list, or of the only list in an object; JSON lines are read too."""
    try:
        content = read_json(_text(path))
    except ValueError:
        lines = _json_lines(path, faults)
        if (first := next(lines, None)) is None:
            raise DataError(f"{path} is not JSON; correct it, or name another file.") from None
        yield from chain([first], lines)
        return
    for number, row in enumerate(_list_of_rows(path, content), start=1):
        try:
            require_text(row)
            if not isinstance(row, dict):
                raise ValueError("is not a JSON object")
        except ValueError as error:
            faults.append((number, str(error)))
        else:
            yield number, row


def _list_of_rows(path: Path, content: Any) -> list[Any]:
    if isinstance(content, dict):
        lists = [value for value in content.values() if isinstance(value, list)]
        if len(lists) != 1:
            raise DataError(
                f"{path} holds {len(lists)} lists; write one list of objects, or one object per "
                "line (.jsonl)."
            )
        return lists[0]
    if not isinstance(content, list):
        raise DataError(f"{path} holds no list; write a list of objects, or one per line (.jsonl).")
    return content


def _table(path: Path, delimiter: str, faults: Faults) -> Iterator[NumberedRow]:
    """Yield the rows of a table with a header; an empty cell is None."""
    csv.field_size_limit(MAX_CELL_CHARS)
    reader = csv.DictReader(_text(path).splitlines(keepends=True), delimiter=delimiter, strict=True)
    number = 0
    try:
        for number, row in enumerate(reader, start=1):
            if None in row:
                faults.append((number, "has more cells than the header"))
            else:
                yield number, {key: cell or None for key, cell in row.items()}
    except csv.Error as error:
        faults.append((number + 1, f"is no row of a table ({error})"))


def _parquet(path: Path) -> Iterator[JsonRow]:
    require("pyarrow")
    if not path.exists():
        raise DataError(f"There is no file {path}{did_you_mean(path)}")
    from pyarrow import ArrowException
    from pyarrow.parquet import ParquetFile

    try:
        with ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=1000):
                yield from batch.to_pylist()
    except (ArrowException, OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{path} cannot be read as Parquet ({reason}); copy it again.") from None


def _text(path: Path) -> str:
    if path.suffix != ".gz":
        return read_text(path, DataError)
    try:
        with gzip.open(path, "rt", encoding="utf-8-sig", newline="") as file:
            return file.read()
    except FileNotFoundError:
        raise DataError(f"There is no file {path}{did_you_mean(path)}") from None
    except (OSError, EOFError, UnicodeDecodeError) as failure:
        raise DataError(f"{path} cannot be read ({failure}); name another file.") from None


def first_rows(
    rows: Iterator[NumberedRow], n: int
) -> tuple[list[NumberedRow], Iterator[NumberedRow]]:
    """Return the first `n` rows, and an iterator over all rows including them."""
    head = list(islice(rows, n))
    return head, chain(head, rows)
