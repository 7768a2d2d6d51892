"""The scheduler: the queue of requests that wait for slots, and chunked prefill.

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
"""one in this many slots is expected to become free before the prompts read now need one"""


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
    """The requests with completions that have not started, in the order in which they get slots."""

    def __init__(self, limits: PrefillLimits) -> None:
        self.limits = limits
        self._states: deque[PrefillState] = deque()
        self._arrived: list[PrefillState] = []
        """the same requests in the order in which they were added"""
        self._passed_over: PrefillState | None = None
        """the request that had waited longest and got no chunk in the last step"""

    def __iter__(self) -> Iterator[PrefillState]:
        return iter(self._states)

    def __len__(self) -> int:
        return len(self._states)

    def add(self, state: PrefillState, ahead: bool) -> None:
        """Add a request at the end, or at the front if `ahead`."""
        (self._states.appendleft if ahead else self._states.append)(state)
        self._arrived.append(state)

    def remove(self, state: RequestState) -> None:
        """Remove a request if it is in the queue."""
        self._states = deque(waiting for waiting in self._states if waiting is not state)
        self._arrived = [waiting for waiting in self._arrived if waiting is not state]

    def first_read(self) -> PrefillState | None:
        """Return the first request whose prompt is prefilled, which is next to get slots."""
        return next((state for state in self._states if state.is_read), None)

    def next_chunks(self, n_free: int, n_soon: int) -> list[PrefillState]:
        """Return the requests that get a chunk in this step, given the slots free now and soon."""
        oldest = next((state for state in self._arrived if not state.is_read), None)
        if oldest is None:
            return []
        states = self._in_reach(max(n_free, n_soon)) if n_free else []
        # Short prompts must not starve it by taking slots.
        if oldest.n_read and oldest not in states:
            states.append(oldest)
        states.sort(key=lambda state: (state is not self._passed_over, state.n_unread))
        selected: list[PrefillState] = []
        n_left = self.limits.step_tokens
        for state in states:
            n_left -= min(state.n_unread, self.limits.chunk_tokens)
            if selected and n_left < 0:
                break
            selected.append(state)
        self._passed_over = None if oldest in selected else oldest
        return selected

    def _in_reach(self, n_slots: int) -> list[PrefillState]:
        """Return the unread requests that fit into `n_slots` slots; long prompts use none."""
        states: list[PrefillState] = []
        for state in self._states:
            if n_slots <= 0:
                break
            if not state.is_read:
                states.append(state)
            if state.n_unread <= self.limits.chunk_tokens:
                n_slots -= state.n_waiting
        return states


class Scheduler:
    """Decides which prompts a step prefills, and which completions get the free slots."""

    def __init__(self, slots: Slots, limits: PrefillLimits) -> None:
        self.queue = PrefillQueue(limits)
        self._slots = slots

    def next_chunks(self) -> list[PrefillState]:
        """Return the requests that get a chunk in this step, for slots free now or soon."""
        return self.queue.next_chunks(self._slots.n_free, self._slots.capacity // _SOON)

    def next_slots(self) -> tuple[PrefillState, int] | None:
        """Return the next request whose prompt is prefilled, and how many slots it gets now."""
        if not self._slots.n_free or (state := self.queue.first_read()) is None:
            return None
        return state, min(self._slots.n_free, state.n_waiting)

    def largest(self) -> tuple[int, int]:
        """Return the number of slots and the longest sequence that all requests so far may need."""
        states = [sequence.state for sequence in self._slots.sequences] + list(self.queue)
        n_waiting = sum(state.n_waiting for state in self.queue)
        longest = max(len(s.request.prompt_ids) + s.request.sampling.max_tokens for s in states)
        return min(self._slots.capacity, self._slots.n + n_waiting), longest
