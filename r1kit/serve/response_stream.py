"""What a route sees of whoever answers: an answer on its way, and how the answerer is. No torch."""

from __future__ import annotations

import asyncio
from typing import Protocol

from r1kit.engines.completion import Chunk
from r1kit.serve.api_error import ApiError


class ResponseStream(Protocol):
    """The n completions of one request on their way."""

    asked_at: float
    """by `time.monotonic`"""

    @property
    def first_at(self) -> float | None:
        """When its first token came."""
        ...

    @property
    def n(self) -> int:
        """Completions."""
        ...

    @property
    def n_prompt_tokens(self) -> int:
        """Of the prompt; may be known only when the answer is over."""
        ...

    async def next(self) -> list[Chunk]:
        """All that was said since the last time, once there is something.

        Raises ApiError when there will be nothing more.
        """
        ...

    def cancel(self) -> None:
        """Nobody listens any more. May be called twice."""
        ...


class EngineStats(Protocol):
    """How a model is, and what it has done."""

    @property
    def n_failures(self) -> int:
        """Engines that failed."""
        ...

    @property
    def is_healthy(self) -> bool:
        """Whether requests are being served."""
        ...

    @property
    def n_waiting(self) -> int:
        """Completions that have no token yet."""
        ...

    @property
    def n_running(self) -> int:
        """Completions that have begun and not ended."""
        ...

    @property
    def n_prompt_tokens(self) -> int:
        """Read."""
        ...

    @property
    def n_cached_tokens(self) -> int:
        """Of those read, known from earlier prompts."""
        ...

    @property
    def n_completion_tokens(self) -> int:
        """Sampled."""
        ...


async def all_said(events: asyncio.Queue[Chunk | ApiError]) -> list[Chunk]:
    """What waits there, once there is something. Raises the error that ends it."""
    found = [await events.get()]
    while not events.empty() and not isinstance(found[-1], ApiError):
        found.append(events.get_nowait())
    if isinstance(found[-1], ApiError):
        raise found[-1]
    return [event for event in found if isinstance(event, Chunk)]
