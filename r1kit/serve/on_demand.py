"""Models that share a limited memory: loaded when they are requested, unloaded for others.

Only the engine's process goes; the tokenizer stays, so that prompts are encoded while it loads.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from r1kit.engines.base import Counters, RequestState, StreamingSampler, TokenLogprobs
from r1kit.engines.process.engine import ProcessEngine
from r1kit.errors import ConfigError, R1Error
from r1kit.serve.api_error import ApiError
from r1kit.types import Completion, Request

_POLL_S = 0.05
"""seconds between two looks for a model that nobody uses"""


class ModelMemory:
    """The memory for the weights of several models; the least recently used one makes room."""

    def __init__(self, limit: int, patience_s: float) -> None:
        """`limit` is in bytes; a request waits for `patience_s` until it gets memory."""
        self._limit = limit
        self._patience_s = patience_s
        self._loaded: list[OnDemandEngine] = []
        """the least recently used first"""
        self._lock = threading.Lock()

    def clear(self) -> None:
        """Unload all models, before one of unknown size is loaded."""
        with self._lock:
            while self._loaded:
                self._loaded.pop(0).unload()

    def check(self, engine: OnDemandEngine) -> None:
        """Raise ConfigError if the model is larger than the whole memory."""
        if engine.n_bytes > self._limit:
            raise ConfigError(
                f"The weights of {engine.name} need {engine.n_bytes / 1e9:.3g} GB, more than "
                f"--model-memory {self._limit / 1e9:.3g}; raise it, or leave the model out."
            )

    def claim(self, engine: OnDemandEngine) -> bool:
        """Return True if the model is in memory, False if it has room now and must be loaded.

        Waits while all other models are in use. Raises ApiError (503) if that takes too long.
        """
        end = time.monotonic() + self._patience_s
        while True:
            with self._lock:
                is_loaded = engine in self._loaded
                if is_loaded:
                    self._loaded.remove(engine)
                if is_loaded or self._has_room(engine.n_bytes):
                    self._loaded.append(engine)
                    return is_loaded
            if time.monotonic() > end:
                raise ApiError(
                    503,
                    f"{engine.name} is not loaded, and the models in memory are in use; ask again "
                    "later.",
                    headers={"Retry-After": "30"},
                )
            time.sleep(_POLL_S)

    def release(self, engine: OnDemandEngine) -> None:
        """Give the memory of a model back."""
        with self._lock:
            if engine in self._loaded:
                self._loaded.remove(engine)

    def _has_room(self, n_bytes: int) -> bool:
        """Unload models that nobody uses until there is room; return False if there is none."""
        excess = sum(other.n_bytes for other in self._loaded) + n_bytes - self._limit
        idle = [other for other in self._loaded if other.is_idle()]
        if sum(other.n_bytes for other in idle) < excess:
            return False
        for other in idle:
            if excess > 0:
                self._loaded.remove(other)
                other.unload()
                excess -= other.n_bytes
        return True


class OnDemandEngine(StreamingSampler):
    """A `ProcessEngine` whose process can be ended and made again between requests."""

    def __init__(
        self,
        name: str,
        make: Callable[[], ProcessEngine],
        close: Callable[[], None],
        memory: ModelMemory,
    ) -> None:
        """`make` makes the process, and `close` ends the one that it made last."""
        self.name = name
        self.is_idle: Callable[[], bool] = lambda: False
        """False while a request has not got its whole answer"""
        self.n_bytes = 0
        self._make, self._close, self._memory = make, close, memory
        self._engine: ProcessEngine | None = None
        self._lock = threading.Lock()
        """held while the process is stepped, loaded or ended"""

    def opened(self) -> OnDemandEngine:
        """Load the model alone for the first time, or end a process that has failed.

        Raises the R1Error with which loading failed, and ConfigError for a model that is too large.
        """
        if self.n_bytes:
            self.unload()
            self._memory.release(self)
            self.counters = Counters()
            return self
        self._memory.clear()
        engine = self._load()
        self.n_bytes, self.eos_ids = engine.n_bytes, engine.eos_ids
        self.counters, self._max_positions = engine.counters, engine.max_positions
        self._memory.check(self)
        self._memory.claim(self)
        return self

    def unload(self) -> None:
        """End the process, which must have no request."""
        with self._lock:
            self._engine = None
            self._close()

    @property
    def max_positions(self) -> int | None:
        return self._max_positions

    def submit(self, request: Request, ahead: bool = False) -> RequestState:
        """Load the model if it is not loaded. Raises ApiError (503) if that fails."""
        if not self._memory.claim(self):
            try:
                self._load().counters = self.counters
            except R1Error as error:
                self._memory.release(self)
                raise ApiError(503, f"{self.name} could not be loaded: {error}") from error
        return self._current.submit(request, ahead)

    def step(self) -> list[RequestState]:
        with self._lock:
            return [] if self._engine is None else self._engine.step()

    def abort(self, state: RequestState) -> None:
        if self._engine is not None:
            self._engine.abort(state)

    def abort_completion(self, state: RequestState, index: int) -> Completion:
        return self._current.abort_completion(state, index)

    def sampled_ids(self, state: RequestState, index: int) -> list[int]:
        return self._current.sampled_ids(state, index)

    def logprobs(self, state: RequestState, index: int) -> TokenLogprobs:
        return self._current.logprobs(state, index)

    @property
    def _current(self) -> ProcessEngine:
        assert self._engine is not None
        return self._engine

    def _load(self) -> ProcessEngine:
        with self._lock:
            self._engine = self._make()
            return self._engine
