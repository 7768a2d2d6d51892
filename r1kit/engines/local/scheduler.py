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


class Scheduler:
    """The unfinished requests: which prompts a step prefills, and which completions start."""

    def __init__(self, slots: Slots, limits: PrefillLimits) -> None:
        self.limits = limits
        self.requests: list[PrefillState] = []
        """the unfinished requests, in the order in which they were added"""
        self._waiting: deque[PrefillState] = deque()
        """those with completions that have not started, in the order in which they get slots"""
        self._passed_over: PrefillState | None = None
        """the request that had waited longest and got no chunk in the last step"""
        self._slots = slots

    def add(self, state: PrefillState, ahead: bool) -> None:
        """Add a request at the end, or at the front if `ahead`."""
        (self._waiting.appendleft if ahead else self._waiting.append)(state)
        self.requests.append(state)

    def next_chunks(self) -> list[PrefillState]:
        """Return the requests that get a chunk in this step, for slots free now or soon."""
        oldest = next((state for state in self.requests if not state.is_read), None)
        if oldest is None:
            return []
        n_free = self._slots.n_free
        states = self._in_reach(max(n_free, self._slots.capacity // _SOON)) if n_free else []
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

    def start_next(self) -> tuple[PrefillState, range] | None:
        """Start completions of the next request whose prompt is prefilled, one per free slot.

        Return the request and the indices of these completions, or None if nothing can start.
        """
        state = next((state for state in self._waiting if state.is_read), None)
        if state is None or not self._slots.n_free:
            return None
        first = state.n_begun
        state.n_begun += min(self._slots.n_free, state.n_waiting)
        if not state.n_waiting:
            self._waiting.remove(state)
        return state, range(first, state.n_begun)

    def finish(self, state: RequestState, index: int, completion: Completion) -> bool:
        """End one completion; return True if it was the last of its request, which is removed."""
        state.finish(index, completion)
        if not state.n_left:
            self.requests = [other for other in self.requests if other is not state]
            self._waiting = deque(other for other in self._waiting if other is not state)
        return not state.n_left

    def forget(self) -> None:
        """Have all prompts prefilled anew, because the weights have changed."""
        for state in self._waiting:
            state.forget()

    def largest(self) -> tuple[int, int]:
        """Return the most slots at once, and the longest sequence, of all unfinished requests."""
        requests = [state.request for state in self.requests]
        longest = max(len(r.prompt_ids) + r.sampling.max_tokens for r in requests)
        return min(self._slots.capacity, sum(state.n_left for state in self.requests)), longest

    def _in_reach(self, n_slots: int) -> list[PrefillState]:
        """Return the unread requests that fit into `n_slots` slots; long prompts use none."""
        states: list[PrefillState] = []
        for state in self._waiting:
            if n_slots <= 0:
                break
            if not state.is_read:
                states.append(state)
            if state.n_unread <= self.limits.chunk_tokens:
                n_slots -= state.n_waiting
        return states
