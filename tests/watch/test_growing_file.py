"""A file that grows is read once, line by line, whatever the moment of the look."""

import os
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from r1kit.files.json_lines import JsonLines
from r1kit.files.untrusted import to_json
from r1kit.watch.growing_file import GrowingFile, parsed_line
from tests.hostile import texts


def read(file: GrowingFile) -> tuple[bool, list[bytes]]:
    is_restart, lines = file.read_new()
    return is_restart, [line for _, line in lines]


def test_a_half_written_line_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    file = GrowingFile(path)
    assert read(file) == (False, [])
    path.write_bytes(b'{"a": 1}\n{"b"')
    assert read(file) == (False, [b'{"a": 1}'])
    assert read(file) == (False, [])
    with path.open("ab") as appended:
        appended.write(b": 2}\n")
    assert read(file) == (False, [b'{"b": 2}'])
    assert file.offset == path.stat().st_size


def test_a_resumed_run_cuts_its_records_back(tmp_path: Path) -> None:
    """Also where the new file has become as long as the old one was before anybody looked."""
    path = tmp_path / "metrics.jsonl"
    records = JsonLines(path)
    for step in (1, 2, 3):
        records.append({"step": step})
    file = GrowingFile(path)
    assert len(read(file)[1]) == 3
    records.replace(b'{"step": 1}\n')
    assert read(file) == (True, [b'{"step": 1}'])
    records.append({"step": 7})
    records.replace(b'{"step": 1}\n{"step": 8}\n{"step": 9}\n')
    assert read(file) == (True, [b'{"step": 1}', b'{"step": 8}', b'{"step": 9}'])
    records.close()


def test_a_file_that_is_rewritten_in_place_is_noticed(tmp_path: Path) -> None:
    """The inode says nothing of it, nor where a filesystem reuses inodes."""
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b"one\ntwo\n")
    file = GrowingFile(path)
    read(file)
    with path.open("r+b") as same:
        same.write(b"1st\n2nd\n3rd\n")
    assert read(file) == (True, [b"1st", b"2nd", b"3rd"])
    os.truncate(path, 4)
    assert read(file) == (True, [b"1st"])
    path.unlink()
    assert read(file) == (True, [])
    assert read(file) == (False, [])


@given(st.lists(st.binary(max_size=40)), st.lists(st.integers(1, 30)))
def test_every_line_comes_once_at_its_offset(pieces: list[bytes], sizes: list[int]) -> None:
    content = b"\n".join(pieces)
    path = Path(os.environ.get("PYTEST_TMP", "/tmp")) / f"growing-{os.getpid()}"
    path.write_bytes(b"")
    file, seen = GrowingFile(path), list[tuple[int, bytes]]()
    start = 0
    for size in [*sizes, len(content)]:
        with path.open("ab") as appended:
            appended.write(content[start : start + size])
        start += size
        is_restart, lines = file.read_new()
        assert not is_restart
        seen += lines
    path.unlink()
    assert [line for _, line in seen] == content.split(b"\n")[:-1]
    assert all(content[at : at + len(line) + 1] == line + b"\n" for at, line in seen)


@given(texts)
def test_any_text_that_a_run_writes_is_read_as_text(text: str) -> None:
    record = parsed_line(to_json({"text": text}).encode())
    assert record is not None
    record["text"].encode()
    assert record["text"] == text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def test_a_damaged_line_is_none() -> None:
    for line in (b"", b"{", b"[1]", b"5", b'{"a": \xff}', b'{"a":' * 3000):
        assert parsed_line(line) is None
