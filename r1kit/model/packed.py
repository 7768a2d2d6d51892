"""Many sequences in one flat stream, each blind to the others: training and prefill.

Every other layer runs on the [1, T] stream with no padding; only attention works per sequence, on
near-rectangular causal blocks. Departure from padding or variable-length kernels: in a causal block
padding stands after the sequence, so no real query sees it and no mask is needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from r1kit.model.attention import Scores, attend, band

Lengths = npt.NDArray[np.int64]


class Packed:
    """Sequences of the given lengths, one after the other in a [1, sum(lengths)] stream."""

    def __init__(self, lengths: Sequence[int], device: torch.device | str = "cpu") -> None:
        self.lengths = np.asarray(lengths, dtype=np.int64)
        if not len(self.lengths) or self.lengths.min() < 1:
            raise ValueError("a packed stream needs sequences of at least one token each")
        self.blocks = _blocks(self.lengths)
        self.cells, self.homes = _cells(self.lengths, self.blocks, device)

    def positions(self) -> Tensor:
        """[1, T] position of every token in its own sequence."""
        steps = np.concatenate([np.arange(length) for length in self.lengths])
        return torch.from_numpy(steps)[None]

    def attend(self, query: Tensor, key: Tensor, value: Tensor, scores: Scores) -> Tensor:
        q, k, v = (self._spread(x[0].transpose(0, 1)) for x in (query, key, value))
        outputs, start = [], 0
        for rows, length in self.blocks:
            end = start + rows * length
            own = [x[start:end].unflatten(0, (rows, length)).transpose(1, 2) for x in (q, k, v)]
            windowed = scores.window is not None and scores.window < length
            mask = band(length, scores.window or length, q) if windowed else None
            output = attend(own[0], own[1], own[2], scores, mask)
            outputs.append(output.transpose(1, 2).flatten(0, 1))
            start = end
        cells = outputs[0] if len(outputs) == 1 else torch.cat(outputs)
        return self._collect(cells)[None]

    def _spread(self, stream: Tensor) -> Tensor:
        return stream if self.cells is None else _move(stream, self.cells, self.homes)

    def _collect(self, cells: Tensor) -> Tensor:
        return cells if self.homes is None else _move(cells, self.homes, None)


def _blocks(lengths: Lengths) -> list[tuple[int, int]]:
    """(rows, length) of blocks over the sequences, longest first, at most a quarter padding."""
    blocks: list[tuple[int, int]] = []
    for length in -np.sort(-lengths):
        rows, longest = blocks[-1] if blocks else (0, 0)
        if longest and longest - length <= max(8, longest // 4):
            blocks[-1] = (rows + 1, longest)
        else:
            blocks.append((1, int(length)))
    return blocks


def _cells(
    lengths: Lengths, blocks: list[tuple[int, int]], device: torch.device | str
) -> tuple[Tensor | None, Tensor | None]:
    """Which token of the stream fills each cell of the blocks, and each token's cell.

    (None, None) when the stream is one full block already.
    """
    if len(blocks) == 1 and (lengths == lengths[0]).all():
        return None, None
    order = np.argsort(-lengths, kind="stable")
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    cells, homes, first, offset = [], np.empty(lengths.sum(), np.int64), 0, 0
    for rows, length in blocks:
        members = order[first : first + rows]
        steps = np.arange(length)
        own = steps < lengths[members, None]
        tokens = starts[members, None] + np.where(own, steps, 0)
        homes[tokens[own]] = (offset + np.arange(rows * length)).reshape(rows, length)[own]
        cells.append(tokens.reshape(-1))
        first, offset = first + rows, offset + rows * length
    spread = torch.from_numpy(np.concatenate(cells)).to(device)
    return spread, torch.from_numpy(homes).to(device)


def _move(x: Tensor, source: Tensor, back: Tensor | None) -> Tensor:
    moved: Tensor = _Move.apply(x, source, back)  # type: ignore[no-untyped-call]
    return moved


class _Move(torch.autograd.Function):
    """`x[source]`, with a backward pass that copies instead of adding.

    Every real token has one cell and gradients of padding cells are zero, so adding up is not
    needed: going to the cells, the gradient of a token is that of its own cell (`back`); coming
    from them, gradients go to the cells they came from and the rest get zero.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, source: Tensor, back: Tensor | None) -> Tensor:
        ctx.save_for_backward(source if back is None else back)
        ctx.n_cells = None if back is not None else x.shape[0]
        return x.index_select(0, source)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        (index,), grad = ctx.saved_tensors, grads[0]
        if ctx.n_cells is None:
            return grad.index_select(0, index), None, None
        spread = grad.new_zeros(ctx.n_cells, *grad.shape[1:])
        return spread.index_copy_(0, index, grad), None, None
