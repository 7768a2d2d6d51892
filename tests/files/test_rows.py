"""Rows of every format are the same rows, and what cannot be read is a sentence."""

import csv
import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from r1kit.errors import DataError
from r1kit.files.rows import Faults, is_file, numbered_rows, read_rows, source_stem
from r1kit.types import Json

ROWS: list[Json] = [
    {"question": "1+1?", "answer": "2", "note": None},
    {"question": 'Line one,\n"line" two: 2+2?', "answer": "4", "note": "다섯"},
]


def as_lines(path: Path) -> None:
    path.write_text("\n\n".join(json.dumps(row) for row in ROWS), encoding="utf-8-sig")


def as_json(path: Path) -> None:
    path.write_text(json.dumps(ROWS, indent=1), encoding="utf-8")


def as_object(path: Path) -> None:
    path.write_text(json.dumps({"version": 1, "data": ROWS}), encoding="utf-8")


def as_table(path: Path, delimiter: str = ",") -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(ROWS[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(ROWS)


def as_tabs(path: Path) -> None:
    as_table(path, "\t")


def as_parquet(path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(pyarrow.Table.from_pylist(ROWS), path)


FORMATS: list[tuple[str, Callable[[Path], None]]] = [
    ("q.jsonl", as_lines), ("q.json", as_json), ("o.json", as_object), ("lines.json", as_lines),
    ("q.csv", as_table), ("q.tsv", as_tabs), ("q.parquet", as_parquet),
]  # fmt: skip


@pytest.mark.parametrize(("name", "write"), FORMATS, ids=[name for name, _ in FORMATS])
def test_every_format_holds_the_same_rows(
    name: str, write: Callable[[Path], None], tmp_path: Path
) -> None:
    write(tmp_path / name)
    assert list(read_rows(str(tmp_path / name))) == ROWS
    if name.endswith("parquet"):
        return
    zipped = tmp_path / f"{name}.gz"
    zipped.write_bytes(gzip.compress((tmp_path / name).read_bytes()))
    assert list(read_rows(str(zipped))) == ROWS


def test_lines_are_counted_as_an_editor_does(tmp_path: Path) -> None:
    as_lines(tmp_path / "q.jsonl")
    assert [number for number, _ in numbered_rows(str(tmp_path / "q.jsonl"))] == [1, 3]


def test_bad_rows_are_listed_or_stop_the_reading(tmp_path: Path) -> None:
    table = tmp_path / "q.csv"
    table.write_text('question,answer\n1+1?,2,too many\n2+2?,4\n"open,5\n', encoding="utf-8")
    faults: Faults = []
    rows = list(numbered_rows(str(table), faults))
    assert rows == [(2, {"question": "2+2?", "answer": "4"})]
    assert [number for number, _ in faults] == [1, 3]
    assert faults[0][1] == "has more cells than the header"
    with pytest.raises(DataError, match=r"q.csv: row 1 has more cells than the header; delete"):
        list(read_rows(str(table)))


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.json", b'{"a": 1}', r"holds 0 lists; write one list of objects"),
        ("b.json", b"5", r"holds no list"),
        ("c.json", b"{broken", r"is not JSON"),
        ("d.json", b'[{"a": 1}, 5]', r"row 2 is not a JSON object"),
        ("e.json", b'[{"a": "\\ud800"}]', r"row 1 has half of a surrogate pair"),
        ("f.parquet", b"PAR1 is not enough", r"cannot be read as Parquet"),
        ("g.jsonl.gz", b"not zipped", r"cannot be read"),
        ("h.csv", b"a,b\n\xff,2\n", r"is not text in UTF-8"),
        ("notes.docx", b"words", r"has a name that tells no format"),
    ],
)
def test_what_cannot_be_read_is_a_sentence(
    name: str, content: bytes, says: str, tmp_path: Path
) -> None:
    if name.endswith("parquet"):
        pytest.importorskip("pyarrow")
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=says) as caught:
        list(read_rows(str(tmp_path / name)))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["none.jsonl", "none.csv", "none.csv.gz", "none.parquet", "none"])
def test_a_missing_file_is_named(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="There is no file"):
        list(read_rows(str(tmp_path / name)))


def test_the_hub_is_not_waited_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("datasets")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(DataError, match=r"nobody/nothing:main is not on this machine, and HF_HUB"):
        list(read_rows("nobody/nothing:main"))


def test_a_folder_is_read_like_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "own"
    (folder / "main").mkdir(parents=True)
    as_lines(folder / "main" / "train.jsonl")
    as_json(folder / "main" / "test.json")
    (folder / "README.md").write_text(
        "---\nconfigs:\n- config_name: main\n  data_files:\n  - split: train\n"
        "    path: main/train.jsonl\n  - split: test\n    path: main/test.json\n---\n"
    )
    for split in ("train", "test", "train[:1]"):
        rows = list(read_rows(f"{folder}:main:{split}"))
        assert rows == (ROWS[:1] if "[" in split else ROWS), split
    with pytest.raises(DataError, match="could not be loaded"):
        list(read_rows(f"{folder}:main:nowhere"))
    saved = datasets.Dataset.from_list(ROWS)
    saved.save_to_disk(str(tmp_path / "saved"))
    assert list(read_rows(str(tmp_path / "saved"))) == ROWS


def test_names_of_sources() -> None:
    assert [source_stem(name) for name in ("a/b.jsonl.gz", "org/set:main:test", "q.csv")] == [
        "b", "set", "q",
    ]  # fmt: skip
    assert [is_file(name) for name in ("b.json.gz", "org/set", "test")] == [True, False, False]
