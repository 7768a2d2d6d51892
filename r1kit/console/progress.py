"""Progress of a run: the `Observer` protocol, a live terminal view and plain log lines.

Does not import torch. Both observers maintain the same `Progress`; a terminal gets a view that
redraws itself, a pipe or log file gets one readable line every few steps. Model output is shown as
text: its control characters never reach the terminal.
"""

from __future__ import annotations

import time
import unicodedata
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from r1kit.renderers.thinking import parse

MetricValues = Mapping[str, float]

BLOCKS = "▁▂▃▄▅▆▇█"
SHOWN: dict[str, tuple[str, str]] = {
    "rewards/accuracy": ("accuracy", "percent"),
    "completions/mean_length": ("length", "tokens"),
    "reflection_per_answer": ("reflection", "number"),
    "loss": ("loss", "number"),
    "reward": ("reward", "number"),
    "rewards/format": ("format", "percent"),
    "entropy": ("entropy", "number"),
    "completions/clipped_ratio": ("cut off", "percent"),
    "time/tokens_per_s": ("speed", "rate"),
}
"""maps a metric to its label and unit, in order of importance"""
MAX_FINISHED = 8
"""maximum number of finished stages in the view, since terminals are short"""
PACE_STEPS = 20
"""number of recent steps whose mean speed gives the remaining time"""
NARROW = 64
"""terminal width, in columns, below which each number is on its own line without its curve"""
COUNTED_EVERY_S = 10.0
"""seconds between log lines of a stage that counts steps but has no metrics"""
CURVES = ("loss", "rewards/accuracy", "completions/mean_length", "reflection_per_answer")


class Observer(Protocol):
    """The receiver of a run's progress. Only the first process has one."""

    def stage_started(self, stage: str, n_steps: int, what: str) -> None: ...

    def step(self, stage: str, step: int, metrics: MetricValues) -> None: ...

    def sample(self, record: Mapping[str, Any]) -> None: ...

    def stage_finished(self, stage: str, summary: Mapping[str, Any]) -> None: ...

    def note(self, text: str) -> None: ...


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
        for key, value in {**_speed(metrics), **metrics}.items():
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


class LiveView:
    """An observer with a live terminal view, which restores the terminal when it exits."""

    def __init__(
        self, console: Console, title: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock, self._console = clock, console
        self._title = title
        self._started = clock()
        self._finished: list[tuple[str, Mapping[str, Any]]] = []
        self._notes: list[str] = []
        self._progress: Progress | None = None
        self._sample: Mapping[str, Any] | None = None
        self._live = Live(get_renderable=self.picture, console=console, refresh_per_second=4)

    def __enter__(self) -> LiveView:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def stage_started(self, stage: str, n_steps: int, what: str) -> None:
        self._progress, self._sample = Progress(stage, n_steps, what), None

    def step(self, stage: str, step: int, metrics: MetricValues) -> None:
        if self._progress is None or self._progress.stage != stage:
            self.stage_started(stage, step, "")
        assert self._progress is not None
        self._progress.add(step, metrics, self._clock())

    def sample(self, record: Mapping[str, Any]) -> None:
        if record.get("kind") == "group" and record.get("rollouts"):
            self._sample = record

    def stage_finished(self, stage: str, summary: Mapping[str, Any]) -> None:
        self._finished.append((stage, summary))
        self._progress = self._sample = None

    def note(self, text: str) -> None:
        self._notes = [*self._notes, text][-2:]

    def picture(self) -> RenderableType:
        """Return the whole view in its current state."""
        now = self._clock()
        head = Table.grid(expand=True)
        head.add_column()
        head.add_column(justify="right")
        head.add_row(
            Text(f"r1kit · {self._title}", "bold"), Text(duration(now - self._started), "dim")
        )
        parts: list[RenderableType] = [head]
        if self._finished or self._notes:
            parts.append(Text())
        hidden = len(self._finished) - MAX_FINISHED
        if hidden > 0:
            parts.append(Text(f"{hidden} stages before", "dim"))
        shown = self._finished[-MAX_FINISHED:]
        parts += [_finished_line(stage, summary) for stage, summary in shown]
        parts += [Text(printable(note), "dim") for note in self._notes]
        if self._progress is not None:
            narrow = self._console.width < NARROW
            parts += [Text(), *_progress_parts(self._progress, now, narrow)]
        if self._sample is not None:
            parts += [Text(), *_sample_parts(self._sample)]
        return Padding(Group(*parts), (1, 2))


def observer(console: Console, title: str) -> AbstractContextManager[LiveView | PlainLines]:
    """Return a live view for a terminal, plain lines otherwise."""
    return LiveView(console, title) if console.is_terminal else PlainLines(console)


# Formatting


def printable(text: str) -> str:
    """Replace characters that could control a terminal (control and direction marks) by `�`."""
    return "".join(
        character
        if character in "\n\t" or unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Co")
        else "\N{REPLACEMENT CHARACTER}"
        for character in text
    )


def duration(seconds: float) -> str:
    """Format seconds: `4:07`, `1:02:03`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def value_text(value: float | None, unit: str) -> str:
    """Format a number for display: `52.3 %`, `61.2`, `18.4k/s`."""
    if value is None or value != value:
        return "–"
    if unit == "percent":
        return f"{100 * value:.1f} %"
    if unit == "tokens":
        return f"{value:.1f}"
    if unit == "rate":
        return f"{value / 1000:.1f}k/s" if value >= 1000 else f"{value:.0f}/s"
    return f"{value:.2f}"


def sparkline(values: list[float], width: int) -> str:
    """Draw all values as at most `width` block characters, scaled from smallest to largest."""
    clean = [value for value in values if value == value]
    if not clean:
        return ""
    n = min(width, len(clean))
    means = [
        sum(part) / len(part)
        for i in range(n)
        if (part := clean[i * len(clean) // n : (i + 1) * len(clean) // n])
    ]
    low, high = min(means), max(means)
    scale = (len(BLOCKS) - 1) / (high - low) if high > low else 0.0
    return "".join(BLOCKS[round((mean - low) * scale)] for mean in means)


def step_line(progress: Progress, now: float) -> str:
    """Format a log line: `zero 10/100 · accuracy 31.0 % · length 40.2 · ... · 3:12 left`."""
    parts = [f"{progress.stage} {progress.step}/{progress.n_steps}"]
    parts += [
        f"{word} {value_text(progress.latest(key), unit)}"
        for key, (word, unit) in _shown(progress).items()
    ]
    left = progress.seconds_left(now)
    return " · ".join(parts if left is None else [*parts, f"{duration(left)} left"])


def summary_line(summary: Mapping[str, Any]) -> str:
    """Format a result: `pass@1 14.0 ± 1.7 % · 29.0 tokens · 0.56 reflections · 3:20`."""
    evals = summary.get("evals", {})
    reasoning = evals.get("reasoning", {})
    rates = (("pass@1", "pass_at_1", reasoning), ("held-out accuracy", "accuracy", summary))
    parts = [
        f"{name} {100 * result[key]:.1f} ± {100 * result.get('stderr', 0.0):.1f} %"
        for name, key, result in rates
        if key in result
    ]
    if "mean_tokens" in reasoning:
        parts.append(f"{reasoning['mean_tokens']:.1f} tokens")
    if "reflection_per_answer" in reasoning:
        parts.append(f"{reasoning['reflection_per_answer']:.2f} reflections")
    if "general" in evals:
        parts.append(f"general {100 * evals['general']['pass_at_1']:.1f} %")
    if "wall_s" in summary:
        parts.append(duration(summary["wall_s"]))
    return " · ".join(parts) or "done"


def _speed(metrics: MetricValues) -> dict[str, float]:
    """Return the completion tokens per second of the whole step."""
    tokens, seconds = metrics.get("n_completion_tokens"), metrics.get("time/step_s")
    return {"time/tokens_per_s": tokens / seconds} if tokens and seconds else {}


def _shown(progress: Progress) -> dict[str, tuple[str, str]]:
    """Select the metrics to show, without the loss of RL, which is near 0 by construction."""
    hidden = {"loss"} if "reward" in progress.history else set()
    return {key: told for key, told in SHOWN.items() if key in progress.history.keys() - hidden}


# Parts of the live view


def _finished_line(stage: str, summary: Mapping[str, Any]) -> Text:
    return Text.assemble(
        ("✓ ", "green"), (f"{stage:<11} ", "bold"), (summary_line(summary), "default")
    )


def _progress_parts(progress: Progress, now: float, narrow: bool) -> list[RenderableType]:
    left = progress.seconds_left(now)
    told = f"step {progress.step} of {progress.n_steps}"
    told += "" if left is None else f" · {duration(left)} left"
    bar = Table.grid(expand=True, padding=(0, 1))
    bar.add_column(ratio=1)
    bar.add_column(justify="right", no_wrap=True)
    bar.add_row(
        ProgressBar(
            total=max(1, progress.n_steps),
            completed=progress.step,
            complete_style="cyan",
            finished_style="green",
        ),
        Text(told),
    )
    title = Text.assemble((progress.stage, "bold cyan"), "  ", (printable(progress.what), "dim"))
    title.no_wrap, title.overflow = True, "ellipsis"
    return [title, bar, Text(), _numbers(progress, narrow)]


def _numbers(progress: Progress, narrow: bool) -> Table:
    """Lay out curves left and single numbers right; if narrow, all in one column."""
    keys = _shown(progress)
    if narrow:
        table = Table.grid(padding=(0, 1))
        for key in keys:
            table.add_row(*_single_cells(progress, key))
        return table
    curves = [key for key in CURVES if key in keys]
    singles = [key for key in keys if key not in curves]
    table = Table.grid(padding=(0, 1))
    for column in range(max(len(curves), (len(singles) + 1) // 2)):
        cells: list[RenderableType] = []
        cells += _curve_cells(progress, curves[column]) if column < len(curves) else [Text()] * 3
        for key in (singles + [""] * 2 * len(keys))[2 * column : 2 * column + 2]:
            cells += _single_cells(progress, key)
        table.add_row(*cells)
    return table


def _curve_cells(progress: Progress, key: str) -> list[RenderableType]:
    word, unit = SHOWN[key]
    return [
        Text(word, "dim"),
        Text(f"{value_text(progress.latest(key), unit):>7}", "bold"),
        Text(f"{sparkline(progress.history[key], 20):<21}", "cyan", no_wrap=True),
    ]


def _single_cells(progress: Progress, key: str) -> list[RenderableType]:
    if not key:
        return [Text(), Text()]
    word, unit = SHOWN[key]
    return [Text(word, "dim"), Text(f"{value_text(progress.latest(key), unit):<8}")]


def _sample_parts(record: Mapping[str, Any]) -> list[RenderableType]:
    """Show the first completion of a group; it is not cherry-picked."""
    problem, rollout = record["problem"], record["rollouts"][0]
    parsed = parse(rollout["text"])
    question = Text.assemble(
        (f"step {record['step']}  ", "dim"), (_short(problem["question"], 200), "bold")
    )
    parts: list[RenderableType] = [question]
    if parsed.thinking:
        parts.append(Padding(Text(_short(parsed.thinking, 420), "dim italic"), (0, 0, 0, 2)))
    verdict = {True: ("  ✓ right", "green"), False: ("  ✗ wrong", "red")}.get(
        rollout["correct"], ("  ? undecided", "yellow")
    )
    answer = parsed.answer if parsed.answer is not None else "(never stopped thinking)"
    told = Text.assemble(_short(answer, 160), verdict)
    if not rollout["correct"]:
        told.append(f"  ({_short(str(problem['gold']), 40)} expected)", "dim")
    return [*parts, Padding(told, (0, 0, 0, 2))]


def _short(text: str, longest: int) -> str:
    """Join lines into one paragraph; a long one keeps its beginning and its end."""
    text = " ".join(printable(text).split())
    if len(text) <= longest:
        return text
    return f"{text[: longest * 2 // 3]} … {text[-longest // 3 :]}"
