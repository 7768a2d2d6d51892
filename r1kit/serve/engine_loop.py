"""One thread that drives one engine for all requests of a model: continuous batching.

The life of a generation:

1. A handler (event loop) enters `room`, where it is refused if too many wait, and calls `ask`.
2. The thread takes it between two steps and submits it to the engine.
3. After every step the thread asks each of its completions what is new (engines/completion.py),
   and hands all of that to the event loop in one call, which sorts it into the generations' queues.
   It waits until the loop has written it out: both at once would fight for Python's lock, and each
   step of a small model takes and gives it a hundred times (docs/log.md).
4. `cancel` takes effect before the next step.

What goes wrong for one generation ends that one. When the engine itself fails, with or without
something to do, all in flight are told so and a new engine is made. `/health` says so after
`_MOST_FAILURES` without a good step in between, until there is one; and for good when no new engine
can be made.
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
from r1kit.serve.response_stream import all_said

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_MOST_FAILURES = 3
_LOOK_S = 1.0
"""how often an engine that has nothing to do is looked at"""
_TURNS = 4
"""rounds of the event loop from a delivery to the last byte it has written"""
_SAY_S = 0.02
"""most that the engine waits for it"""
_DEAD = "The engine has failed and could not be started again; see the server's log."

log = logging.getLogger("r1kit.serve")


class Generation:
    """The n completions of one request, as the event loop sees them."""

    def __init__(self, driver: EngineLoop, ask: GenerationRequest) -> None:
        self.ask = ask
        self.asked_at = time.monotonic()
        self.first_at: float | None = None
        """when its first token came"""
        self.events: asyncio.Queue[Chunk | ApiError] = asyncio.Queue()
        self.n_open = ask.request.n
        """completions that have not ended"""
        self._driver = driver

    @property
    def n(self) -> int:
        """Completions."""
        return self.ask.request.n

    @property
    def n_prompt_tokens(self) -> int:
        """Of the prompt."""
        return len(self.ask.request.prompt_ids)

    async def next(self) -> list[Chunk]:
        """All that was said since the last time, once there is something.

        Raises ApiError when there will be nothing more.
        """
        return await all_said(self.events)

    def cancel(self) -> None:
        """Nobody listens any more; the engine stops within one step. May be called twice."""
        self._driver.cancel(self)


class EngineLoop:
    """Drives the engine that `make_engine` makes; its public face belongs to the event loop."""

    def __init__(
        self,
        make_engine: Callable[[], StreamingSampler],
        tokenizer: PreTrainedTokenizerBase,
        limits: ServeLimits,
    ) -> None:
        self.live: set[Generation] = set()
        """asked for and not over"""
        self.n_failures = 0
        self.is_dead = False
        self._n_held = 0
        """completions that have room and are not asked for yet"""
        self._make_engine = make_engine
        self._tokenizer = tokenizer
        self._limits = limits
        self._inbox: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._engine = make_engine()
        self._working: dict[Generation, list[CompletionStream]] = {}
        """of the thread alone"""
        self._failures_in_a_row = 0
        self._is_broken = False
        """between an engine that failed and the next"""
        self._read_before = self._cached_before = self._sampled_before = 0
        """tokens of engines that failed"""
        self._stopping = False
        self._said = threading.Event()
        """set when what was posted last is on its way to the clients"""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)

    @property
    def engine(self) -> StreamingSampler:
        """The engine now; belongs to the thread, look only when it is idle."""
        return self._engine

    @property
    def is_healthy(self) -> bool:
        """Whether requests are being served."""
        is_failing = self._is_broken or self._failures_in_a_row >= _MOST_FAILURES
        return self._thread.is_alive() and not self.is_dead and not is_failing

    @property
    def n_waiting(self) -> int:
        """Completions that have no token yet."""
        return sum(g.ask.request.n for g in self.live if g.first_at is None)

    @property
    def n_running(self) -> int:
        """Completions that have begun and not ended."""
        return sum(g.n_open for g in self.live if g.first_at is not None)

    @property
    def n_prompt_tokens(self) -> int:
        """Read, by the engines that failed too."""
        return self._read_before + self._engine.counters.prompt_tokens

    @property
    def n_cached_tokens(self) -> int:
        """Of those read, known from earlier prompts."""
        return self._cached_before + self._engine.counters.cached_tokens

    @property
    def n_completion_tokens(self) -> int:
        """Sampled, by the engines that failed too."""
        return self._sampled_before + self._engine.counters.completion_tokens

    def start(self) -> None:
        """Begin, for the running event loop."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    def stop(self) -> None:
        """End the thread; what is in flight is told."""
        self._inbox.put(self._stop)
        self._thread.join(timeout=30)

    @contextmanager
    def room(self, n: int) -> Iterator[None]:
        """Holds room for n completions, from before their prompt is encoded until they are asked.

        Raises ApiError (429, 503) when there is none.
        """
        if self.is_dead:
            raise ApiError(503, _DEAD, headers={"Retry-After": "30"})
        most = self._limits.max_rows + self._limits.max_waiting
        if sum(generation.n_open for generation in self.live) + self._n_held + n > most:
            raise busy("The server has as many requests as it can hold; ask again later.")
        self._n_held += n
        try:
            yield
        finally:
            self._n_held -= n

    def ask(self, ask: GenerationRequest) -> Generation:
        """Have something generated, inside `room`."""
        generation = Generation(self, ask)
        self.live.add(generation)
        self._inbox.put(lambda: self._begin(generation))
        return generation

    def cancel(self, generation: Generation) -> None:
        """End a generation; does nothing to one that is over."""
        if generation in self.live:
            self.live.remove(generation)
            self._inbox.put(lambda: self._drop(generation))

    def _run(self) -> None:
        while not self._stopping:
            try:
                self._take_commands()
                if self._working:
                    self._engine.step()
                    self._report()
                    self._failures_in_a_row = 0
            except Exception as error:
                self._fail(error)

    def _take_commands(self) -> None:
        """All that have come; waits for one when there is nothing else to do."""
        if not self._working:
            self._wait()()
        while not self._inbox.empty():
            self._inbox.get()()

    def _wait(self) -> Callable[[], None]:
        """The next command; an engine that has ended meanwhile fails before anybody asks it."""
        while True:
            try:
                return self._inbox.get(timeout=_LOOK_S)
            except Empty:
                if not self.is_dead:
                    self._engine.step()

    def _begin(self, generation: Generation) -> None:
        ask = generation.ask
        try:
            if self.is_dead:
                raise ApiError(503, _DEAD)
            self._working[generation] = begin(self._engine, ask, self._tokenizer)
        except Exception as error:
            self._refuse([generation], _as_api_error(error))

    def _drop(self, generation: Generation) -> None:
        for completing in self._working.pop(generation, []):
            self._engine.abort(completing.job)

    def _report(self) -> None:
        news: list[tuple[Generation, Chunk | ApiError]] = []
        for generation, completings in list(self._working.items()):
            try:
                for completing in completings:
                    news += [(generation, said) for said in completing.advance(self._engine)]
            except Exception as error:
                self._drop(generation)
                news.append((generation, _as_api_error(error)))
            if all(completing.is_over for completing in completings):
                self._working.pop(generation, None)
        if news:
            self._post(news)

    def _fail(self, error: Exception) -> None:
        """The engine is not to be trusted any more: tell everybody, make a new one."""
        log.error("the engine failed", exc_info=error)
        self.n_failures += 1
        self._failures_in_a_row += 1
        failed, self._working = list(self._working), {}
        counters, self._is_broken = self._engine.counters, True
        self._refuse(failed, _as_api_error(error))
        try:
            self._engine = self._make_engine()
            self._read_before += counters.prompt_tokens
            self._cached_before += counters.cached_tokens
            self._sampled_before += counters.completion_tokens
            self._is_broken = False
        except Exception as again:
            log.error("no new engine could be made", exc_info=again)
            self.is_dead = True

    def _stop(self) -> None:
        self._stopping = True
        for generation in list(self._working):
            self._drop(generation)
            self._refuse([generation], ApiError(503, "The server is shutting down."))

    def _refuse(self, generations: Iterable[Generation], error: ApiError) -> None:
        self._post([(generation, error) for generation in generations])

    def _post(self, news: list[tuple[Generation, Chunk | ApiError]]) -> None:
        assert self._loop is not None
        try:
            self._said.clear()
            self._loop.call_soon_threadsafe(self._deliver, news)
            self._said.wait(_SAY_S)
        except RuntimeError:  # the event loop is closed: nobody is left to tell
            log.info("told nobody: the event loop is closed")

    def _deliver(self, news: list[tuple[Generation, Chunk | ApiError]]) -> None:
        """In the event loop."""
        for generation, event in news:
            if isinstance(event, ApiError):
                generation.n_open = 0
            else:
                generation.first_at = generation.first_at or time.monotonic()
                generation.n_open -= event.finish is not None
            if not generation.n_open:
                self.live.discard(generation)
            generation.events.put_nowait(event)
        self._when_said(_TURNS)

    def _when_said(self, turns: int) -> None:
        """The handlers have run when the event loop has come round so many times."""
        assert self._loop is not None
        if turns:
            self._loop.call_soon(self._when_said, turns - 1)
        else:
            self._said.set()


def _as_api_error(error: Exception) -> ApiError:
    if isinstance(error, ApiError):
        return error
    if isinstance(error, GrammarError):
        return schema_refused(error)
    if isinstance(error, EngineError):
        return ApiError(500, str(error))
    log.error("a generation failed", exc_info=error)
    return ApiError(500, "The engine failed while it was answering; ask again.")
