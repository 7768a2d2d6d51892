"""progress.json: the point that a run has reached, for `r1 watch`.

The metrics do not say how many steps a stage has, what is sampled between two stages, or whether
the run is still alive.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import psutil

from r1kit.console.progress import ForwardingObserver, MetricValues, Observer
from r1kit.errors import R1Error
from r1kit.files.atomic import replace_file, to_json
from r1kit.runs.run_reader import PROGRESS
from r1kit.runs.schemas import ProgressRecord

WRITTEN_EVERY_S = 1.0


class ProgressFileObserver(ForwardingObserver):
    """An observer that forwards calls to `inner`, and writes progress.json at most once a second.

    A file that cannot be written is left out: the run continues.
    """

    def __init__(
        self, inner: Observer, run: Path, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(inner)
        self._file, self._clock, self._written = run / PROGRESS, clock, -WRITTEN_EVERY_S
        process = psutil.Process()
        self._record = ProgressRecord(
            host=socket.gethostname(),
            pid=process.pid,
            pid_started=process.create_time(),
            is_over=False,
            stage="",
            what="",
            step=0,
            n_steps=0,
            at=time.time(),
            stages={},
        )

    def __enter__(self) -> ProgressFileObserver:
        return self

    def __exit__(self, *_: object) -> None:
        if self._record["stage"] and self._file.parent.is_dir():
            self._record["is_over"] = True
            self._write()

    def stage_started(self, stage: str, n_steps: int, what: str) -> None:
        self._record.update({"stage": stage, "what": what, "step": 0, "n_steps": n_steps})
        self._write()
        super().stage_started(stage, n_steps, what)

    def step(self, stage: str, step: int, metrics: MetricValues) -> None:
        record = self._record
        if metrics:  # else it counts something other than the steps of training
            record["stages"][stage] = record["n_steps"]
        record.update({"stage": stage, "step": step})
        if self._clock() - self._written >= WRITTEN_EVERY_S:
            self._write()
        super().step(stage, step, metrics)

    def stage_finished(self, stage: str, summary: Mapping[str, Any]) -> None:
        super().stage_finished(stage, summary)
        self._write()

    def _write(self) -> None:
        self._written = self._clock()
        self._record["at"] = time.time()
        with contextlib.suppress(OSError, R1Error):
            replace_file(self._file, to_json(self._record) + "\n", flush=False)
