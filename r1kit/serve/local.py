"""`--engine local`: models on this machine, each in a process of its own.

A process that ends for any reason is started again within a second. With `--model-memory`, models
are loaded on demand (on_demand.py).
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
from r1kit.serve.on_demand import ModelMemory, OnDemandEngine


class Process:
    """A factory of engine processes: each call ends the previous engine and makes a new one."""

    def __init__(
        self,
        make: Callable[[EngineProcess], ProcessEngine],
        config: EngineConfig,
        opening: EngineProcess | None,
    ) -> None:
        """The first call makes its engine from `opening`, if that is given."""
        self._make = make
        self._config = config
        self._opening = opening
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


def open_folders(
    folders: Mapping[str, Path | str],
    limits: ServeLimits,
    adapters: Mapping[str, Path] | None = None,
    memory: ModelMemory | None = None,
) -> list[ServedModel]:
    """Open checkpoint folders by model name, and adapters of the first one.

    With `memory`, they are loaded one after another, and the first model stays loaded.
    Raises CheckpointError if one does not open, and ConfigError if it is larger than the memory.
    """
    [first, *_] = folders.values()
    sources = [(name, _config(folder, limits)) for name, folder in folders.items()]
    sources += [(name, _config(first, limits, path)) for name, path in (adapters or {}).items()]
    if memory is not None:
        sources.reverse()  # the model that is opened last stays loaded
    served: list[ServedModel] = []
    with ExitStack() as stack:
        openings: list[EngineProcess | None] = []
        for _, config in sources:  # they load while this process imports
            opening = EngineProcess(config) if memory is None else None
            openings.append(opening)
            if opening is not None:
                stack.callback(opening.close)
        for (name, config), opening in zip(sources, openings, strict=True):
            served.append(_open(name, config, opening, limits, memory, stack))
        stack.pop_all()
    return served if memory is None else served[::-1]


def _config(model: Path | str, limits: ServeLimits, adapter: Path | None = None) -> EngineConfig:
    """Return the settings of an engine; `model` may be an adapter folder, which names its base."""
    if adapter is None and isinstance(model, Path) and not (model / "config.json").exists():
        from r1kit.model.adapter_folder import base_of, is_adapter_folder

        if is_adapter_folder(model):
            return _config(base_of(model), limits, model)
    return EngineConfig(model, limits.max_num_seqs, limits.prefix_tokens, adapter)


def _open(
    name: str,
    config: EngineConfig,
    opening: EngineProcess | None,
    limits: ServeLimits,
    memory: ModelMemory | None,
    stack: ExitStack,
) -> EngineModel:
    """Open a model; `stack` closes its process if a later model does not open."""
    with gc_paused_imports():
        from r1kit.engines.grammar import Grammars
        from r1kit.model.folder import fingerprint, open_tokenizer, vocab_and_eos

    adapter = config.adapter
    has_tokenizer = adapter is not None and (adapter / "tokenizer_config.json").exists()
    tokenizer = open_tokenizer(adapter if adapter and has_tokenizer else config.model)
    vocab_size, eos_ids = vocab_and_eos(config.model, tokenizer)
    make = partial(ProcessEngine, tokenizer=tokenizer, vocab_size=vocab_size, eos_ids=eos_ids)
    process = Process(make, config, opening)
    stack.callback(process.close)
    grammars = Grammars(tokenizer, vocab_size, eos_ids)
    weights = fingerprint(adapter or config.model)
    if memory is None:
        return EngineModel(name, process, tokenizer, grammars, limits, process.close, weights)
    engine = OnDemandEngine(name, process, process.close, memory)
    model = EngineModel(name, engine.opened, tokenizer, grammars, limits, process.close, weights)
    engine.is_idle = lambda: not model.engine_loop.live
    return model
