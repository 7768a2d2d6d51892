"""Server-sent events: bytes → JSON objects. No torch."""

from __future__ import annotations

from typing import Any

from r1kit.errors import EngineError
from r1kit.files.untrusted import read_repaired_json

Event = dict[str, Any]

MAX_LINE_BYTES = 4_000_000
"""maximum size of one line; a server that sends more is treated as broken"""


class EventReader:
    """Parses server-sent events, in chunks of any size, into JSON objects; skips comments."""

    def __init__(self) -> None:
        self.is_done = False
        """True once `[DONE]` has arrived; without it the stream was cut"""
        self._buffer = b""

    def feed(self, data: bytes) -> list[Event]:
        """Return the events that `data` completes. Raises EngineError for malformed events."""
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        if len(self._buffer) > MAX_LINE_BYTES:
            raise EngineError("The server sends a line without end.")
        texts = [line[5:].strip() for line in lines if line.startswith(b"data:")]
        self.is_done |= b"[DONE]" in texts
        return [_event(text) for text in texts if text and text != b"[DONE]"]


def _event(text: bytes) -> Event:
    try:
        event = read_repaired_json(text)
    except ValueError:
        event = None
    if not isinstance(event, dict):
        raise EngineError("The server's stream is damaged; ask again.")
    return event
