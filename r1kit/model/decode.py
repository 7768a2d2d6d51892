"""Decoding layout: one new token per row against the key/value cache.

On a CPU in float32 a compiled loop (kernels.py) reads each row's keys and values once, up to the
row's own length. Everywhere else it is one call of `scaled_dot_product_attention`, which reads all
rows up to the length of the longest.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from r1kit.model import kernels
from r1kit.model.attention import ScoreParams, attend


class Decode:
    """A decoding step in which row r attends to the cached keys 0..positions[r]."""

    def __init__(self, positions: Tensor, used: int) -> None:
        self.positions = positions
        """[R]"""
        self.used = used
        """number of keys in the longest row"""
        self._masks: dict[int | None, Tensor] = {}

    def attend(self, query: Tensor, key: Tensor, value: Tensor, scores: ScoreParams) -> Tensor:
        """Attend as in `attention.Layout`; keys and values are [R, heads, L, D], L >= used."""
        rows, heads, _, dim = query.shape
        if query.device.type == "cpu" and query.dtype == torch.float32:
            output = self._looped(query.reshape(rows, heads, dim), key, value, scores)
        else:
            # Queries that share a key head become rows of one product, so keys are not repeated.
            grouped = query.reshape(rows, key.shape[1], -1, dim)
            key, value = key[:, :, : self.used], value[:, :, : self.used]
            mask = self.mask(scores.window, query.dtype)[:, None, None]
            output = attend(grouped, key, value, scores, mask)
        return output.reshape(rows, 1, heads, -1)

    def _looped(self, query: Tensor, key: Tensor, value: Tensor, scores: ScoreParams) -> Tensor:
        scale = query.shape[-1] ** -0.5 if scores.scale is None else scores.scale
        attended = np.zeros((*query.shape[:2], value.shape[3]), np.float32)
        kernels.attend(
            query.contiguous().numpy(),
            (key.contiguous().numpy(), value.contiguous().numpy()),
            (np.arange(len(query)), self.positions.numpy()),
            np.float32(scale),
            scores.window or 0,
            np.float32(scores.softcap or 0),
            attended,
        )
        return torch.from_numpy(attended)

    def mask(self, window: int | None, dtype: torch.dtype) -> Tensor:
        """Return the additive mask [R, used]: 0 for visible keys, -inf for the others."""
        if window not in self._masks:
            back = self.positions[:, None] - torch.arange(self.used, device=self.positions.device)
            attended = back >= 0 if window is None else (back >= 0) & (back < window)
            unseen = torch.zeros(attended.shape, dtype=dtype, device=attended.device)
            self._masks[window] = unseen.masked_fill_(~attended, -torch.inf)
        return self._masks[window]
