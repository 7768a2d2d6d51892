"""Beginnings of prompts that have been read before: their keys and values, to read on from.

Kept in blocks of 64 tokens, as DeepSeek's API does: less than that is read again as fast as it is
found. A block is known by the block before it and its own tokens, never by a hash of them, so that
no prompt can be made that finds the keys of another.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch

from r1kit.model.cache import KeyValues

BLOCK = 64
"""tokens"""
_ROOT = 0

_Key = tuple[int, tuple[int, ...]]
"""number of the block before, and the tokens"""


class _Block(NamedTuple):
    number: int
    keys_values: KeyValues


class PrefixCache:
    """At most `max_tokens` tokens of beginnings; those not used for longest leave first."""

    def __init__(self, max_tokens: int) -> None:
        self._most = max_tokens // BLOCK
        self._blocks: OrderedDict[_Key, _Block] = OrderedDict()
        self._n_made = _ROOT

    def __len__(self) -> int:
        """Tokens kept."""
        return len(self._blocks) * BLOCK

    def count(self, ids: Sequence[int]) -> int:
        """How many of the first ids are known."""
        return len(self._path(ids)) * BLOCK

    def longest(self, ids: Sequence[int]) -> tuple[int, KeyValues]:
        """How many of the first ids are known, and the keys and values of those."""
        path = self._path(ids)
        self._touch(path)
        return len(path) * BLOCK, _joined([self._blocks[key].keys_values for key in path])

    def keep(self, ids: Sequence[int], keys_values: KeyValues) -> None:
        """Remember the whole blocks of a prompt that was read."""
        if not self._most:
            return
        keys: list[_Key] = []
        before = _ROOT
        for place, tokens in enumerate(_blocks(ids)):
            key = before, tokens
            if key not in self._blocks:
                self._n_made += 1
                self._blocks[key] = _Block(self._n_made, _part(keys_values, place * BLOCK))
            keys.append(key)
            before = self._blocks[key].number
        self._touch(keys)
        while len(self._blocks) > self._most:
            self._blocks.popitem(last=False)

    def clear(self) -> None:
        """Forget all: the weights have changed."""
        self._blocks.clear()

    def _path(self, ids: Sequence[int]) -> list[_Key]:
        """The blocks that the ids begin with."""
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
        """The last first, so that no block leaves before those that only it leads to."""
        for key in reversed(path):
            self._blocks.move_to_end(key)


def _blocks(ids: Sequence[int]) -> Iterator[tuple[int, ...]]:
    for start in range(0, len(ids) - BLOCK + 1, BLOCK):
        yield tuple(ids[start : start + BLOCK])


def _part(keys_values: KeyValues, start: int) -> KeyValues:
    """One block, as a copy: a view would keep the whole prompt alive."""
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
