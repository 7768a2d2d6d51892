"""Layout for prefilling new tokens of a sequence after a prefix that is already cached."""

from __future__ import annotations

import torch
from torch import Tensor

from r1kit.model.attention import ScoreParams, attend


class ChunkedPrefill:
    """A [1, L] stream that continues `n_before` cached tokens of the same sequence."""

    def __init__(self, n_before: int, length: int) -> None:
        self._n_before = n_before
        self._length = length
        self._masks: dict[int | None, Tensor] = {}

    def positions(self) -> Tensor:
        """Return positions [1, L]."""
        return torch.arange(self._n_before, self._n_before + self._length)[None]

    def attend(self, query: Tensor, key: Tensor, value: Tensor, scores: ScoreParams) -> Tensor:
        """Attend; keys and values are those of the whole sequence, [1, heads, n_before + L, D]."""
        if scores.window not in self._masks:  # built once and shared by all layers
            self._masks[scores.window] = self._mask(scores.window, query)
        mask = self._masks[scores.window]
        return attend(query, key, value, scores, mask).transpose(1, 2)

    def _mask(self, window: int | None, like: Tensor) -> Tensor:
        """Return the additive mask [L, n_before + L]."""
        mask = like.new_zeros(self._length, self._n_before + self._length)
        after = torch.ones(self._length, self._length, dtype=torch.bool, device=like.device)
        mask[:, self._n_before :].masked_fill_(after.triu_(1), -torch.inf)
        if window is not None:
            hidden = torch.ones(mask.shape, dtype=torch.bool, device=like.device)
            mask.masked_fill_(hidden.tril_(self._n_before - window), -torch.inf)
        return mask
