"""What a terminal shows of an evaluation: live partial scores, and the table at the end."""

from __future__ import annotations

import time
from collections.abc import Sequence

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from r1kit.console.formatting import duration, percent, printable
from r1kit.evals import scores
from r1kit.evals.evaluate import MeasuredBenchmark
from r1kit.evals.published import published
from r1kit.evals.result import EvalRecord, protocol_line

REFRESH_S = 1.0
LINE_EVERY_S = 30.0
"""time between two lines where the output is no terminal"""
FIRST_LINE_S = 2.0
PIPE_WIDTH = 160
"""width of tables where the output is no terminal"""


class EvalView:
    """Shows scores with their errors, rate and time left while an evaluation runs."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._started = time.monotonic()
        self._next_s = FIRST_LINE_S
        self._n_before: int | None = None
        """number of completions that were there when the first result came; the pace since then
        does not depend on how long a model takes to start"""
        self._live = Live(console=console, auto_refresh=False, transient=True) \
            if console.is_terminal else None  # fmt: skip

    def __enter__(self) -> EvalView:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def update(self, measurements: Sequence[MeasuredBenchmark]) -> None:
        """Show the state, at most once in a while."""
        if self._n_before is None:
            self._n_before = sum(m.n_done for m in measurements)
            self._started = time.monotonic()
        seconds = time.monotonic() - self._started
        if seconds < self._next_s:
            return
        if self._live is None:
            self._next_s = seconds + LINE_EVERY_S
            self._console.print(self._line(measurements, seconds), soft_wrap=True)
        else:
            self._next_s = seconds + REFRESH_S
            self._live.update(self._table(measurements, seconds), refresh=True)

    def _line(self, measurements: Sequence[MeasuredBenchmark], seconds: float) -> Text:
        open_ones = [m for m in measurements if 0 < m.n_done < m.n_total] or measurements[-1:]
        parts = [f"{m.name} {m.n_done:,}/{m.n_total:,} {_partial(m)}" for m in open_ones]
        return Text(f"{' · '.join(parts)} · {self._pace(measurements, seconds)}")

    def _table(self, measurements: Sequence[MeasuredBenchmark], seconds: float) -> Table:
        table = Table(box=None, title=self._pace(measurements, seconds), title_justify="left")
        for head in ("benchmark", "completions", "pass@1", "failed"):
            table.add_column(head, justify="left" if head == "benchmark" else "right")
        for m in measurements:
            failed = str(len(m.log.failures)) if m.log.failures else ""
            table.add_row(m.name, f"{m.n_done:,}/{m.n_total:,}", _partial(m), failed)
        return table

    def _pace(self, measurements: Sequence[MeasuredBenchmark], seconds: float) -> str:
        done = sum(m.n_done for m in measurements)
        rate = (done - (self._n_before or 0)) / seconds
        left = sum(m.n_total for m in measurements) - done
        shown = f"{rate:.1f}/s" if rate >= 1 else f"{60 * rate:.1f}/min"
        return f"{shown}, about {duration(left / rate)} left" if rate else "starting"


def _partial(measurement: MeasuredBenchmark) -> str:
    estimate = scores.estimate(problem.rate for problem in measurement.graded())
    return "–" if estimate is None else percent(estimate.value, estimate.stderr)


HEAD = (
    "benchmark", "pass@1", "strict / lenient", "others", "n × k", "tokens ✓/✗", "truncated",
    "no answer", "undecided", "judge failed", "failed", "R1",
)  # fmt: skip
DROPPED = ("n × k", "tokens ✓/✗", "others", "strict / lenient", "truncated", "R1")
"""columns that a narrow terminal does not show, in this order"""


def row_of(name: str, record: EvalRecord) -> tuple[str, ...]:
    """Return a benchmark's row of the table of results."""
    scores, counts, facts = record["scores"], record["counts"], record["facts"]
    first = scores.get("pass@1")
    shown = [*list(scores.items())[1:][-2:], *record["extra_scores"].items()]
    others = [f"{key} {100 * x['value']:.1f}" for key, x in shown]
    others += [record["rating"]["text"]] if record["rating"] else []
    judge = record["protocol"]["judge"]
    lengths = [facts.get(f"mean_tokens_{side}") for side in ("right", "wrong")]
    tokens = "/".join("–" if fact is None else f"{fact['value']:,.0f}" for fact in lengths)
    failed = sum(counts[kind] for kind in ("refused", "timeout", "failed", "context"))
    r1 = next((score.value for score in published(name) if score.model == "DeepSeek-R1"), None)
    return (
        f"{name} (judged by {judge.partition(' at ')[0]})" if judge else name,
        "–" if first is None else percent(first["value"], first["stderr"]),
        " / ".join(f"{100 * x['value']:.1f}" for x in record["by_policy"].values()),
        ", ".join(others),
        f"{record['protocol']['n_problems']:,} × {record['protocol']['k']}",
        tokens,
        str(counts["truncated"]),
        str(counts["no_answer"]),
        str(counts["undecided"]),
        str(counts["judge_failed"]),
        str(failed),
        "" if r1 is None else f"{r1:g}",
    )


def show_result(result: EvalRecord, console: Console) -> None:
    """Print the table, the protocol of every score, and what could not be measured."""
    rows = [row_of(name, record) for name, record in result["benchmarks"].items()]
    columns = shown_columns(rows, console.width if console.is_terminal else PIPE_WIDTH)
    table = Table(box=None)
    for index in columns:
        table.add_column(HEAD[index], justify="right" if index else "left", no_wrap=True)
    for row in rows:
        table.add_row(*(row[index] for index in columns))
    print_table(table, console)
    console.print()
    for name, record in result["benchmarks"].items():
        line = Text.assemble((f"{name}: ", "bold"), (printable(protocol_line(record)), "dim"))
        console.print(line, soft_wrap=True)
        for note in notes_of(name, record):
            console.print(Text(f"  {printable(note)}", "yellow"), soft_wrap=True)
    for name, why in result["missing"].items():
        console.print(Text(f"{name} is not measured. {printable(why)}", "yellow"), soft_wrap=True)


def shown_columns(rows: Sequence[Sequence[str]], width: int) -> list[int]:
    """Return the columns that fit into a width, without those that are zero everywhere.

    What does not fit is in the report and in the protocol lines.
    """
    columns = [i for i, _ in enumerate(HEAD) if any(row[i] not in ("", "0") for row in rows)]
    sizes = [2 + max(len(row[i]) for row in [HEAD, *rows]) for i in range(len(HEAD))]
    for name in DROPPED:
        if sum(sizes[i] for i in columns) > width:
            columns = [i for i in columns if HEAD[i] != name]
    return columns


def print_table(table: Table, console: Console) -> None:
    """Print a table, in a file or pipe without regard to a terminal's width."""
    if not console.is_terminal:
        console = Console(file=console.file, width=PIPE_WIDTH, quiet=console.quiet)
    console.print(table, crop=False)


def notes_of(name: str, record: EvalRecord) -> list[str]:
    """Return sentences without which a score could be misread."""
    counts, protocol, notes = record["counts"], record["protocol"], []
    if counts["context_truncated"] or counts["context"]:
        notes.append(
            f"The context of {protocol['context'] or 'the server'} tokens is too short for the "
            f"protocol's {protocol['max_tokens']:,}: {counts['context_truncated']} completions "
            f"were truncated by it, and {counts['context']} prompts did not fit."
        )
    failures = {kind: counts[kind] for kind in ("refused", "timeout", "failed") if counts[kind]}
    if failures:
        listed = ", ".join(f"{n} {kind}" for kind, n in failures.items())
        notes.append(
            f"{record['n_missing']} completions are missing ({listed}) and count in no score; the "
            "same command samples them again."
        )
    if counts["grader_failed"]:
        notes.append(f"The grader failed on {counts['grader_failed']} completions: undecided.")
    if counts["judge_failed"]:
        notes.append(
            f"The judge gave no verdict on {counts['judge_failed']} completions, which are "
            "undecided; the same command asks it again."
        )
    overlap = record.get("contamination")
    if overlap and overlap["n_problems"]:
        notes.append(
            f"{overlap['n_problems']} problems overlap with the run's own training data; pass@1 "
            f"without them: {percent(overlap['clean']['value'], overlap['clean']['stderr'])}."
            if overlap["clean"]
            else f"All {overlap['n_problems']} problems overlap with the run's own training data."
        )
    return notes
