"""Launches the processes of data parallelism: one program on every rank, a rank per core or GPU.

For a model of a million parameters, two processes of one thread are 1.4 times as fast as one
process of two threads, and a gradient is three megabytes: gloo over loopback is enough. Rank 0 is
the process the user started; it owns the run folder and the terminal. The other ranks receive no
signals and exit with rank 0 (`child.py`); if one exits too early, rank 0 reports which and why.
Ranks on several machines are started by torchrun (distributed.py).
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from multiprocessing import connection
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Self, TypeVar

import torch
import torch.distributed as dist

from r1kit import errors
from r1kit.config import ComputeConfig
from r1kit.errors import R1Error
from r1kit.model.devices import resolve_device, shard_degree
from r1kit.model.ranks import Ranks
from r1kit.processes.child import Child

T = TypeVar("T")

COLLECTIVE_TIMEOUT = timedelta(hours=1)
"""longest wait of a rank for another, which may be writing a large checkpoint"""
_POLL_S = 0.1
"""interval at which rank 0 polls the other ranks while it waits for them to load"""
_EXIT_TIMEOUT_S = 2.0
"""longest wait for the exit of a rank after a collective has failed because of it"""
_RENDEZVOUS_GRACE_S = 0.5
"""grace period for a rendezvous to complete after an error"""


def launch(n: int, config: ComputeConfig, program: Callable[..., T], *arguments: Any) -> T:
    """Run `program(ranks, *arguments)` on n ranks; return the result of rank 0, this process.

    The arguments must be picklable, and `program` a function in a module that other processes can
    import, which `__main__` is not. Raises the R1Error of another rank, ComputeError if one is
    killed, and RankError if one fails in another way.
    """
    kind = resolve_device(config.device)
    torch.set_num_threads(config.threads)
    if n == 1:
        degree = shard_degree(config, n)
        return program(Ranks(0, 1, torch.device(kind), degree), *arguments)
    with tempfile.TemporaryDirectory(prefix="r1kit-") as folder, _OtherRanks(n) as others:
        meeting = str(Path(folder) / "meeting")
        degree = shard_degree(config, n)
        others.begin((n, kind, config.threads, degree, meeting), (program, arguments))
        others.await_loaded()
        try:
            _in_thread(lambda: _meet(0, n, kind, meeting), others.check)
            with others.explaining():
                return program(Ranks(0, n, _device(kind, 0), degree), *arguments)
        finally:
            if dist.is_initialized():
                dist.destroy_process_group()


def main(line: Connection) -> None:
    """Run a rank other than the first, in a process of its own (`child.py`)."""
    try:
        sys.path[:] = line.recv()
        rank, (n, kind, threads, degree, meeting), (program, arguments) = line.recv()
        torch.set_num_threads(threads)
        line.send(None)
        _meet(rank, n, kind, meeting)
        program(Ranks(rank, n, _device(kind, rank), degree), *arguments)
    except Exception as error:
        line.send(_report(error))
        os._exit(1)  # visible to the other ranks at once; rank 0 reports it
    line.send(None)
    dist.destroy_process_group()


def _meet(rank: int, n: int, kind: str, meeting: str) -> None:
    keep_to_loopback()
    dist.init_process_group(
        backend(kind), f"file://{meeting}", timeout=COLLECTIVE_TIMEOUT, rank=rank, world_size=n
    )


def keep_to_loopback() -> None:
    """Let the ranks of one machine talk without its network."""
    loopback = "lo0" if sys.platform == "darwin" else "lo"
    os.environ.setdefault("GLOO_SOCKET_IFNAME", loopback)


def backend(kind: str) -> str:
    """Return torch's name of the libraries that carry collectives of tensors of this device."""
    return "cpu:gloo,cuda:nccl" if kind == "cuda" else "gloo"


def _device(kind: str, rank: int) -> torch.device:
    return torch.device(kind, rank) if kind == "cuda" else torch.device(kind)


def _in_thread(wait: Callable[[], None], look: Callable[[], object]) -> None:
    """Run `wait` (native code) in a thread, while this one polls `look` and receives signals."""
    failed: list[Exception] = []

    def run() -> None:
        try:
            wait()
        except Exception as error:
            failed.append(error)

    thread = threading.Thread(target=run, name="rendezvous", daemon=True)
    thread.start()
    try:
        while thread.is_alive():
            thread.join(_POLL_S)
            look()
    except Exception:
        thread.join(_RENDEZVOUS_GRACE_S)  # `wait` may still succeed, if the error came after it
        raise
    if failed:
        raise failed[0]


class RankError(RuntimeError):
    """Raised if another rank failed with no R1Error; its traceback is attached as a note."""


@dataclass(frozen=True)
class _Report:
    """The reason why a rank exited."""

    kind: str
    """name of an R1Error class, or empty"""
    message: str
    traceback: str
    is_echo: bool
    """True if it failed only because another rank had"""


class _OtherRanks:
    """The ranks other than the first, as managed by the first; they end with the block."""

    def __init__(self, n: int) -> None:
        self._children = {rank: Child(__name__) for rank in range(1, n)}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for child in self._children.values():
            child.close()

    def begin(self, facts: tuple[int, str, int, int, str], work: tuple[Any, ...]) -> None:
        """Send each rank its configuration and program."""
        for rank, child in self._children.items():
            with contextlib.suppress(OSError):  # it has exited: `check` reports it
                child.line.send(sys.path)
                child.line.send((rank, facts, work))

    def await_loaded(self) -> None:
        """Return when all ranks are about to rendezvous; raises the error of one that exited."""
        loading = set(self._children)
        while loading:
            loading -= self.check(None)

    def check(self, seconds: float | None = 0.0) -> set[int]:
        """Raises the error of a rank that has exited too early, or does so within `seconds`.

        Returns the ranks that sent a success message. If `seconds` is None, waits for a message. A
        rank that failed because of another may report before it, so its cause is waited for.
        """
        waiting, successful = dict(self._children), set[int]()
        reports: dict[int, _Report] = {}
        while waiting and not successful and all(report.is_echo for report in reports.values()):
            timeout = _EXIT_TIMEOUT_S if reports else seconds
            ready = connection.wait([child.line for child in waiting.values()], timeout)
            if not ready:
                break
            for rank in [rank for rank, child in waiting.items() if child.line in ready]:
                del waiting[rank]
                if (report := self._receive(rank)) is None:
                    successful.add(rank)
                else:
                    reports[rank] = report
        if reports:
            rank = min(reports, key=lambda rank: reports[rank].is_echo)
            raise _as_error(rank, reports[rank])
        return successful

    def _receive(self, rank: int) -> _Report | None:
        """Return the report of a rank, or None if it is well."""
        child = self._children[rank]
        try:
            report: _Report | None = child.line.recv()
            return report
        except (EOFError, OSError):
            message = (
                f"Rank {rank} has ended{child.how()}; was it killed, or is the memory used up? "
                "The same command resumes the run from its last checkpoint; with half of "
                "compute.micro_batch_tokens and sampler.max_num_seqs it needs less memory."
            )
            return _Report("ComputeError", message, "", is_echo=False)

    @contextlib.contextmanager
    def explaining(self) -> Iterator[None]:
        """Replace the error of a collective in the block by that of the rank that caused it.

        Must end before the process group is destroyed, or the other ranks fail because of this one.
        """
        try:
            yield
        except Exception as error:
            if is_echo(error):
                self.check(_EXIT_TIMEOUT_S)
            raise


def is_echo(error: Exception) -> bool:
    """Return True if a rank failed only because another rank had."""
    return isinstance(error, dist.DistError) or "gloo" in str(error)


def _report(error: Exception) -> _Report:
    kinds = [kind.__name__ for kind in type(error).__mro__ if kind.__module__ == errors.__name__]
    message = str(error) if kinds else f"{type(error).__name__}: {error}"
    return _Report("".join(kinds[:1]), message, traceback.format_exc(), is_echo(error))


def _as_error(rank: int, report: _Report) -> Exception:
    if report.kind:
        error: R1Error = getattr(errors, report.kind)(report.message)
        return error
    crash = RankError(f"rank {rank}: {report.message}")
    crash.add_note(report.traceback)
    return crash
