"""Tokens with the same history are computed once: a batch as a tree of prefixes.

The completions of a group begin with the same prompt, and a trained policy lets them go on alike
for a while. A token's hidden state depends on the tokens before it alone, so equal beginnings are
equal nodes: the layers run on the nodes, and only attention sees whole sequences. Losses and
gradients are those of the whole sequences, up to rounding.
Source: shared prompts as in Prefix Grouper, arXiv 2506.05433; here any shared beginning counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Places = npt.NDArray[np.int64]

WORTH = 0.9
"""A tree with more nodes than this share of the tokens is not worth its bookkeeping."""


class Tree(NamedTuple):
    """`[5, 6, 7]` and `[5, 6, 8]` are `Tree(first=[0, 1, 2, 5], node=[0, 1, 2, 0, 1, 3])`."""

    first: Places
    """[N] the first token, in the flat stream, of every node"""
    node: Places
    """[T] the node of every token"""


def starts(lengths: Sequence[int] | Places) -> Places:
    """[B] where each of the sequences in a flat stream begins."""
    return np.concatenate([[0], np.cumsum(lengths)[:-1]])


def prefix_tree(token_ids: Places, lengths: Sequence[int]) -> Tree | None:
    """The tree of the sequences in a flat stream [T], or None if they hardly share beginnings."""
    begins = starts(lengths)
    order, shared = _neighbours(token_ids, begins, np.asarray(lengths))
    if len(token_ids) - shared.sum() > WORTH * len(token_ids):
        return None
    node = np.empty(len(token_ids), np.int64)
    first: list[Places] = []
    n_nodes = 0
    for place, (row, n_shared) in enumerate(zip(order, shared, strict=True)):
        start, end = begins[row], begins[row] + lengths[row]
        if n_shared:
            before = begins[order[place - 1]]
            node[start : start + n_shared] = node[before : before + n_shared]
        own = np.arange(start + n_shared, end)
        node[own] = n_nodes + np.arange(len(own))
        first.append(own)
        n_nodes += len(own)
    return Tree(np.concatenate(first), node)


def _neighbours(token_ids: Places, begins: Places, lengths: Places) -> tuple[Places, Places]:
    """The sequences in the order of their tokens, and how many each shares with the one before."""
    table = np.full((len(lengths), lengths.max()), -1)
    for row, (start, length) in enumerate(zip(begins, lengths, strict=True)):
        table[row, :length] = token_ids[start : start + length]
    order = np.lexsort(table.T[::-1])
    ordered = table[order]
    alike = (ordered[1:] == ordered[:-1]) & (ordered[1:] >= 0)
    shared = np.cumprod(alike, axis=1).sum(1)
    return order, np.concatenate([[0], shared])
