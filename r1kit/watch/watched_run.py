"""A run folder as `r1 watch` sees it: read again and again, only as far as it has grown.

Nothing is written, nothing is locked, and a file that is damaged or half replaced costs its part of
the page and no more: `problems` says which.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from r1kit.diagnose import Finding, diagnose
from r1kit.errors import R1Error
from r1kit.runs import run_reader
from r1kit.runs.schemas import ForecastStage, ProgressRecord
from r1kit.watch.growing_file import GrowingFile, is_step, parsed_line
from r1kit.watch.machine_load import LoadMeter
from r1kit.watch.metric_columns import MetricColumns
from r1kit.watch.rollout_index import RolloutIndex

T = TypeVar("T")

REREAD_AFTER_S = 0.4
"""a page that asks more often gets what was read last"""
DIAGNOSED_EVERY_S = 2.0
DIAGNOSIS_SHARE = 0.005
"""most of a core that the diagnosis takes: of a long stage it is made less often"""
_SMALL_FILES = (
    "manifest.json", "recipe.json", "results.json", "clock.json", "forecast.json", "progress.json",
)  # fmt: skip


class WatchedRun:
    """One run folder; its methods may be called from several threads."""

    def __init__(self, path: Path, name: str) -> None:
        self.path, self.name = path, name
        self.lock = threading.RLock()
        self.manifest: dict[str, Any] = {}
        self.recipe: dict[str, Any] = {}
        self.results: dict[str, Any] = {}
        self.clock: dict[str, float] = {}
        self.forecast: dict[str, ForecastStage] = {}
        self.progress: ProgressRecord | None = None
        self.columns: dict[str, MetricColumns] = {}
        self.seed_group = ""
        """the same for runs that differ only in their seeds; "" without a recipe"""
        self.load_meter = LoadMeter()
        self.problems: list[str] = []
        """sentences about files that could not be read"""
        self.version = 0
        """rises with every change of the folder that was noticed"""
        self._metrics = GrowingFile(path / "metrics.jsonl")
        self._n_damaged = 0
        self._stamps: dict[str, tuple[int, int] | None] = {}
        self._read_at = self._diagnosed_at = -REREAD_AFTER_S
        self._diagnosis_s = 0.0
        self._findings: dict[tuple[str, str], tuple[int, list[Finding]]] = {}

    @cached_property
    def rollouts(self) -> RolloutIndex:
        """The index of samples.jsonl; lock the run to use it."""
        return RolloutIndex(self.path / "samples.jsonl")

    def refresh(self, with_metrics: bool = True) -> int:
        """Read what has changed; return the version. Without metrics only the small files."""
        with self.lock:
            now = time.monotonic()
            if now - self._read_at < REREAD_AFTER_S:
                return self.version
            self._read_small_files()
            if with_metrics:
                self._read_at = now
                self._read_metrics()
            return self.version

    def index(self) -> RolloutIndex:
        """Return the index of rollouts, up to date; lock the run to use it."""
        with self.lock:
            self.rollouts.refresh()
            return self.rollouts

    def _read_small_files(self) -> None:
        stamps = {name: _stamp(self.path / name) for name in _SMALL_FILES}
        if stamps == self._stamps:
            return
        self._stamps = stamps
        self.version += 1
        self.problems = []
        self.manifest = self._tried(lambda: run_reader.read_manifest(self.path), {})
        self.recipe = self._tried(lambda: run_reader.read_recipe(self.path, self.manifest), {})
        self.results = self._tried(lambda: run_reader.read_results(self.path), {})
        self.forecast = self._tried(lambda: run_reader.read_forecast(self.path), {})
        self.clock = self._tried(lambda: run_reader.read_clock(self.path), {})
        self.progress = run_reader.read_progress(self.path)
        self.seed_group = run_reader.seed_group(self.recipe)

    def _tried(self, read: Callable[[], T], otherwise: T) -> T:
        try:
            return read()
        except R1Error as error:
            if str(error) not in self.problems:
                self.problems.append(str(error))
            return otherwise

    def _read_metrics(self) -> None:
        is_restart, lines = self._metrics.read_new()
        if is_restart:
            self.columns, self._findings, self._n_damaged = {}, {}, 0
            self.version += 1
        for _, raw in lines:
            self.version += 1
            line = parsed_line(raw)
            stage, step = (line or {}).get("stage"), (line or {}).get("step")
            if line is None or not isinstance(stage, str) or not is_step(step):
                self._n_damaged += 1
                continue
            self.columns.setdefault(stage, MetricColumns()).append(line)

    @property
    def remarks(self) -> list[str]:
        """Sentences about what is missing or damaged in the folder."""
        remarks = list(self.problems)
        if self._n_damaged:
            remarks.append(f"metrics.jsonl: {self._n_damaged} lines cannot be read; left out.")
        if any("lr" in columns.names for columns in self.columns.values()):
            remarks.append(
                "The metrics have the names of an earlier r1kit, and are shown under these."
            )
        return remarks

    def findings(self, language: str = "en") -> list[Finding]:
        """Return the diagnosis of every stage; a stage without new steps keeps its findings."""
        with self.lock:
            now = time.monotonic()
            pause_s = max(DIAGNOSED_EVERY_S, self._diagnosis_s / DIAGNOSIS_SHARE)
            is_due = now - self._diagnosed_at >= pause_s
            for stage, columns in self.columns.items():
                known = self._findings.get((stage, language))
                if known is None or (is_due and known[0] != len(columns)):
                    self._diagnosed_at = now
                    started_s = time.thread_time()
                    findings = self._diagnosed(stage, columns, language)
                    self._findings[stage, language] = len(columns), findings
                    self._diagnosis_s = time.thread_time() - started_s
            every = [
                finding
                for stage in self.columns
                for finding in self._findings.get((stage, language), (0, list[Finding]()))[1]
            ]
        order = ("warning", "note", "fine")
        return sorted(every, key=lambda finding: order.index(finding.level))

    def _diagnosed(self, stage: str, columns: MetricColumns, language: str) -> list[Finding]:
        try:
            return diagnose(list(columns.rows(stage)), self.recipe, language)
        except (KeyError, TypeError, ValueError, AttributeError):
            return []  # a recipe of another version


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino
