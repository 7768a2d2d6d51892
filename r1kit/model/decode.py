"""One new token a row against the key/value cache.

On a CPU in fp32, a row's product with its keys is a weighted sum of rows of the transposed keys,
and its product with the probabilities a weighted sum of value vectors: both are what torch calls an
embedding bag, whose kernel (FBGEMM) reads memory about twice as fast as batches of tiny matrix
products do. Everywhere else it is one call of `scaled_dot_product_attention`.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from r1kit.model.attention import Scores, attend


def keeps_keys_transposed(like: Tensor) -> bool:
    """Whether `Decode` wants the keys of a cache stored [R, heads, D, L]."""
    return like.device.type == "cpu" and like.dtype == torch.float32


class Decode:
    """Row r stands at `positions[r]` and sees the cached keys 0..positions[r]."""

    def __init__(self, positions: Tensor, used: int) -> None:
        self.positions = positions
        """[R]"""
        self.used = used
        """keys of the longest row"""
        self._masks: dict[int | None, Tensor] = {}
        self._bags: dict[tuple[int, ...], _Bags] = {}

    def attend(self, query: Tensor, key: Tensor, value: Tensor, scores: Scores) -> Tensor:
        """Keys and values are [R, heads, L, D], L >= used; the rest as `attention.Layout`."""
        rows, heads, _, dim = query.shape
        kv_heads = key.shape[1]
        if keeps_keys_transposed(query):
            output = self._attend_bags(query, key.transpose(2, 3), value, scores)
        else:
            # The queries of one key head become the rows of one product: no repeated keys.
            grouped = query.reshape(rows, kv_heads, heads // kv_heads, dim)
            key, value = key[:, :, : self.used], value[:, :, : self.used]
            mask = self._mask(scores.window, query.dtype)[:, None, None]
            output = attend(grouped, key, value, scores, mask)
        return output.reshape(rows, 1, heads, -1)

    def _attend_bags(self, query: Tensor, keys: Tensor, values: Tensor, scores: Scores) -> Tensor:
        rows, heads, _, dim = query.shape
        _, kv_heads, length, value_dim = values.shape
        query = query * (dim**-0.5 if scores.scale is None else scores.scale)
        bags = self._bag(rows, heads, kv_heads, dim, dim)
        logits = _weighted_sums(keys.reshape(-1, length), bags, query)
        logits = logits.view(rows, heads, length)[:, :, : self.used]
        if scores.softcap is not None:
            logits = torch.tanh(logits / scores.softcap) * scores.softcap
        probs = logits.add_(self._mask(scores.window, query.dtype)[:, None]).softmax(-1)
        bags = self._bag(rows, heads, kv_heads, length, self.used)
        return _weighted_sums(values.reshape(-1, value_dim), bags, probs)

    def _bag(self, rows: int, heads: int, kv_heads: int, stride: int, size: int) -> _Bags:
        """For every row and head, the first `size` of the `stride` table rows of its key head."""
        shape = rows, heads, kv_heads, stride, size
        if shape not in self._bags:
            device = self.positions.device
            head = torch.arange(heads, dtype=torch.int32, device=device) // (heads // kv_heads)
            row = torch.arange(rows, dtype=torch.int32, device=device) * kv_heads
            first = (row[:, None] + head).reshape(-1, 1) * stride
            members = first + torch.arange(size, dtype=torch.int32, device=device)
            starts = torch.arange(0, rows * heads * size, size, dtype=torch.int32, device=device)
            self._bags[shape] = members.reshape(-1), starts
        return self._bags[shape]

    def _mask(self, window: int | None, dtype: torch.dtype) -> Tensor:
        """[R, used]: 0 where a row sees, -inf where it does not"""
        if window not in self._masks:
            back = self.positions[:, None] - torch.arange(self.used, device=self.positions.device)
            seen = back >= 0 if window is None else (back >= 0) & (back < window)
            unseen = torch.zeros(seen.shape, dtype=dtype, device=seen.device)
            self._masks[window] = unseen.masked_fill_(~seen, -torch.inf)
        return self._masks[window]


_Bags = tuple[Tensor, Tensor]
"""rows of a table, bag after bag, and where each bag begins"""


def _weighted_sums(table: Tensor, bags: _Bags, weights: Tensor) -> Tensor:
    """[n_bags, table.shape[1]]: the weighted sum of the table rows in every bag."""
    members, starts = bags
    return F.embedding_bag(
        members, table, starts, mode="sum", per_sample_weights=weights.reshape(-1)
    )
