"""One answer of an upstream server (proxy.py), converted to the chunks of our own engines.

Token usage comes last in such streams, so the final chunks of all completions wait for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any, Literal

import httpx

from r1kit.engines.completion import Chunk, ThinkingEnd
from r1kit.engines.openai.choices import FAILURE_REASONS, FINISH_REASONS, count, streamed_text
from r1kit.errors import EngineError
from r1kit.files.untrusted import read_repaired_json
from r1kit.http.client import reason
from r1kit.http.sse import EventReader
from r1kit.renderers.stream_parser import Piece, StreamParser
from r1kit.renderers.thinking import begins_inside
from r1kit.serve.api_error import ApiError
from r1kit.serve.response_stream import drain_queue
from r1kit.serve.tool_stream import CALLED
from r1kit.serve.upstream_calls import UpstreamCalls
from r1kit.types import FinishReason, Json

GONE_MESSAGE = "The upstream server cannot be reached; ask again in a minute."
_FORWARDED_STATUSES = {400, 404, 413, 422}
"""upstream statuses about the request, which are passed on"""
_FINISH_NAMES = {
    "content_filter": "content_filter",
    "safety": "content_filter",
    "sensitive": "content_filter",
    "refusal": "content_filter",
    "insufficient_system_resource": "insufficient_system_resource",
}
"""finish reasons that our engines never give → their names in OpenAI's and DeepSeek's APIs"""

log = logging.getLogger("r1kit.serve")

ResponseForm = Literal["text", "stream", "whole"]
"""a continued text, a streamed chat, or a whole chat, which is parsed only at its end"""


class UpstreamStats:
    """Health and counters of the upstream server, as far as its answers show them."""

    def __init__(self) -> None:
        self.live: set[ProxyStream] = set()
        self.n_failures = 0
        self.n_prompt_tokens = self.n_cached_tokens = self.n_completion_tokens = 0
        self.is_healthy = True
        """True if the server answered the last request"""

    @property
    def n_waiting(self) -> int:
        return sum(relay.n for relay in self.live if relay.first_at is None)

    @property
    def n_running(self) -> int:
        return sum(relay.n for relay in self.live if relay.first_at is not None)


class ProxyStream:
    """The n completions of one request, read from the upstream server's stream."""

    def __init__(
        self, n: int, stats: UpstreamStats, form: ResponseForm, has_tools: bool = False
    ) -> None:
        self.n = n
        self._has_tools = has_tools
        self.asked_at = time.monotonic()
        self.first_at: float | None = None
        self.n_prompt_tokens = 0
        self._stats = stats
        self._choices = [_Choice(index, form) for index in range(n)]
        self._events: asyncio.Queue[Chunk | ApiError] = asyncio.Queue()
        self._work: asyncio.Task[None] | None = None

    async def open(self, client: httpx.AsyncClient, request: httpx.Request) -> None:
        """Send the request. Raises ApiError if the upstream refuses it or cannot be reached."""
        self._stats.live.add(self)
        try:
            reply = await client.send(request, stream=True)
        except httpx.HTTPError as error:
            self._gone(error)
            raise ApiError(503, GONE_MESSAGE, headers={"Retry-After": "10"}) from None
        except BaseException:
            self._stats.live.discard(self)
            raise
        if reply.status_code != 200:
            self._stats.live.discard(self)
            try:
                raise refusal_of(reply, await reply.aread())
            finally:
                await reply.aclose()
        self._stats.is_healthy = True
        self._work = asyncio.ensure_future(self._read(reply))

    async def next(self) -> list[Chunk]:
        return await drain_queue(self._events)

    def cancel(self) -> None:
        self._stats.live.discard(self)
        if self._work is not None:
            self._work.cancel()

    def fail(self, error: ApiError) -> None:
        """End the stream with an error."""
        self.cancel()
        self._events.put_nowait(error)

    async def _read(self, reply: httpx.Response) -> None:
        usage: Json = {}
        try:
            async for event in _events(reply):
                usage = event["usage"] if isinstance(event.get("usage"), dict) else usage
                self._take(event)
            self._end(usage)
        except httpx.HTTPError as error:
            self._gone(error)
            self._events.put_nowait(ApiError(502, GONE_MESSAGE))
        except ApiError as error:
            self._stats.n_failures += 1
            self._events.put_nowait(error)
        except EngineError as error:
            self._stats.n_failures += 1
            self._events.put_nowait(ApiError(502, str(error)))
        except Exception as error:
            log.error("a stream of the server behind cannot be read", exc_info=error)
            self._events.put_nowait(
                ApiError(502, "The upstream server sent a response that cannot be read.")
            )
        finally:
            self._stats.live.discard(self)
            with contextlib.suppress(httpx.HTTPError):
                await reply.aclose()

    def _take(self, event: Json) -> None:
        if event.get("error"):
            message = f"The upstream server gave up: {reason(event) or 'no reason given'}."
            raise ApiError(502, message, code=_text(event["error"], "code"))
        now = streamed_text(event, self._has_tools)
        choices = event.get("choices") or [{}]
        index = choices[0].get("index", 0) if isinstance(choices[0], dict) else 0
        if not isinstance(index, int) or not 0 <= index < self.n:
            raise EngineError("The upstream server sent a completion that was not requested.")
        choice = self._choices[index]
        if now.finish in FAILURE_REASONS:
            raise EngineError(f"The upstream server ended the answer ({now.finish}); ask again.")
        if now.finish:
            choice.finish = FINISH_REASONS.get(now.finish, "stop")
            choice.ending = _FINISH_NAMES.get(now.finish.lower())
            choice.stop_string = now.stop_string
        if now.reasoning or now.content:
            self.first_at = self.first_at or time.monotonic()
        choice.calls.add(now.calls)
        pieces, scored = choice.take(now.reasoning, now.content), choices[0].get("logprobs")
        scored = scored if isinstance(scored, dict) else None
        if pieces or scored:
            self._events.put_nowait(Chunk(index, pieces, 0, 0, [], foreign_logprobs=scored))

    def _end(self, usage: Json) -> None:
        """Emit the final chunks. Usage covers all completions together, so the first carries it."""
        if any(choice.finish is None for choice in self._choices):
            raise EngineError("The upstream server's stream ended too early; ask again.")
        stats, n, n_cached = self._stats, count(usage, "completion_tokens"), _cached(usage)
        self.n_prompt_tokens = count(usage, "prompt_tokens")
        stats.n_prompt_tokens += self.n_prompt_tokens
        stats.n_cached_tokens += n_cached
        stats.n_completion_tokens += n
        for choice in self._choices:
            pieces = choice.rest()
            n_thinking = self._n_thinking(usage, n)
            counts = (n, n_thinking) if choice.index == 0 else (0, 0)
            self.first_at = self.first_at or time.monotonic()
            pieces += choice.calls.pieces()
            cached = 0 if choice.index else n_cached
            last = Chunk(choice.index, pieces, *counts, [], cached, choice.finish, choice.thought)
            is_call = choice.finish == "stop" and len(choice.calls) > 0
            ending = CALLED if is_call else choice.ending
            self._events.put_nowait(replace(last, ending=ending, stop_string=choice.stop_string))

    def _n_thinking(self, usage: Json, n: int) -> int:
        """Return the reported thinking tokens, or an estimate by the share of characters."""
        details = usage.get("completion_tokens_details")
        if isinstance(details, dict) and isinstance(details.get("reasoning_tokens"), int):
            return count(details, "reasoning_tokens")
        thought = sum(choice.n_thought for choice in self._choices)
        return round(n * thought / max(1, sum(choice.n_chars for choice in self._choices)))

    def _gone(self, error: httpx.HTTPError) -> None:
        log.error("the server behind is gone (%s)", type(error).__name__)
        self._stats.is_healthy = False
        self._stats.n_failures += 1
        self._stats.live.discard(self)


class _Choice:
    """The state of one completion."""

    def __init__(self, index: int, form: ResponseForm) -> None:
        self.index = index
        self.finish: FinishReason | None = None
        self.ending: str | None = None
        self.stop_string: str | None = None
        self.calls = UpstreamCalls()
        self.n_chars = self.n_thought = 0
        self._form = form
        self._parser = StreamParser()
        self._held = ""
        self._is_thinking = False

    def take(self, reasoning: str, content: str) -> list[Piece]:
        pieces = [Piece("thinking", reasoning)] if reasoning else []
        if self._form == "stream":
            pieces += self._parser.feed(content)
        elif self._form == "text":
            pieces += [Piece("answer", content)] if content else []
        else:
            self._held += content
        return self._counted(pieces)

    def rest(self) -> list[Piece]:
        """Return the pieces still held, at the end of the stream.

        If the prompt opened the thinking, servers without a reasoning parser send only its end tag.
        """
        is_begun = begins_inside(self._held) and not self.n_thought
        parser = StreamParser(opened=True) if is_begun else self._parser
        return self._counted([*parser.feed(self._held), *parser.finish()])

    @property
    def thought(self) -> ThinkingEnd | None:
        """Reason why thinking ended; None if there was none."""
        if not self.n_thought:
            return None
        return "length" if self._is_thinking and self.finish == "length" else "stop"

    def _counted(self, pieces: list[Piece]) -> list[Piece]:
        for piece in pieces:
            self._is_thinking = piece.kind == "thinking"
            self.n_chars += len(piece.text)
            self.n_thought += len(piece.text) if self._is_thinking else 0
        return pieces


async def _events(reply: httpx.Response) -> AsyncIterator[Json]:
    """Yield events. Raises EngineError if the stream is damaged or ends without `[DONE]`."""
    reader = EventReader()
    async for part in reply.aiter_bytes():
        for event in reader.feed(part):
            yield event
        if reader.is_done:
            return
    raise EngineError("The upstream server's stream ended too early; ask again.")


def refusal_of(reply: httpx.Response, data: bytes) -> ApiError:
    """Return the upstream's error message, with a status that says whose fault it is."""
    status = reply.status_code
    try:
        body: Any = read_repaired_json(data)
    except ValueError:
        body = None
    message = reason(body) or "no reason given"
    error = body.get("error", body) if isinstance(body, dict) else None
    param, code = _text(error, "param"), _text(error, "code")
    if status in _FORWARDED_STATUSES:
        return ApiError(status, f"{message}.", param=param, code=code)
    if status == 429:
        wait = reply.headers.get("Retry-After", "")
        wait = wait if wait.isascii() and wait.isdigit() else "2"
        return ApiError(
            429, f"{message}.", code=code or "rate_limit_exceeded", headers={"Retry-After": wait}
        )
    return ApiError(
        502, f"The upstream server refuses the request (HTTP {status}): {message}.", code=code
    )


def _text(error: Any, name: str) -> str | None:
    value = error.get(name) if isinstance(error, dict) else None
    return value if isinstance(value, str) else None


def _cached(usage: Json) -> int:
    details = usage.get("prompt_tokens_details")
    named = details if isinstance(details, dict) else {}
    return count(named, "cached_tokens") or count(usage, "prompt_cache_hit_tokens")
