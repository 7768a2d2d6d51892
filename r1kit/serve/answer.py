"""The answer to one request, as one JSON object or as a stream of server-sent events.

A client disconnect, a timeout and any other end are handled alike: the response stream is
cancelled, and the engine drops its completions within one step.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from r1kit.engines.completion import Chunk
from r1kit.files.untrusted import to_bytes
from r1kit.serve.api_error import GONE, ApiError, error_body, unexpected
from r1kit.serve.limits import ServeLimits
from r1kit.serve.response_stream import ResponseStream
from r1kit.serve.wire import FullCompletion, JsonResponse, Usage, Writer
from r1kit.types import Json

_SEND_S = 30.0
"""seconds for the rest of a stream to be sent, after `total_timeout_s`"""

log = logging.getLogger("r1kit.serve")


class ApiResponse:
    """The answer to one request, formatted by the writer of its route."""

    def __init__(
        self,
        flow: ResponseStream,
        writer: Writer,
        limits: ServeLimits,
        on_done: Callable[[ResponseStream], None],
        keep: Callable[[], Awaitable[None]],
    ) -> None:
        """`keep` is called when the whole answer is known, before its end is sent."""
        self.flow = flow
        self.limits = limits
        self.outcome = GONE
        """status that describes how the request ended; another one may have been sent before"""
        self._on_done = on_done
        self._keep = keep
        self._writer = writer
        self._usage = Usage()

    async def whole(self, request: Request) -> Json:
        """Return the whole answer. Raises ApiError (499 if the client disconnects)."""
        work = asyncio.ensure_future(self._collect())
        disconnect = asyncio.ensure_future(_wait_for_disconnect(request))
        try:
            await asyncio.wait({work, disconnect}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                raise ApiError(499, "The client has gone.")
            body = self._writer.whole(work.result(), self._usage)
            await self._keep()
            return body
        finally:
            self.flow.cancel()
            for task in (work, disconnect):
                task.cancel()
            await asyncio.gather(work, disconnect, return_exceptions=True)

    async def stream(self) -> AsyncIterator[bytes]:
        """Yield server-sent events. An error is sent as the last event."""
        writer = self._writer
        try:
            self._usage.prompt_tokens = self.flow.n_prompt_tokens
            yield writer.begin(self._usage)
            sent_at = time.monotonic()
            async for chunks in self._chunks():
                data = b"".join(map(writer.say, chunks))
                is_silent = time.monotonic() - sent_at >= self.limits.keepalive_s
                if data or not chunks or is_silent:
                    sent_at = time.monotonic()
                    yield data or writer.keep_alive
            last = writer.end(self._usage)
            await self._keep()
            self.outcome = 200
            yield last
        except Exception as error:
            yield writer.error(self.failed(error))
        finally:
            self.flow.cancel()

    def failed(self, error: Exception) -> ApiError:
        """Return the error to send to the client and set `outcome`; log an unexpected error."""
        if not isinstance(error, ApiError):
            log.error("something unexpected happened", exc_info=error)
        api_error = error if isinstance(error, ApiError) else unexpected(error)
        self.outcome = api_error.status
        return api_error

    async def _collect(self) -> list[FullCompletion]:
        completions = [FullCompletion() for _ in range(self.flow.n)]
        async for chunks in self._chunks():
            for chunk in chunks:
                completions[chunk.index].add(chunk)
        return completions

    async def _chunks(self) -> AsyncIterator[list[Chunk]]:
        """Yield new chunks, or an empty list after `keepalive_s` without any.

        Raises ApiError, also on a timeout.
        """
        n_open = self.flow.n
        while n_open:
            wait = min(self.limits.keepalive_s, self._time_left())
            try:
                async with asyncio.timeout(wait):
                    chunks = await self.flow.next()
            except TimeoutError:
                self._time_left()
                chunks = []
            for chunk in chunks:
                self._usage.add(chunk)
                n_open -= chunk.finish is not None
            yield chunks
        self._usage.prompt_tokens = self.flow.n_prompt_tokens
        self._on_done(self.flow)

    def _time_left(self) -> float:
        """Return the seconds until the next deadline. Raises ApiError if it has passed."""
        flow, limits = self.flow, self.limits
        spent = time.monotonic() - flow.asked_at
        if spent >= limits.total_timeout_s:
            raise ApiError(
                504,
                f"The answer took longer than {limits.total_timeout_s:g} s; lower max_tokens.",
                code="timeout",
                headers={"x-should-retry": "false"},
            )
        if flow.first_at is not None:
            return limits.total_timeout_s - spent
        if spent >= limits.queue_timeout_s:
            raise ApiError(
                503,
                f"No slot became free within {limits.queue_timeout_s:g} s; ask again later.",
                code="timeout",
                headers={"Retry-After": "30"},
            )
        return min(limits.queue_timeout_s, limits.total_timeout_s) - spent


class EventStream(StreamingResponse):
    """The HTTP response of a stream. It always cancels the generation, even if it never starts."""

    def __init__(self, answer: ApiResponse) -> None:
        headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
        super().__init__(answer.stream(), 200, headers, "text/event-stream")
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        timeout_s = self._answer.limits.total_timeout_s + _SEND_S
        try:
            with contextlib.suppress(TimeoutError):  # a client that does not read: close
                async with asyncio.timeout(timeout_s):
                    await super().__call__(scope, receive, send)
        finally:
            self._answer.flow.cancel()
            scope["state"]["outcome"] = self._answer.outcome


async def whole(
    answer: ApiResponse, request: Request, on_late: Callable[[ApiError], None]
) -> Response:
    """Return the response without streaming. Raises ApiError for an error within `keepalive_s`.

    After that, status 200 has been sent, and an error is passed to `on_late`.
    """
    work = asyncio.ensure_future(answer.whole(request))
    try:
        await asyncio.wait({work}, timeout=answer.limits.keepalive_s)
        return (
            JsonResponse(work.result()) if work.done() else KeepAliveResponse(work, answer, on_late)
        )
    except asyncio.CancelledError:
        work.cancel()
        raise


class KeepAliveResponse(Response):
    """A JSON response after blank lines, which keep proxies from closing the connection.

    Status 200 is sent before the result is known. An error is written too, but the body is never
    completed: the server closes the connection, so that no client takes the error for an answer.
    """

    media_type = "application/json"

    def __init__(
        self, work: asyncio.Future[Json], answer: ApiResponse, on_late: Callable[[ApiError], None]
    ) -> None:
        super().__init__()
        del self.headers["content-length"]  # not known yet
        self._work = work
        self._answer = answer
        self._on_late = on_late

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def write(body: bytes, more_body: bool) -> None:
            await send({"type": "http.response.body", "body": body, "more_body": more_body})

        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        try:
            await send(start)
            while not self._work.done():
                await write(b"\n", True)
                await asyncio.wait({self._work}, timeout=self._answer.limits.keepalive_s)
            body, error = self._result(scope["path"])
            await write(body, error is not None)
            if error is not None:
                self._on_late(error)
        finally:
            self._work.cancel()
            scope["state"]["outcome"] = self._answer.outcome

    def _result(self, path: str) -> tuple[bytes, ApiError | None]:
        try:
            body = to_bytes(self._work.result())
        except Exception as error:
            api_error = self._answer.failed(error)
            return to_bytes(error_body(api_error, path)), api_error
        self._answer.outcome = 200
        return body, None


async def _wait_for_disconnect(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
