"""`r1 data FILE`: what a run would read of a data file, before it is used.

Every row is read and every gold answer goes to the verifier; languages and tokens are counted on a
sample, which the output says.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from time import monotonic
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from r1kit.config import TaskConfig
from r1kit.console.formatting import printable
from r1kit.errors import ConfigError, DataError
from r1kit.files.rows import NumberedRow, first_rows, n_rows, numbered_rows, unit_of
from r1kit.preview.kinds import KINDS, USES, kinds_of
from r1kit.preview.measure import N_SAMPLED, CountTokens
from r1kit.preview.summary import (
    ShownRow,
    Summary,
    summarize_conversations,
    summarize_preferences,
    summarize_questions,
)
from r1kit.tasks.columns import N_ROWS_SEEN
from r1kit.tasks.options import task_toml
from r1kit.types import Message

if TYPE_CHECKING:
    from r1kit.renderers.base import Renderer

SHOW_PROGRESS_AFTER_S = 2.0
MAX_FAULTS = 20
"""maximum number of bad rows listed"""
LENGTHS = "Lengths are the median, the 95th percentile and the maximum."
ESTIMATED = (
    "Tokens are estimated, at 4 characters each, 1.5 of Chinese and Korean: --model MODEL counts "
    "them, and shows the whole prompt."
)
MAX_SHOWN_CHARS = 600
"""maximum number of characters shown of a text"""


def run(
    config: TaskConfig, kind: str | None, model: str | None, n_shown: int, console: Console
) -> None:
    """Print the summary of a file. Raises an R1Error if it cannot be read, or has no usable row."""
    assert config.path is not None
    faults: list[tuple[int, str]] = []
    head, _ = first_rows(numbered_rows(config.path, faults), N_ROWS_SEEN)
    if not head:
        why = f"{unit_of(config.path)} {faults[0][0]} {faults[0][1]}" if faults else "it is empty"
        raise DataError(f"{config.path} has no row that can be read: {why}.")
    kinds = kinds_of(config.path, [row for _, row in head], config.columns)
    if kind is not None and kind not in KINDS:
        raise ConfigError(f"There is no kind {kind!r} of data; choose one of {', '.join(KINDS)}.")
    chosen = kind or kinds[0]
    renderer = None if model is None else _renderer(model)
    summary = _summary(config, chosen, _counter(renderer), n_shown, console)
    _show(config, chosen, [other for other in kinds if other != chosen], summary, renderer, console)


def _summary(
    config: TaskConfig, kind: str, count: CountTokens | None, n_shown: int, console: Console
) -> Summary:
    source = str(config.path)

    def watch(rows: Iterator[NumberedRow]) -> Iterator[NumberedRow]:
        return _watched(rows, n_rows(source), console)

    if kind == "questions":
        return summarize_questions(config, count, n_shown, watch)
    if kind in ("traces", "conversations"):
        return summarize_conversations(source, kind == "traces", count, n_shown, watch)
    return summarize_preferences(source, kind, count, n_shown, watch)


def _renderer(model: str) -> Renderer:
    """Open the tokenizer of a model with the prompt that a run gives it by default."""
    from r1kit.model.find import find_model
    from r1kit.model.tokenizer import load_tokenizer
    from r1kit.renderers import renderer_of
    from r1kit.renderers.adopt import adopt_template

    tokenizer = load_tokenizer(find_model(model))
    adopt_template(tokenizer, "own", None, ["en"])
    return renderer_of(tokenizer)


def _counter(renderer: Renderer | None) -> CountTokens | None:
    if renderer is None:
        return None
    encode = renderer.encode_text
    return lambda text: len(encode(text))


def _watched(
    rows: Iterator[NumberedRow], total: int | None, console: Console
) -> Iterator[NumberedRow]:
    """Yield the rows; show progress after SHOW_PROGRESS_AFTER_S seconds."""
    start = monotonic()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
               TextColumn("{task.fields[rate]}"), TimeRemainingColumn())  # fmt: skip
    progress = Progress(*columns, console=Console(stderr=True), transient=True)
    task = progress.add_task("read", total=total, rate="")
    with ExitStack() as stack:
        for n, row in enumerate(rows, start=1):
            yield row
            if n % 256 == 0:
                seconds = monotonic() - start
                progress.update(task, completed=n, rate=f"{n / max(seconds, 1e-9):,.0f}/s")
                if not progress.live.is_started and seconds > SHOW_PROGRESS_AFTER_S:
                    stack.enter_context(progress)


def _show(
    config: TaskConfig,
    kind: str,
    others: list[str],
    summary: Summary,
    renderer: Renderer | None,
    console: Console,
) -> None:
    def line(text: str, style: str = "") -> None:
        console.print(Text(printable(text), style), soft_wrap=True)

    line(f"{config.path}: {summary.n_rows:,} rows of {kind}", "bold")
    if others:
        line(f"It can also be read as {', '.join(others)} (--as).", "dim")
    line("")
    for label, text in summary.facts:
        line(f"{label:<11} {text}")
    notes = [LENGTHS, *([] if renderer is not None else [ESTIMATED])]
    if summary.n_rows > N_SAMPLED:
        notes.append(f"Languages and tokens are of {N_SAMPLED:,} rows drawn at random.")
    line(f"{'':<11} {' '.join(notes)}", "dim")
    if summary.faults:
        line(f"\n{len(summary.faults):,} rows cannot be used:", "yellow")
        unit = unit_of(str(config.path))
        for number, fault in summary.faults[:MAX_FAULTS]:
            line(f"  {unit} {number} {fault}")
        if len(summary.faults) > MAX_FAULTS:
            line(f"  and {len(summary.faults) - MAX_FAULTS:,} more")
    for example in summary.examples:
        line(f"\n{example.place}{', as the model reads it' if renderer else ''}", "dim")
        line(_shown(_prompt(example, renderer)))
        for rest in example.rest:
            line(_shown(rest), "green")
    line(f"\nIn a recipe:\n\n{_usage(config, kind)}", "dim")


def _prompt(example: ShownRow, renderer: Renderer | None) -> str:
    if renderer is not None:
        return renderer.show_prompt(example.prompt)
    return "\n".join(_turn(message) for message in example.prompt)


def _turn(message: Message) -> str:
    return message.content if message.role == "user" else f"[{message.role}] {message.content}"


def _shown(text: str) -> str:
    if len(text) <= MAX_SHOWN_CHARS:
        return text
    half = MAX_SHOWN_CHARS // 2
    return f"{text[:half]} … {text[-half:]}"


def _usage(config: TaskConfig, kind: str) -> str:
    if kind != "questions":
        return USES[kind].replace("FILE", str(config.path))
    return task_toml(config)
