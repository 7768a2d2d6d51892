"""The scheduler: the queue of requests that wait for rows, and chunked prefill.

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
from typing import NamedTuple

from r1kit.engines.base import RequestState
from r1kit.engines.local.prefill import PrefillState
from r1kit.engines.local.slots import Slots
from r1kit.types import Completion

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


class Scheduler:
    """The unfinished requests: which prompts a step prefills, and which completions start."""

    def __init__(self, slots: Slots, limits: PrefillLimits) -> None:
        self.limits = limits
        self.requests: list[PrefillState] = []
        """the unfinished requests, in the order in which they were added"""
        self._waiting: deque[PrefillState] = deque()
        """those with completions that have not started, in the order in which they get rows"""
        self._passed_over: PrefillState | None = None
        """the job that had waited longest and got no chunk in the last step"""
        self._slots = slots

    def add(self, job: PrefillState, ahead: bool) -> None:
        """Add a job at the end, or at the front if `ahead`."""
        (self._waiting.appendleft if ahead else self._waiting.append)(job)
        self.requests.append(job)

    def next_chunks(self) -> list[PrefillState]:
        """Return the jobs that get a chunk in this step, for rows that are free or soon will be."""
        oldest = next((job for job in self.requests if not job.is_read), None)
        if oldest is None:
            return []
        n_free = self._slots.n_free
        jobs = self._in_reach(max(n_free, self._slots.capacity // _SOON)) if n_free else []
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

    def start_next(self) -> tuple[PrefillState, range] | None:
        """Start completions of the next job whose prompt is prefilled, one per free row.

        Return the job and the indices of these completions, or None if nothing can start.
        """
        job = next((job for job in self._waiting if job.is_read), None)
        if job is None or not self._slots.n_free:
            return None
        first = job.n_begun
        job.n_begun += min(self._slots.n_free, job.n_waiting)
        if not job.n_waiting:
            self._waiting.remove(job)
        return job, range(first, job.n_begun)

    def finish(self, job: RequestState, index: int, completion: Completion) -> bool:
        """End one completion; return True if it was the last of its job, which is removed."""
        job.finish(index, completion)
        if not job.n_left:
            self.requests = [other for other in self.requests if other is not job]
            self._waiting = deque(other for other in self._waiting if other is not job)
        return not job.n_left

    def forget(self) -> None:
        """Have all prompts prefilled anew, because the weights have changed."""
        for job in self._waiting:
            job.forget()

    def largest(self) -> tuple[int, int]:
        """Return the most rows at once, and the longest sequence, of all unfinished requests."""
        requests = [job.request for job in self.requests]
        longest = max(len(r.prompt_ids) + r.sampling.max_tokens for r in requests)
        return min(self._slots.capacity, sum(job.n_left for job in self.requests)), longest

    def _in_reach(self, n_rows: int) -> list[PrefillState]:
        """Return the unread jobs that `n_rows` rows can serve; those with long prompts use none."""
        jobs: list[PrefillState] = []
        for job in self._waiting:
            if n_rows <= 0:
                break
            if not job.is_read:
                jobs.append(job)
            if job.n_unread <= self.limits.chunk_tokens:
                n_rows -= job.n_waiting
        return jobs
