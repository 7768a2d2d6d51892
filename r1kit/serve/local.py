"""`--engine local`: models of this machine, each in a process of its own.

A process that ends, whatever ended it, is started again within a second.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from r1kit.engines.grammar import Grammars
from r1kit.engines.process import ProcessEngine, Wish
from r1kit.model import checkpoint, policy
from r1kit.serve.limits import Limits
from r1kit.serve.models import Served, ServedModel


class Process:
    """At most one engine at a time; a call gives a new one, and ends the one before."""

    def __init__(self, make: Callable[[], ProcessEngine]) -> None:
        self._make = make
        self._engine: ProcessEngine | None = None

    def __call__(self) -> ProcessEngine:
        """Raises an R1Error when it does not start."""
        self.close()
        self._engine = self._make()
        return self._engine

    def close(self) -> None:
        """End it, if there is one."""
        engine, self._engine = self._engine, None
        if engine is not None:
            engine.close()


def open_folders(
    folders: Mapping[str, Path | str], device: str, limits: Limits
) -> list[ServedModel]:
    """Checkpoints by their names. Raises CheckpointError for a folder that does not open."""
    served: list[ServedModel] = []
    with ExitStack() as opened:
        for name, folder in folders.items():
            words = checkpoint.load_words(folder)
            n_ids, eos_ids = policy.facts(folder, words)
            wish = Wish(folder, device, limits.max_rows, limits.prefix_tokens)
            make = partial(ProcessEngine, wish, words, n_ids=n_ids, eos_ids=eos_ids)
            process = Process(make)
            opened.callback(process.close)
            grammars = Grammars(words, n_ids, eos_ids)
            served.append(Served(name, process, words, grammars, limits, process.close))
        opened.pop_all()
    return served
