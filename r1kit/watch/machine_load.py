"""How many CPU cores a run uses, and how busy its machine is; read from the system, not the run."""

from __future__ import annotations

import time
from typing import Any

import psutil

MEASURED_EVERY_S = 2.0
"""a page that asks more often gets what was measured last: all processes of the machine are read"""


class LoadMeter:
    """Measures the process of a run and all its children between two looks."""

    def __init__(self) -> None:
        self._pid = 0
        self._at = 0.0
        self._cpu_s: dict[int, float] = {}
        self._load: dict[str, Any] | None = None

    def read(self, pid: int) -> dict[str, Any] | None:
        """Return `cores` used by the run, `n_cores` and `busy`, the machine's share; None at first.

        A process that begins between two looks counts from the next one on.
        """
        now = time.monotonic()
        if pid == self._pid and now - self._at < MEASURED_EVERY_S:
            return self._load
        cpu_s = _cpu_seconds(pid)
        if pid == self._pid and self._cpu_s:
            spent = sum(cpu_s[one] - self._cpu_s[one] for one in cpu_s.keys() & self._cpu_s.keys())
            busy = psutil.cpu_percent(None) / 100
            cores = max(0.0, spent) / (now - self._at)
            self._load = {"cores": cores, "n_cores": psutil.cpu_count() or 1, "busy": busy}
        else:
            psutil.cpu_percent(None)  # the first reading has nothing to compare with
            self._load = None
        self._pid, self._at, self._cpu_s = pid, now, cpu_s
        return self._load


def _cpu_seconds(pid: int) -> dict[int, float]:
    """Return the processor time of a process and its children, by process; {} if it has ended."""
    seconds: dict[int, float] = {}
    try:
        root = psutil.Process(pid)
        processes = [root, *root.children(recursive=True)]
    except psutil.Error:
        return seconds
    for process in processes:
        try:
            times = process.cpu_times()
            seconds[process.pid] = times.user + times.system
        except psutil.Error:
            continue
    return seconds
