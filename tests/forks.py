"""Commands in processes forked from one that has imported torch and transformers once.

A new interpreter needs seconds for these imports. A test of what a command does afterwards forks;
a test of the start itself uses subprocess, and so do the runs that all forks are compared with.
"""

from __future__ import annotations

import atexit
import contextlib
import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from multiprocessing import reduction
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from r1kit.processes import child

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(
    [f"r1kit.stages.{stage}" for stage in ("base", "zero", "rejection", "preference", "distill")]
    + ["r1kit.engines.open", "r1kit.report", "r1kit.chat.backends"]
    + ["r1kit.pages.site", "r1kit.serve.app"]
)
"""There is one fork server, and the last list that it is given counts: this is for all tests."""


class Fork:
    """A started `python -m r1kit ...` or `python FILE ...`; `poll` and `wait` as of a Popen."""

    def __init__(self, command: Sequence[str], typed: str = "", cwd: Path | None = None) -> None:
        self._files = TemporaryDirectory()
        streams = [Path(self._files.name, name) for name in ("stdin", "stdout", "stderr")]
        for stream, text in zip(streams, (typed, "", ""), strict=True):
            stream.write_text(text, encoding="utf-8")
        self._process = CONTEXT.Process(
            target=_begin, args=(command[1:], streams, cwd or Path.cwd(), dict(os.environ))
        )
        self._process.start()
        assert self._process.pid is not None
        self._pid = self._process.pid

    def __enter__(self) -> Fork:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self._process.join()
        self._process.close()
        self._files.cleanup()

    def kill(self) -> None:
        """Kill the command, if it has not ended, and all that it has started."""
        if self.poll() is not None:
            return
        with contextlib.suppress(ProcessLookupError):  # it leads no session yet
            os.killpg(self._pid, signal.SIGKILL)
        self._process.kill()

    def send_signal(self, number: int) -> None:
        os.kill(self._pid, number)

    def poll(self) -> int | None:
        """The exit code of a command that has ended; negative for a signal."""
        return self._process.exitcode

    def wait(self, timeout: float) -> int:
        """The exit code. Fails unless the command ends in so many seconds."""
        self._process.join(timeout)
        code = self.poll()
        assert code is not None, f"it goes on after {timeout} s"
        return code

    def output(self, stream: str) -> str:
        """What the command has written so far to "stdout" or "stderr"."""
        return Path(self._files.name, stream).read_text(encoding="utf-8", errors="replace")


def completed(command: Sequence[str], typed: str = "") -> subprocess.CompletedProcess[str]:
    """As subprocess.run, with captured text."""
    with Fork(command, typed) as fork:
        code = fork.wait(300)
        said = (fork.output("stdout"), fork.output("stderr"))
    return subprocess.CompletedProcess(command, code, *said)


class ForkedChild:
    """What `r1kit.processes.child` needs of a Popen; the child is a fork and imports nothing."""

    def __init__(self, module: str, line: Connection) -> None:
        streams = [_Descriptor(1), _Descriptor(2)]
        self._process = CONTEXT.Process(target=_become_child, args=(module, line, streams))
        self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid
        self.kill = self._process.kill

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired("a fork", timeout or 0)
        return self._process.exitcode


class _Descriptor:
    """An open file of this process, which a fork gets as its own."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __reduce__(self) -> tuple[Any, ...]:
        return _detached, (reduction.DupFd(self.number),)


def _detached(duplicate: Any) -> int:
    number: int = duplicate.detach()
    return number


def _become_child(module: str, line: Connection, streams: Sequence[int]) -> None:
    """In the fork: as `python -m r1kit.processes.child`."""
    os.setpgid(0, 0)
    for descriptor, stream in enumerate(streams, 1):
        os.dup2(stream, descriptor)
    child.main(module, line.fileno())


def _begin(
    arguments: Sequence[str], streams: Sequence[Path], folder: Path, environment: dict[str, str]
) -> None:
    """In the fork: become the command."""
    os.setsid()
    for descriptor, path in enumerate(streams):
        os.dup2(os.open(path, os.O_RDWR), descriptor)
    sys.stdin = os.fdopen(0, encoding="utf-8", closefd=False)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    try:
        if arguments[0] == "-m":
            sys.argv = list(arguments[1:])
            runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
        else:
            sys.argv = list(arguments)
            runpy.run_path(arguments[0], run_name="__main__")
    finally:  # as an interpreter ends
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
