"""A Python process of ours that ends when we do.

    Child("r1kit.engines.worker") ── pipe ── python -m r1kit.processes.child MODULE DESCRIPTOR

The child is a process group of its own, so that Ctrl-C in a terminal does not reach it, and it
ignores the signals that an init system sends to everybody: its parent decides. Before it imports
anything large it begins to watch the line. When the other end is closed, be it by `kill -9` of the
parent, it ends at once, whatever it is doing.
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
    """Runs `main(line)` of a module in a process of its own; `line` is our end of the pipe."""

    def __init__(self, module: str) -> None:
        self.line, theirs = multiprocessing.Pipe()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "r1kit.processes.child", module, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                process_group=0,
            )

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def how(self) -> str:
        """How it ended, which the system may not know at once: `" (signal 9)"`."""
        try:
            code = self._process.wait(1)
        except subprocess.TimeoutExpired:
            return ""
        return f" (signal {-code})" if code < 0 else f" (exit code {code})"

    def close(self) -> None:
        """End the process; it has nothing to put away."""
        self.line.close()
        self._process.kill()
        self._process.wait()


def main(module: str, descriptor: int) -> None:
    """In the child."""
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)
    line = Connection(descriptor)
    threading.Thread(target=_end_with, args=(descriptor,), name="lifeline", daemon=True).start()
    with gc_paused_imports():
        program = import_module(module)
    with contextlib.suppress(BrokenPipeError):  # the parent has ended
        program.main(line)


def _end_with(descriptor: int) -> None:
    """Wait until the other end is closed, without reading what is sent."""
    hung_up = select.poll()
    hung_up.register(descriptor, 0)
    hung_up.poll()
    os._exit(1)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
