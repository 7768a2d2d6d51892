"""The scheduler: the queue of requests that wait for a row, and chunked prefill.

Prompts are prefilled in chunks, as in vLLM and SGLang: a step reads chunks up to a token
budget, prompts with the fewest tokens left first. The prompt that has waited longest gets a chunk
at least in every second step. So a short prompt is prefilled at once however long the others are,
and a long one makes progress however many short ones arrive.

The chunk boundaries of a prompt affect rounding. So they are the same whatever else a step reads,
and the chunk size depends only on the model, never on time.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

from r1kit.engines.base import RequestState
from r1kit.engines.local.prefill import PrefillState
from r1kit.engines.local.slots import Slots

_WORK = 34e9
"""parameters times tokens of a chunk on a CPU; takes about half a second on two cores"""
_MIN_CHUNK, _MAX_CHUNK = 64, 512
"""tokens per chunk; smaller matrix products are slower per token, larger ones are not faster"""
_MAX_BUDGET = 4096
"""tokens per step"""
_SOON = 8
"""one in so many rows is taken to become free before the prompts that are read now need it"""


class PrefillLimits(NamedTuple):
    """The limits on the prompt tokens that a step prefills."""

    chunk_tokens: int
    """maximum tokens of one prompt"""
    step_tokens: int
    """maximum tokens of all prompts"""


def prefill_limits(n_parameters: int, device: str) -> PrefillLimits:
    """Return the prefill limits for a model size and a device type."""
    if device != "cpu":
        return PrefillLimits(_MAX_BUDGET, _MAX_BUDGET)
    tokens = max(_MIN_CHUNK, 2 ** round(math.log2(_WORK / n_parameters)))
    return PrefillLimits(min(tokens, _MAX_CHUNK), min(tokens, _MAX_BUDGET))


class PrefillQueue:
    """The requests with completions that have not started, in the order in which they get rows."""

    def __init__(self, limits: PrefillLimits) -> None:
        self.limits = limits
        self._jobs: deque[PrefillState] = deque()
        self._arrived: list[PrefillState] = []
        """the same jobs in the order in which they were added"""
        self._passed_over: PrefillState | None = None
        """the job that had waited longest and got no chunk in the last step"""

    def __iter__(self) -> Iterator[PrefillState]:
        return iter(self._jobs)

    def __len__(self) -> int:
        return len(self._jobs)

    def add(self, job: PrefillState, ahead: bool) -> None:
        """Add a job at the end, or at the front if `ahead`."""
        (self._jobs.appendleft if ahead else self._jobs.append)(job)
        self._arrived.append(job)

    def remove(self, job: RequestState) -> None:
        """Remove a job if it is in the queue."""
        self._jobs = deque(waiting for waiting in self._jobs if waiting is not job)
        self._arrived = [waiting for waiting in self._arrived if waiting is not job]

    def first_read(self) -> PrefillState | None:
        """Return the first job whose prompt is prefilled, which is next to get rows."""
        return next((job for job in self._jobs if job.is_read), None)

    def next_chunks(self, n_free: int, n_soon: int) -> list[PrefillState]:
        """Return the jobs that get a chunk in this step, given the rows free now and soon."""
        oldest = next((job for job in self._arrived if not job.is_read), None)
        if oldest is None:
            return []
        jobs = self._in_reach(max(n_free, n_soon)) if n_free else []
        if oldest.n_read and oldest not in jobs:  # short prompts must not starve it by taking rows
            jobs.append(oldest)
        jobs.sort(key=lambda job: (job is not self._passed_over, job.n_unread))
        chosen: list[PrefillState] = []
        n_left = self.limits.step_tokens
        for job in jobs:
            n_left -= min(job.n_unread, self.limits.chunk_tokens)
            if chosen and n_left < 0:
                break
            chosen.append(job)
        self._passed_over = None if oldest in chosen else oldest
        return chosen

    def _in_reach(self, n_rows: int) -> list[PrefillState]:
        """Return the unread jobs that `n_rows` rows can serve; those with long prompts use none."""
        jobs: list[PrefillState] = []
        for job in self._jobs:
            if n_rows <= 0:
                break
            if not job.is_read:
                jobs.append(job)
            if job.n_unread <= self.limits.chunk_tokens:
                n_rows -= job.n_waiting
        return jobs


class Scheduler:
    """Decides which prompts a step prefills, and which completions get the free rows."""

    def __init__(self, slots: Slots, limits: PrefillLimits) -> None:
        self.queue = PrefillQueue(limits)
        self._slots = slots

    def next_chunks(self) -> list[PrefillState]:
        """Return the jobs that get a chunk in this step, for rows that are free or soon will be."""
        return self.queue.next_chunks(self._slots.n_free, self._slots.capacity // _SOON)

    def next_rows(self) -> tuple[PrefillState, int] | None:
        """Return the next job whose prompt is prefilled, and how many rows it gets now."""
        if not self._slots.n_free or (job := self.queue.first_read()) is None:
            return None
        return job, min(self._slots.n_free, job.n_waiting)

    def largest(self) -> tuple[int, int]:
        """Return the most rows at once, and the longest sequence, of all requests so far."""
        jobs = [sequence.job for sequence in self._slots.sequences] + list(self.queue)
        n_waiting = sum(job.n_waiting for job in self.queue)
        longest = max(len(j.request.prompt_ids) + j.request.sampling.max_tokens for j in jobs)
        return min(self._slots.capacity, self._slots.n + n_waiting), longest
