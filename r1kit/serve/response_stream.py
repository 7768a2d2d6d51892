"""Protocols for a response in progress and a model's stats, local or upstream. No torch."""

from __future__ import annotations

import asyncio
from typing import Protocol

from r1kit.engines.completion import Chunk
from r1kit.serve.api_error import ApiError


class ResponseStream(Protocol):
    """The n completions of one request while they are generated."""

    asked_at: float
    """start time, from `time.monotonic`"""

    @property
    def first_at(self) -> float | None:
        """Time of the first token, None before it."""
        ...

    @property
    def n(self) -> int:
        """Number of completions."""
        ...

    @property
    def n_prompt_tokens(self) -> int:
        """Number of prompt tokens; may be unknown until the answer is over."""
        ...

    async def next(self) -> list[Chunk]:
        """Wait for chunks and return all since the last call.

        Raises ApiError if the request has failed.
        """
        ...

    def cancel(self) -> None:
        """Cancel the request. May be called twice."""
        ...


class EngineStats(Protocol):
    """Health and counters of a model."""

    @property
    def n_failures(self) -> int:
        """Number of engine failures."""
        ...

    @property
    def is_healthy(self) -> bool:
        """True if requests are being served."""
        ...

    @property
    def n_waiting(self) -> int:
        """Number of completions that have no token yet."""
        ...

    @property
    def n_running(self) -> int:
        """Number of completions that have begun and not ended."""
        ...

    @property
    def n_prompt_tokens(self) -> int:
        """Number of prompt tokens, including cached ones."""
        ...

    @property
    def n_cached_tokens(self) -> int:
        """Number of prompt tokens found in the prefix cache."""
        ...

    @property
    def n_completion_tokens(self) -> int:
        """Number of sampled tokens."""
        ...


async def drain_queue(queue: asyncio.Queue[Chunk | ApiError]) -> list[Chunk]:
    """Wait for chunks and return all in the queue. Raises the ApiError that ends the stream."""
    events = [await queue.get()]
    while not queue.empty() and not isinstance(events[-1], ApiError):
        events.append(queue.get_nowait())
    if isinstance(events[-1], ApiError):
        raise events[-1]
    return [event for event in events if isinstance(event, Chunk)]
