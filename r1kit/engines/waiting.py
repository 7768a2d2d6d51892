"""The requests that wait for a row, and which of their prompts a step reads.

Prompts are read in pieces, as in vLLM's chunked prefill and in SGLang: a step reads pieces up to a
budget, those of the prompts with the fewest tokens left first. The prompt that has waited longest
gets a piece in every second step at least. So a short prompt is read at once, however long the
others are, and a long one gets on, however many short ones arrive.

Where a prompt is cut decides how its numbers are rounded. So pieces are cut at the same places
whatever else a step reads, and their size depends on the model alone, never on time.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

from r1kit.engines.base import RequestState
from r1kit.engines.prefill import PrefillState

_WORK = 34e9
"""parameters times tokens of a piece on a CPU, for half a second or so on two cores"""
_MIN_PIECE, _MAX_PIECE = 64, 512
"""tokens; products of fewer are slower a token, those of more are not faster"""
_MAX_BUDGET = 4096
"""tokens"""


class Pace(NamedTuple):
    """How many prompt tokens a step reads at most."""

    piece: int
    """of one prompt"""
    budget: int
    """of all prompts"""


def pace(n_parameters: int, device: str) -> Pace:
    """The pace for a model of this size on a kind of device."""
    if device != "cpu":
        return Pace(_MAX_BUDGET, _MAX_BUDGET)
    tokens = max(_MIN_PIECE, 2 ** round(math.log2(_WORK / n_parameters)))
    return Pace(min(tokens, _MAX_PIECE), min(tokens, _MAX_BUDGET))


class PrefillQueue:
    """Jobs of which not all completions have begun, in the order in which they get rows."""

    def __init__(self, pace: Pace) -> None:
        self.pace = pace
        self._jobs: deque[PrefillState] = deque()
        self._arrived: list[PrefillState] = []
        """the same jobs in the order in which they were added"""
        self._passed_over: PrefillState | None = None
        """the job that had waited longest and got nothing in the last step"""

    def __iter__(self) -> Iterator[PrefillState]:
        return iter(self._jobs)

    def __len__(self) -> int:
        return len(self._jobs)

    def add(self, job: PrefillState, ahead: bool) -> None:
        """Put a job at the end, or ahead of all that wait for a row."""
        (self._jobs.appendleft if ahead else self._jobs.append)(job)
        self._arrived.append(job)

    def remove(self, job: RequestState) -> None:
        """Take a job out, if it waits."""
        self._jobs = deque(waiting for waiting in self._jobs if waiting is not job)
        self._arrived = [waiting for waiting in self._arrived if waiting is not job]

    def first_read(self) -> PrefillState | None:
        """The job that is next to get rows."""
        return next((job for job in self._jobs if job.is_read), None)

    def next_pieces(self, n_free: int, n_soon: int) -> list[PrefillState]:
        """The jobs of which a step reads a piece, when so many rows are free now and soon."""
        oldest = next((job for job in self._arrived if not job.is_read), None)
        if oldest is None:
            return []
        jobs = self._in_reach(max(n_free, n_soon)) if n_free else []
        if oldest.n_read and oldest not in jobs:  # short ones must not hold it up by taking rows
            jobs.append(oldest)
        jobs.sort(key=lambda job: (job is not self._passed_over, job.n_unread))
        pieces: list[PrefillState] = []
        left = self.pace.budget
        for job in jobs:
            left -= min(job.n_unread, self.pace.piece)
            if pieces and left < 0:
                break
            pieces.append(job)
        self._passed_over = None if oldest in pieces else oldest
        return pieces

    def _in_reach(self, n_rows: int) -> list[PrefillState]:
        """Jobs with prompts to read, as far as the rows go; long prompts need theirs later."""
        jobs: list[PrefillState] = []
        for job in self._jobs:
            if n_rows <= 0:
                break
            if not job.is_read:
                jobs.append(job)
            if job.n_unread <= self.pace.piece:
                n_rows -= job.n_waiting
        return jobs
