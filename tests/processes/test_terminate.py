"""A process that was told to end, and one that does not listen."""

import signal
import subprocess
import sys
import time

from r1kit.processes.terminate import wait_or_kill

DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); input()"


def _deaf() -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        [sys.executable, "-c", DEAF], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.readline()
    process.terminate()
    return process


def test_a_process_that_ends_by_itself_is_not_killed() -> None:
    with _deaf() as process:
        assert process.stdin is not None
        process.stdin.write(b"\n")
        process.stdin.close()
        wait_or_kill(process, 60)
        assert process.returncode == 0


def test_a_process_that_does_not_listen_is_killed_after_the_grace() -> None:
    with _deaf() as process:
        start = time.monotonic()
        wait_or_kill(process, 0.2)
        assert time.monotonic() - start >= 0.2
        assert process.returncode == -signal.SIGKILL


def test_the_caller_may_say_how_to_kill() -> None:
    with _deaf() as process:
        wait_or_kill(process, 0.1, lambda: process.send_signal(signal.SIGUSR1))
        assert process.returncode == -signal.SIGUSR1
