"""Streams of OpenAI-compatible servers: bytes → events → thinking, answer, how it ended. No torch.

Shared by the chat, which shows what is said, and the load client, which measures when.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from r1kit.errors import EngineError
from r1kit.template import Piece, StreamParser
from r1kit.types import Finish

Event = dict[str, Any]

MAX_LINE_BYTES = 4_000_000
"""of one event; a server that sends more in one line is not one to listen to"""

FINISHES: dict[str, Finish] = {
    "stop": "stop", "eos": "stop", "eos_token": "stop", "stop_sequence": "stop", "end_turn": "stop",
    "length": "length", "max_tokens": "length",
}  # fmt: skip
"""what servers call it; all else (a filter of contents, a tool call, nothing) is "abort" """


class EventReader:
    """Server-sent events as JSON objects, however the bytes are cut; comments are passed over."""

    def __init__(self) -> None:
        self.is_done = False
        """`[DONE]` has come; without it the stream was cut"""
        self._held = b""

    def feed(self, data: bytes) -> list[Event]:
        """The events that `data` completes. Raises EngineError for what is none."""
        *lines, self._held = (self._held + data).split(b"\n")
        if len(self._held) > MAX_LINE_BYTES:
            raise EngineError("The server sends a line without end.")
        said = [line[5:].strip() for line in lines if line.startswith(b"data:")]
        self.is_done |= b"[DONE]" in said
        return [_event(text) for text in said if text and text != b"[DONE]"]


@dataclass(frozen=True, slots=True)
class Said:
    """What one event adds: `Said(content="x = 5")`."""

    reasoning: str = ""
    content: str = ""
    finish: str | None = None
    """in the server's own word"""


def said(event: Event) -> Said:
    """The first choice of an event. Raises EngineError, in the server's words, for an error."""
    if event.get("error"):
        raise EngineError(f"The server gave up: {reason(event) or 'no reason given'}.")
    choices = event.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    if not isinstance(choice, dict):
        return Said()
    delta = choice.get("delta")
    told = delta if isinstance(delta, dict) else {"content": choice.get("text")}
    finish = choice.get("finish_reason")
    return Said(
        _string(told.get("reasoning_content")) or _string(told.get("reasoning")),
        _string(told.get("content")),
        finish if isinstance(finish, str) else None,
    )


def pieces(events: Iterable[Event]) -> Iterator[Piece | Finish]:
    """Thinking and answer as they come, and last how it ended.

    Thinking has a field of its own, or stands in tags in the content; both are read.
    """
    parser, finish = StreamParser(), "abort"
    for event in events:
        now = said(event)
        finish = now.finish or finish
        if now.reasoning:
            yield Piece("thinking", now.reasoning)
        yield from parser.feed(now.content)
    yield from parser.finish()
    yield FINISHES.get(finish, "abort")


def reason(body: Any, most: int = 300) -> str:
    """An error's own sentence, wherever it stands in a server's JSON; "" where there is none.

    On one line of at most so many characters, without its full stop.
    """
    error = body.get("error", body) if isinstance(body, dict) else None
    if isinstance(error, dict):
        error = error.get("message") or error.get("detail")
    words = error if isinstance(error, str) else ""
    return " ".join(_string(words).split())[:most].rstrip(".")


def count(usage: Event, key: str) -> int:
    """A number of tokens as a server tells it; 0 for what is none."""
    value = usage.get(key)
    return value if isinstance(value, int) and value > 0 else 0


def _event(text: bytes) -> Event:
    try:
        event = json.loads(text)
    except (ValueError, RecursionError):
        event = None
    if not isinstance(event, dict):
        raise EngineError("The server's stream is damaged; ask again.")
    return event


def _string(value: Any) -> str:
    """JSON can escape half a character, which no terminal can show."""
    if not isinstance(value, str):
        return ""
    return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
