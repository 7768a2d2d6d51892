"""Text and JSON from outside: what was read can be written, and read again."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from r1kit.errors import DataError
from r1kit.files.atomic import replace_file, replace_lines
from r1kit.files.rows import read_rows
from r1kit.files.untrusted import (
    MAX_DEPTH,
    UnwritableError,
    is_text,
    read_json,
    read_repaired_json,
    refuse_unwritable,
    replace_surrogates,
    to_bytes,
    to_json,
)
from tests import hostile


def finite(value: Any) -> Any:
    """As it comes back: there is no NaN in JSON."""
    if isinstance(value, dict):
        return {key: finite(part) for key, part in value.items()}
    if isinstance(value, list):
        return [finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def depth(value: Any) -> int:
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(depth, inside), default=0)


@given(hostile.values)
def test_what_is_read_can_be_written_and_read_again(value: Any) -> None:
    try:
        result = read_json(hostile.as_bytes(value))
    except ValueError:
        assert depth(value) > MAX_DEPTH
        return
    for written in (to_json(result).encode(), to_json(result, indent=1).encode(), to_bytes(result)):
        assert json.loads(written) == finite(value)


@given(hostile.values)
def test_what_is_not_refused_is_written_in_whole_characters(value: Any) -> None:
    try:
        refuse_unwritable(value)
    except UnwritableError as error:
        part = value
        for index in error.path:
            part = part[index]
        assert depth(value) > MAX_DEPTH or not is_text(json.dumps(part, ensure_ascii=False))
    else:
        assert is_text(json.dumps(json.loads(to_bytes(value)), ensure_ascii=False))


@given(hostile.values)
def test_what_is_mended_has_whole_characters_alone(value: Any) -> None:
    try:
        result = read_repaired_json(hostile.as_bytes(value))
    except ValueError:
        return
    refuse_unwritable(result)
    assert is_text(to_json(result))


def test_what_is_whole_stays_as_it_is() -> None:
    for text in ("", "5", "가😀\0\u2028", "\ufeffx"):
        assert replace_surrogates(text) is text
    assert replace_surrogates("a\ud83d") == "a\N{REPLACEMENT CHARACTER}"
    assert replace_surrogates("\ud83d\ude00") == "😀"
    assert read_json('"\\ud83d\\ude00"') == "😀"
    assert to_json("가") == '"가"'


@pytest.mark.parametrize("data", [b"{", b"", b"\xff", b"[" * 100_000, b"[" * 300 + b"]" * 300])
def test_what_is_no_json_is_a_value_error(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"nested|Expect|decode"):
        read_json(data)


def test_files_hold_whatever_there_is(tmp_path: Path) -> None:
    replace_lines(tmp_path / "a.jsonl", [{"a": hostile.HALF}])
    assert json.loads((tmp_path / "a.jsonl").read_text()) == {"a": hostile.HALF}
    replace_file(tmp_path / "a.md", "\udcff")
    assert (tmp_path / "a.md").read_text() == "\\udcff"


@pytest.mark.parametrize("value", [hostile.HALF, hostile.nested(300)])
def test_a_row_of_a_data_set_that_is_none_is_named(tmp_path: Path, value: Any) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"a": 1}\n' + hostile.as_bytes({"a": value}))
    with pytest.raises(DataError, match="line 2"):
        list(read_rows(str(path)))


def test_both_readers_allow_the_same_depth() -> None:
    """orjson refuses an integer beyond 64 bits, so every part is visited."""
    value: Any = -(2**63) - 1
    for _ in range(MAX_DEPTH):
        value = [value]
    refuse_unwritable(read_json(json.dumps(value)))
    with pytest.raises(ValueError, match="deeper than 250 levels"):
        read_json(json.dumps([value]))
    with pytest.raises(UnwritableError):
        refuse_unwritable([value])
