"""Progress for a terminal: a view that redraws itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from r1kit.console.formatting import duration, printable, sparkline, summary_line, value_text
from r1kit.console.plain_lines import PlainLines
from r1kit.console.progress import SHOWN, MetricValues, Progress, shown
from r1kit.renderers.thinking import parse

MAX_FINISHED = 8
"""maximum number of finished stages in the view, since terminals are short"""
NARROW = 64
"""terminal width, in columns, below which each number is on its own line without its curve"""
CURVES = (
    "loss",
    "rewards/accuracy/mean",
    "completions/mean_length",
    "completions/mean_reflections",
)


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


# Parts of the live view


def _finished_line(stage: str, summary: Mapping[str, Any]) -> Text:
    return Text.assemble(
        ("✓ ", "green"), (f"{stage:<11} ", "bold"), (summary_line(summary), "default")
    )


def _progress_parts(progress: Progress, now: float, narrow: bool) -> list[RenderableType]:
    seconds = progress.seconds_left(now)
    text = f"step {progress.step} of {progress.n_steps}"
    text += "" if seconds is None else f" · {duration(seconds)} left"
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
        Text(text),
    )
    title = Text.assemble((progress.stage, "bold cyan"), "  ", (printable(progress.what), "dim"))
    title.no_wrap, title.overflow = True, "ellipsis"
    return [title, bar, Text(), _numbers(progress, narrow)]


def _numbers(progress: Progress, narrow: bool) -> Table:
    """Lay out curves left and single numbers right; if narrow, all in one column."""
    keys = shown(progress)
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
    text = Text.assemble(_short(answer, 160), verdict)
    if not rollout["correct"]:
        text.append(f"  ({_short(str(problem['gold']), 40)} expected)", "dim")
    return [*parts, Padding(text, (0, 0, 0, 2))]


def _short(text: str, longest: int) -> str:
    """Join lines into one paragraph; a long one keeps its beginning and its end."""
    text = " ".join(printable(text).split())
    if len(text) <= longest:
        return text
    return f"{text[: longest * 2 // 3]} … {text[-longest // 3 :]}"
