"""One run: fork a candidate, read its output, enforce its limits, and kill all its processes.

The supervisor is outside the candidate's process and treats the candidate's output as bytes of
stdout and stderr only.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import time
from dataclasses import dataclass
from typing import NoReturn, cast

from r1kit.verify.sandbox import program
from r1kit.verify.sandbox.confinement import Confinement
from r1kit.verify.sandbox.job import Ending, Job, Limits, RunResult

_CHUNK = 1 << 16
_MAX_ERRORS, _KEPT_ERRORS = 64 << 20, 1 << 16
"""bytes of stderr that may be written, and those that are kept of its end"""
_SEALS = 0x1 | 0x2 | 0x4 | 0x8  # no more seals, no shrinking, growing, writing
_ADD_SEALS = 1033


@dataclass
class _Pipes:
    """The pipes of a run: the supervisor's ends and the candidate's."""

    stdin: int
    stdout: tuple[int, int]
    stderr: tuple[int, int]
    ready: tuple[int, int]
    """The candidate writes "go" here once it is sandboxed, or an error; then it closes the pipe."""


class _Output:
    """The bytes read from a pipe, all or only the last ones."""

    def __init__(self, limit: int, n_kept: int) -> None:
        """`limit` is the number of bytes that may be written, `n_kept` the number that is kept."""
        self.limit, self.n_kept = limit, min(limit, n_kept)
        self.n_bytes = 0
        self.data = bytearray()

    def read(self, descriptor: int) -> bool:
        """Read the next chunk; return False at the end."""
        chunk = os.read(descriptor, _CHUNK)
        self.n_bytes += len(chunk)
        self.data += chunk
        if self.n_kept < self.limit and len(self.data) > 2 * self.n_kept:
            del self.data[: -self.n_kept]
        return bool(chunk)

    @property
    def is_over(self) -> bool:
        return self.n_bytes > self.limit

    def result(self) -> bytearray:
        """Return the kept bytes: the first ones of stdout, the last ones of stderr."""
        if self.n_kept == self.limit:
            del self.data[self.limit :]
        elif len(self.data) > self.n_kept:
            del self.data[: -self.n_kept]
        return self.data


def run(confinement: Confinement, job: Job) -> RunResult:
    """Run one job in confinement. Raises OSError if it cannot be prepared."""
    confinement.fill_work_folder(job.files, job.limits.disk_mb)
    if confinement.group:
        confinement.group.hold(job.limits)
    pipes = _Pipes(_sealed(job.stdin), os.pipe(), os.pipe(), os.pipe())
    limit = job.limits.output_bytes
    outputs = {
        pipes.stdout[0]: _Output(limit, limit),
        pipes.stderr[0]: _Output(_MAX_ERRORS, _KEPT_ERRORS),
    }
    start = time.monotonic()
    pid = os.fork()
    if pid == 0:
        _become(confinement, job, pipes)
    for descriptor in (pipes.stdin, pipes.stdout[1], pipes.stderr[1], pipes.ready[1]):
        os.close(descriptor)
    try:
        how = _watch(pid, outputs, job.limits, start)
        status, cpu_s = _end(confinement, pid)
        wall_s = time.monotonic() - start
        message = os.read(pipes.ready[0], 1000)
        for descriptor, output in outputs.items():
            while not output.is_over and output.read(descriptor):
                pass
    finally:
        for descriptor in (pipes.stdout[0], pipes.stderr[0], pipes.ready[0]):
            os.close(descriptor)
    is_over = any(output.is_over for output in outputs.values())
    # A copy as bytes would double the memory.
    stdout, stderr = (cast("bytes", output.result()) for output in outputs.values())
    if message != b"go":
        return RunResult(
            "sandbox", None, b"", message or b"the candidate did not start", wall_s, cpu_s
        )
    how, code = _judge(how or ("output" if is_over else None), status, cpu_s, job.limits, stderr)
    return RunResult(how, code, stdout, stderr, wall_s, cpu_s)


def _become(confinement: Confinement, job: Job, pipes: _Pipes) -> NoReturn:
    """Turn the forked child into the candidate and run the program."""
    ready = pipes.ready[1]
    try:
        os.setsid()
        for descriptor, standard in ((pipes.stdin, 0), (pipes.stdout[1], 1), (pipes.stderr[1], 2)):
            os.dup2(descriptor, standard)
        confinement.apply(job.limits, ready)
        os.write(ready, b"go")
        os.close(ready)
    except BaseException as error:
        os.write(ready, f"{type(error).__name__}: {error}".encode()[:1000])
        os._exit(1)
    program.run(job, confinement.work_folder)


def _watch(pid: int, outputs: dict[int, _Output], limits: Limits, start: float) -> Ending | None:
    """Read output until the candidate ends (None) or reaches a limit (return its name)."""
    process_fd = os.pidfd_open(pid)
    poll = select.poll()
    for descriptor in (process_fd, *outputs):
        poll.register(descriptor, select.POLLIN)
    try:
        while True:
            wall_left = start + limits.wall_s - time.monotonic()
            cpu_left = limits.cpu_s - _cpu_of(pid)
            if min(wall_left, cpu_left) <= 0:
                return "wall" if wall_left <= cpu_left else "cpu"
            for descriptor, _ in poll.poll(1000 * min(wall_left, max(cpu_left, 0.005)) + 1):
                if descriptor == process_fd:
                    return None
                has_more = outputs[descriptor].read(descriptor)
                if outputs[descriptor].is_over:
                    return "output"
                if not has_more:
                    poll.unregister(descriptor)
    finally:
        os.close(process_fd)


def _end(confinement: Confinement, pid: int) -> tuple[int, float]:
    """Kill and reap all processes of the run; return the candidate's status and CPU seconds."""
    confinement.kill_all(pid)
    _, status, usage = os.wait4(pid, 0)
    with contextlib.suppress(ChildProcessError):
        while True:
            os.waitpid(-1, 0)
    return status, usage.ru_utime + usage.ru_stime


def _judge(
    how: Ending | None, status: int, cpu_s: float, limits: Limits, stderr: bytes
) -> tuple[Ending, int | None]:
    if how is not None:
        return how, None
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if number in (signal.SIGXCPU, signal.SIGKILL) and cpu_s >= limits.cpu_s:
            return "cpu", None
        return "signal", number
    code = os.WEXITSTATUS(status)
    last_line = stderr.rstrip().rsplit(b"\n", 1)[-1]
    if code == 1 and last_line.split(b":")[0].endswith(b"MemoryError"):  # numpy has its own
        return "memory", code
    return "exit", code


def _cpu_of(pid: int) -> float:
    """Return the CPU seconds of a process; 0.0 if it has just ended."""
    try:
        return time.clock_gettime((~pid << 3) | 2)  # the kernel's name for a process's CPU clock
    except OSError:
        return 0.0


def _sealed(data: bytes) -> int:
    """Return a sealed (immutable) memory file with `data`, positioned at its start."""
    descriptor = os.memfd_create("stdin", os.MFD_ALLOW_SEALING | os.MFD_CLOEXEC)
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
    os.lseek(descriptor, 0, os.SEEK_SET)
    fcntl.fcntl(descriptor, _ADD_SEALS, _SEALS)
    return descriptor
