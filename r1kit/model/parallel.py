"""Data parallelism by processes: the same program on every rank, one rank a core or a GPU.

For a model of a million parameters two processes of one thread are 1.4 times one process of two
threads, and a gradient is three megabytes: gloo over loopback is enough. Rank 0 is the process
the user started; it owns the run folder and the terminal. The others die with it.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, TypeVar

import psutil
import torch
import torch.distributed as dist

from r1kit.config import ComputeConfig
from r1kit.errors import ComputeError, R1Error

T = TypeVar("T")

COLLECTIVE_TIMEOUT = timedelta(hours=1)
"""A rank may wait this long for another (one may be writing a large checkpoint)."""


@dataclass(frozen=True)
class Ranks:
    """Who I am among the processes of this run, and what they do together."""

    rank: int = 0
    size: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @property
    def is_first(self) -> bool:
        return self.rank == 0

    def share(self, items: Iterable[T]) -> list[T]:
        """Every size-th item, beginning with my rank."""
        return list(items)[self.rank :: self.size]

    def sum_gradients(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        """Adds the gradients of all ranks, in place; a parameter without one counts as zero."""
        parameters = [parameter for parameter in parameters if parameter.requires_grad]
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        if self.size == 1:
            return
        flat = torch.cat([parameter.grad.flatten() for parameter in parameters])  # type: ignore[union-attr]
        dist.all_reduce(flat)
        pieces = flat.split([parameter.numel() for parameter in parameters])
        for parameter, piece in zip(parameters, pieces, strict=True):
            parameter.grad.copy_(piece.view_as(parameter))  # type: ignore[union-attr]

    def gather(self, item: T) -> list[T]:
        """Everybody's item, in rank order, on every rank. Small Python objects only."""
        if self.size == 1:
            return [item]
        items: list[Any] = [None] * self.size
        dist.all_gather_object(items, item)
        return items

    def sum(self, numbers: dict[str, float]) -> dict[str, float]:
        """Adds dicts of numbers key by key over the ranks."""
        totals: dict[str, float] = {}
        for part in self.gather(numbers):
            for key, value in part.items():
                totals[key] = totals.get(key, 0.0) + value
        return totals

    def barrier(self) -> None:
        self.gather(None)


def n_processes(config: ComputeConfig, at_most: int) -> int:
    """How many ranks: as configured, or one a GPU, or one a physical core this process may use."""
    there = _n_devices(config)
    if config.n_processes == "auto":
        return max(1, min(there, at_most))
    if device_kind(config) == "cuda" and min(config.n_processes, at_most) > there:
        raise ComputeError(
            f"compute.n_processes is {config.n_processes} and each needs a GPU of its own, but "
            f'this machine has {there}; lower it, or set it to "auto".'
        )
    return min(config.n_processes, at_most)


def crowd(config: ComputeConfig, n: int) -> str | None:
    """What a person should know about n processes that have to share the cores."""
    cores = _n_devices(config)
    if device_kind(config) != "cpu" or n * config.threads <= cores:
        return None
    return (
        f"{n} processes x {config.threads} threads share {cores} cores, which is slower than one a "
        'core: set compute.n_processes to "auto" and compute.threads to 1.'
    )


def _n_devices(config: ComputeConfig) -> int:
    """GPUs, or physical cores this process may use."""
    kind = device_kind(config)
    if kind == "cuda":
        return torch.cuda.device_count()
    if kind == "mps":
        return 1
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return min(psutil.cpu_count(logical=False) or 1, allowed or 1)


def device_kind(config: ComputeConfig, setting: str = "compute.device") -> str:
    """ "cpu", "cuda" or "mps"; `setting` is where a person chooses.

    Raises ComputeError when the device asked for is not there.
    """
    if config.device == "auto":
        return auto_device()
    present = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": _has_mps()}
    if not present[config.device]:
        raise ComputeError(
            f"This machine has no {config.device} device for torch; set {setting} to "
            f"{' or '.join(kind for kind in present if present[kind])}."
        )
    return config.device


def auto_device() -> str:
    """CUDA where there is some, else the CPU."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def _has_mps() -> bool:
    return torch.backends.mps.is_available()


def launch(n: int, config: ComputeConfig, program: Callable[..., T], *arguments: Any) -> T:
    """Runs `program(ranks, *arguments)` on n ranks and returns what rank 0, this process, returns.

    The arguments must be picklable. Raises ComputeError when another rank dies.
    """
    kind = device_kind(config)
    torch.set_num_threads(config.threads)
    if n == 1:
        return program(Ranks(0, 1, torch.device(kind)), *arguments)
    with tempfile.TemporaryDirectory(prefix="r1kit-") as folder:
        meeting = str(Path(folder) / "meeting")
        spawn = multiprocessing.get_context("spawn")
        others = [
            spawn.Process(
                target=_other_rank,
                args=(rank, n, kind, config.threads, meeting, program, arguments),
                daemon=True,
            )
            for rank in range(1, n)
        ]
        for process in others:
            process.start()
        try:
            return _as_rank(0, n, kind, meeting, program, arguments)
        except RuntimeError as error:
            raise _explained(error, others, Path(f"{meeting}-said")) from error
        finally:
            for process in others:
                process.terminate()
                process.join()


def _as_rank(
    rank: int, n: int, kind: str, meeting: str, program: Callable[..., T], arguments: Any
) -> T:
    loopback = "lo0" if sys.platform == "darwin" else "lo"
    os.environ.setdefault("GLOO_SOCKET_IFNAME", loopback)
    device = torch.device(kind, rank) if kind == "cuda" else torch.device(kind)
    backend = "cpu:gloo,cuda:nccl" if kind == "cuda" else "gloo"
    dist.init_process_group(
        backend, f"file://{meeting}", timeout=COLLECTIVE_TIMEOUT, rank=rank, world_size=n
    )
    try:
        return program(Ranks(rank, n, device), *arguments)
    finally:
        dist.destroy_process_group()


def _other_rank(
    rank: int,
    n: int,
    kind: str,
    threads: int,
    meeting: str,
    program: Callable[..., Any],
    arguments: Any,
) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # rank 0 decides what Ctrl-C means
    threading.Thread(target=_die_with, args=(os.getppid(),), daemon=True).start()
    torch.set_num_threads(threads)
    try:
        _as_rank(rank, n, kind, meeting, program, arguments)
    except R1Error as error:  # rank 0 says it; a traceback of this rank would only be in the way
        Path(f"{meeting}-said").write_text(str(error), encoding="utf-8")
        raise SystemExit(error.exit_code) from None


def _die_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def _explained(error: RuntimeError, others: Sequence[BaseProcess], said: Path) -> Exception:
    """A collective fails when a rank dies: then say why, else it is an error of our own."""
    time.sleep(0.2)
    if said.exists():
        return ComputeError(said.read_text(encoding="utf-8"))
    for process in others:
        if process.exitcode not in (None, 0):
            return ComputeError(
                f"A worker process ended with code {process.exitcode} (killed, or out of memory?); "
                "the same command resumes the run from its last checkpoint."
            )
    return error
