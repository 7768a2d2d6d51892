"""New tokens of one sequence behind those whose keys and values are known already."""

from __future__ import annotations

import torch
from torch import Tensor

from r1kit.model.attention import Scores, attend


class Continued:
    """A [1, L] stream that stands behind `n_before` tokens of its own sequence."""

    def __init__(self, n_before: int, length: int) -> None:
        self._n_before = n_before
        self._length = length

    def positions(self) -> Tensor:
        """[1, L]"""
        return torch.arange(self._n_before, self._n_before + self._length)[None]

    def attend(self, query: Tensor, key: Tensor, value: Tensor, scores: Scores) -> Tensor:
        """Keys and values are those of the whole sequence, [1, heads, n_before + L, D]."""
        mask = self._mask(scores.window, query)
        return attend(query, key, value, scores, mask).transpose(1, 2)

    def _mask(self, window: int | None, like: Tensor) -> Tensor:
        """[L, n_before + L] additive"""
        total = self._n_before + self._length
        own = torch.arange(self._n_before, total, device=like.device)[:, None]
        back = own - torch.arange(total, device=like.device)
        seen = back >= 0 if window is None else (back >= 0) & (back < window)
        unseen = torch.zeros(seen.shape, dtype=like.dtype, device=like.device)
        return unseen.masked_fill_(~seen, -torch.inf)
