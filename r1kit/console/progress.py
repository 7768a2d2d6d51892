"""Progress of a run: the `Observer` protocol, and the state that every observer maintains.

Does not import torch. A terminal gets `live_view.LiveView`, a pipe or log file
`plain_lines.PlainLines`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

MetricValues = Mapping[str, float]
SHOWN: dict[str, tuple[str, str]] = {
    "rewards/accuracy/mean": ("accuracy", "percent"),
    "completions/mean_length": ("length", "tokens"),
    "completions/mean_reflections": ("reflection", "number"),
    "loss": ("loss", "number"),
    "reward": ("reward", "number"),
    "rewards/format/mean": ("format", "percent"),
    "entropy": ("entropy", "number"),
    "completions/clipped_ratio": ("cut off", "percent"),
    "speed": ("speed", "rate"),
    "time/mfu": ("MFU", "percent"),
    "time/sample_share": ("sampling", "percent"),
    "time/wait_share": ("waiting", "percent"),
    "time/slowest_rank": ("slowest", "rank"),
}
"""maps a metric to its label and unit, in order of importance; `speed` is computed here"""
PACE_STEPS = 20
"""number of recent steps whose mean speed gives the remaining time"""


class Observer(Protocol):
    """The receiver of a run's progress. Only the first process has one."""

    def stage_started(self, stage: str, n_steps: int, what: str) -> None: ...

    def step(self, stage: str, step: int, metrics: MetricValues) -> None: ...

    def sample(self, record: Mapping[str, Any]) -> None: ...

    def stage_finished(self, stage: str, summary: Mapping[str, Any]) -> None: ...

    def note(self, text: str) -> None: ...


class ForwardingObserver:
    """An observer that forwards all calls to `inner`; subclasses do more at some of them."""

    def __init__(self, inner: Observer) -> None:
        self._inner = inner

    def stage_started(self, stage: str, n_steps: int, what: str) -> None:
        self._inner.stage_started(stage, n_steps, what)

    def step(self, stage: str, step: int, metrics: MetricValues) -> None:
        self._inner.step(stage, step, metrics)

    def sample(self, record: Mapping[str, Any]) -> None:
        self._inner.sample(record)

    def stage_finished(self, stage: str, summary: Mapping[str, Any]) -> None:
        self._inner.stage_finished(stage, summary)

    def note(self, text: str) -> None:
        self._inner.note(text)


@dataclass
class Progress:
    """Progress of a stage."""

    stage: str
    n_steps: int
    what: str
    step: int = 0
    ticks: deque[tuple[int, float]] = field(default_factory=lambda: deque(maxlen=PACE_STEPS + 1))
    """the last steps, each with the time at its end"""
    history: dict[str, list[float]] = field(default_factory=dict)

    def add(self, step: int, metrics: MetricValues, now: float) -> None:
        self.step = step
        self.ticks.append((step, now))
        for key, value in {**metrics, **_speed(metrics)}.items():
            self.history.setdefault(key, []).append(value)

    def latest(self, key: str) -> float | None:
        return self.history[key][-1] if self.history.get(key) else None

    def seconds_left(self, now: float) -> float | None:
        """Estimate from the pace of the last steps; None before the second: the first is slow."""
        if len(self.ticks) < 2:
            return None
        (first, began), (last, ended) = self.ticks[0], self.ticks[-1]
        per_step = (ended - began) / max(1, last - first)
        return max(0.0, ended + per_step * (self.n_steps - last) - now)


def _speed(metrics: MetricValues) -> dict[str, float]:
    """Return the tokens per second of the step: sampled tokens in RL, else trained tokens."""
    tokens = metrics.get("n_completion_tokens", metrics.get("n_trained_tokens"))
    seconds = metrics.get("step_time")
    return {"speed": tokens / seconds} if tokens and seconds else {}


def shown(progress: Progress) -> dict[str, tuple[str, str]]:
    """Select the metrics to show, without the loss of RL, which is near 0 by construction."""
    hidden = {"loss"} if "reward" in progress.history else set()
    return {key: label for key, label in SHOWN.items() if key in progress.history.keys() - hidden}
