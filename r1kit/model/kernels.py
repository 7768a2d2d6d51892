"""Numba kernels of a decoding step, for operations that torch and NumPy run slowly on a CPU.

The decoding steps of a tiny model are so small that calls cost more than their work, and no single
torch operation reads a row's keys and values in place, once, and only as far as they are used. Here
both are plain loops, which Numba compiles to vector instructions when this module is first
imported; the result is cached beside this file. docs/log.md has the measured gains.

Results for a row are bit-identical whatever else is in the batch. Arrays are float32 and
contiguous. NaN and infinities propagate.

Kernels that the rest of r1kit calls return nothing and write into arrays passed to them: creating a
return value calls into Python, where a Ctrl-C would surface as a SystemError.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import boolean, float32, float64, int64, types

from r1kit.model.compile import Kernels

Array = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
ArrayPair = tuple[Array, Array]
SlotPositions = tuple[IntArray, IntArray]
"""[R] cache slot that holds each row's keys and values, and [R] the row's position in it"""
Parameters = tuple[tuple[Array, ...], tuple[Array, ...], tuple[Array, ...]]
"""parameters of a layer: norms (before attention, of queries, of keys, before the MLP), weights and
biases of the projections (q, k, v, o, gate, up, down); an empty array means absent"""

_VECTOR, _MATRIX = float32[::1], float32[:, ::1]
_HEADS, _STORE = float32[:, :, ::1], float32[:, :, :, ::1]
_INDICES, _PAIR, _KV = int64[::1], types.UniTuple(_MATRIX, 2), types.UniTuple(_STORE, 2)
_HEAD, _WHERE = types.Tuple([_MATRIX, _VECTOR]), types.UniTuple(_INDICES, 2)
_PARAMETERS = types.Tuple(
    [types.UniTuple(_VECTOR, 4), types.UniTuple(_MATRIX, 7), types.UniTuple(_VECTOR, 7)]
)
"""Numba's types of the arguments, as `Parameters` is one"""

_ONE, _HALF, _ZERO = np.float32(1), np.float32(0.5), np.float32(0)
_LOG2_E = np.float32(1.4426950408889634)
_LN_2, _LN_2_REST = np.float32(0.693359375), np.float32(-2.12194440e-4)
"""ln 2 split in two; the first part is so short that its products with exponents are exact
(Cody and Waite)"""
_LEAST, _MOST = np.float32(-126), np.float32(127)
"""range of the exponents of normal float32 numbers"""
_C3, _C4, _C5, _C6 = (np.float32(1 / n) for n in (6, 24, 120, 720))


_kernels = Kernels(__file__)
_compiled, _compiled_as_written = _kernels.compiled, _kernels.compiled_as_written


@_compiled_as_written(float32(float32))
def _exp(x: np.float32) -> np.float32:
    """Return e^x, accurate to two units in the last place, in vectorisable operations.

    Computed as 2^n times the first terms of the series; 0 where the result would be subnormal.
    """
    power = x * _LOG2_E
    n = np.floor(min(max(power, _LEAST), _MOST) + _HALF)
    f = (x - n * _LN_2) - n * _LN_2_REST
    series = _ONE + f * (_ONE + f * (_HALF + f * (_C3 + f * (_C4 + f * (_C5 + f * _C6)))))
    scaled = series * np.int32((np.int32(n) + np.int32(127)) << np.int32(23)).view(np.float32)
    return _ZERO if power < _LEAST else scaled


@_compiled(types.void(_MATRIX, _MATRIX, _VECTOR, _MATRIX))
def _multiply(x: Array, weight: Array, bias: Array, y: Array) -> None:
    """Compute `linear` into y [R, out].

    Works in blocks of 2 x 4 sums, as many as fit in registers. A block that crosses the edge
    repeats the last row or column, so that every sum uses the same instructions in any batch.
    """
    rows, out = len(x), len(weight)
    for o in range(0, out, 4):
        p, q, s = min(o + 1, out - 1), min(o + 2, out - 1), min(o + 3, out - 1)
        for r in range(0, rows, 2):
            t = min(r + 1, rows - 1)
            ro = rp = rq = rs = to = tp = tq = ts = _ZERO
            for i in range(x.shape[1]):
                a, b = x[r, i], x[t, i]
                ro += a * weight[o, i]
                rp += a * weight[p, i]
                rq += a * weight[q, i]
                rs += a * weight[s, i]
                to += b * weight[o, i]
                tp += b * weight[p, i]
                tq += b * weight[q, i]
                ts += b * weight[s, i]
            y[r, o], y[r, p], y[r, q], y[r, s] = ro, rp, rq, rs
            y[t, o], y[t, p], y[t, q], y[t, s] = to, tp, tq, ts
    if len(bias):
        for r in range(rows):
            for o in range(out):
                y[r, o] += bias[o]


@_compiled(_MATRIX(_MATRIX, _MATRIX, _VECTOR))
def linear(x: Array, weight: Array, bias: Array) -> Array:
    """Apply a weight [out, in] to [R, in] -> [R, out]; an empty bias means none."""
    y = np.empty((len(x), len(weight)), np.float32)
    _multiply(x, weight, bias, y)
    return y


@_compiled(_MATRIX(_MATRIX, _VECTOR, float32))
def norm(x: Array, weight: Array, eps: np.float32) -> Array:
    """Apply RMSNorm to [R, D]."""
    y = np.empty_like(x)
    for r in range(len(x)):
        squares = _ZERO
        for i in range(x.shape[1]):
            squares += x[r, i] * x[r, i]
        scale = _ONE / np.sqrt(squares / np.float32(x.shape[1]) + eps)
        for i in range(x.shape[1]):
            y[r, i] = x[r, i] * scale * weight[i]
    return y


@_compiled(types.void(_HEADS, _PAIR, _INDICES))
def rotate(x: Array, cos_sin: ArrayPair, positions: IntArray) -> None:
    """Rotate [R, heads, D] in place, with tables of cosines and sines, [L, D] each."""
    cos, sin = cos_sin
    half = x.shape[2] // 2
    for r in range(len(x)):
        p = positions[r]
        for h in range(x.shape[1]):
            for i in range(half):
                a, b = x[r, h, i], x[r, h, half + i]
                x[r, h, i] = a * cos[p, i] - b * sin[p, i]
                x[r, h, half + i] = b * cos[p, half + i] + a * sin[p, half + i]


@_compiled(types.void(_VECTOR))
def _softmax(scores: Array) -> None:
    """Apply softmax to one row in place."""
    most, total = scores[0], _ZERO
    for t in range(len(scores)):
        most = max(most, scores[t])
    for t in range(len(scores)):
        scores[t] = _exp(scores[t] - most)
        total += scores[t]
    for t in range(len(scores)):
        scores[t] /= total


@_compiled(types.void(_MATRIX, _HEADS, _HEADS, int64, int64, float32, float32, _MATRIX, _MATRIX))
def _attend_row(
    query: Array,
    keys: Array,
    values: Array,
    begin: int,
    end: int,
    scale: np.float32,
    softcap: np.float32,
    weights: Array,
    attended: Array,
) -> None:
    """Run `attend` for one row: [heads, D] against keys begin..end of [kv_heads, L, D].

    All heads advance through the sequence together: reading several streams of memory at once is
    faster.
    """
    group = len(query) // len(keys)
    for t in range(begin, end):
        for kv in range(len(keys)):
            for head in range(kv * group, (kv + 1) * group):
                score = _ZERO
                for d in range(query.shape[1]):
                    score += query[head, d] * keys[kv, t, d]
                score *= scale
                if softcap > _ZERO:
                    score = np.float32(np.tanh(score / softcap)) * softcap
                weights[head, t] = score
    for head in range(len(query)):
        _softmax(weights[head, begin:end])
    for t in range(begin, end):
        for kv in range(len(keys)):
            for head in range(kv * group, (kv + 1) * group):
                for d in range(values.shape[2]):
                    attended[head, d] += weights[head, t] * values[kv, t, d]


@_compiled(types.void(_HEADS, _KV, _WHERE, float32, int64, float32, _HEADS))
def attend(
    query: Array,
    kv: ArrayPair,
    where: SlotPositions,
    scale: np.float32,
    window: int,
    softcap: np.float32,
    attended: Array,
) -> None:
    """Attend: [R, heads, D] against stores [S, kv_heads, L, D], row r to keys 0..its position.

    The output is added to `attended` [R, heads, D]. A window above 0 limits a row to that many of
    the last keys; a softcap above 0 bounds its scores.
    """
    (keys, values), (slots, positions) = kv, where
    weights = np.empty((query.shape[1], keys.shape[2]), np.float32)
    for r in range(len(query)):
        slot, end = slots[r], positions[r] + 1
        begin = max(0, end - window) if window > 0 else 0
        _attend_row(
            query[r], keys[slot], values[slot], begin, end, scale, softcap, weights, attended[r]
        )


@_compiled(types.void(_MATRIX, _MATRIX))
def gated(gates: Array, ups: Array) -> None:
    """Compute SiLU(gates) * ups in place, into gates [R, D]."""
    for r in range(len(gates)):
        for i in range(gates.shape[1]):
            gates[r, i] = gates[r, i] / (_ONE + _exp(-gates[r, i])) * ups[r, i]


@_compiled(_HEADS(_MATRIX, _VECTOR, _PAIR, int64, _WHERE, float32))
def _rotated(
    x: Array, weight: Array, cos_sin: ArrayPair, dim: int, where: SlotPositions, eps: np.float32
) -> Array:
    """Rotate [R, heads * D] -> [R, heads, D], after a per-head norm if the layer has one."""
    heads = x.reshape(-1, dim)
    if len(weight):
        heads = norm(heads, weight, eps)
    rotated = heads.reshape(len(x), -1, dim)
    rotate(rotated, cos_sin, where[1])
    return rotated


@_compiled(_MATRIX(_MATRIX, _PARAMETERS, _PAIR, _KV, _WHERE, float32))
def _written_kv(
    x: Array,
    parameters: Parameters,
    cos_sin: ArrayPair,
    kv: ArrayPair,
    where: SlotPositions,
    eps: np.float32,
) -> Array:
    """Run `write_kv` and return x after the input norm."""
    norms, weights, biases = parameters
    (keys, values), (slots, positions), dim = kv, where, kv[0].shape[3]
    normed = norm(x, norms[0], eps)
    key = _rotated(linear(normed, weights[1], biases[1]), norms[2], cos_sin, dim, where, eps)
    value = linear(normed, weights[2], biases[2]).reshape(len(x), -1, dim)
    for r in range(len(x)):
        for h in range(key.shape[1]):
            for d in range(dim):  # slices would take seconds to compile
                keys[slots[r], h, positions[r], d] = key[r, h, d]
                values[slots[r], h, positions[r], d] = value[r, h, d]
    return normed


@_compiled(types.void(_MATRIX, _PARAMETERS, _PAIR, _KV, _WHERE, float32))
def write_kv(
    x: Array,
    parameters: Parameters,
    cos_sin: ArrayPair,
    kv: ArrayPair,
    where: SlotPositions,
    eps: np.float32,
) -> None:
    """Compute a layer's keys and values from its input [R, hidden] and write them to the stores."""
    _written_kv(x, parameters, cos_sin, kv, where, eps)


@_compiled(types.void(_MATRIX, _MATRIX))
def _add(x: Array, y: Array) -> None:
    for r in range(len(x)):
        for i in range(x.shape[1]):
            x[r, i] += y[r, i]


@_compiled(types.void(_MATRIX, _PARAMETERS, _PAIR, _KV, _WHERE, float32, float32, int64))
def layer(
    x: Array,
    parameters: Parameters,
    cos_sin: ArrayPair,
    kv: ArrayPair,
    where: SlotPositions,
    scale: np.float32,
    eps: np.float32,
    window: int,
) -> None:
    """Run [R, hidden] through a pre-norm layer of rotary attention and SwiGLU, in place.

    Rows may be tokens of the same sequence.
    """
    norms, weights, biases = parameters
    normed = _written_kv(x, parameters, cos_sin, kv, where, eps)
    query = linear(normed, weights[0], biases[0])
    queries = _rotated(query, norms[1], cos_sin, kv[0].shape[3], where, eps)
    attended = np.zeros((*queries.shape[:2], kv[1].shape[3]), np.float32)
    attend(queries, kv, where, scale, window, _ZERO, attended)
    _add(x, linear(attended.reshape(len(x), -1), weights[3], biases[3]))
    normed = norm(x, norms[3], eps)
    gates = linear(normed, weights[4], biases[4])
    gated(gates, linear(normed, weights[5], biases[5]))
    _add(x, linear(gates, weights[6], biases[6]))


@_compiled(types.void(_MATRIX, _VECTOR, _HEAD, float32, _MATRIX))
def unembed(x: Array, weight: Array, head: ArrayPair, eps: np.float32, logits: Array) -> None:
    """Compute `logits` [R, V] from [R, hidden], with the final norm and a (weight, bias) head."""
    _multiply(norm(x, weight, eps), head[0], head[1], logits)


@_compiled(int64(_VECTOR, float64))
def _passes(weights: Array, point: np.float64) -> int:
    """Return the index at which the cumulative sum passes `point`.

    If rounding keeps the sum below it, that is the last index with a positive weight.
    """
    running, index = np.float64(0), 0
    for v in range(len(weights)):
        if weights[v] > _ZERO:
            running += np.float64(weights[v])
            index = v
            if running > point:
                break
    return index


@_compiled(types.void(_MATRIX, _VECTOR, boolean[::1], _VECTOR, _INDICES, _VECTOR))
def sample(
    logits: Array,
    temperature: Array,
    greedy: npt.NDArray[np.bool_],
    u: Array,
    tokens: IntArray,
    logprobs: Array,
) -> None:
    """Run `engines.sampling.sample` for rows that do not truncate; empty `greedy`: none is."""
    rows, vocab = logits.shape
    weights = np.empty(vocab, np.float32)
    for r in range(rows):
        likeliest = 0
        for v in range(vocab):
            if logits[r, v] > logits[r, likeliest]:
                likeliest = v
        most = logits[r, likeliest]
        for v in range(vocab):
            weights[v] = _exp((logits[r, v] - most) / temperature[r])
        total = np.float64(0)
        for v in range(vocab):
            total += np.float64(weights[v])
        token = likeliest
        if not (len(greedy) and greedy[r]):
            token = _passes(weights, u[r] * total)
        tokens[r] = token
        below = (logits[r, token] - most) / temperature[r]
        logprobs[r] = np.float32(np.float64(below) - np.log(total))


_kernels.load()
