"""`Sandbox`: a pool of workers that each run one program at a time; failed workers are replaced.

    with Sandbox() as sandbox:
        sandbox.run(Job("print(input())", stdin=b"5"))

If the requested level is unavailable, `SandboxError` says what is missing: a program never runs at
a lower level. This module is for Linux; macOS is handled in `macos.py`.
"""

from __future__ import annotations

import json
import os
import queue
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from r1kit.errors import SandboxError
from r1kit.verify.sandbox import packages, wire
from r1kit.verify.sandbox.job import Job, RunResult
from r1kit.verify.sandbox.macos import MacosWorker
from r1kit.verify.sandbox.probe import Layer, bubblewrap

Level = Literal["strict", "standard", "best-effort"]
HERE = Path(__file__).parent
_PACKAGE = __name__.rpartition(".")[0]
_NEEDED = (
    "cgroup",
    "confinement",
    "job",
    "kernel",
    "landlock",
    "mounts",
    "packages",
    "program",
    "seccomp",
    "supervise",
    "wire",
)
_START_S = 20.0
_GRACE_S = 10.0
"""seconds beyond the wall limit of a run after which the worker counts as hung"""
_WorkerQueue = queue.LifoQueue["SandboxWorker | MacosWorker | None"]


class SandboxWorker:
    """The caller's handle of one worker."""

    def __init__(self, level: Level, names: Sequence[str] = ()) -> None:
        """Start a worker with these packages. Raises SandboxError if that is impossible."""
        if missing := [name for name in names if not packages.folders(name)]:
            raise SandboxError(f"{missing[0]} is not installed; pip install {missing[0]}")
        folders = [path for name in names for path in packages.folders(name)]
        self._control, worker_end = socket.socketpair()
        self._control.settimeout(_START_S)
        with worker_end:
            self._process = spawn(worker_end)
        try:
            send_sources(self._control, "worker")
            request = {"level": level, "caller": os.getpid(), "packages": names}
            wire.send(self._control, request | {"folders": folders})
            head, _ = wire.receive(self._control)
        except (OSError, EOFError) as error:
            head = {"error": f"the worker does not start ({error})"}
        if "error" in head:
            self.close()
            raise SandboxError(_refusal(level, head["error"]))

    def run(self, job: Job) -> RunResult:
        """Run one job. Raises OSError or EOFError if the worker is lost."""
        limits = asdict(job.limits)
        self._control.settimeout(job.limits.wall_s + _GRACE_S)
        source, preamble = (text.encode(errors="replace") for text in (job.program, job.preamble))
        request = {"limits": limits, "files": list(job.files), "arguments": job.arguments}
        blobs = [source, job.stdin, preamble, *job.files.values()]
        wire.send(self._control, request, blobs)
        head, outputs = wire.receive(self._control)
        if "error" in head:
            raise OSError(head["error"])
        stdout, stderr = outputs
        return RunResult(head["how"], head["code"], stdout, stderr, head["wall"], head["cpu"])

    def close(self) -> None:
        """Close the socket and wait for the keeper; on SIGTERM, it kills a hung worker."""
        self._control.close()
        try:
            self._process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            self._process.terminate()
            self._process.wait()


def layers() -> list[Layer]:
    """Probe the sandbox layers of this machine, each tried once (`probe.py`)."""
    control, worker_end = socket.socketpair()
    with worker_end:
        process = spawn(worker_end)
    with control:
        control.settimeout(_START_S)
        try:
            send_sources(control, "probe")
            head, _ = wire.receive(control)
        except (OSError, EOFError) as error:
            return [Layer("a bare interpreter", False, f"it does not start: {error}")]
        finally:
            process.kill()
            process.wait()
    return [*(Layer(*row) for row in head["layers"]), bubblewrap()]


class Sandbox:
    """A thread-safe pool of workers at one level."""

    def __init__(
        self, level: Level | Literal["auto"] = "auto", n_workers: int | None = None
    ) -> None:
        """`auto` is the best available level, at least standard; by default one worker per core."""
        self._requested_level = level
        self.n_workers = n_workers or _n_cores()
        """number of workers, for each set of packages that jobs need"""
        self._idle: dict[tuple[str, ...], _WorkerQueue] = {}
        self._lock = threading.Lock()
        self.level: Level | None = None

    def __enter__(self) -> Self:
        if self.level is not None:
            raise SandboxError("This sandbox is already open; create another one.")
        first = self._first_worker()
        idle = self._queue(())
        idle.get()
        idle.put(first)
        return self

    def _queue(self, packages: tuple[str, ...]) -> _WorkerQueue:
        """Return the idle workers with these packages; None is one to be started when needed."""
        with self._lock:
            if packages not in self._idle:
                self._idle[packages] = queue.LifoQueue()
                for _ in range(self.n_workers):
                    self._idle[packages].put(None)
            return self._idle[packages]

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for idle in self._idle.values():
            for _ in range(self.n_workers):
                worker = idle.get()
                if worker is not None:
                    worker.close()
        self._idle.clear()
        self.level = None

    def run(self, job: Job) -> RunResult:
        """Wait for a free worker and run the job. A lost worker is replaced and the job retried."""
        if self.level is None:
            raise SandboxError("The sandbox is closed; use it inside `with Sandbox() as sandbox:`.")
        reason = ""
        for _ in range(2):
            try:
                with self._worker(job.packages) as worker:
                    ending = worker.run(job)
            except (OSError, EOFError, SandboxError) as error:
                reason = str(error)
                continue
            if ending.how != "sandbox":
                return ending
            reason = ending.stderr.decode(errors="replace")
        return RunResult("sandbox", None, b"", reason.encode(), 0.0, 0.0)

    def map(self, jobs: Iterable[Job]) -> list[RunResult]:
        """Run the jobs on all workers; return the results in the order of the jobs."""
        with ThreadPoolExecutor(self.n_workers) as threads:
            return list(threads.map(self.run, jobs))

    def _first_worker(self) -> SandboxWorker | MacosWorker:
        if self._requested_level != "auto":
            worker = _open(self._requested_level)
            self.level = self._requested_level
            return worker
        try:
            worker, self.level = SandboxWorker("strict"), "strict"
        except SandboxError:
            worker, self.level = SandboxWorker("standard"), "standard"
        return worker

    @contextmanager
    def _worker(self, names: tuple[str, ...]) -> Iterator[SandboxWorker | MacosWorker]:
        """Take a worker for one job; it returns to the pool unless it failed."""
        idle = self._queue(names)
        worker = idle.get()
        try:
            assert self.level is not None
            worker = worker or _open(self.level, names)
            yield worker
        except BaseException:
            if worker is not None:
                worker.close()
            worker = None
            raise
        finally:
            idle.put(worker)


def _open(level: Level, names: tuple[str, ...] = ()) -> SandboxWorker | MacosWorker:
    if level != "best-effort":
        return SandboxWorker(level, names)
    if names:
        raise SandboxError("Packages need one of the sandbox levels of Linux.")
    return MacosWorker()


def _n_cores() -> int:
    has_affinity = hasattr(os, "sched_getaffinity")  # not on macOS
    return len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count() or 1


def spawn(control: socket.socket) -> subprocess.Popen[bytes]:
    """Start a bare interpreter with an empty environment; it inherits only this socket."""
    boot = (HERE / "boot.py").read_text(encoding="utf-8")
    environment: dict[str, str] = {}
    return subprocess.Popen(
        [sys.executable, "-I", "-S", "-B", "-X", "utf8", "-c", boot],
        stdin=control.fileno(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment,
        cwd="/",
        start_new_session=True,
    )


def send_sources(control: socket.socket, start: str) -> None:
    """Send the module sources and the name of the start module, for which `boot.py` waits."""
    sources = {_PACKAGE.rsplit(".", depth)[0]: "" for depth in (1, 2)} | {_PACKAGE: ""}
    for name in (*_NEEDED, start):
        sources[f"{_PACKAGE}.{name}"] = (HERE / f"{name}.py").read_text(encoding="utf-8")
    text = json.dumps({"start": f"{_PACKAGE}.{start}", "sources": sources}).encode()
    control.sendall(struct.pack("!I", len(text)) + text)


def _refusal(level: str, reason: str) -> str:
    requirements = {
        "strict": "root or user namespaces (in a container: --security-opt seccomp=unconfined; on "
        "Ubuntu: an AppArmor profile that allows userns), Landlock and seccomp",
        "standard": "Linux 5.13 or newer with Landlock and seccomp, on x86-64 or arm64",
    }[level]
    return (
        f"the sandbox level {level} cannot be had here: {reason}. It needs {requirements}. "
        "`r1 doctor` shows what this machine gives."
    )
