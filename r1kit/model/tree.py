"""Prefix tree of a batch: tokens with the same prefix are computed once.

The completions of a group share their prompt, and those of a trained policy often share their first
tokens as well. A token's hidden state depends only on the tokens up to it, so equal prefixes are
equal nodes: the layers run on the nodes, and only attention works on whole sequences. Losses and
gradients are those of the whole sequences, up to rounding.
Source: shared prompts as in Prefix Grouper, arXiv 2506.05433; here any shared prefix counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

StreamIndices = npt.NDArray[np.int64]

MAX_NODE_SHARE = 0.9
"""largest ratio of nodes to tokens at which a tree is worth its bookkeeping"""


class Tree(NamedTuple):
    """A prefix tree of N nodes over a flat stream of T tokens.

    `[5, 6, 7]` and `[5, 6, 8]` are `Tree(first=[0, 1, 2, 5], node=[0, 1, 2, 0, 1, 3])`.
    """

    first: StreamIndices
    """[N] index in the flat stream of the first token of every node"""
    node: StreamIndices
    """[T] the node of every token"""


def starts(lengths: Sequence[int] | StreamIndices) -> StreamIndices:
    """Return the start [B] of each sequence in a flat stream."""
    return np.concatenate([[0], np.cumsum(lengths)[:-1]])


def prefix_tree(token_ids: StreamIndices, lengths: Sequence[int]) -> Tree | None:
    """Build the tree of the sequences in a flat stream [T]; None if they share too little."""
    begins = starts(lengths)
    order, shared = _neighbours(token_ids, begins, np.asarray(lengths))
    if len(token_ids) - shared.sum() > MAX_NODE_SHARE * len(token_ids):
        return None
    node = np.empty(len(token_ids), np.int64)
    first: list[StreamIndices] = []
    n_nodes = 0
    for index, (row, n_shared) in enumerate(zip(order, shared, strict=True)):
        start, end = begins[row], begins[row] + lengths[row]
        if n_shared:
            before = begins[order[index - 1]]
            node[start : start + n_shared] = node[before : before + n_shared]
        own = np.arange(start + n_shared, end)
        node[own] = n_nodes + np.arange(len(own))
        first.append(own)
        n_nodes += len(own)
    return Tree(np.concatenate(first), node)


def _neighbours(
    token_ids: StreamIndices, begins: StreamIndices, lengths: StreamIndices
) -> tuple[StreamIndices, StreamIndices]:
    """Sort the sequences by their tokens; also count the tokens shared with the previous one."""
    table = np.full((len(lengths), lengths.max()), -1)
    for row, (start, length) in enumerate(zip(begins, lengths, strict=True)):
        table[row, :length] = token_ids[start : start + length]
    order = np.lexsort(table.T[::-1])
    ordered = table[order]
    is_equal = (ordered[1:] == ordered[:-1]) & (ordered[1:] >= 0)
    shared = np.cumprod(is_equal, axis=1).sum(1)
    return order, np.concatenate([[0], shared])
