"""Runs per second of the sandbox, of a plain interpreter and of bubblewrap.

    python -m benchmarks.sandbox [--seconds 3] [--workers 2]

The program prints one line. The plain and the bubblewrap variant start one interpreter per run,
from as many threads as the sandbox has workers; bubblewrap is skipped if it is not installed.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from r1kit.errors import SandboxError
from r1kit.verify.sandbox import Job, Level, Sandbox

PROGRAM = "print(1)"
BWRAP = (
    *("bwrap", "--unshare-all", "--die-with-parent", "--clearenv", "--cap-drop", "ALL"),
    *(
        "--tmpfs",
        "/tmp",
        "--ro-bind",
        "/usr",
        "/usr",
        "--ro-bind",
        sys.base_prefix,
        sys.base_prefix,
    ),
    *("--symlink", "usr/lib", "/lib", "--symlink", "usr/lib64", "/lib64"),
)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--workers", type=int, default=2)
    asked = parser.parse_args()
    rows = {}
    python = [os.path.realpath(sys.executable), "-I", "-S", "-c", PROGRAM]
    rows["python -I -S"] = measure(lambda: start(python), asked.seconds, asked.workers)
    if shutil.which("bwrap"):
        command = [*BWRAP, *python]
        rows["bubblewrap"] = measure(lambda: start(command), asked.seconds, asked.workers)
    levels: tuple[Level, ...] = ("standard", "strict")
    for level in levels:
        try:
            with Sandbox(level, asked.workers) as sandbox:
                rows[level] = measure(lambda: inside(sandbox), asked.seconds, asked.workers)
        except SandboxError as error:
            print(error)
    plain = rows["python -I -S"][0]
    print(f"uid {os.geteuid()}, {asked.workers} workers, load {os.getloadavg()[0]:.1f}")
    print(f"{'':14} {'runs/s':>8} {'median ms':>10} {'p99 ms':>8} {'of plain':>9}")
    for name, (speed, median, late) in rows.items():
        print(f"{name:14} {speed:8.0f} {median:10.1f} {late:8.1f} {speed / plain:8.1f}x")


def measure(run: Callable[[], None], seconds: float, n_threads: int) -> tuple[float, float, float]:
    """Return runs per second over all threads, and a run's median and 99th percentile in ms."""
    for _ in range(4):
        run()
    end = time.perf_counter() + seconds

    def repeat(_: int) -> list[float]:
        taken = []
        while (started := time.perf_counter()) < end:
            run()
            taken.append(time.perf_counter() - started)
        return taken

    with ThreadPoolExecutor(n_threads) as threads:
        times = [time for part in threads.map(repeat, range(n_threads)) for time in part]
    late = statistics.quantiles(times, n=100)[-1]
    return len(times) / seconds, 1000 * statistics.median(times), 1000 * late


def start(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, env={"PATH": os.defpath}, check=True)
    assert done.stdout == b"1\n"


def inside(sandbox: Sandbox) -> None:
    assert sandbox.run(Job(PROGRAM)).stdout == b"1\n"


if __name__ == "__main__":
    main()
