"""The output of `/v1/responses`: thinking, text and calls as items, whole or as named events.

Source: OpenAI's openapi 2.3, and what its client reads. Thinking is sent as `reasoning_text`, which
OpenAI's own models do not expose and open models do.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Sequence
from typing import Any

from r1kit.engines.completion import Chunk
from r1kit.renderers.stream_parser import Piece
from r1kit.serve.api_error import ApiError
from r1kit.serve.messages_output import signature
from r1kit.serve.responses import REASONING_ID, ResponsesRequest
from r1kit.serve.tool_stream import CALLED
from r1kit.serve.wire import KEEP_ALIVE, FullCompletion, Usage, event
from r1kit.serve.wire_logprobs import Decoder, token_logprobs
from r1kit.types import Json, ToolCall

_TEXT = {"thinking": "reasoning_text", "answer": "output_text"}
_ENCRYPTED = "reasoning.encrypted_content"
_ITEM = {"thinking": "reasoning", "answer": "message"}
_PREFIXES = {"thinking": REASONING_ID, "answer": "msg", "call": "fc"}


class ResponsesWriter:
    """The writer of one response (a `wire.Writer`)."""

    keep_alive = KEEP_ALIVE

    def __init__(
        self, request: ResponsesRequest, decoder: Decoder | None, is_stored: bool = False
    ) -> None:
        self.final: Json | None = None
        """the whole response, once it is known"""
        reasoning = request.reasoning
        self._is_summarized = bool(reasoning and (reasoning.summary or reasoning.generate_summary))
        self._is_stored = is_stored
        self._request = request
        self._decoder = decoder
        self._id = f"resp_{uuid.uuid4().hex}"
        self._created = int(time.time())
        self._n_events = 0
        self._finished: list[Json] = []
        """finished items"""
        self._open: Json | None = None
        self._kind = ""
        self._text = ""
        """text of the open item"""
        self._call: ToolCall | None = None
        """the open item, if it is a call"""
        self._logprobs: list[Json] = []
        """log-probabilities of its tokens, if it is an answer and they are requested"""
        self._n_sent = 0
        """number of them that events have already sent"""
        self._finish: str | None = None

    def begin(self, usage: Usage) -> bytes:
        head = self._response("in_progress", None)
        return self._event("response.created", response=head) + self._event(
            "response.in_progress", response=head
        )

    def say(self, chunk: Chunk) -> bytes:
        self._finish = chunk.ending or chunk.finish or self._finish
        if not chunk.n_thinking:
            self._logprobs += token_logprobs([chunk], self._decoder)
        return b"".join(event for piece in chunk.pieces for event in self._piece(piece))

    def end(self, usage: Usage) -> bytes:
        """Close the response. A completed one always has a message or a call."""
        events = list(self._close())
        if self._status() == "completed" and all(i["type"] == "reasoning" for i in self._finished):
            events += [*self._opened("answer"), *self._close()]
        status = self._status()
        self.final = self._response(status, usage)
        events.append(self._event(f"response.{status}", response=self.final))
        return b"".join(events)

    def error(self, error: ApiError) -> bytes:
        body = error.body()["error"]
        return self._event("error", code=body["code"] or body["type"], message=body["message"],
                           param=body["param"])  # fmt: skip

    def whole(self, completions: Sequence[FullCompletion], usage: Usage) -> Json:
        for chunk in completions[0].chunks:
            self.say(chunk)
        self.end(usage)
        assert self.final is not None
        return self.final

    def _piece(self, piece: Piece) -> Iterator[bytes]:
        if piece.kind != self._kind or piece.call is not None:
            yield from self._close()
            yield from self._opened(piece.kind, piece.call)
        self._text += piece.text
        if piece.kind == "call":
            if piece.text:
                yield self._at("response.function_call_arguments.delta", delta=piece.text)
            return
        extra: Json = {"logprobs": self._logprobs[self._n_sent :]} if piece.kind == "answer" else {}
        self._n_sent = len(self._logprobs)
        kind = f"response.{_TEXT[piece.kind]}.delta"
        yield self._at(kind, content_index=0, delta=piece.text, **extra)
        if self._has_summary:
            yield self._summary("text.delta", delta=piece.text)

    def _opened(self, kind: str, call: ToolCall | None = None) -> Iterator[bytes]:
        self._kind, self._text, self._call = kind, "", call
        self._open = self._item(f"{_PREFIXES[kind]}_{uuid.uuid4().hex}", "in_progress", [])
        index = len(self._finished)
        yield self._event("response.output_item.added", output_index=index, item=self._open)
        if call is None:
            yield self._at("response.content_part.added", content_index=0, part=self._part())
        if self._has_summary:
            yield self._summary("part.added", part={"type": "summary_text", "text": ""})

    def _close(self) -> Iterator[bytes]:
        if self._open is None:
            return
        parts: list[Json] = []
        if self._call is not None:
            done: Json = {"arguments": self._text, "name": self._call.name}
            yield self._at("response.function_call_arguments.done", **done)
        else:
            extra: Json = {"logprobs": self._logprobs} if self._kind == "answer" else {}
            kind = f"response.{_TEXT[self._kind]}.done"
            yield self._at(kind, content_index=0, text=self._text, **extra)
            parts = [self._part(self._logprobs)]
            yield self._at("response.content_part.done", content_index=0, part=parts[0])
        if self._has_summary:
            yield self._summary("text.done", text=self._text)
            yield self._summary("part.done", part={"type": "summary_text", "text": self._text})
        is_cut = self._call is not None and self._finish == "length"
        status = "incomplete" if is_cut else "completed"
        item = self._item(self._open["id"], status, parts)
        yield self._event("response.output_item.done", output_index=len(self._finished), item=item)
        self._finished.append(item)
        self._open, self._kind, self._call = None, "", None

    def _item(self, name: str, status: str, content: list[Json]) -> Json:
        if self._call is not None:
            names: Json = {"call_id": self._call.id, "name": self._call.name}
            call: Json = {"id": name, "type": "function_call", "status": status}
            return {**call, **names, "arguments": self._text}
        item: Json = {"id": name, "type": _ITEM[self._kind], "status": status, "content": content}
        if self._kind != "thinking":
            return item | {"role": "assistant"}
        is_done = status == "completed"
        if is_done and _ENCRYPTED in (self._request.include or []):
            item["encrypted_content"] = signature(self._text)
        summary = [{"type": "summary_text", "text": self._text}] if self._has_summary else []
        return item | {"summary": summary if is_done else []}

    @property
    def _has_summary(self) -> bool:
        """True if the open item is thinking that is sent as a summary too."""
        return self._is_summarized and self._kind == "thinking"

    def _summary(self, kind: str, **fields: Any) -> bytes:
        """Return an event about the summary of the open item."""
        assert self._open is not None
        ids = {"item_id": self._open["id"], "output_index": len(self._finished), "summary_index": 0}
        return self._event(f"response.reasoning_summary_{kind}", **ids, **fields)

    def _part(self, logprobs: Sequence[Json] = ()) -> Json:
        part: Json = {"type": _TEXT[self._kind], "text": self._text}
        extra: Json = {"annotations": [], "logprobs": list(logprobs)}
        return part | (extra if self._kind == "answer" else {})

    def _at(self, kind: str, **fields: Any) -> bytes:
        """Return an event about the open item."""
        assert self._open is not None
        ids = {"item_id": self._open["id"], "output_index": len(self._finished)}
        return self._event(kind, **ids, **fields)

    def _event(self, kind: str, **fields: Any) -> bytes:
        body = {"type": kind, "sequence_number": self._n_events, **fields}
        self._n_events += 1
        return f"event: {kind}\n".encode() + event(body)

    def _status(self) -> str:
        is_over = self._finish in (None, "stop", "abort", CALLED)
        return "completed" if is_over else "incomplete"

    def _response(self, status: str, usage: Usage | None) -> Json:
        request = self._request
        reason = "max_output_tokens" if self._finish == "length" else self._finish
        return {
            "id": self._id,
            "object": "response",
            "created_at": self._created,
            "status": status,
            "error": None,
            "incomplete_details": {"reason": reason} if status == "incomplete" else None,
            "instructions": request.instructions,
            "max_output_tokens": request.max_output_tokens,
            "model": request.model,
            "output": list(self._finished),
            "parallel_tool_calls": request.parallel_tool_calls is not False,
            "previous_response_id": request.previous_response_id,
            "reasoning": {"effort": request.reasoning.effort if request.reasoning else None,
                          "summary": request.reasoning.summary if request.reasoning else None},
            "store": self._is_stored,
            "temperature": request.temperature,
            "text": {"format": {"type": "text"}} if request.text is None
            else request.text.model_dump(by_alias=True, exclude_none=True),
            "tool_choice": _choice(request),
            "tools": [tool.as_sent() for tool in request.tools or ()],
            "top_p": request.top_p,
            "truncation": "disabled",
            "usage": None if usage is None else _usage(usage),
            "metadata": request.metadata or {},
        }  # fmt: skip


def _choice(request: ResponsesRequest) -> Any:
    choice = request.tool_choice or ("auto" if request.tools else "none")
    return choice if isinstance(choice, str) else choice.model_dump(exclude_none=True)


def _usage(usage: Usage) -> Json:
    return {
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {"cached_tokens": usage.cached_tokens},
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
    }
