"""The output of `/v1/messages`: blocks of thinking and text, whole or as named events.

Source: Anthropic's reference of streaming, and what its client reads. The order of the events is
message_start, ping, then for every block content_block_start, its deltas and content_block_stop,
then message_delta and message_stop.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator, Sequence
from typing import Any

from r1kit.engines.completion import Chunk
from r1kit.files.untrusted import read_json
from r1kit.renderers.stream_parser import Piece
from r1kit.serve.api_error import ApiError, anthropic_body
from r1kit.serve.tool_stream import CALLED
from r1kit.serve.wire import FullCompletion, Usage, event
from r1kit.types import Json, ToolCall

_TYPES = {"thinking": "thinking", "answer": "text", "call": "tool_use"}
"""kind of a piece → type of its block, which is also the name of the block's text"""
_STOP_REASONS = {
    "content_filter": "refusal",
    "insufficient_system_resource": "max_tokens",
    CALLED: "tool_use",
}
"""finish reasons of calls, and those that only upstream servers give"""


class MessagesWriter:
    """The writer of one message (a `wire.Writer`)."""

    def __init__(self, model: str) -> None:
        self.keep_alive = _named("ping")
        self._model = model
        self._id = f"msg_{uuid.uuid4().hex}"
        self._finished: list[Json] = []
        """finished blocks"""
        self._type = ""
        """type of the open block, "" if there is none"""
        self._text = ""
        """text of the open block; the input of a call, as JSON"""
        self._call: ToolCall | None = None
        """the call of the open block"""
        self._stop_reason: str | None = None
        self._stop_sequence: str | None = None

    def begin(self, usage: Usage) -> bytes:
        return _named("message_start", message=self._message(usage)) + self.keep_alive

    def say(self, chunk: Chunk) -> bytes:
        if chunk.finish is not None:
            self._stop_reason, self._stop_sequence = _stop_reason(chunk), chunk.stop_string
        return b"".join(part for piece in chunk.pieces for part in self._piece(piece))

    def end(self, usage: Usage) -> bytes:
        """Close the message, which has at least one block, even an empty one."""
        events = list(self._close())
        if not self._finished:
            events += [*self._open("text"), *self._close()]
        ending = {"stop_reason": self._stop_reason, "stop_sequence": self._stop_sequence}
        events += [_named("message_delta", delta=ending, usage=_usage(usage))]
        return b"".join([*events, _named("message_stop")])

    def error(self, error: ApiError) -> bytes:
        return b"event: error\n" + event(anthropic_body(error))

    def whole(self, completions: Sequence[FullCompletion], usage: Usage) -> Json:
        for chunk in completions[0].chunks:
            self.say(chunk)
        self.end(usage)
        return self._message(usage)

    def _piece(self, piece: Piece) -> Iterator[bytes]:
        kind = _TYPES[piece.kind]
        if kind != self._type or piece.call is not None:
            yield from self._close()
            yield from self._open(kind, piece.call)
        self._text += piece.text
        if kind == "tool_use":
            if piece.text:
                yield self._delta("input_json_delta", "partial_json", piece.text)
        else:
            yield self._delta(f"{kind}_delta", kind, piece.text)

    def _open(self, kind: str, call: ToolCall | None = None) -> Iterator[bytes]:
        self._type, self._text, self._call = kind, "", call
        index = len(self._finished)
        yield _named("content_block_start", index=index, content_block=self._block(is_open=True))

    def _close(self) -> Iterator[bytes]:
        if not self._type:
            return
        block = self._block()
        if "signature" in block:
            yield self._delta("signature_delta", "signature", block["signature"])
        yield _named("content_block_stop", index=len(self._finished))
        self._finished.append(block)
        self._type = ""

    def _block(self, is_open: bool = False) -> Json:
        if self._call is not None:
            names: Json = {"id": self._call.id, "name": self._call.name}
            return {"type": "tool_use", **names, "input": {} if is_open else _input(self._text)}
        block: Json = {"type": self._type, self._type: self._text}
        if self._type == "thinking":
            block["signature"] = "" if is_open else signature(self._text)
        return block

    def _delta(self, kind: str, name: str, text: str) -> bytes:
        delta = {"type": kind, name: text}
        return _named("content_block_delta", index=len(self._finished), delta=delta)

    def _message(self, usage: Usage) -> Json:
        return {
            "id": self._id,
            "type": "message",
            "role": "assistant",
            "model": self._model,
            "content": list(self._finished),
            "stop_reason": self._stop_reason,
            "stop_sequence": self._stop_sequence,
            "usage": _usage(usage),
        }


def _named(kind: str, **fields: Any) -> bytes:
    return f"event: {kind}\n".encode() + event({"type": kind, **fields})


def signature(thinking: str) -> str:
    """Return a checksum: clients drop thinking without a signature, and nobody checks ours."""
    return hashlib.sha256(thinking.encode("utf-8", "surrogatepass")).hexdigest()


def _input(arguments: str) -> Json:
    """Return the input of a call; it is empty if max_tokens has cut it."""
    try:
        value = read_json(arguments.encode("utf-8", "surrogatepass"))
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _stop_reason(chunk: Chunk) -> str:
    if chunk.ending is not None:
        return _STOP_REASONS.get(chunk.ending, "end_turn")
    if chunk.stop_string is not None:
        return "stop_sequence"
    return "max_tokens" if chunk.finish == "length" else "end_turn"


def _usage(usage: Usage) -> Json:
    """Return the token counts; in this API, input_tokens are those that were not cached."""
    return {
        "input_tokens": usage.prompt_tokens - usage.cached_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": usage.cached_tokens,
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"thinking_tokens": usage.reasoning_tokens},
    }
