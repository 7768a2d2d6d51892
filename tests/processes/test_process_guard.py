"""A command on a leash ends with whoever holds it, and with the leash."""

import signal
import subprocess
import sys
import time

import psutil
import pytest

from r1kit.processes import process_guard

NAP = "import subprocess, sys, time; subprocess.Popen(['sleep', '60']); time.sleep(60)"
HOLD = f"""
import sys, time
from r1kit.processes import process_guard
print(process_guard.start([sys.executable, "-c", {NAP!r}]).pid, flush=True)
time.sleep(60)
"""


def held_by(pid: int) -> list[psutil.Process]:
    """The command on this leash and what it has started."""
    processes: list[psutil.Process]
    deadline = time.monotonic() + 20
    while len(processes := psutil.Process(pid).children(recursive=True)) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return processes


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_it_ends_with_whoever_holds_it(number: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        processes = [psutil.Process(pid), *held_by(pid)]
        process.send_signal(number)
    assert not psutil.wait_procs(processes, timeout=20)[1]


@pytest.mark.skipif(sys.platform != "linux", reason="the system tells it on Linux alone")
def test_a_leash_that_is_killed_takes_the_command_along() -> None:
    process = process_guard.start([sys.executable, "-c", "import time; time.sleep(60)"])
    deadline = time.monotonic() + 20
    while not (processes := psutil.Process(process.pid).children()):
        assert time.monotonic() < deadline
    process.kill()
    assert not psutil.wait_procs(processes, timeout=20)[1]
    process_guard.stop(process)


def test_a_command_has_its_own_exit_code() -> None:
    process = process_guard.start([sys.executable, "-c", "raise SystemExit(7)"])
    assert process.wait(20) == 7
    process_guard.stop(process)
