"""The decoder: runs the model on one new token per sequence, and holds the KV cache.

Sequences with the same tokens so far share a branch: one row of the KV cache, which is decoded
once. All sequences of a request start on one branch; those that sample different tokens part.
Branches are the prefix tree that the learner uses too (model/tree.py), built while sampling: with a
low-entropy policy, the completions of a group stay identical for long.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from r1kit.engines.local.slots import Slots
from r1kit.model.cache import DecodeCache, KeyValues
from r1kit.model.fused import Inference

_FIRST_LENGTH = 64
"""initial tokens per row of an empty cache"""


class BatchDecoder:
    """Decodes the sequences in `slots`; `branch` of a slot is its row of the KV cache."""

    def __init__(
        self,
        inference: Inference,
        slots: Slots,
        vocab_size: int,
        largest: Callable[[], tuple[int, int]],
    ) -> None:
        """`largest` returns the rows and the length that the cache may need until it is empty."""
        self.cache = DecodeCache()
        self.n_branches = 0
        self._inference = inference
        self._slots = slots
        self._vocab_size = vocab_size
        self._largest = largest

    def add(self, prefix: KeyValues, n_slots: int, length: int) -> int:
        """Return a new branch with `prefix`, for `n_slots` sequences of `length` tokens."""
        self._reserve(self._slots.n + n_slots, length)
        self.cache.fill(self.n_branches, prefix)
        self.n_branches += 1
        return self.n_branches - 1

    def decode(self) -> Tensor:
        """Read the last token of every sequence; return the logits of the next, [R, V] float32."""
        slots = self._slots
        branch = slots.branch[: slots.n]
        representative = torch.empty(self.n_branches, dtype=torch.int64, device=branch.device)
        representative[branch] = torch.arange(slots.n, device=branch.device)  # any slot of it
        positions = slots.position[representative]
        used = int(positions.max()) + 1
        self._reserve(slots.n, used)
        logits = self._inference.decode(slots.token[representative], positions, self.cache, used)
        return logits[branch].float()

    def split_branches(self) -> None:
        """Give every distinct history in the slots a branch, compact at the front of the cache.

        The first of the histories that split from a branch keeps its place if that is among the
        first n; the others move or are copied to the free places in between.
        """
        slots = self._slots
        histories = slots.branch[: slots.n] * self._vocab_size + slots.token[: slots.n]
        histories, inverse = histories.unique(return_inverse=True)
        source, n = histories // self._vocab_size, len(histories)
        is_first = source < n
        is_first[1:] &= source[1:] != source[:-1]
        is_free = torch.ones(n, dtype=torch.bool, device=source.device)
        is_free[source[is_first]] = False
        target = source.clone()
        target[~is_first] = is_free.nonzero()[:, 0]
        moving = (target != source).nonzero()[:, 0]
        if len(moving):
            used = int(slots.position[: slots.n].max())
            self.cache.move(source[moving], target[moving], used)
        slots.branch[: slots.n] = target[inverse]
        self.n_branches = n

    def _reserve(self, rows: int, length: int) -> None:
        """Grow the cache to at least rows x length: a quarter longer at a time, never beyond need.

        The step is only a quarter because decoding reads all allocated keys. Growing while the
        queue is empty also shrinks the cache to the rows that are left.
        """
        cache = self.cache
        if rows <= cache.rows and length <= cache.length:
            return
        max_num_seqs, longest = self._largest()
        preferred = _FIRST_LENGTH
        if self.n_branches:
            preferred = cache.length * 5 // 4 if length > cache.length else cache.length
        cache.reserve(max_num_seqs, min(max(length, preferred), longest), self.n_branches)
