"""Loops of one decoding step, compiled, where what torch and NumPy have is slow on a CPU.

A tiny model is sampled in steps so small that calls cost more than the work they do; and no single
operation of torch reads a row's keys and values as they lie, once and no further than they are
used. Here both are plain loops, which Numba compiles to what the machine can do eight at a time:
the first time on a machine, and kept beside this file. docs/log.md has what they bring.

A row's numbers depend on that row alone: what a kernel says of it is the same, to the bit, whoever
is in the batch. Arrays are float32 and contiguous. NaN and infinities stay what they are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from numba import njit

Array = npt.NDArray[np.float32]
Places = npt.NDArray[np.int64]
NOTHING = np.zeros((0, 0, 0), np.float32), np.zeros((0, 0, 0), np.float32)
"""no new keys and values"""
_Function = TypeVar("_Function", bound=Callable[..., Any])

_ONE, _HALF, _ZERO = np.float32(1), np.float32(0.5), np.float32(0)
_LOG2_E = np.float32(1.4426950408889634)
_LN_2, _LN_2_REST = np.float32(0.693359375), np.float32(-2.12194440e-4)
"""the first with so few digits that its products with exponents are exact (Cody and Waite)"""
_LEAST, _MOST = np.float32(-126), np.float32(127)
"""exponents of normal numbers"""
_C3, _C4, _C5, _C6 = (np.float32(1 / n) for n in (6, 24, 120, 720))


def _compiled(function: _Function) -> _Function:
    """The compiler may order the sums as it likes; NaN and infinities go on to mean something."""
    return _kept(function, {"contract", "reassoc", "nsz", "arcp"})


def _compiled_as_written(function: _Function) -> _Function:
    return _kept(function, {"contract"})


def _kept(function: _Function, freedom: set[str]) -> _Function:
    """Compiled at the first call, and kept; only for this process where nothing can be kept."""
    try:
        kept: _Function = njit(function, cache=True, nogil=True, fastmath=freedom)
    except RuntimeError:  # neither beside this file nor in the user's cache
        kept = njit(function, nogil=True, fastmath=freedom)
    return kept


@_compiled_as_written
def _exp(x: np.float32) -> np.float32:
    """To two units in the last place, in operations that a compiler can do many at a time.

    2^n times the first terms of the series; 0 where it would not be a normal number.
    """
    power = x * _LOG2_E
    n = np.floor(min(max(power, _LEAST), _MOST) + _HALF)
    f = (x - n * _LN_2) - n * _LN_2_REST
    series = _ONE + f * (_ONE + f * (_HALF + f * (_C3 + f * (_C4 + f * (_C5 + f * _C6)))))
    scaled = series * np.int32((np.int32(n) + np.int32(127)) << np.int32(23)).view(np.float32)
    return _ZERO if power < _LEAST else scaled


@_compiled
def linear(x: Array, weight: Array, bias: Array) -> Array:
    """[R, in] and a weight [out, in] -> [R, out]; a bias of no length is none. For few rows."""
    rows, out = len(x), len(weight)
    y = np.empty((rows, out), np.float32)
    for o in range(out):
        start = bias[o] if len(bias) else _ZERO
        for r in range(rows):
            total = start
            for i in range(x.shape[1]):
                total += weight[o, i] * x[r, i]
            y[r, o] = total
    return y


@_compiled
def norm(x: Array, weight: Array, eps: np.float32) -> Array:
    """RMSNorm of [R, D]."""
    y = np.empty_like(x)
    for r in range(len(x)):
        squares = _ZERO
        for i in range(x.shape[1]):
            squares += x[r, i] * x[r, i]
        scale = _ONE / np.sqrt(squares / np.float32(x.shape[1]) + eps)
        for i in range(x.shape[1]):
            y[r, i] = x[r, i] * scale * weight[i]
    return y


@_compiled
def rotate(x: Array, cos: Array, sin: Array, places: Places) -> None:
    """Rotary embedding of [R, heads, D] in place, by tables [L, D]."""
    half = x.shape[2] // 2
    for r in range(len(x)):
        p = places[r]
        for h in range(x.shape[1]):
            for i in range(half):
                a, b = x[r, h, i], x[r, h, half + i]
                x[r, h, i] = a * cos[p, i] - b * sin[p, i]
                x[r, h, half + i] = b * cos[p, half + i] + a * sin[p, half + i]


@_compiled
def _softmax(scores: Array) -> None:
    """In place, of one row."""
    most, total = scores[0], _ZERO
    for t in range(len(scores)):
        most = max(most, scores[t])
    for t in range(len(scores)):
        scores[t] = _exp(scores[t] - most)
        total += scores[t]
    for t in range(len(scores)):
        scores[t] /= total


@_compiled
def _look_back(
    query: Array,
    keys: Array,
    values: Array,
    begin: int,
    end: int,
    scale: np.float32,
    softcap: np.float32,
    weights: Array,
    seen: Array,
) -> None:
    """`attend` of one row: [heads, D] against keys begin..end of [kv_heads, L, D], into `seen`."""
    group = len(weights)
    for kv in range(len(keys)):
        first = kv * group
        for t in range(begin, end):
            for j in range(group):
                score = _ZERO
                for d in range(query.shape[1]):
                    score += query[first + j, d] * keys[kv, t, d]
                score *= scale
                if softcap > _ZERO:
                    score = np.float32(np.tanh(score / softcap)) * softcap
                weights[j, t] = score
        for j in range(group):
            _softmax(weights[j, begin:end])
        for t in range(begin, end):
            for j in range(group):
                for d in range(values.shape[2]):
                    seen[first + j, d] += weights[j, t] * values[kv, t, d]


@_compiled
def attend(
    query: Array,
    new: tuple[Array, Array],
    keys: Array,
    values: Array,
    places: Places,
    scale: np.float32,
    window: int,
    softcap: np.float32,
) -> Array:
    """[R, heads, D] against stores [.., kv_heads, L, D] -> what row r sees of keys 0..places[r].

    New keys and values, [R, kv_heads, D] each, are first put at the places, row by row, while its
    memory is at hand; those of no length are none. A window above 0 is how many of the last a row
    sees; a softcap above 0 bounds its scores.
    """
    rows, heads, _ = query.shape
    key, value = new
    seen = np.zeros((rows, heads, values.shape[3]), np.float32)
    weights = np.empty((heads // keys.shape[1], keys.shape[2]), np.float32)
    for r in range(rows):
        end = places[r] + 1
        begin = max(0, end - window) if window > 0 else 0
        if len(key):
            keys[r, :, end - 1], values[r, :, end - 1] = key[r], value[r]
        _look_back(query[r], keys[r], values[r], begin, end, scale, softcap, weights, seen[r])
    return seen


@_compiled
def gated(gates: Array, ups: Array) -> None:
    """SiLU(gates) * ups, in the place of gates [R, D]."""
    for r in range(len(gates)):
        for i in range(gates.shape[1]):
            gates[r, i] = gates[r, i] / (_ONE + _exp(-gates[r, i])) * ups[r, i]


@_compiled
def draw(
    logits: Array, temperature: Array, greedy: npt.NDArray[np.bool_], u: Array
) -> tuple[Places, Array]:
    """`engines.sampler.draw` where no row truncates; a `greedy` of no length is none."""
    rows, vocab = logits.shape
    tokens, logprobs = np.empty(rows, np.int64), np.empty(rows, np.float32)
    weights = np.empty(vocab, np.float32)
    for r in range(rows):
        likeliest = 0
        for v in range(vocab):
            if logits[r, v] > logits[r, likeliest]:
                likeliest = v
        most = logits[r, likeliest] / temperature[r]
        for v in range(vocab):
            weights[v] = _exp(logits[r, v] / temperature[r] - most)
        total = np.float64(0)
        for v in range(vocab):
            total += np.float64(weights[v])
        token = likeliest
        if not (len(greedy) and greedy[r]):
            token = _passes(weights, u[r] * total)
        tokens[r] = token
        below = logits[r, token] / temperature[r] - most
        logprobs[r] = np.float32(np.float64(below) - np.log(total))
    return tokens, logprobs


@_compiled
def _passes(weights: Array, point: np.float64) -> int:
    """Where the running sum passes the point; by rounding at most the last that has weight."""
    running, place = np.float64(0), 0
    for v in range(len(weights)):
        if weights[v] > _ZERO:
            running += np.float64(weights[v])
            place = v
            if running > point:
                break
    return place
