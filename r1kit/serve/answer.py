"""The answer to one request, whole or as a stream of server-sent events.

A client that has gone, a wait that is too long and an end of any kind all come to the same: the
generation is cancelled, and the engine drops it within one step.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from collections.abc import AsyncIterator, Callable

from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from r1kit.serve.api_error import ApiError
from r1kit.serve.completion import Said
from r1kit.serve.driver import Generation
from r1kit.serve.limits import Limits
from r1kit.serve.wire import DONE, KEEP_ALIVE, Envelope, Form, Json, Usage, Whole, event

_SEND_S = 30.0
"""for the last of a stream to leave, after the generation's own time"""


class Answer:
    """What one generation says, in the form of its route."""

    def __init__(
        self,
        generation: Generation,
        form: Form,
        model: str,
        limits: Limits,
        on_done: Callable[[Generation], None],
    ) -> None:
        self.generation = generation
        self.limits = limits
        self._on_done = on_done
        self._form = form
        self._envelope = Envelope(form, model, f"{form.id_prefix}{uuid.uuid4().hex}")
        self._usage = Usage(len(generation.ask.request.prompt_ids))
        self._n = generation.ask.request.n

    async def whole(self, request: Request) -> Json:
        """All of it. Raises ApiError, or CancelledError when the client has gone."""
        work = asyncio.ensure_future(self._collect())
        gone = asyncio.ensure_future(_gone(request))
        try:
            await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                raise ApiError(499, "The client has gone.")
            return self._envelope.whole(work.result(), self._usage)
        finally:
            self.generation.cancel()
            for task in (work, gone):
                task.cancel()
            await asyncio.gather(work, gone, return_exceptions=True)

    async def stream(self, with_usage: bool) -> AsyncIterator[bytes]:
        """Server-sent events; an error is an event too, the last one."""
        try:
            for index in range(self._n):
                if choices := self._form.first(index):
                    yield self._envelope.chunk(choices, None, with_usage)
            async for saids in self._saids():
                choices = [choice for said in saids for choice in self._form.chunks(said)]
                said = [self._envelope.chunk([choice], None, with_usage) for choice in choices]
                if said or not saids:
                    yield b"".join(said) or KEEP_ALIVE
            if with_usage:
                yield self._envelope.chunk([], self._usage.json(), with_usage)
            yield DONE
        except ApiError as error:
            yield event(error.body())
            yield DONE
        finally:
            self.generation.cancel()

    async def _collect(self) -> list[Whole]:
        wholes = [Whole() for _ in range(self._n)]
        async for saids in self._saids():
            for said in saids:
                wholes[said.index].add(said)
        return wholes

    async def _saids(self) -> AsyncIterator[list[Said]]:
        """All that is said; nothing after a long silence. Raises ApiError, also when time is up."""
        left = self._n
        while left:
            wait = min(self.limits.keepalive_s, self._time_left())
            try:
                async with asyncio.timeout(wait):
                    saids = await self.generation.next()
            except TimeoutError:
                self._time_left()
                saids = []
            for said in saids:
                self._usage.add(said)
                left -= said.finish is not None
            yield saids
        self._on_done(self.generation)

    def _time_left(self) -> float:
        """Seconds until the next deadline. Raises ApiError when it has passed."""
        generation, limits = self.generation, self.limits
        spent = time.monotonic() - generation.asked_at
        if spent >= limits.total_timeout_s:
            raise ApiError(
                504,
                f"The answer took longer than {limits.total_timeout_s:g} s; lower max_tokens.",
                code="timeout",
                headers={"x-should-retry": "false"},
            )
        if generation.first_at is not None:
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

    def __init__(self, answer: Answer, with_usage: bool) -> None:
        headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
        super().__init__(answer.stream(with_usage), 200, headers, "text/event-stream")
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        most = self._answer.limits.total_timeout_s + _SEND_S
        try:
            with contextlib.suppress(TimeoutError):  # a client that does not read: hang up
                async with asyncio.timeout(most):
                    await super().__call__(scope, receive, send)
        finally:
            self._answer.generation.cancel()


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
