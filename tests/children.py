"""The processes below the running test."""

from __future__ import annotations

import psutil


def python_children() -> set[int]:
    """Return the ids of all Python processes below this one.

    A browser of other tests of this worker lives as long as the worker, and its own processes come
    and go by themselves.
    """
    found = set()
    for child in psutil.Process().children(recursive=True):
        try:
            if child.name().startswith("python"):
                found.add(child.pid)
        except psutil.NoSuchProcess:
            continue
    return found
