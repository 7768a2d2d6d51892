"""Lines of JSON: a half-written end does not count."""

from pathlib import Path

from r1kit.files.json_lines import JsonLines, read_lines


def test_a_half_written_end_is_not_a_record(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    file = JsonLines(path)
    file.append({"text": "한\u2028글"})
    file.close()
    with path.open("ab") as raw:
        raw.write(b'{"text": "cu')
    assert [record for _, record in read_lines(path)] == [{"text": "한\u2028글"}]
