"""One thread per model that steps its engine for all requests: continuous batching.

The life of a generation:

1. A handler (event loop) enters `reserve`, which refuses it if too many wait, and calls `submit`.
2. Between two steps, the thread submits it to the engine.
3. After every step, the thread collects the new chunks of each completion (engines/completion.py)
   and passes them all to the event loop in one call, which puts them into the generations' queues.
   The thread waits until the event loop has written them out: otherwise both would compete for the
   GIL, which each step of a small model releases and acquires a hundred times (docs/log.md).
4. `cancel` takes effect before the next step.

An error in one generation ends only that one. If the engine itself fails, busy or idle, all
generations in flight end with an error and a new engine is made. `/health` reports it after
`_MAX_FAILURES` failures without a successful step in between, until one succeeds, and for good if
no new engine can be made.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from r1kit.engines.base import StreamingSampler
from r1kit.engines.completion import Chunk, CompletionStream, GenerationRequest, begin
from r1kit.errors import EngineError, GrammarError
from r1kit.serve.api_error import ApiError, busy, schema_refused
from r1kit.serve.limits import ServeLimits
from r1kit.serve.response_stream import drain_queue

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_MAX_FAILURES = 3
_IDLE_STEP_S = 1.0
"""seconds between steps of an idle engine, which reveal whether it still runs"""
_LOOP_TURNS = 4
"""iterations of the event loop from a delivery until its last byte is written"""
_SEND_S = 0.02
"""maximum time that the engine waits for this, in seconds"""
_DEAD_MESSAGE = "The engine has failed and could not be started again; see the server's log."

log = logging.getLogger("r1kit.serve")


class Generation:
    """The completions of one request, which may have several prompts, seen by the event loop."""

    def __init__(self, engine_loop: EngineLoop, requests: list[GenerationRequest]) -> None:
        """The completions of the first prompt come first."""
        self.requests = requests
        self.asked_at = time.monotonic()
        self.first_at: float | None = None
        """time of the first token"""
        self.events: asyncio.Queue[Chunk | ApiError] = asyncio.Queue()
        self.n_open = self.n
        """number of completions that have not ended"""
        self._engine_loop = engine_loop

    @property
    def n(self) -> int:
        """Number of completions."""
        return sum(ask.request.n for ask in self.requests)

    @property
    def n_prompt_tokens(self) -> int:
        """Number of tokens of all prompts."""
        return sum(len(ask.request.prompt_ids) for ask in self.requests)

    async def next(self) -> list[Chunk]:
        """Wait for chunks and return all since the last call.

        Raises ApiError if the generation has failed.
        """
        return await drain_queue(self.events)

    def cancel(self) -> None:
        """Cancel the generation; the engine stops within one step. May be called twice."""
        self._engine_loop.cancel(self)


class EngineLoop:
    """The thread that steps an engine. Its public methods are called from the event loop."""

    def __init__(
        self,
        make_engine: Callable[[], StreamingSampler],
        tokenizer: PreTrainedTokenizerBase,
        limits: ServeLimits,
    ) -> None:
        self.live: set[Generation] = set()
        """generations that are not over"""
        self.n_failures = 0
        self.is_dead = False
        self._n_reserved = 0
        """number of completions with reserved capacity that are not submitted yet"""
        self._make_engine = make_engine
        self._tokenizer = tokenizer
        self._limits = limits
        self._inbox: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._engine = make_engine()
        self._streams: dict[Generation, list[CompletionStream]] = {}
        """accessed by the thread only"""
        self._failures_in_a_row = 0
        self._is_broken = False
        """True between the failure of an engine and the next engine"""
        self._read_before = self._cached_before = self._sampled_before = 0
        """token counts of the engines that failed"""
        self._stopping = False
        self._is_written = threading.Event()
        """set when the chunks posted last are on their way to the clients"""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)

    @property
    def engine(self) -> StreamingSampler:
        """The current engine. It belongs to the thread; access it only while it is idle."""
        return self._engine

    @property
    def is_healthy(self) -> bool:
        """True if requests are being served."""
        is_failing = self._is_broken or self._failures_in_a_row >= _MAX_FAILURES
        return self._thread.is_alive() and not self.is_dead and not is_failing

    @property
    def n_waiting(self) -> int:
        """Number of completions that have no token yet."""
        return sum(g.n for g in self.live if g.first_at is None)

    @property
    def n_running(self) -> int:
        """Number of completions that have begun and not ended."""
        return sum(g.n_open for g in self.live if g.first_at is not None)

    @property
    def n_prompt_tokens(self) -> int:
        """Number of prompt tokens, including cached ones and those of failed engines."""
        return self._read_before + self._engine.counters.prompt_tokens

    @property
    def n_cached_tokens(self) -> int:
        """Number of prompt tokens found in the prefix cache."""
        return self._cached_before + self._engine.counters.cached_tokens

    @property
    def n_completion_tokens(self) -> int:
        """Number of sampled tokens, including those of failed engines."""
        return self._sampled_before + self._engine.counters.completion_tokens

    def start(self) -> None:
        """Start the thread, for the running event loop."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread; generations in flight end with an error."""
        self._inbox.put(self._stop)
        self._thread.join(timeout=30)

    @contextmanager
    def reserve(self, n: int) -> Iterator[None]:
        """Reserve capacity for n completions, from before their prompt is encoded until `submit`.

        Raises ApiError if the server is full (429) or the engine is dead (503).
        """
        if self.is_dead:
            raise ApiError(503, _DEAD_MESSAGE, headers={"Retry-After": "30"})
        capacity = self._limits.max_num_seqs + self._limits.max_waiting
        if sum(generation.n_open for generation in self.live) + self._n_reserved + n > capacity:
            raise busy("The server has as many requests as it can hold; ask again later.")
        self._n_reserved += n
        try:
            yield
        finally:
            self._n_reserved -= n

    def submit(self, requests: list[GenerationRequest]) -> Generation:
        """Submit the prompts of a request; must be called inside `reserve`."""
        generation = Generation(self, requests)
        self.live.add(generation)
        self._inbox.put(lambda: self._begin(generation))
        return generation

    def cancel(self, generation: Generation) -> None:
        """Cancel a generation; has no effect on one that is over."""
        if generation in self.live:
            self.live.remove(generation)
            self._inbox.put(lambda: self._drop(generation))

    def _run(self) -> None:
        while not self._stopping:
            try:
                self._take_commands()
                if self._streams:
                    self._engine.step()
                    self._report()
                    self._failures_in_a_row = 0
            except Exception as error:
                self._fail(error)

    def _take_commands(self) -> None:
        """Run all queued commands; wait for one if there is nothing else to do."""
        if not self._streams:
            self._wait()()
        while not self._inbox.empty():
            self._inbox.get()()

    def _wait(self) -> Callable[[], None]:
        """Wait for the next command. Idle engines are stepped too, so that failures show early."""
        while True:
            try:
                return self._inbox.get(timeout=_IDLE_STEP_S)
            except Empty:
                if not self.is_dead:
                    self._engine.step()

    def _begin(self, generation: Generation) -> None:
        streams: list[CompletionStream] = []
        try:
            if self.is_dead:
                raise ApiError(503, _DEAD_MESSAGE)
            self._streams[generation] = streams
            for request in generation.requests:
                streams += begin(self._engine, request, self._tokenizer, len(streams))
        except Exception as error:
            self._drop(generation)
            self._refuse([generation], _as_api_error(error))

    def _drop(self, generation: Generation) -> None:
        for stream in self._streams.pop(generation, []):
            self._engine.abort(stream.state)

    def _report(self) -> None:
        events: list[tuple[Generation, Chunk | ApiError]] = []
        for generation, streams in list(self._streams.items()):
            try:
                for stream in streams:
                    events += [(generation, chunk) for chunk in stream.advance(self._engine)]
            except Exception as error:
                self._drop(generation)
                events.append((generation, _as_api_error(error)))
            if all(stream.is_over for stream in streams):
                self._streams.pop(generation, None)
        if events:
            self._post(events)

    def _fail(self, error: Exception) -> None:
        """End all generations of the failed engine with an error and make a new engine."""
        log.error("the engine failed", exc_info=error)
        self.n_failures += 1
        self._failures_in_a_row += 1
        generations, self._streams = list(self._streams), {}
        counters, self._is_broken = self._engine.counters, True
        self._refuse(generations, _as_api_error(error))
        try:
            self._engine = self._make_engine()
            self._read_before += counters.prompt_tokens
            self._cached_before += counters.cached_tokens
            self._sampled_before += counters.completion_tokens
            self._is_broken = False
        except Exception as restart_error:
            log.error("no new engine could be made", exc_info=restart_error)
            self.is_dead = True

    def _stop(self) -> None:
        self._stopping = True
        for generation in list(self._streams):
            self._drop(generation)
            self._refuse([generation], ApiError(503, "The server is shutting down."))

    def _refuse(self, generations: Iterable[Generation], error: ApiError) -> None:
        self._post([(generation, error) for generation in generations])

    def _post(self, events: list[tuple[Generation, Chunk | ApiError]]) -> None:
        assert self._loop is not None
        try:
            self._is_written.clear()
            self._loop.call_soon_threadsafe(self._deliver, events)
            self._is_written.wait(_SEND_S)
        except RuntimeError:  # the event loop is closed: no client is left
            log.info("the error was reported to no client: the event loop is closed")

    def _deliver(self, events: list[tuple[Generation, Chunk | ApiError]]) -> None:
        """Put the events into their generations' queues; runs in the event loop."""
        for generation, event in events:
            if isinstance(event, ApiError):
                generation.n_open = 0
            else:
                generation.first_at = generation.first_at or time.monotonic()
                generation.n_open -= event.finish is not None
            if not generation.n_open:
                self.live.discard(generation)
            generation.events.put_nowait(event)
        self._set_sent(_LOOP_TURNS)

    def _set_sent(self, turns: int) -> None:
        """Set `_is_written` after `turns` turns of the event loop, when handlers have run."""
        assert self._loop is not None
        if turns:
            self._loop.call_soon(self._set_sent, turns - 1)
        else:
            self._is_written.set()


def _as_api_error(error: Exception) -> ApiError:
    if isinstance(error, ApiError):
        return error
    if isinstance(error, GrammarError):
        return schema_refused(error)
    if isinstance(error, EngineError):
        return ApiError(500, str(error))
    log.error("a generation failed", exc_info=error)
    return ApiError(500, "The engine failed while it was answering; ask again.")
