"""Runs a command that ends with us, however we end: `python -m r1kit.serve.leash COMMAND ...`.

The command and all it starts are one process group. When standard input ends (whoever holds its
other end is gone, be it by kill -9) the group is told to end, and is killed if it does not.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading

GRACE_S = 10.0


def main() -> int:
    """The exit code of the command."""
    child = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, start_new_session=True)
    threading.Thread(target=_end_with_stdin, args=(child,), daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever holds us decides
    signal.signal(signal.SIGTERM, lambda *_: _tell(child, signal.SIGTERM))
    code = child.wait()
    _tell(child, signal.SIGKILL)  # what it started and left
    return code if code >= 0 else 128 - code  # by a signal, as shells say it


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
