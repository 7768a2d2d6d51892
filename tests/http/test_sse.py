"""Server-sent events, cut anywhere, and damaged."""

import pytest

from r1kit.errors import EngineError
from r1kit.http.sse import MAX_LINE_BYTES, EventReader

TEXT = ': keep-alive\n\ndata: {"a": "다시"}\r\n\r\nevent: x\ndata:{"b": 2}\n\ndata: [DONE]\n\n'


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_events_are_the_same_however_they_are_cut(size: int) -> None:
    reader, data = EventReader(), TEXT.encode()
    result = [e for at in range(0, len(data), size) for e in reader.feed(data[at : at + size])]
    assert result == [{"a": "다시"}, {"b": 2}]
    assert reader.is_done


@pytest.mark.parametrize("line", ["[1]", "{", "null", "[" * 100_000])
def test_what_is_no_object_is_damage(line: str) -> None:
    with pytest.raises(EngineError, match="damaged"):
        EventReader().feed(f"data: {line}\n".encode())


def test_a_line_without_end_is_not_kept() -> None:
    with pytest.raises(EngineError, match="without end"):
        EventReader().feed(b"data: " + b"x" * MAX_LINE_BYTES)
