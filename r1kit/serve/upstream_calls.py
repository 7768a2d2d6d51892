"""Tools at an upstream server: in its request, and the calls that its stream brings. No torch."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from r1kit.renderers.stream_parser import Piece
from r1kit.renderers.tool_parser import begun
from r1kit.serve.chat_message import ChatMessage
from r1kit.serve.schema import ChatRequest
from r1kit.serve.tools import call_json, past_call
from r1kit.types import Json


class UpstreamCalls:
    """The calls of one completion; servers may send the parts of several in any order."""

    def __init__(self) -> None:
        self._calls: dict[int, Json] = {}

    def __len__(self) -> int:
        return len(self._calls)

    def add(self, parts: Iterable[Json]) -> None:
        """Add parts of calls, each with the index of its call."""
        for part in parts:
            index = part.get("index")
            index = index if isinstance(index, int) else len(self._calls)
            call = self._calls.setdefault(index, {"name": "", "arguments": ""})
            function = part.get("function")
            function = function if isinstance(function, dict) else {}
            call["name"] = call["name"] or _text(function.get("name"))
            call["arguments"] += _text(function.get("arguments"))

    def pieces(self) -> list[Piece]:
        """Return the whole calls, with new ids."""
        pieces: list[Piece] = []
        for _, call in sorted(self._calls.items()):
            pieces += [begun(call["name"]), Piece("call", call["arguments"])]
        return pieces


def tool_fields(request: ChatRequest) -> Json:
    """Return the fields about tools for an upstream server. Raises ApiError."""
    use = request.tool_use()
    if not use.functions:
        return {}
    tools = [
        {"type": "function", "function": function.model_dump(exclude_none=True)}
        for function in use.functions
    ]
    choice: Any = "required" if use.is_demanded else None
    if use.is_demanded and len(tools) == 1:
        choice = {"type": "function", "function": {"name": use.functions[0].name}}
    return {
        "tools": tools,
        "tool_choice": choice,
        "parallel_tool_calls": None if use.is_parallel else False,
    }


def sent_calls(turn: ChatMessage) -> list[Json] | None:
    """Return the calls of a past turn as an upstream server reads them; None without any."""
    calls = enumerate(turn.tool_calls or ())
    return [call_json(past_call(call, index)) for index, call in calls] or None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
