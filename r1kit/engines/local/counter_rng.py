"""Counter-based random numbers for sampling.

Counter-based (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"; mixing function:
splitmix64, Steele et al. 2014): the uniform number of a token is a hash of (seed, completion,
position), so it does not depend on what else is being sampled. On a CPU this runs in NumPy, whose
calls have less overhead than torch's; torch has no unsigned integers. Both give the same bits.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

_STEP = np.uint64(0x9E3779B97F4A7C15)
_MIX_1, _MIX_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_ONE, _27, _30, _31, _40 = (np.uint64(n) for n in (1, 27, 30, 31, 40))


def keys(seed: int, completions: Tensor) -> Tensor:
    """Return the random key, [n] int64 on the CPU, of each completion index [n] of a request."""
    start = _mixed(np.full(len(completions), seed % 2**64, np.uint64))
    mixed = _mixed(start + (_unsigned(completions) + _ONE) * _STEP)
    return torch.from_numpy(mixed.view(np.int64))


def uniform(keys: Tensor, positions: Tensor) -> Tensor:
    """Return [R] float32 in [0, 1) for completion keys [R] and positions in the completion [R]."""
    if keys.device.type != "cpu":
        return _elsewhere(keys, positions)
    bits = _mixed(_unsigned(keys) + (_unsigned(positions) + _ONE) * _STEP) >> _40
    return torch.from_numpy(bits.astype(np.float32) * np.float32(2.0**-24))


def _mixed(x: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    x = (x ^ (x >> _30)) * _MIX_1
    x = (x ^ (x >> _27)) * _MIX_2
    return x ^ (x >> _31)


def _unsigned(x: Tensor) -> npt.NDArray[np.uint64]:
    return x.numpy().view(np.uint64)


def _elsewhere(keys: Tensor, positions: Tensor) -> Tensor:
    step, mix_1, mix_2 = (_signed(int(n)) for n in (_STEP, _MIX_1, _MIX_2))
    x = keys + (positions + 1) * step
    x = (x ^ _shifted(x, 30)) * mix_1
    x = (x ^ _shifted(x, 27)) * mix_2
    x = x ^ _shifted(x, 31)
    return _shifted(x, 40).to(torch.float32) * 2.0**-24


def _signed(value: int) -> int:
    """Return the int64 with the same 64 bits."""
    return (value + 2**63) % 2**64 - 2**63


def _shifted(x: Tensor, bits: int) -> Tensor:
    """Shift right logically; torch's >> is arithmetic (it repeats the sign bit)."""
    return (x >> bits) & ((1 << (64 - bits)) - 1)
