"""The prefix cache: keys and values of prompt prefixes that have been prefilled before.

Blocks have 64 tokens, as in DeepSeek's API; shorter prefixes are prefilled again as fast as they
are found. The key of a block is the number of the block before it and its tokens, not a hash of
them, so that no prompt can be crafted to collide with another's keys and values.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch

from r1kit.model.cache import KeyValues

BLOCK = 64
"""tokens per block"""
_ROOT = 0

_Key = tuple[int, tuple[int, ...]]
"""(number of the preceding block, tokens of the block)"""


class _Block(NamedTuple):
    number: int
    keys_values: KeyValues


class PrefixCache:
    """An LRU cache of at most `max_tokens` tokens of prompt prefixes."""

    def __init__(self, max_tokens: int) -> None:
        self._max_blocks = max_tokens // BLOCK
        self._blocks: OrderedDict[_Key, _Block] = OrderedDict()
        self._n_made = _ROOT

    def __len__(self) -> int:
        """Number of cached tokens."""
        return len(self._blocks) * BLOCK

    def count(self, ids: Sequence[int]) -> int:
        """Return the number of leading ids that are cached."""
        return len(self._path(ids)) * BLOCK

    def longest(self, ids: Sequence[int]) -> tuple[int, KeyValues]:
        """Return the number of leading ids that are cached, and their keys and values."""
        path = self._path(ids)
        self._touch(path)
        return len(path) * BLOCK, _joined([self._blocks[key].keys_values for key in path])

    def keep(self, ids: Sequence[int], keys_values: KeyValues) -> None:
        """Add the complete blocks of a prefilled prompt, then evict down to the limit."""
        if not self._max_blocks:
            return
        keys: list[_Key] = []
        before = _ROOT
        for index, tokens in enumerate(_blocks(ids)):
            key = before, tokens
            if key not in self._blocks:
                self._n_made += 1
                self._blocks[key] = _Block(self._n_made, _part(keys_values, index * BLOCK))
            keys.append(key)
            before = self._blocks[key].number
        self._touch(keys)
        while len(self._blocks) > self._max_blocks:
            self._blocks.popitem(last=False)

    def clear(self) -> None:
        """Remove all blocks, because the weights have changed."""
        self._blocks.clear()

    def _path(self, ids: Sequence[int]) -> list[_Key]:
        """Return the keys of the cached blocks that the ids start with."""
        path: list[_Key] = []
        before = _ROOT
        for tokens in _blocks(ids):
            block = self._blocks.get((before, tokens))
            if block is None:
                break
            path.append((before, tokens))
            before = block.number
        return path

    def _touch(self, path: list[_Key]) -> None:
        """Mark blocks as used, last first, so that none is evicted before its successors."""
        for key in reversed(path):
            self._blocks.move_to_end(key)


def _blocks(ids: Sequence[int]) -> Iterator[tuple[int, ...]]:
    for start in range(0, len(ids) - BLOCK + 1, BLOCK):
        yield tuple(ids[start : start + BLOCK])


def _part(keys_values: KeyValues, start: int) -> KeyValues:
    """Copy one block; a view would keep the whole prompt's tensors alive."""
    end = start + BLOCK
    return {
        layer: (keys[:, start:end].clone(), values[:, start:end].clone())
        for layer, (keys, values) in keys_values.items()
    }


def _joined(parts: list[KeyValues]) -> KeyValues:
    if not parts:
        return {}
    return {
        layer: (
            torch.cat([part[layer][0] for part in parts], 1),
            torch.cat([part[layer][1] for part in parts], 1),
        )
        for layer in parts[0]
    }
