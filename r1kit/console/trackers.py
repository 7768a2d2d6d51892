"""`--track`: sends metrics.jsonl, as it grows, to trackio, TensorBoard or Weights & Biases.

metrics.jsonl stays the source of truth. A tracker only reads it, from its first line, so that a
resumed run arrives complete. The tracker packages are imported only on request; no login is needed
(wandb works offline with WANDB_MODE=offline).
"""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from r1kit.console.progress import ForwardingObserver, MetricValues, Observer
from r1kit.errors import ConfigError

MetricsEntry = dict[str, Any]
MetricsSink = Callable[[int, MetricsEntry | None], None]
"""receives (number, line) for each line of metrics.jsonl, and finally (total, None)"""


class TrackingObserver(ForwardingObserver):
    """An observer that forwards calls to `inner` and each new line of metrics.jsonl to `sink`."""

    def __init__(self, inner: Observer, run: Path, sink: MetricsSink) -> None:
        super().__init__(inner)
        self._file = run / "metrics.jsonl"
        self._sink = sink
        self._offset = 0
        self._count = 0

    def __enter__(self) -> TrackingObserver:
        return self

    def __exit__(self, *_: object) -> None:
        self._drain()
        self._sink(self._count, None)

    def step(self, stage: str, step: int, metrics: MetricValues) -> None:
        super().step(stage, step, metrics)
        self._drain()

    def _drain(self) -> None:
        if not self._file.exists():
            return
        with self._file.open("rb") as file:
            file.seek(self._offset)
            for raw in file:
                if not raw.endswith(b"\n"):
                    break
                self._offset += len(raw)
                self._sink(self._count, json.loads(raw))
                self._count += 1


def open_sink(backend: str, run: Path, name: str) -> MetricsSink:
    """Return a sink for the tracker `backend`; it opens on its first line, when the run folder
    exists.

    Raises ConfigError if the tracker is unknown or not installed.
    """
    if backend not in _BACKENDS:
        raise ConfigError(f"--track takes {', '.join(_BACKENDS)}; got {backend!r}.")
    module, make = _BACKENDS[backend]
    try:
        library = importlib.import_module(module)
    except ImportError as error:
        raise ConfigError(
            f"--track {backend} needs a package that is not installed ({error}): "
            f"pip install {backend}"
        ) from None
    opened: list[MetricsSink] = []

    def send(number: int, line: MetricsEntry | None) -> None:
        if not opened and line is not None:
            opened.append(make(library, run, name))
        for sink in opened:
            sink(number, line)

    return send


def scalars(line: MetricsEntry) -> dict[str, float]:
    """Return the numbers of a line under `<stage>/<metric>`; nulls are dropped."""
    stage = line["stage"]
    return {
        f"{stage}/{key}": value
        for key, value in line.items()
        if key != "stage" and isinstance(value, (int, float))
    }


def _tensorboard(library: Any, run: Path, name: str) -> MetricsSink:
    folder = run / "tensorboard"
    for old in folder.glob("events.out.tfevents.*"):
        old.unlink()
    writer = library.SummaryWriter(str(folder))

    def send(number: int, line: MetricsEntry | None) -> None:
        if line is None:
            writer.close()
            return
        for key, value in scalars(line).items():
            writer.add_scalar(key, value, line["step"])

    return send


def _wandb_like(library: Any, run: Path, name: str) -> MetricsSink:
    """Return a sink for wandb or trackio, which share an API; it logs a stage's step as a value."""
    if library.__name__ == "wandb":
        os.environ.setdefault("WANDB_DIR", str(run))
        os.environ.setdefault("WANDB_SILENT", "true")
    library.init(project="r1kit", name=f"{name}-{os.getpid()}")

    def send(number: int, line: MetricsEntry | None) -> None:
        if line is None:
            library.finish()
        else:
            library.log(scalars(line), step=number)

    return send


_BACKENDS: dict[str, tuple[str, Callable[[Any, Path, str], MetricsSink]]] = {
    "trackio": ("trackio", _wandb_like),
    "tensorboard": ("torch.utils.tensorboard", _tensorboard),
    "wandb": ("wandb", _wandb_like),
}
