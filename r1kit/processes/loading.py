"""Importing what is large."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def gc_paused_imports() -> Iterator[None]:
    """For the imports of torch and transformers: a fifth faster.

    They make a million objects that live as long as the process, and the garbage collector would
    look through them hundreds of times, then and ever after.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
