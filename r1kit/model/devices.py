"""The devices of this machine: which one a setting means, and how many ranks they carry."""

from __future__ import annotations

import ctypes
import os
import resource
import sys

import psutil
import torch

from r1kit.config import ComputeConfig
from r1kit.errors import ComputeError

_BF16 = ("avx512_bf16", "amx_bf16", "bf16")
"""keys of `torch.cpu.get_capabilities` for products of bf16 matrices"""
MEMORY_RESERVE = 0.25
"""share of the machine's memory below which freed memory is returned to the system"""


def n_processes(config: ComputeConfig, at_most: int) -> int:
    """Return the number of ranks: as configured, or one per GPU or available physical core."""
    n_there = _n_devices(config)
    if config.n_processes == "auto":
        return max(1, min(n_there, at_most))
    if resolve_device(config.device) == "cuda" and min(config.n_processes, at_most) > n_there:
        raise ComputeError(
            f"compute.n_processes is {config.n_processes} and each needs a GPU of its own, but "
            f'this machine has {n_there}; lower it, or set it to "auto".'
        )
    return min(config.n_processes, at_most)


def shard_degree(config: ComputeConfig, n: int) -> int:
    """Return the number of ranks, of n, that a model is sharded over. Raises ComputeError."""
    stated = config.data_parallel_shard_degree
    degree = n if stated < 1 else stated
    if n % degree:
        raise ComputeError(
            f"compute.data_parallel_shard_degree is {degree}, which does not divide the {n} "
            f"process{'es' * (n > 1)} of this run; set it to -1, for all of them, or change "
            "compute.n_processes."
        )
    return degree


def crowding_warning(config: ComputeConfig, n: int) -> str | None:
    """Return a warning if n processes have to share the cores, else None."""
    cores = _n_devices(config)
    if resolve_device(config.device) != "cpu" or n * config.threads <= cores:
        return None
    return (
        f"{n} processes x {config.threads} threads share {cores} cores, which is slower than one a "
        'core: set compute.n_processes to "auto" and compute.threads to 1.'
    )


def _n_devices(config: ComputeConfig) -> int:
    """Return the number of GPUs, or of physical cores this process may use."""
    kind = resolve_device(config.device)
    if kind == "cuda":
        return torch.cuda.device_count()
    if kind == "mps":
        return 1
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return min(psutil.cpu_count(logical=False) or 1, allowed or 1)


def resolve_device(device: str = "auto", setting: str = "compute.device") -> str:
    """Return "cpu", "cuda" or "mps"; "auto" means CUDA if it is available, else the CPU.

    Raises ComputeError, which names the `setting`, if the device is not available.
    """
    present = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": _has_mps()}
    if device == "auto":
        return "cuda" if present["cuda"] else "cpu"
    if not present[device]:
        raise ComputeError(
            f"This machine has no {device} device for torch; set {setting} to "
            f"{' or '.join(kind for kind in present if present[kind])}."
        )
    return device


def has_bf16_matrices(device: torch.device) -> bool:
    """Return True if a device multiplies bf16 matrices in hardware; else fp32 is faster."""
    if device.type != "cpu":
        return True
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name) for name in _BF16)


def peak_memory(device: torch.device) -> float:
    """Return the most bytes that this process has held so far: on its GPU, else resident."""
    if device.type == "cuda":
        return float(torch.cuda.max_memory_reserved(device))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return float(peak if sys.platform == "darwin" else peak * 1024)


def trim_memory(reserve: float = MEMORY_RESERVE) -> None:
    """Return freed memory to the system if less than this share of the machine's is available.

    Tensors of changing sizes leave fragments that glibc keeps: without this a process grows from
    step to step. Where memory is plentiful, keeping it is faster.
    """
    memory = psutil.virtual_memory()
    if sys.platform == "linux" and memory.available < reserve * memory.total:
        malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's, not musl's
        if malloc_trim is not None:
            malloc_trim(0)


def _has_mps() -> bool:
    return torch.backends.mps.is_available()
