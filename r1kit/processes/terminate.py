"""The end of a process that was told to end."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from typing import Any


def wait_or_kill(
    process: subprocess.Popen[Any], grace_s: float, kill: Callable[[], None] | None = None
) -> None:
    """Wait up to `grace_s` for the end of a process, then kill it (by `kill`, if given)."""
    try:
        process.wait(grace_s)
    except subprocess.TimeoutExpired:
        (kill or process.kill)()
        process.wait()
