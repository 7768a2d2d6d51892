"""A command that ends when its parent does: `python -m r1kit.processes.process_guard COMMAND ...`.

    parent ── stdin of the guard ── guard ── the command and its child processes, one session

When the guard's standard input is closed, because the parent called `stop` or has died, even by
`kill -9`, the guard sends SIGTERM to the command and later SIGKILL if it has not ended. If the
guard itself is killed, the kernel sends SIGTERM to the command (Linux). Ctrl-C in a terminal
reaches neither: the parent decides.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from typing import Any

from r1kit.processes.terminate import wait_or_kill

GRACE_S = 10.0
"""seconds for the command to end after SIGTERM"""
_PR_SET_PDEATHSIG = 1


def start(command: Sequence[str], **options: Any) -> subprocess.Popen[Any]:
    """Run a command under a guard, until `stop` or our end; options as for Popen."""
    guarded = [sys.executable, "-m", "r1kit.processes.process_guard", *command]
    return subprocess.Popen(guarded, stdin=subprocess.PIPE, process_group=0, **options)


def stop(guard: subprocess.Popen[Any]) -> None:
    """End the command and wait for its exit."""
    assert guard.stdin is not None
    guard.stdin.close()
    wait_or_kill(guard, GRACE_S + 5)


def main() -> int:
    """Run the command, and return its exit code."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)  # not SIG_IGN, which the command would inherit
    guard_pid = os.getpid()
    child = subprocess.Popen(
        sys.argv[1:],
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=lambda: _end_with(guard_pid),
    )
    threading.Thread(target=_end_with_stdin, args=(child,), daemon=True).start()
    signal.signal(signal.SIGTERM, lambda *_: _tell(child, signal.SIGTERM))
    code = child.wait()
    _tell(child, signal.SIGKILL)  # processes it left behind
    return code if code >= 0 else 128 - code  # ended by a signal: as in shells


def _end_with(guard_pid: int) -> None:
    """Tie the command to the guard's life; runs in the command before its first instruction."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != guard_pid:  # the guard has died meanwhile
            os._exit(1)


def _end_with_stdin(child: subprocess.Popen[bytes]) -> None:
    while os.read(0, 1024):  # not sys.stdin: this thread would hold its lock at exit
        pass
    _tell(child, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(GRACE_S)
    _tell(child, signal.SIGKILL)


def _tell(child: subprocess.Popen[bytes], what: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, what)


if __name__ == "__main__":
    sys.exit(main())
