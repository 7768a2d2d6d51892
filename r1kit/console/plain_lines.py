"""Progress for pipes and log files: one readable line every few steps."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from rich.console import Console
from rich.text import Text

from r1kit.console.formatting import duration, printable, summary_line, value_text
from r1kit.console.progress import MetricValues, Progress, shown

COUNTED_EVERY_S = 10.0
"""seconds between log lines of a stage that counts steps but has no metrics"""


class PlainLines:
    """An observer for pipes and log files that prints one line every few steps."""

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._clock = clock
        self._progress: Progress | None = None
        self._said_at = 0.0

    def __enter__(self) -> PlainLines:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def stage_started(self, stage: str, n_steps: int, what: str) -> None:
        self._progress = Progress(stage, n_steps, what)
        self._say(f"{stage}: {what}")

    def step(self, stage: str, step: int, metrics: MetricValues) -> None:
        progress = self._progress
        if progress is None or progress.stage != stage:
            self._progress = progress = Progress(stage, step, "")
        is_first = not progress.ticks
        now = self._clock()
        progress.add(step, metrics, now)
        every = max(1, progress.n_steps // 20)
        is_due = is_first or step % every == 0 or step == progress.n_steps
        # Steps without metrics get a line only if they take long.
        if is_due if metrics else now - self._said_at > COUNTED_EVERY_S:
            self._say(step_line(progress, now))

    def sample(self, record: Mapping[str, Any]) -> None:
        """Ignore the sample: it is in samples.jsonl, and a log is no place to read it."""

    def stage_finished(self, stage: str, summary: Mapping[str, Any]) -> None:
        self._say(f"{stage} finished: {summary_line(summary)}")

    def note(self, text: str) -> None:
        self._say(text)

    def _say(self, text: str) -> None:
        self._said_at = self._clock()
        self._console.print(Text(printable(text)), soft_wrap=True)


def step_line(progress: Progress, now: float) -> str:
    """Format a log line: `zero 10/100 · accuracy 31.0 % · length 40.2 · ... · 3:12 left`."""
    parts = [f"{progress.stage} {progress.step}/{progress.n_steps}"]
    parts += [
        f"{word} {value_text(progress.latest(key), unit)}"
        for key, (word, unit) in shown(progress).items()
    ]
    seconds = progress.seconds_left(now)
    return " · ".join(parts if seconds is None else [*parts, f"{duration(seconds)} left"])
