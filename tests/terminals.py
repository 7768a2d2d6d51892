"""A command in a terminal of its own, and the processes it has started.

It leads the foreground process group of a pty, so that Ctrl-C goes to the whole group, as it does
in a real terminal.
"""

from __future__ import annotations

import contextlib
import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

CTRL_C = b"\x03"
_LEAD = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
    "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
)
R1 = ["-m", "r1kit"]


@dataclass(frozen=True)
class Ended:
    code: int
    seconds: float
    """from the signal to the end of the last process"""
    said: str
    left: list[str]
    """processes that go on"""


class Terminal:
    """A running command: `python` with these arguments."""

    def __init__(self, *arguments: str, cwd: Path | None = None) -> None:
        self.said = b""
        self.family: dict[int, psutil.Process] = {}
        """all that it has ever been seen to have started"""
        self._keyboard, screen = pty.openpty()
        self._process = subprocess.Popen(
            [sys.executable, "-c", _LEAD, *arguments], stdin=screen, stdout=screen, stderr=screen,
            start_new_session=True, cwd=cwd, env={**os.environ, "TERM": "xterm-256color"},
        )  # fmt: skip
        os.close(screen)
        self.pid = self._process.pid
        # A key that is pressed before somebody leads the terminal is lost, as in no real one.
        while _LEAD in _command(psutil.Process(self.pid)):
            time.sleep(0.01)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: Any) -> None:
        for process in (self._process, *self.family.values()):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self._process.wait()
        self.close()

    def close(self) -> None:
        """As a window is closed: everybody in it gets SIGHUP."""
        if self._keyboard >= 0:
            os.close(self._keyboard)
            self._keyboard = -1

    def type(self, keys: bytes) -> None:
        os.write(self._keyboard, keys)

    def look(self, seconds: float = 0.02) -> bool:
        """See what is said and started. Whether the command goes on."""
        if not self._read(seconds):
            time.sleep(0.01)
        with contextlib.suppress(psutil.NoSuchProcess):
            for child in psutil.Process(self.pid).children(recursive=True):
                self.family.setdefault(child.pid, child)
        return self._process.poll() is None

    def _read(self, seconds: float) -> bool:
        if self._keyboard < 0 or not select.select([self._keyboard], [], [], seconds)[0]:
            return False
        with contextlib.suppress(OSError):  # the other side is gone
            self.said += os.read(self._keyboard, 65536)
            return True
        return False

    def wait_until(self, is_so: Callable[[], Any], seconds: float = 60) -> None:
        end = time.monotonic() + seconds
        while not is_so():
            assert self.look(), f"it has ended: {self.said.decode(errors='replace')}"
            assert time.monotonic() < end, self.said.decode(errors="replace")

    def started(self, word: str) -> list[psutil.Process]:
        """Processes of it whose command has this word."""
        return [child for child in self.family.values() if word in " ".join(_command(child))]

    def ends(self, seconds: float = 20) -> Ended:
        """Wait for the end of all that was started, at most so long."""
        start = time.monotonic()
        while (self.look() or self._alive()) and time.monotonic() - start < seconds:
            pass
        took = time.monotonic() - start
        while self._read(0):
            pass
        left = [" ".join(_command(child)) for child in self._alive()]
        code = self._process.poll()
        assert code is not None, f"it goes on: {self.said.decode(errors='replace')}"
        return Ended(code, took, self.said.decode(errors="replace"), left)

    def _alive(self) -> list[psutil.Process]:
        return [child for child in self.family.values() if _is_alive(child)]


def _is_alive(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    return False


def _command(process: psutil.Process) -> list[str]:
    with contextlib.suppress(psutil.Error):
        return list(process.cmdline())
    return []
