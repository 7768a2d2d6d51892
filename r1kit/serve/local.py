"""`--engine local`: models on this machine, each in a process of its own.

A process that ends for any reason is started again within a second.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from r1kit.engines.process.engine import EngineConfig, EngineProcess, ProcessEngine
from r1kit.processes.loading import gc_paused_imports
from r1kit.serve.limits import ServeLimits
from r1kit.serve.models import EngineModel, ServedModel


class Process:
    """A factory of engine processes: each call ends the previous engine and makes a new one."""

    def __init__(
        self, make: Callable[[EngineProcess], ProcessEngine], opening: EngineProcess
    ) -> None:
        """The first call makes its engine from `opening`."""
        self._make = make
        self._config = opening.config
        self._opening: EngineProcess | None = opening
        self._engine: ProcessEngine | None = None

    def __call__(self) -> ProcessEngine:
        """Return a new engine. Raises an R1Error if it does not start."""
        opening, self._opening = self._opening, None
        self.close()
        self._engine = self._make(opening or EngineProcess(self._config))
        return self._engine

    def close(self) -> None:
        """End the process, if there is one."""
        for process in (self._opening, self._engine):
            if process is not None:
                process.close()
        self._opening = self._engine = None


def open_folders(folders: Mapping[str, Path | str], limits: ServeLimits) -> list[ServedModel]:
    """Open checkpoint folders by model name. Raises CheckpointError if one does not open."""
    served: list[ServedModel] = []
    with ExitStack() as stack:
        openings: list[EngineProcess] = []
        for folder in folders.values():  # they load while this process imports
            openings.append(
                EngineProcess(EngineConfig(folder, limits.max_num_seqs, limits.prefix_tokens))
            )
            stack.callback(openings[-1].close)
        with gc_paused_imports():
            from r1kit.engines.grammar import Grammars
            from r1kit.model.folder import fingerprint, open_tokenizer, vocab_and_eos
        for (name, folder), opening in zip(folders.items(), openings, strict=True):
            tokenizer = open_tokenizer(folder)
            vocab_size, eos_ids = vocab_and_eos(folder, tokenizer)
            make = partial(
                ProcessEngine, tokenizer=tokenizer, vocab_size=vocab_size, eos_ids=eos_ids
            )
            process = Process(make, opening)
            grammars = Grammars(tokenizer, vocab_size, eos_ids)
            weights = fingerprint(folder)
            served.append(
                EngineModel(name, process, tokenizer, grammars, limits, process.close, weights)
            )
        stack.pop_all()
    return served
