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
from dataclasses import dataclass, field
from typing import NoReturn

from r1kit.verify.sandbox import program
from r1kit.verify.sandbox.cage import Cage
from r1kit.verify.sandbox.job import How, Job, Limits, RunResult

_CHUNK = 1 << 16
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
    said: dict[int, bytearray] = field(default_factory=dict)


def run(cage: Cage, job: Job) -> RunResult:
    """Run one job in the cage. Raises OSError if the cage cannot be prepared."""
    cage.fill_box(job.files, job.limits.disk_mb)
    if cage.group:
        cage.group.hold(job.limits)
    pipes = _Pipes(_sealed(job.stdin), os.pipe(), os.pipe(), os.pipe())
    pipes.said = {pipes.stdout[0]: bytearray(), pipes.stderr[0]: bytearray()}
    started = time.monotonic()
    pid = os.fork()
    if pid == 0:
        _become(cage, job, pipes)
    for place in (pipes.stdin, pipes.stdout[1], pipes.stderr[1], pipes.ready[1]):
        os.close(place)
    try:
        how = _watch(pid, pipes.said, job.limits, started)
        status, cpu_s = _end(cage, pid)
        wall_s = time.monotonic() - started
        word = os.read(pipes.ready[0], 1000)
        over = [_drain(place, said, job.limits) for place, said in pipes.said.items()]
    finally:
        for place in (pipes.stdout[0], pipes.stderr[0], pipes.ready[0]):
            os.close(place)
    stdout, stderr = map(bytes, pipes.said.values())
    if word != b"go":
        return RunResult(
            "sandbox", None, b"", word or b"the candidate did not start", wall_s, cpu_s
        )
    how, code = _judge(how or ("output" if any(over) else None), status, cpu_s, job.limits, stderr)
    return RunResult(how, code, stdout, stderr, wall_s, cpu_s)


def _become(cage: Cage, job: Job, pipes: _Pipes) -> NoReturn:
    """Turn the forked child into the candidate and run the program."""
    ready = pipes.ready[1]
    try:
        os.setsid()
        for place, standard in ((pipes.stdin, 0), (pipes.stdout[1], 1), (pipes.stderr[1], 2)):
            os.dup2(place, standard)
        cage.put_on(job.limits, ready)
        os.write(ready, b"go")
        os.close(ready)
    except BaseException as error:
        os.write(ready, f"{type(error).__name__}: {error}".encode()[:1000])
        os._exit(1)
    program.run(job.program, cage.box)


def _watch(pid: int, said: dict[int, bytearray], limits: Limits, started: float) -> How | None:
    """Read output until the candidate ends (None) or reaches a limit (return its name)."""
    life = os.pidfd_open(pid)
    poll = select.poll()
    for place in (life, *said):
        poll.register(place, select.POLLIN)
    try:
        while True:
            wall_left = started + limits.wall_s - time.monotonic()
            cpu_left = limits.cpu_s - _cpu_of(pid)
            if min(wall_left, cpu_left) <= 0:
                return "wall" if wall_left <= cpu_left else "cpu"
            for place, _ in poll.poll(1000 * min(wall_left, max(cpu_left, 0.005)) + 1):
                if place == life:
                    return None
                some = os.read(place, _CHUNK)
                said[place] += some
                if len(said[place]) > limits.output_bytes:
                    return "output"
                if not some:
                    poll.unregister(place)
    finally:
        os.close(life)


def _end(cage: Cage, pid: int) -> tuple[int, float]:
    """Kill and reap all processes of the run; return the candidate's status and CPU seconds."""
    cage.kill_all(pid)
    _, status, used = os.wait4(pid, 0)
    with contextlib.suppress(ChildProcessError):
        while True:
            os.waitpid(-1, 0)
    return status, used.ru_utime + used.ru_stime


def _drain(place: int, said: bytearray, limits: Limits) -> bool:
    """Read the rest of a pipe that has no writer; return True if the output exceeds its limit."""
    while len(said) <= limits.output_bytes and (some := os.read(place, _CHUNK)):
        said += some
    is_over = len(said) > limits.output_bytes
    del said[limits.output_bytes :]
    return is_over


def _judge(
    how: How | None, status: int, cpu_s: float, limits: Limits, stderr: bytes
) -> tuple[How, int | None]:
    if how is not None:
        return how, None
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if number in (signal.SIGXCPU, signal.SIGKILL) and cpu_s >= limits.cpu_s:
            return "cpu", None
        return "signal", number
    code = os.WEXITSTATUS(status)
    last = stderr.rstrip().rsplit(b"\n", 1)[-1]
    if code == 1 and last.split(b":")[0] == b"MemoryError":
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
    place = os.memfd_create("stdin", os.MFD_ALLOW_SEALING | os.MFD_CLOEXEC)
    view = memoryview(data)
    while view:
        view = view[os.write(place, view) :]
    os.lseek(place, 0, os.SEEK_SET)
    fcntl.fcntl(place, _ADD_SEALS, _SEALS)
    return place
