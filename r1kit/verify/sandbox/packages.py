"""Installed packages that programs may import: an image of the root folder with their folders.

A worker of such an image imports the packages once, before it is confined, so that a candidate
starts as fast as without them, and without threads of a numerical library. The folders are
read-only, like Python's own; no other package of the environment can be imported.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import sys
from collections.abc import Sequence
from functools import cache

NUMERICAL = ("numpy", "sortedcontainers")
"""the packages that judges of contests have beside Python's own library, as LeetCode"""
_LAZY = {"numpy": ("fft", "linalg", "ma", "polynomial", "random")}
"""modules that a package imports on first use"""
_ONE_THREAD = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")


@cache
def folders(name: str) -> tuple[str, ...]:
    """Return the folders of an installed package; none if it is not installed."""
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return ()
    places = spec.submodule_search_locations if spec else None
    paths = [path for place in places or () for path in (place, f"{place}.libs")]
    return tuple(os.path.realpath(path) for path in paths if os.path.isdir(path))


def mentioned(*sources: str) -> tuple[str, ...]:
    """Return the installed packages of NUMERICAL that program texts mention."""
    return tuple(
        name
        for name in NUMERICAL
        if any(name in source and re.search(rf"\b{name}\b", source) for source in sources)
        and folders(name)
    )


def load(names: Sequence[str], paths: Sequence[str]) -> None:
    """Import the packages in a worker and add the parents of their folders to `sys.path`."""
    os.environ.update(dict.fromkeys(_ONE_THREAD, "1"))
    sys.path += dict.fromkeys(os.path.dirname(path) for path in paths)
    for name in names:
        importlib.import_module(name)
        for module in _LAZY.get(name, ()):
            importlib.import_module(f"{name}.{module}")
    sys.path_importer_cache.clear()  # it lists packages that the candidate will not have
