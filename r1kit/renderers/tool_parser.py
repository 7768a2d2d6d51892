"""Streamed answers, split into text and tool calls as their text arrives.

Text is passed on at once, except for what may begin a call and the blanks before it. A call is held
back until it is complete, so that a malformed one can be passed on as text, unchanged. The pieces
do not depend on how the text was cut into chunks.
"""

from __future__ import annotations

import re
import uuid
from typing import Literal, Protocol

from r1kit.renderers.stream_parser import Piece, partial_tag
from r1kit.renderers.tool_formats import ToolFormat, ToolSchemas, may_be_json_call, read_json_calls
from r1kit.types import ToolCall

_MAX_BEGUN = 128
"""marks of calls after which an answer is text, since every malformed call is read again"""
_State = Literal["start", "text", "call", "json"]


class CallParser(Protocol):
    """A parser of one answer."""

    n_calls: int
    """number of calls returned so far"""

    def feed(self, chunk: str) -> list[Piece]:
        """Return the pieces that `chunk` makes certain, in order."""
        ...

    def finish(self) -> list[Piece]:
        """End the answer and return the remaining pieces."""
        ...


class ToolCallParser:
    """The parser of an answer in which the model may call tools (a `CallParser`)."""

    def __init__(self, tool_format: ToolFormat, tools: ToolSchemas) -> None:
        self.n_calls = 0
        self._format = tool_format
        self._tools = tools
        self._state: _State = "start"
        self._held = ""
        self._marks = (tool_format.begin, *tool_format.wrappers)
        self._n_begun = 0
        """number of marks that begin a call so far"""
        self._n_checked = 0
        """length of the held text of a call that is known not to have its end"""
        self._before = ""
        """blanks and marks before a call; they become text if there is none"""

    def feed(self, chunk: str) -> list[Piece]:
        self._held += chunk
        return self._advance()

    def finish(self) -> list[Piece]:
        pieces: list[Piece] = []
        if self._state in ("start", "json"):
            pieces = self._json_calls()
        while self._held and self._state == "call":
            at = self._held.find(self._format.end) if self._format.end else -1
            end = self._format.end if at >= 0 else ""
            if not end and self._format.needs_end:
                break
            pieces += self._read_call(at if end else len(self._held), end) + self._advance()
        rest = self._before + self._take(len(self._held))
        is_shown = bool(rest.strip() if self.n_calls else rest)
        return [*pieces, Piece("answer", rest)] if is_shown else pieces

    def _advance(self) -> list[Piece]:
        """Return all pieces that are certain."""
        pieces: list[Piece] = []
        while (more := self._next()) is not None:
            pieces += more
        return pieces

    def _next(self) -> list[Piece] | None:
        """Return the next pieces that are certain; None if more text must come first."""
        if self._state == "start":
            is_json = may_be_json_call(self._held)
            if is_json is None:
                return None
            self._state = "json" if is_json else "text"
        if self._state == "text":
            return self._text()
        return self._call() if self._state == "call" else None

    def _text(self) -> list[Piece] | None:
        marks = self._marks if self._n_begun < _MAX_BEGUN else ()
        positions = [(at, mark) for mark in marks if (at := self._held.find(mark)) >= 0]
        if positions:
            at, mark = min(positions)
            text = self._take(at)
            pieces = self._answer(text.rstrip())
            mark_text = self._take(len(mark))
            is_call = mark == self._format.begin
            self._before += text[len(text.rstrip()) :]
            self._before += mark_text if is_call or not self.n_calls else ""
            if is_call:
                self._state, self._n_checked = "call", 0
                self._n_begun += 1
            return pieces
        keep = max((partial_tag(self._held, mark) for mark in marks), default=0)
        certain = len(self._held[: len(self._held) - keep].rstrip())
        return self._answer(self._take(certain)) if certain else None

    def _call(self) -> list[Piece] | None:
        first = self._held.lstrip()[:1]
        end = self._format.end or self._format.begin
        if first and self._format.first_characters and first not in self._format.first_characters:
            self._state = "text"
            return []
        if end not in self._held[max(0, self._n_checked - len(end)) :]:
            self._n_checked = len(self._held)
            return None
        self._n_checked = len(self._held)
        is_json = first in "{[" or not self._format.end
        at = _end_outside_strings(self._held, end) if is_json else self._held.find(end)
        return None if at < 0 else self._read_call(at, self._format.end)

    def _read_call(self, length: int, end: str) -> list[Piece]:
        """Read the call in the first `length` held characters; without one, they are text."""
        text, end = self._take(length), self._take(len(end))
        self._state = "text"
        try:
            return self._pieces(self._format.read(text, self._tools))
        except ValueError:
            return self._answer(text + end)

    def _json_calls(self) -> list[Piece]:
        """Read an answer that may be JSON alone; if it is not, read its text again for calls."""
        try:
            calls = read_json_calls(self._held, self._tools)
        except ValueError:
            self._state = "text"
            return self._advance()
        self._held = ""
        return self._pieces(calls)

    def _pieces(self, calls: list[ToolCall]) -> list[Piece]:
        pieces: list[Piece] = []
        for call in calls:
            pieces += [begun(call.name), Piece("call", call.arguments)]
        self.n_calls += len(calls)
        self._before = ""
        return pieces

    def _answer(self, text: str) -> list[Piece]:
        if not text:
            return []
        text, self._before = self._before + text, ""
        return [Piece("answer", text)]

    def _take(self, length: int) -> str:
        text, self._held = self._held[:length], self._held[length:]
        return text


class ForcedCallParser:
    """The parser of an answer that is the arguments of one call (a `CallParser`)."""

    def __init__(self, name: str) -> None:
        self.n_calls = 0
        self._name = name

    def feed(self, chunk: str) -> list[Piece]:
        pieces = [] if self.n_calls else [begun(self._name)]
        self.n_calls = 1
        return [*pieces, Piece("call", chunk)] if chunk else pieces

    def finish(self) -> list[Piece]:
        return []


def begun(name: str) -> Piece:
    """Return the first piece of a call, with a new id."""
    return Piece("call", "", ToolCall(f"call_{uuid.uuid4().hex[:24]}", name, ""))


def _end_outside_strings(text: str, end: str) -> int:
    """Return the position of the first `end` that is in no JSON string; -1 if there is none."""
    strings_or_end = re.compile(rf'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)|{re.escape(end)}', re.DOTALL)
    return next((m.start() for m in strings_or_end.finditer(text) if m.group() == end), -1)
