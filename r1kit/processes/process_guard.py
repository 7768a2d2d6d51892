"""A command that ends when we do: `python -m r1kit.processes.process_guard COMMAND ...`.

    we ── stdin of the leash ── leash ── the command and all that it starts, one session

When standard input of the leash ends, because we let go or have died, be it by `kill -9`, the
command is told to end and is killed if it does not. If the leash itself is killed, the system tells
the command (Linux). Ctrl-C in a terminal reaches neither: we decide.
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

GRACE_S = 10.0
"""for the command to end by itself"""
_PR_SET_PDEATHSIG = 1


def start(command: Sequence[str], **options: Any) -> subprocess.Popen[Any]:
    """Run a command on a leash; options as for Popen. It ends with `let_go`, or when we do."""
    leash = [sys.executable, "-m", "r1kit.processes.process_guard", *command]
    return subprocess.Popen(leash, stdin=subprocess.PIPE, process_group=0, **options)


def let_go(leash: subprocess.Popen[Any]) -> None:
    """End the command and wait until it has ended."""
    assert leash.stdin is not None
    leash.stdin.close()
    try:
        leash.wait(GRACE_S + 5)
    except subprocess.TimeoutExpired:
        leash.kill()
        leash.wait()


def main() -> int:
    """The exit code of the command."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)  # not SIG_IGN, which the command would inherit
    leash = os.getpid()
    child = subprocess.Popen(
        sys.argv[1:],
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=lambda: _end_with(leash),
    )
    threading.Thread(target=_end_with_stdin, args=(child,), daemon=True).start()
    signal.signal(signal.SIGTERM, lambda *_: _tell(child, signal.SIGTERM))
    code = child.wait()
    _tell(child, signal.SIGKILL)  # what it started and left
    return code if code >= 0 else 128 - code  # by a signal, as shells say it


def _end_with(leash: int) -> None:
    """In the command, before its first instruction."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != leash:  # it has died meanwhile
            os._exit(1)


def _end_with_stdin(child: subprocess.Popen[bytes]) -> None:
    while os.read(0, 1024):  # not sys.stdin, whose lock this thread would hold at our own end
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
