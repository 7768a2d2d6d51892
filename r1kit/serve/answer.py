"""The answer to one request, whole or as a stream of server-sent events.

A client that has gone, a wait that is too long and an end of any kind all come to the same: the
flow is cancelled, and the engine drops it within one step.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable

import orjson
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from r1kit.serve.api_error import ApiError
from r1kit.serve.completion import Said
from r1kit.serve.flow import Flow
from r1kit.serve.limits import Limits
from r1kit.serve.wire import KEEP_ALIVE, Json, Usage, Whole, Writer

_SEND_S = 30.0
"""for the last of a stream to leave, after the flow's own time"""


class Answer:
    """What is said to one request, as its route writes it."""

    def __init__(
        self, flow: Flow, writer: Writer, limits: Limits, on_done: Callable[[Flow], None]
    ) -> None:
        self.flow = flow
        self.limits = limits
        self._on_done = on_done
        self._writer = writer
        self._usage = Usage()

    async def whole(self, request: Request) -> Json:
        """All of it. Raises ApiError, or CancelledError when the client has gone."""
        work = asyncio.ensure_future(self._collect())
        gone = asyncio.ensure_future(_gone(request))
        try:
            await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                raise ApiError(499, "The client has gone.")
            return self._writer.whole(work.result(), self._usage)
        finally:
            self.flow.cancel()
            for task in (work, gone):
                task.cancel()
            await asyncio.gather(work, gone, return_exceptions=True)

    async def stream(self) -> AsyncIterator[bytes]:
        """Server-sent events; an error is an event too, the last one."""
        writer = self._writer
        try:
            yield writer.begin()
            async for saids in self._saids():
                said = b"".join(map(writer.say, saids))
                if said or not saids:
                    yield said or KEEP_ALIVE
            yield writer.end(self._usage)
        except ApiError as error:
            yield writer.error(error)
        finally:
            self.flow.cancel()

    async def _collect(self) -> list[Whole]:
        wholes = [Whole() for _ in range(self.flow.n)]
        async for saids in self._saids():
            for said in saids:
                wholes[said.index].add(said)
        return wholes

    async def _saids(self) -> AsyncIterator[list[Said]]:
        """All that is said; nothing after a long silence. Raises ApiError, also when time is up."""
        left = self.flow.n
        while left:
            wait = min(self.limits.keepalive_s, self._time_left())
            try:
                async with asyncio.timeout(wait):
                    saids = await self.flow.next()
            except TimeoutError:
                self._time_left()
                saids = []
            for said in saids:
                self._usage.add(said)
                left -= said.finish is not None
            yield saids
        self._usage.prompt_tokens = self.flow.n_prompt_tokens
        self._on_done(self.flow)

    def _time_left(self) -> float:
        """Seconds until the next deadline. Raises ApiError when it has passed."""
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
                f"No room came free within {limits.queue_timeout_s:g} s; ask again later.",
                code="timeout",
                headers={"Retry-After": "30"},
            )
        return min(limits.queue_timeout_s, limits.total_timeout_s) - spent


class EventStream(StreamingResponse):
    """The response of a stream; however it ends, also before it began, nothing is left behind."""

    def __init__(self, answer: Answer) -> None:
        headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
        super().__init__(answer.stream(), 200, headers, "text/event-stream")
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        most = self._answer.limits.total_timeout_s + _SEND_S
        try:
            with contextlib.suppress(TimeoutError):  # a client that does not read: hang up
                async with asyncio.timeout(most):
                    await super().__call__(scope, receive, send)
        finally:
            self._answer.flow.cancel()


async def whole(answer: Answer, request: Request) -> Response:
    """The response that is not a stream. Raises ApiError while its status can still be told."""
    work = asyncio.ensure_future(answer.whole(request))
    try:
        await asyncio.wait({work}, timeout=answer.limits.keepalive_s)
        return JSONResponse(work.result()) if work.done() else Waiting(work, answer)
    except asyncio.CancelledError:
        work.cancel()
        raise


class Waiting(StreamingResponse):
    """Blank lines, and then the JSON, in which an error must stand too: 200 has been said."""

    def __init__(self, work: asyncio.Future[Json], answer: Answer) -> None:
        super().__init__(self._lines(), media_type="application/json")
        self._work = work
        self._answer = answer

    async def _lines(self) -> AsyncIterator[bytes]:
        while not self._work.done():
            yield b"\n"
            await asyncio.wait({self._work}, timeout=self._answer.limits.keepalive_s)
        try:
            yield orjson.dumps(self._work.result())
        except ApiError as error:
            yield orjson.dumps(error.body())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._work.cancel()


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
