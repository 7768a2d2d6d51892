"""A Python child process that ends when its parent does.

    Child("package.module") ── pipe ── python -m r1kit.processes.child MODULE DESCRIPTOR

The child has its own process group, so that Ctrl-C in a terminal does not reach it, and it ignores
the signals that an init system sends to every process: only its parent ends it. The child starts
watching the pipe before it imports anything large. When the other end is closed, even by `kill -9`
of the parent, the child exits immediately, whatever it is doing.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import select
import signal
import subprocess
import sys
import threading
from importlib import import_module
from multiprocessing.connection import Connection

from r1kit.processes.loading import gc_paused_imports
from r1kit.processes.signals import ENDING


class Child:
    """Runs `main(line)` of a module in a child process; `line` is the parent's end of the pipe."""

    def __init__(self, module: str) -> None:
        self.line, theirs = multiprocessing.Pipe()
        with theirs:
            self._process = _start(module, theirs)

    @property
    def pid(self) -> int:
        """Process id of the child."""
        return self._process.pid

    def how(self) -> str:
        """Describe how the child ended, as in `" (signal 9)"`; empty if not known within 1 s."""
        try:
            code = self._process.wait(1)
        except subprocess.TimeoutExpired:
            return ""
        return f" (signal {-code})" if code < 0 else f" (exit code {code})"

    def close(self) -> None:
        """Kill the process; it has no state to save."""
        self.line.close()
        self._process.kill()
        self._process.wait()


def _start(module: str, line: Connection) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "r1kit.processes.child", module, str(line.fileno())],
        stdin=subprocess.DEVNULL,
        pass_fds=[line.fileno()],
        process_group=0,
    )


def main(module: str, descriptor: int) -> None:
    """Run the module in the child process."""
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)
    line = Connection(descriptor)
    threading.Thread(target=_end_with, args=(descriptor,), name="lifeline", daemon=True).start()
    with gc_paused_imports():
        program = import_module(module)
    with contextlib.suppress(BrokenPipeError):  # the parent has ended
        program.main(line)


def _end_with(descriptor: int) -> None:
    """Wait until the other end is closed, without reading its messages, and exit."""
    hung_up = select.poll()
    hung_up.register(descriptor, 0)
    hung_up.poll()
    os._exit(1)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
