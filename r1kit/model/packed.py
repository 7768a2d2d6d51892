"""Packed layout: many sequences in one flat stream, each attending only to itself.

Used for training and prefill. All layers run on the [1, T] stream with no padding; only attention
works per sequence, on near-rectangular causal blocks of cells. Departure from padding or
variable-length kernels: in a causal block padding follows the sequence, so no real query attends to
it and no mask is needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from r1kit.model.attention import ScoreParams, attend, band
from r1kit.model.tree import Tree, starts

Lengths = npt.NDArray[np.int64]


class Packed:
    """Sequences of the given lengths, back to back in a [1, sum(lengths)] stream.

    With a tree the stream is [1, nodes]: a token shared by several sequences is stored once.
    """

    def __init__(
        self,
        lengths: Sequence[int],
        device: torch.device | str = "cpu",
        tree: Tree | None = None,
    ) -> None:
        self.lengths = np.asarray(lengths, dtype=np.int64)
        if not len(self.lengths) or self.lengths.min() < 1:
            raise ValueError("a packed stream needs sequences of at least one token each")
        self.blocks = _blocks(self.lengths)
        self.tree = tree
        self.index = _block_index(self.lengths, self.blocks, tree, device)

    def positions(self) -> Tensor:
        """Return the position [1, T] of every token within its own sequence."""
        steps = np.concatenate([np.arange(length) for length in self.lengths])
        return torch.from_numpy(steps if self.tree is None else steps[self.tree.first])[None]

    def attend(self, query: Tensor, key: Tensor, value: Tensor, scores: ScoreParams) -> Tensor:
        dtype = query.dtype
        if _is_slow(query):
            query, key, value = query.float(), key.float(), value.float()
        # `split`, because the gradient of each slice would be a full stream of zeros.
        sizes = [rows * length for rows, length in self.blocks]
        streams = [self._gather(x[0].transpose(0, 1)).split(sizes) for x in (query, key, value)]
        outputs = []
        for (rows, length), *block in zip(self.blocks, *streams, strict=True):
            q, k, v = (x.unflatten(0, (rows, length)).transpose(1, 2) for x in block)
            windowed = scores.window is not None and scores.window < length
            mask = band(length, scores.window or length, q) if windowed else None
            outputs.append(attend(q, k, v, scores, mask).transpose(1, 2).flatten(0, 1))
        cells = outputs[0] if len(outputs) == 1 else torch.cat(outputs)
        return self._scatter(cells)[None].to(dtype)

    def _gather(self, stream: Tensor) -> Tensor:
        arranged: Tensor = stream if self.index is None else _Gather.apply(stream, *self.index[:3])  # type: ignore[no-untyped-call]
        return arranged

    def _scatter(self, cells: Tensor) -> Tensor:
        arranged: Tensor = cells if self.index is None else _Scatter.apply(cells, self.index.home)  # type: ignore[no-untyped-call]
        return arranged


class BlockIndex(NamedTuple):
    """Index maps from a stream of T tokens to the cells of the blocks, and back."""

    source: Tensor
    """[cells] the token in each cell"""
    members: Tensor
    """the cells of the first token, of the second, ...; padding cells are in none"""
    begins: Tensor
    """[T] the start of each token's cells in `members`"""
    home: Tensor
    """[T] the first cell of each token, from which its output is read"""


def _is_slow(query: Tensor) -> bool:
    """True if torch's attention is faster in float32: on a CPU its backward pass in bfloat16 takes
    ten times as long."""
    return query.device.type == "cpu" and query.dtype == torch.bfloat16 and query.requires_grad


def _blocks(lengths: Lengths) -> list[tuple[int, int]]:
    """Return (rows, length) of blocks over the sequences, longest first.

    A row has at most 8 cells of padding, or a quarter of the block's length if that is more.
    """
    blocks: list[tuple[int, int]] = []
    for length in -np.sort(-lengths):
        rows, longest = blocks[-1] if blocks else (0, 0)
        if longest and longest - length <= max(8, longest // 4):
            blocks[-1] = (rows + 1, longest)
        else:
            blocks.append((1, int(length)))
    return blocks


def _block_index(
    lengths: Lengths,
    blocks: list[tuple[int, int]],
    tree: Tree | None,
    device: torch.device | str,
) -> BlockIndex | None:
    """Return the index maps, or None if the stream is one full block already."""
    if tree is None and len(blocks) == 1 and (lengths == lengths[0]).all():
        return None
    source, home = _cells(lengths, blocks)
    members, begins = home, np.arange(len(home))
    if tree is not None:
        by_node = np.argsort(tree.node, kind="stable")
        members, begins = home[by_node], starts(np.bincount(tree.node))
        source, home = tree.node[source], home[tree.first]
    tensors = (source, members, begins, home)
    return BlockIndex(*(torch.from_numpy(tensor).to(device) for tensor in tensors))


def _cells(lengths: Lengths, blocks: list[tuple[int, int]]) -> tuple[Lengths, Lengths]:
    """Return the token in each cell of the blocks, and the cell of each token."""
    order = np.argsort(-lengths, kind="stable")
    begins = starts(lengths)
    cells, homes, first, offset = [], np.empty(lengths.sum(), np.int64), 0, 0
    for rows, length in blocks:
        members = order[first : first + rows]
        steps = np.arange(length)
        own = steps < lengths[members, None]
        tokens = begins[members, None] + np.where(own, steps, 0)
        homes[tokens[own]] = (offset + np.arange(rows * length)).reshape(rows, length)[own]
        cells.append(tokens.reshape(-1))
        first, offset = first + rows, offset + rows * length
    return np.concatenate(cells), homes


class _Gather(torch.autograd.Function):
    """Copy tokens [T, heads, D] to cells; the gradient of a token is the sum over its cells.

    Gradients of padding cells are zero and are skipped.
    """

    @staticmethod
    def forward(
        ctx: Any, stream: Tensor, source: Tensor, members: Tensor, begins: Tensor
    ) -> Tensor:
        ctx.save_for_backward(members, begins)
        return stream.index_select(0, source)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (members, begins), cells = ctx.saved_tensors, grads[0]
        if len(members) == len(begins):
            return cells.index_select(0, members), None, None, None
        sums = F.embedding_bag(members, cells.reshape(len(cells), -1), begins, mode="sum")
        return sums.view(-1, *cells.shape[1:]), None, None, None


class _Scatter(torch.autograd.Function):
    """Copy [cells, heads, D] to tokens, each from its home cell; other cells get no gradient."""

    @staticmethod
    def forward(ctx: Any, cells: Tensor, home: Tensor) -> Tensor:
        ctx.save_for_backward(home)
        ctx.n_cells = cells.shape[0]
        return cells.index_select(0, home)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (home,), grad = ctx.saved_tensors, grads[0]
        spread = grad.new_zeros(ctx.n_cells, *grad.shape[1:])
        return spread.index_copy_(0, home, grad), None
