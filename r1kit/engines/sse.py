"""Streams of OpenAI-compatible servers: bytes → events → thinking, answer, how it ended. No torch.

Shared by the chat, which shows what is said, and the load client, which measures when.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from r1kit.errors import EngineError
from r1kit.files.outside import read_mended
from r1kit.template import Piece, StreamParser
from r1kit.types import Finish

Event = dict[str, Any]

MAX_LINE_BYTES = 4_000_000
"""of one event; a server that sends more in one line is not one to listen to"""

FINISHES: dict[str, Finish] = {
    "stop": "stop", "eos": "stop", "eos_token": "stop", "stop_sequence": "stop", "end_turn": "stop",
    "length": "length", "max_tokens": "length", "model_length": "length",
    "max_output_tokens": "length",
}  # fmt: skip
"""what servers call it; all else (a filter of contents, nothing) is "abort" """
BROKEN = frozenset({"abort", "aborted", "cancelled", "error", "network_error"})
"""the server gave up, and says so as if that were an end"""
_CALLS = frozenset({"tool_calls", "function_call", "tool_use"})
_WORDS = ("text", "thinking", "reasoning", "summary", "content", "refusal")
"""where the text of a part stands, whatever its type"""


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
class StreamedText:
    """What one event adds: `StreamedText(content="x = 5")`."""

    reasoning: str = ""
    content: str = ""
    finish: str | None = None
    """in the server's own word"""


def said(event: Event) -> StreamedText:
    """The first choice of an event.

    Raises EngineError, in the server's words, for an error, and for a call of a tool: nobody here
    offers one, and what it says is lost.
    """
    if event.get("error"):
        raise EngineError(f"The server gave up: {reason(event) or 'no reason given'}.")
    choices = event.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    if not isinstance(choice, dict):
        return StreamedText()
    delta = choice.get("delta")
    told = delta if isinstance(delta, dict) else {"content": choice.get("text")}
    finish = choice.get("finish_reason")
    finish = finish if isinstance(finish, str) else None
    if told.get("tool_calls") or told.get("function_call") or finish in _CALLS:
        raise EngineError("The server calls a tool, and it was offered none; turn its tools off.")
    return StreamedText(*spoken(told), finish)


def spoken(told: Event) -> tuple[str, str]:
    """Thinking and answer of a message, or of what is new in one.

    Thinking is a field of its own (DeepSeek, vLLM, OpenRouter), or a typed part of the content
    (Mistral); a server that has it in several ways says the same in each. A refusal is an answer.
    """
    names = ("reasoning_content", "reasoning", "reasoning_details")
    thinking = next((text for text in map(_words, map(told.get, names)) if text), "")
    content, parts = told.get("content"), []
    if isinstance(content, list):
        parts = [part for part in content if isinstance(part, dict)]
        content = _words([part for part in parts if not _is_thought(part)])
    answer = _words(content) or _words(told.get("refusal"))
    return thinking or _words([part for part in parts if _is_thought(part)]), answer


def _is_thought(part: Event) -> bool:
    kind = str(part.get("type"))
    return "thinking" in kind or "reasoning" in kind


def _words(value: Any) -> str:
    """A text, or those of typed parts, which may hold others."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "".join(_words(part) for part in value if isinstance(part, dict))
    if isinstance(value, dict):
        return next((text for name in _WORDS if (text := _words(value.get(name)))), "")
    return ""


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
    return " ".join(words.split())[:most].rstrip(".")


def count(usage: Event, key: str) -> int:
    """A number of tokens as a server tells it; 0 for what is none."""
    value = usage.get(key)
    return value if isinstance(value, int) and 0 < value < 2**53 else 0


def _event(text: bytes) -> Event:
    try:
        event = read_mended(text)
    except ValueError:
        event = None
    if not isinstance(event, dict):
        raise EngineError("The server's stream is damaged; ask again.")
    return event
