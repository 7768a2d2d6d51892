"""Key/value caches: the output of a prefill, and the preallocated rows used for decoding.

Both implement transformers' cache interface: the model calls `update` in every layer.
Departure from transformers' own caches: each row has its own position, rows are written in place,
and active rows stay compact at the front, so a forward pass never reads a finished row.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache

from r1kit.model.decode import Decode

KeyValues = dict[int, tuple[Tensor, Tensor]]
"""layer index -> keys and values, [heads, P, D] each"""


def as_array(tensor: Tensor) -> Any:
    """Return a NumPy view of a tensor on the CPU; the bits of bfloat16 numbers are uint16."""
    bits = tensor.view(torch.uint16) if tensor.dtype == torch.bfloat16 else tensor
    return bits.numpy()


class PrefillStream(KeyValues):
    """Keys and values of one sequence, and the larger buffers they are views of.

    The spare room in the buffers lets a continuation be written in place.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stores: KeyValues = {}


class PrefillCache(Cache):  # type: ignore[misc]
    """The keys and values of one stream, appended to those of the prefix `before`.

    If `before` is itself a continuation and its buffers have room, it is extended in place, so that
    a prompt prefilled in many chunks is not copied for each chunk. A sequence can therefore be
    continued only once.
    """

    def __init__(self, before: KeyValues | None = None) -> None:
        super().__init__(layers=[])
        self.stream = PrefillStream()
        self._before = before or {}

    def update(
        self, keys: Tensor, values: Tensor, layer_idx: int, *args: object, **kwargs: object
    ) -> tuple[Tensor, Tensor]:
        if layer_idx in self._before:
            keys, values = (x[None] for x in self._behind(layer_idx, keys[0], values[0]))
        self.stream[layer_idx] = keys[0], values[0]
        return keys, values

    def _behind(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Return keys and values of the whole sequence, [heads, P, D] each."""
        old = self._before[layer]
        start, end = old[0].shape[1], old[0].shape[1] + keys.shape[1]
        stores = self._before.stores.get(layer) if isinstance(self._before, PrefillStream) else None
        if stores is None or stores[0].shape[1] < end:
            stores = _with_room(old[0], 2 * end), _with_room(old[1], 2 * end)
        self.stream.stores[layer] = stores
        for store, new in zip(stores, (keys, values), strict=True):
            store[:, start:end] = new
        return stores[0][:, :end], stores[1][:, :end]

    def split(self, lengths: list[int]) -> list[KeyValues]:
        """Split the keys and values of the stream into those of each sequence."""
        parts: list[KeyValues] = [{} for _ in lengths]
        for layer, (keys, values) in self.stream.items():
            both = zip(keys.split(lengths, 1), values.split(lengths, 1), strict=True)
            for part, pair in zip(parts, both, strict=True):
                part[layer] = pair
        return parts


def _with_room(old: Tensor, length: int) -> Tensor:
    heads, n, dim = old.shape
    store = old.new_empty(heads, length, dim)
    store[:, :n] = old
    return store


class DecodeCache(Cache):  # type: ignore[misc]
    """Keys and values of `rows` sequences of up to `length` tokens, allocated on first use."""

    def __init__(self) -> None:
        super().__init__(layers=[])
        self.rows = 0
        self.length = 0
        self._stores: dict[int, tuple[Tensor, Tensor]] = {}
        self._decode = Decode(torch.zeros(0, dtype=torch.int64), 0)
        self._index = torch.zeros(0, dtype=torch.int64)

    def reserve(self, rows: int, length: int, n_kept: int) -> None:
        """Resize to `rows` x `length`; the first `kept` rows keep their contents."""
        if (rows, length) == (self.rows, self.length):
            return
        self.rows, self.length = rows, length
        for layer, stores in self._stores.items():
            self._stores[layer] = self._resized(stores, n_kept)

    def at(self, positions: Tensor, used: int) -> Decode:
        """Set row r to `positions[r]`, all below `used`: the next forward pass writes there."""
        self._decode = Decode(positions, used)
        self._index = torch.arange(len(positions), device=positions.device)
        return self._decode

    def update(
        self, keys: Tensor, values: Tensor, layer_idx: int, *args: object, **kwargs: object
    ) -> tuple[Tensor, Tensor]:
        """Write [R, heads, 1, D] at the positions and return the full rows, [R, heads, L, D]."""
        stores = self._store(layer_idx, keys, values)
        rows = len(self._index)
        for store, new in zip(stores, (keys, values), strict=True):
            store[self._index, :, self._decode.positions] = new[:, :, 0]
        return stores[0][:rows], stores[1][:rows]

    def arrays(
        self, layer: int, heads: int, dim: int, dtype: torch.dtype = torch.float32
    ) -> tuple[Any, Any]:
        """Return NumPy views of the keys and values of all rows, [R, heads, L, D].

        The bits of bfloat16 numbers are uint16.
        """
        if layer not in self._stores:
            empty = torch.zeros(0, heads, 1, dim, dtype=dtype)
            self._store(layer, empty, empty)
        keys, values = self._stores[layer]
        return as_array(keys), as_array(values)

    def fill(self, row: int, prefix: KeyValues) -> None:
        """Copy a prefix into the beginning of a row."""
        for layer, pair in prefix.items():
            stores = self._store(layer, *(x[None] for x in pair))
            for store, new in zip(stores, pair, strict=True):
                store[row, :, : new.shape[1]] = new

    def move(self, sources: Tensor, targets: Tensor, used: int) -> None:
        """Copy the first `used` tokens of rows over other rows; no target is a source."""
        for stores in self._stores.values():
            for store in stores:
                store[targets, :, :used] = store[sources, :, :used]

    def _store(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        if layer not in self._stores:
            self._stores[layer] = self._resized((keys[:0], values[:0]), 0)
        return self._stores[layer]

    def _resized(self, old: tuple[Tensor, Tensor], n_kept: int) -> tuple[Tensor, Tensor]:
        keys, values = (self._zeros(store) for store in old)
        shared = min(old[0].shape[2], self.length)
        for store, source in zip((keys, values), old, strict=True):
            store[:n_kept, :, :shared] = source[:n_kept, :, :shared]
        return keys, values

    def _zeros(self, like: Tensor) -> Tensor:
        """Allocate zeros [rows, heads, length, D]: 0 times an infinity left in memory is NaN."""
        _, heads, _, dim = like.shape
        return like.new_zeros(self.rows, heads, self.length, dim)
