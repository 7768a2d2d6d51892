"""The conversion of chunks to the JSON objects that OpenAI's and DeepSeek's clients read.

Each route has its format: `ChatWriter` and `PlainText`. In a chat with thinking, every delta has
both `content` and `reasoning_content`, one of them null, and the first one has "" as its
`reasoning_content`; in a chat without thinking, there is no `reasoning_content` at all. Source:
DeepSeek's own client, deepseek-harness.
"""

from __future__ import annotations

import time
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from starlette.responses import Response

from r1kit.engines.completion import Chunk
from r1kit.engines.sampled_tokens import SampledToken
from r1kit.files.untrusted import to_bytes
from r1kit.renderers.stream_parser import Piece
from r1kit.serve.api_error import ApiError
from r1kit.serve.schema import CompletionParams
from r1kit.serve.tools import call_json
from r1kit.serve.wire_logprobs import Decoder, foreign_logprobs, token_logprobs, token_text
from r1kit.types import Json, ToolCall

DONE = b"data: [DONE]\n\n"
KEEP_ALIVE = b": keep-alive\n"
"""a comment; older clients take a blank line after it for an empty event"""


class JsonResponse(Response):
    """A JSON response for any content, even lone surrogates."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return to_bytes(content)


@dataclass(slots=True)
class Usage:
    """The token usage of a request."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    reasoning_tokens: int = 0
    cached: dict[int, int] = field(default_factory=dict)
    """prompt tokens found in the prefix cache, by completion"""

    @property
    def cached_tokens(self) -> int:
        """Prompt tokens found in the prefix cache."""
        return sum(self.cached.values())

    def add(self, chunk: Chunk) -> None:
        self.completion_tokens += chunk.n_tokens
        self.reasoning_tokens += chunk.n_thinking
        if chunk.n_cached:
            self.cached[chunk.index] = chunk.n_cached

    def json(self) -> Json:
        """Return the usage with OpenAI's field names, and DeepSeek's for the cache."""
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "total_tokens": self.prompt_tokens + self.completion_tokens,
            "prompt_tokens_details": {"cached_tokens": self.cached_tokens},
            "completion_tokens_details": {"reasoning_tokens": self.reasoning_tokens},
            "prompt_cache_hit_tokens": self.cached_tokens,
            "prompt_cache_miss_tokens": self.prompt_tokens - self.cached_tokens,
        }


@dataclass
class FullCompletion:
    """The chunks of one completion and their text."""

    thinking: str = ""
    answer: str = ""
    chunks: list[Chunk] = field(default_factory=list)
    calls: list[ToolCall] = field(default_factory=list)

    def add(self, chunk: Chunk) -> None:
        self.chunks.append(chunk)
        for piece in chunk.pieces:
            if piece.kind == "thinking":
                self.thinking += piece.text
            elif piece.kind == "answer":
                self.answer += piece.text
            elif piece.call is not None:
                self.calls.append(piece.call)
            else:
                call = self.calls[-1]
                self.calls[-1] = replace(call, arguments=call.arguments + piece.text)

    @property
    def last(self) -> Chunk:
        return self.chunks[-1]


class ChunkFormat(Protocol):
    """The format of a route's choices."""

    object: str
    chunk_object: str
    id_prefix: str

    def first(self, index: int) -> list[Json]:
        """Return the choices before the first chunk of a completion."""
        ...

    def chunks(self, chunk: Chunk) -> list[Json]:
        """Return the choices for a chunk, none if it is empty."""
        ...

    def whole(self, completion: FullCompletion) -> Json:
        """Return the choice of a finished completion."""
        ...


class ChatWriter:
    """Choices of /v1/chat/completions."""

    object = "chat.completion"
    chunk_object = "chat.completion.chunk"
    id_prefix = "chatcmpl-"

    def __init__(self, thinks: bool, decoder: Decoder | None) -> None:
        self._thinks = thinks
        self._decoder = decoder
        self._n_calls: Counter[int] = Counter()
        """number of calls streamed so far, by completion index"""
        self._answered: set[int] = set()
        """completions that have content"""

    def first(self, index: int) -> list[Json]:
        delta: Json = {"role": "assistant", "content": ""}
        if self._thinks:
            delta = {"role": "assistant", "content": None, "reasoning_content": ""}
        return [self._choice(index, delta)]

    def chunks(self, chunk: Chunk) -> list[Json]:
        deltas: list[Json] = []
        for piece in chunk.pieces:
            if piece.kind == "call":
                deltas.append(self._call_delta(piece, chunk.index))
                continue
            is_thought = piece.kind == "thinking"
            delta: Json = {"content": None if is_thought else piece.text}
            if not is_thought:
                self._answered.add(chunk.index)
            if self._thinks or is_thought:
                delta["reasoning_content"] = piece.text if is_thought else None
            deltas.append(delta)
        choices = [self._choice(chunk.index, delta) for delta in deltas]
        has_tokens = any(token.is_shown for token in chunk.tokens)
        if has_tokens and not choices:
            choices = [self._choice(chunk.index, {})]
        if has_tokens:
            choices[-1]["logprobs"] = self._logprobs([chunk])
        if chunk.foreign_logprobs is not None:
            choices = choices or [self._choice(chunk.index, {})]
            choices[-1]["logprobs"] = chunk.foreign_logprobs
        if chunk.finish is not None:
            # Where there is no content at all, it is empty and not null, as in a whole answer.
            is_null = self._thinks and chunk.index not in self._answered
            empty: Json = {"content": "", "reasoning_content": None} if is_null else {}
            last = self._choice(chunk.index, empty)
            choices.append({**last, **_ending(chunk)})
        return choices

    def whole(self, completion: FullCompletion) -> Json:
        message: Json = {"role": "assistant", "content": completion.answer}
        if completion.calls:
            calls = [call_json(call) for call in completion.calls]
            message |= {"content": completion.answer or None, "tool_calls": calls}
        if self._thinks or completion.thinking:
            message["reasoning_content"] = completion.thinking
        has_tokens = any(chunk.tokens for chunk in completion.chunks)
        logprobs = self._logprobs(completion.chunks) if has_tokens else None
        logprobs = logprobs or foreign_logprobs(completion.chunks)
        choice = {"index": completion.last.index, "message": message, "logprobs": logprobs}
        return {**choice, **_ending(completion.last)}

    def _call_delta(self, piece: Piece, completion: int) -> Json:
        """Return the delta of a call: its id and name first, then pieces of its arguments."""
        if piece.call is None:
            call: Json = {"function": {"arguments": piece.text}}
        else:
            self._n_calls[completion] += 1
            call = call_json(piece.call)
        return {"tool_calls": [{"index": self._n_calls[completion] - 1, **call}]}

    def _choice(self, index: int, delta: Json) -> Json:
        return {"index": index, "delta": delta, "logprobs": None, "finish_reason": None}

    def _logprobs(self, chunks: Sequence[Chunk]) -> Json:
        """Return the answer's tokens and, separately, the thinking's, as DeepSeek does."""
        content, thinking = (
            token_logprobs((s for s in chunks if bool(s.n_thinking) is is_thought), self._decoder)
            for is_thought in (False, True)
        )
        return {"content": content, "reasoning_content": thinking} if thinking else {
            "content": content
        }  # fmt: skip


class PlainText:
    """Choices of /v1/completions."""

    object = "text_completion"
    chunk_object = "text_completion"
    id_prefix = "cmpl-"

    def __init__(self, decoder: Decoder | None) -> None:
        self._decoder = decoder
        self._offsets: dict[int, int] = {}
        """characters sent so far, by completion index"""

    def first(self, index: int) -> list[Json]:
        return []

    def chunks(self, chunk: Chunk) -> list[Json]:
        text = "".join(piece.text for piece in chunk.pieces)
        is_silent = not text and not chunk.tokens and chunk.foreign_logprobs is None
        if is_silent and chunk.finish is None:
            return []
        return [self._choice(chunk, text, [chunk])]

    def whole(self, completion: FullCompletion) -> Json:
        return self._choice(completion.last, completion.answer, completion.chunks)

    def _choice(self, chunk: Chunk, text: str, chunks: Sequence[Chunk]) -> Json:
        logprobs = self._logprobs(chunk.index, chunks)
        finish = _finish(chunk)
        return {"index": chunk.index, "text": text, "logprobs": logprobs, "finish_reason": finish}

    def _logprobs(self, index: int, chunks: Sequence[Chunk]) -> Json | None:
        tokens = [token for chunk in chunks for token in chunk.tokens]
        if not tokens:
            return foreign_logprobs(chunks)
        texts, offsets = [token_text(self._decoder, token.id) for token in tokens], []
        for text, token in zip(texts, tokens, strict=True):
            offsets.append(self._offsets.setdefault(index, 0))
            self._offsets[index] += len(text) * token.is_shown
        has_tops = any(token.top for token in tokens)
        tops = [self._top(token) for token in tokens] if has_tops else None
        return {"tokens": texts, "token_logprobs": [token.logprob for token in tokens],
                "top_logprobs": tops, "text_offset": offsets}  # fmt: skip

    def _top(self, token: SampledToken) -> dict[str, float] | None:
        """Return likeliest tokens and the sampled one by text; equal texts keep the likeliest."""
        if token.logprob is None:
            return None
        logprobs: dict[str, float] = {}
        for token_id, logprob in [*token.top, (token.id, token.logprob)]:
            logprobs.setdefault(token_text(self._decoder, token_id), logprob)
        return logprobs


class Writer(Protocol):
    """The format of an answer, whole or as a stream."""

    keep_alive: bytes
    """the bytes that show that a silent stream is alive"""

    def begin(self, usage: Usage) -> bytes:
        """Return the bytes before the first chunk; `usage` grows until the end."""
        ...

    def say(self, chunk: Chunk) -> bytes:
        """Return the bytes for a chunk, none if it is empty."""
        ...

    def end(self, usage: Usage) -> bytes:
        """Return the bytes after the last chunk."""
        ...

    def error(self, error: ApiError) -> bytes:
        """Return the bytes that end the stream with an error."""
        ...

    def whole(self, completions: Sequence[FullCompletion], usage: Usage) -> Json:
        """Return all n completions in one object."""
        ...


class ChoicesWriter:
    """The writer of both older routes: choices, and the fields that all objects share."""

    keep_alive = KEEP_ALIVE

    def __init__(
        self, form: ChunkFormat, request: CompletionParams, fingerprint: str | None = None
    ) -> None:
        self._form = form
        self._n = request.n or 1
        self._with_usage = request.wants_usage()
        self._counts_along = request.counts_along
        self._usage = Usage()
        self._head = {
            "id": f"{form.id_prefix}{uuid.uuid4().hex}",
            "object": form.chunk_object if request.stream else form.object,
            "created": int(time.time()),
            "model": request.model,
        }
        if fingerprint is not None:
            self._head["system_fingerprint"] = fingerprint

    def begin(self, usage: Usage) -> bytes:
        self._usage = usage
        firsts = [self._form.first(index) for index in range(self._n)]
        return b"".join(self._chunk(choices, None) for choices in firsts if choices)

    def say(self, chunk: Chunk) -> bytes:
        return b"".join(self._chunk([choice], None) for choice in self._form.chunks(chunk))

    def end(self, usage: Usage) -> bytes:
        return (self._chunk([], usage.json()) if self._with_usage else b"") + DONE

    def error(self, error: ApiError) -> bytes:
        return event(error.body()) + DONE

    def whole(self, completions: Sequence[FullCompletion], usage: Usage) -> Json:
        choices = [self._form.whole(completion) for completion in completions]
        return {**self._head, "choices": choices, "usage": usage.json()}

    def _chunk(self, choices: list[Json], usage: Json | None) -> bytes:
        """Return a server-sent event; if usage is requested, it has `usage`.

        It is null until the end, unless it is counted along.
        """
        if self._counts_along:
            usage = self._usage.json()
        body = {**self._head, "choices": choices}
        return event({**body, "usage": usage} if self._with_usage else body)


def event(body: Json) -> bytes:
    """Return a server-sent event; it has no name, since old clients would skip a named one."""
    return b"data: " + to_bytes(body) + b"\n\n"


def _ending(chunk: Chunk) -> Json:
    ending: Json = {"finish_reason": _finish(chunk)}
    if chunk.thought is not None:
        ending["reasoning_finish_reason"] = chunk.thought
    if chunk.stop_string is not None:
        ending["stop_reason"] = chunk.stop_string  # vLLM's name
    return ending


def _finish(chunk: Chunk) -> str | None:
    if chunk.finish is None or chunk.ending is not None:
        return chunk.ending
    return "length" if chunk.finish == "length" else "stop"
