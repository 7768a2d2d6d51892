"""What the probe measures, and its cache: the next forecast of the same model starts at once."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

import r1kit
from r1kit.config import ComputeConfig, Language, ModelConfig, OptimConfig
from r1kit.errors import ComputeError
from r1kit.files.atomic import replace_file
from r1kit.forecast.model_shape import ModelShape
from r1kit.forecast.timings import Timings
from r1kit.forecast.workload import PromptLengths
from r1kit.processes.child import Child
from r1kit.types import Message

FORMAT = 3
"""version of a cached measurement; another one is measured anew"""
REMEDY = "lower compute.micro_batch_tokens, or state the hardware: r1 plan --gpus 1x24GB"


T = TypeVar("T")


@dataclass(frozen=True)
class Measurement:
    """The result of the probe for one model on this machine."""

    shape: ModelShape
    prompts: PromptLengths | None
    """None without a tokenizer"""
    timings: Timings | None
    """None if they were not asked for"""
    n_processes: int
    device: str
    n_program_bytes: int
    """resident memory of a process that has loaded everything but a model"""
    device_memory: float | None
    """bytes of a GPU; None on a CPU"""
    load: float = 0.0
    """runnable processes of this machine before the measurement"""


@dataclass(frozen=True)
class ProbeRequest:
    """A model to measure, and the sizes to measure it at: the arguments of `probe.measure`."""

    model: ModelConfig
    compute: ComputeConfig
    optim: OptimConfig
    questions: list[tuple[Message, ...]]
    languages: tuple[Language, ...]
    rows: int
    length: int
    at_most: int
    """processes that the problems of a step can keep busy"""
    is_timed: bool

    def key(self) -> str:
        """Return a hash of all that the measurement depends on, this machine included."""
        machine = (platform.node(), platform.machine(), os.cpu_count(), r1kit.__version__, FORMAT)
        compute = self.compute.model_dump()
        texts = [[message.content for message in question] for question in self.questions]
        facts = [
            machine, self.model.model_dump(), config_of(self.model.path), compute,
            self.optim.optimizer, texts if self.model.path else [], self.languages, self.rows,
            self.length, self.at_most, self.is_timed,
        ]  # fmt: skip
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:24]


def probe(
    requests: Sequence[ProbeRequest],
    is_new: bool = False,
    on_measured: Callable[[int], None] | None = None,
) -> list[Measurement]:
    """Return the measurement of each request: cached, or made in one child process.

    With `is_new` the cache is not read. `on_measured` gets the number of finished measurements.
    Raises the R1Error of a measurement, and ComputeError if its process was killed.
    """
    files = [cache_folder() / f"{request.key()}.json" for request in requests]
    known = [None if is_new else read_record(file, _MEASURED) for file in files]
    missing = [index for index, measured in enumerate(known) if measured is None]
    for n_done, measured in enumerate(_measure([requests[index] for index in missing])):
        index = missing[n_done]
        known[index] = measured
        write_record(files[index], asdict(measured))
        if on_measured is not None:
            on_measured(n_done + 1)
    return [measured for measured in known if measured is not None]


def _measure(requests: Sequence[ProbeRequest]) -> Iterator[Measurement]:
    """Measure one after the other in a child process, which loads torch once."""
    if not requests:
        return
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    child = Child("r1kit.forecast.probe")
    try:
        child.line.send([vars(request) for request in requests])
        for _ in requests:
            answer = child.line.recv()
            if isinstance(answer, Exception):
                raise answer
            yield replace(answer, load=load)
    except (EOFError, OSError):
        raise ComputeError(
            f"The measurement has ended{child.how()}; is the memory used up? If so, {REMEDY}."
        ) from None
    finally:
        child.close()


def cache_folder() -> Path:
    """Return the folder of all measurements."""
    stated = os.environ.get("XDG_CACHE_HOME")
    return (Path(stated) if stated else Path.home() / ".cache") / "r1kit" / "measured"


def read_record(file: Path, kind: TypeAdapter[T]) -> T | None:
    """Return a cached record; None if there is none that can be read."""
    try:
        return kind.validate_json(file.read_bytes())
    except (OSError, ValidationError):
        return None


def write_record(file: Path, record: Mapping[str, Any]) -> None:
    """Write a record into the cache, where that is possible."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        replace_file(file, json.dumps(record))
    except OSError:  # a cache that cannot be written is no reason to stop
        return


def config_of(path: str | None) -> str:
    """Return the content of a local model's config, which another model may replace."""
    if path is None:
        return ""
    try:
        return (Path(path).expanduser() / "config.json").read_text(encoding="utf-8")
    except (OSError, ValueError):
        return ""


_MEASURED: TypeAdapter[Measurement] = TypeAdapter(Measurement)
