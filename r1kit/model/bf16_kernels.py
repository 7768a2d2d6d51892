"""Numba kernels of a decoding step in bfloat16 on a CPU: everything between its matrix products.

torch runs these parts of a layer in about thirty operations, which take longer than the products on
a processor that multiplies bfloat16 matrices in hardware. Numba has no bfloat16, so arrays hold its
bits as uint16. Sums are in float32, and results are rounded where transformers rounds them.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import float32, int64, types, uint16

from r1kit.model.compile import Kernels
from r1kit.model.kernels import Array, SlotPositions, _exp, _softmax

BitArray = npt.NDArray[np.uint16]
"""bfloat16 numbers"""
BitPair = tuple[BitArray, BitArray]

_VECTOR, _MATRIX, _HEADS = uint16[::1], uint16[:, ::1], uint16[:, :, ::1]
_PAIR, _KV = types.UniTuple(_MATRIX, 2), types.UniTuple(uint16[:, :, :, ::1], 2)
_WHERE = types.UniTuple(int64[::1], 2)
_ONE, _ZERO = np.float32(1), np.float32(0)
_NAN, _SHIFT, _LAST, _HALF = np.uint16(0x7FC0), np.uint32(16), np.uint32(1), np.uint32(0x7FFF)

_kernels = Kernels(__file__)


@_kernels.compiled_as_written(float32(uint16))
def widened(bits: np.uint16) -> np.float32:
    """Return the float32 of a bfloat16."""
    return np.uint32(np.uint32(bits) << _SHIFT).view(np.float32)


@_kernels.compiled_as_written(uint16(float32))
def narrowed(x: np.float32) -> np.uint16:
    """Round to the nearest bfloat16, to the even one of two."""
    bits = np.float32(x).view(np.uint32)
    rounded = np.uint32(bits + _HALF + np.uint32(np.uint32(bits >> _SHIFT) & _LAST))
    return _NAN if x != x else np.uint16(rounded >> _SHIFT)


@_kernels.compiled_as_written(float32(float32))
def _rounded(x: np.float32) -> np.float32:
    return widened(narrowed(x))


@_kernels.compiled(types.void(_MATRIX, _VECTOR, float32, _MATRIX))
def norm(x: BitArray, weight: BitArray, eps: np.float32, y: BitArray) -> None:
    """Apply RMSNorm to x [R, D], into y."""
    for r in range(len(x)):
        squares = _ZERO
        for i in range(x.shape[1]):
            squares += widened(x[r, i]) * widened(x[r, i])
        scale = _ONE / np.sqrt(squares / np.float32(x.shape[1]) + eps)
        for i in range(x.shape[1]):
            y[r, i] = narrowed(_rounded(widened(x[r, i]) * scale) * widened(weight[i]))


@_kernels.compiled(types.void(_MATRIX, _MATRIX, _MATRIX, float32[:, ::1]))
def _rotate(x: BitArray, cos: BitArray, sin: BitArray, rotated: Array) -> None:
    """Rotate x [heads, D] by cos and sin [1, D] into `rotated`, rounded to bfloat16."""
    half = x.shape[1] // 2
    for h in range(len(x)):
        for i in range(half):
            a, b = widened(x[h, i]), widened(x[h, half + i])
            rotated[h, i] = _rounded(
                _rounded(a * widened(cos[0, i])) + _rounded(-b * widened(sin[0, i]))
            )
            rotated[h, half + i] = _rounded(
                _rounded(b * widened(cos[0, half + i])) + _rounded(a * widened(sin[0, half + i]))
            )


@_kernels.compiled(types.void(_HEADS, _HEADS, _PAIR, _KV, _WHERE))
def write_kv(
    key: BitArray, value: BitArray, cos_sin: BitPair, kv: BitPair, where: SlotPositions
) -> None:
    """Rotate keys [R, kv_heads, D], and write them and the values to the stores."""
    (keys, values), (slots, positions), (cos, sin) = kv, where, cos_sin
    rotated = np.empty(key.shape[1:], np.float32)
    for r in range(len(key)):
        p = positions[r]
        _rotate(key[r], cos[p : p + 1], sin[p : p + 1], rotated)
        for h in range(key.shape[1]):
            for d in range(key.shape[2]):
                keys[slots[r], h, p, d] = narrowed(rotated[h, d])
                values[slots[r], h, p, d] = value[r, h, d]


@_kernels.compiled(types.void(_HEADS, _PAIR, _KV, _WHERE, float32, int64, _HEADS))
def attend(
    query: BitArray,
    cos_sin: BitPair,
    kv: BitPair,
    where: SlotPositions,
    scale: np.float32,
    window: int,
    attended: BitArray,
) -> None:
    """Rotate queries [R, heads, D] and attend, row r to keys 0..its position, into `attended`.

    The stores of keys and values are [S, kv_heads, L, D]. A window above 0 limits a row to that
    many of the last keys.
    """
    (keys, values), (slots, positions), (cos, sin) = kv, where, cos_sin
    heads, dim = query.shape[1], query.shape[2]
    group = heads // keys.shape[1]
    rotated, total = np.empty((heads, dim), np.float32), np.empty((heads, dim), np.float32)
    weights, wide = np.empty((heads, keys.shape[2]), np.float32), np.empty(dim, np.float32)
    for r in range(len(query)):
        slot, p = slots[r], positions[r]
        begin = max(0, p + 1 - window) if window > 0 else 0
        _rotate(query[r], cos[p : p + 1], sin[p : p + 1], rotated)
        total[:] = _ZERO
        for kv_head in range(keys.shape[1]):
            for t in range(begin, p + 1):
                for d in range(dim):
                    wide[d] = widened(keys[slot, kv_head, t, d])
                for head in range(kv_head * group, (kv_head + 1) * group):
                    score = _ZERO
                    for d in range(dim):
                        score += rotated[head, d] * wide[d]
                    weights[head, t] = score * scale
        for head in range(heads):
            _softmax(weights[head, begin : p + 1])
        for kv_head in range(keys.shape[1]):
            for t in range(begin, p + 1):
                for d in range(dim):
                    wide[d] = widened(values[slot, kv_head, t, d])
                for head in range(kv_head * group, (kv_head + 1) * group):
                    for d in range(dim):
                        total[head, d] += weights[head, t] * wide[d]
        for head in range(heads):
            for d in range(dim):
                attended[r, head, d] = narrowed(total[head, d])


@_kernels.compiled(types.void(_MATRIX, _MATRIX))
def gated(gates: BitArray, ups: BitArray) -> None:
    """Compute SiLU(gates) * ups in place, into gates [R, D]."""
    for r in range(len(gates)):
        for i in range(gates.shape[1]):
            gate = widened(gates[r, i])
            silu = _rounded(gate / (_ONE + _exp(-gate)))
            gates[r, i] = narrowed(silu * widened(ups[r, i]))


_kernels.load()
