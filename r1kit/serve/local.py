"""`--engine local`: models of this machine, each in a process of its own.

A process that ends, whatever ended it, is started again within a second.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from r1kit.engines.process import Opening, ProcessEngine, Wish
from r1kit.loading import loading
from r1kit.serve.limits import Limits
from r1kit.serve.models import Served, ServedModel


class Process:
    """At most one engine at a time; a call gives a new one, and ends the one before."""

    def __init__(self, make: Callable[[Opening], ProcessEngine], opening: Opening) -> None:
        """The first engine is made from `opening`."""
        self._make = make
        self._wish = opening.wish
        self._opening: Opening | None = opening
        self._engine: ProcessEngine | None = None

    def __call__(self) -> ProcessEngine:
        """Raises an R1Error when it does not start."""
        opening, self._opening = self._opening, None
        self.close()
        self._engine = self._make(opening or Opening(self._wish))
        return self._engine

    def close(self) -> None:
        """End it, if there is one."""
        for one in (self._opening, self._engine):
            if one is not None:
                one.close()
        self._opening = self._engine = None


def open_folders(folders: Mapping[str, Path | str], limits: Limits) -> list[ServedModel]:
    """Checkpoints by their names. Raises CheckpointError for a folder that does not open."""
    served: list[ServedModel] = []
    with ExitStack() as opened:
        openings: list[Opening] = []
        for folder in folders.values():  # all at once, and we meanwhile
            openings.append(Opening(Wish(folder, limits.max_rows, limits.prefix_tokens)))
            opened.callback(openings[-1].close)
        with loading():
            from r1kit.engines.grammar import Grammars
            from r1kit.model.folder import facts, load_words
        for (name, folder), opening in zip(folders.items(), openings, strict=True):
            words = load_words(folder)
            n_ids, eos_ids = facts(folder, words)
            make = partial(ProcessEngine, tokenizer=words, n_ids=n_ids, eos_ids=eos_ids)
            process = Process(make, opening)
            grammars = Grammars(words, n_ids, eos_ids)
            served.append(Served(name, process, words, grammars, limits, process.close))
        opened.pop_all()
    return served
