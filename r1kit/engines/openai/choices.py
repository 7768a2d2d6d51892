"""Choices of OpenAI-compatible servers, in every dialect: thinking, answer, finish. No torch.

Used by the remote engines, the proxy, the chat and the load test.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from r1kit.errors import EngineError
from r1kit.http.client import reason
from r1kit.http.sse import Event
from r1kit.renderers.stream_parser import Piece, StreamParser
from r1kit.types import FinishReason

FINISH_REASONS: dict[str, FinishReason] = {
    "stop": "stop", "eos": "stop", "eos_token": "stop", "stop_sequence": "stop", "end_turn": "stop",
    "length": "length", "max_tokens": "length", "model_length": "length",
    "max_output_tokens": "length",
}  # fmt: skip
"""finish reasons of servers; all others (such as a content filter, or none) are "abort" """
FAILURE_REASONS = frozenset({"abort", "aborted", "cancelled", "error", "network_error"})
"""finish reasons with which a server reports its own failure"""
_CALLS = frozenset({"tool_calls", "function_call", "tool_use"})
_WORDS = ("text", "thinking", "reasoning", "summary", "content", "refusal")
"""keys under which a content part may hold its text, whatever its type"""


@dataclass(frozen=True, slots=True)
class StreamedText:
    """The text in one event: `StreamedText(content="x = 5")`."""

    reasoning: str = ""
    content: str = ""
    finish: str | None = None
    """finish reason, as the server gave it"""
    stop_string: str | None = None
    """the stop string that ended the text, if the server names it (vLLM, r1kit)"""
    calls: tuple[Event, ...] = ()
    """parts of tool calls, as the server gave them"""


def streamed_text(event: Event, has_tools: bool = False) -> StreamedText:
    """Return the text of an event's first choice.

    Raises EngineError for an error event, with the server's message, and, unless the request
    `has_tools`, for a tool call: its text would be lost.
    """
    if event.get("error"):
        raise EngineError(f"The server gave up: {reason(event) or 'no reason given'}.")
    choices = event.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    if not isinstance(choice, dict):
        return StreamedText()
    delta = choice.get("delta")
    message = delta if isinstance(delta, dict) else {"content": choice.get("text")}
    finish = choice.get("finish_reason")
    finish = finish if isinstance(finish, str) else None
    stop = choice.get("stop_reason")  # an id if a token ended the text
    stop_string = stop if isinstance(stop, str) and finish == "stop" else None
    calls = message.get("tool_calls")
    if has_tools:
        parts = calls if isinstance(calls, list) else []
        dicts = tuple(part for part in parts if isinstance(part, dict))
        return StreamedText(*thinking_and_answer(message), finish, stop_string, dicts)
    if calls or message.get("function_call") or finish in _CALLS:
        raise EngineError("The server calls a tool, and it was offered none; turn its tools off.")
    return StreamedText(*thinking_and_answer(message), finish, stop_string)


def thinking_and_answer(message: Event) -> tuple[str, str]:
    """Return the thinking and the answer of a message or a delta.

    Thinking is a field of its own (DeepSeek, vLLM, OpenRouter) or a typed part of the content
    (Mistral); a server that uses several ways sends the same text in each. A refusal is an answer.
    """
    names = ("reasoning_content", "reasoning", "reasoning_details")
    thinking = next((text for text in map(_words, map(message.get, names)) if text), "")
    content, parts = message.get("content"), []
    if isinstance(content, list):
        parts = [part for part in content if isinstance(part, dict)]
        content = _words([part for part in parts if not _is_thought(part)])
    answer = _words(content) or _words(message.get("refusal"))
    return thinking or _words([part for part in parts if _is_thought(part)]), answer


def _is_thought(part: Event) -> bool:
    kind = str(part.get("type"))
    return "thinking" in kind or "reasoning" in kind


def _words(value: Any) -> str:
    """Return the text of a string or of typed parts, which may be nested."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "".join(_words(part) for part in value if isinstance(part, dict))
    if isinstance(value, dict):
        return next((text for name in _WORDS if (text := _words(value.get(name)))), "")
    return ""


def pieces(events: Iterable[Event]) -> Iterator[Piece | FinishReason]:
    """Yield thinking and answer as they arrive, then the finish reason.

    Thinking may be in a field of its own or between tags in the content.
    """
    parser, finish = StreamParser(), "abort"
    for event in events:
        text = streamed_text(event)
        finish = text.finish or finish
        if text.reasoning:
            yield Piece("thinking", text.reasoning)
        yield from parser.feed(text.content)
    yield from parser.finish()
    yield FINISH_REASONS.get(finish, "abort")


def count(usage: Event, key: str) -> int:
    """Return a token count from a server's usage; 0 if it is missing or invalid."""
    value = usage.get(key)
    return value if isinstance(value, int) and 0 < value < 2**53 else 0
