"""A forecast as tables of 80 columns, and as JSON."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from r1kit.console.formatting import duration, percent
from r1kit.forecast.phases import PARTS, PHASES, peak
from r1kit.forecast.recipe_forecast import Forecast
from r1kit.forecast.remedy import one_change, shorter_completions, sufficient_gpu
from r1kit.forecast.scaling import longest, scaling
from r1kit.forecast.stage_parts import StageForecast
from r1kit.runs.stage_specs import family

GB = 1e9
SHOWN = 5e6
"""bytes from which a part of the memory gets a line of its own"""
DAYS_S = 172_800
"""seconds from which a time is in days"""
BUSY = 1.5
"""runnable processes per core above which a measurement is called disturbed"""


def picture(forecast: Forecast, out: Path) -> RenderableType:
    """Return the forecast for a terminal; `out` is on the disk of the run."""
    head = Text.assemble(
        (f"{forecast.recipe.name}", "bold"), f" on {forecast.machine.name}, ",
        "measured" if forecast.machine.is_measured else "estimated",
    )  # fmt: skip
    memory = f"Memory per process in GB, in {forecast.largest.name}, the largest stage"
    time = "Seconds per step; time and price of a stage, its evaluation included"
    if forecast.completions is not None:
        time = f"Expected {time[0].lower()}{time[1:]}"
    parts: list[RenderableType] = [
        head, Text(), totals(forecast, out), Text(), Text(memory, "bold"), _memory(forecast),
        Text(), Text(time, "bold"), _time(forecast), *_scaling(forecast), Text(),
        Text(" ".join(assumptions(forecast)), "dim"),
    ]  # fmt: skip
    return Padding(Group(*parts), (1, 2))


def totals(forecast: Forecast, out: Path) -> Table:
    """Return the totals, and what would make the recipe fit."""
    machine, largest = forecast.machine, forecast.largest
    n, each = machine.n_processes, f"{largest.peak / GB:.1f} GB"
    parts = [f"{n} processes of {each}"] if machine.is_shared and n > 1 else []
    parts += [f"a vLLM server of {forecast.server / GB:.1f} GB"] if forecast.server else []
    needed = ", ".join([f"{forecast.needed / GB:.1f} of {machine.memory / GB:.1f} GB", *parts])
    sampled, trained = (
        sum(getattr(stage, key) for stage in forecast.stages)
        for key in ("sampled_tokens", "trained_tokens")
    )
    rows: list[tuple[str, Text]] = [
        ("memory", Text.assemble(
            ("fits", "green") if forecast.fits else ("does not fit", "bold red"),
            f": {needed}",
        )),
        ("time", Text(_total_time(forecast))),
        ("price", Text(f"{money(forecast.price)} {machine.currency} at most, at "
                       f"{machine.hour:g} an hour")),
        ("tokens", Text(f"{count(sampled)} sampled, {count(trained)} trained on")),
        ("disk", _disk(forecast, out)),
    ]  # fmt: skip
    if not forecast.fits:
        rows.insert(1, ("to fit", Text(advice(forecast), "yellow")))
    table = Table.grid(padding=(0, 2))
    for word, text in rows:
        table.add_row(Text(word, "dim"), text)
    return table


def _total_time(forecast: Forecast) -> str:
    most, expected = f"{span(forecast.seconds)} at most", forecast.expected
    if expected is None or forecast.completions is None:
        half = forecast.with_recipe(forecast.recipe, forecast.setting.length_share / 2)
        return f"{most}; {span(half.seconds)} with completions half as long"
    n = forecast.completions.mean_tokens
    return f"{span(expected.seconds)} expected, with {n:.0f} tokens per completion; {most}"


def advice(forecast: Forecast) -> str:
    """Return the change that makes a recipe fit, in words."""
    remedy = one_change(forecast)
    if remedy is not None:
        return f"{_options(remedy.changes)} needs {remedy.forecast.needed / GB:.1f} GB"
    if (shorter := shorter_completions(forecast)) is not None:
        also = f" with {_options(shorter.changes)}" if shorter.changes else ""
        many = f"{shorter.longest:,} tokens per completion are too many"
        return f"{many}; {shorter.max_tokens:,} fit{also}"
    gpu = sufficient_gpu(forecast)
    larger = f"a GPU like the {gpu}" if gpu else "more than one GPU's memory"
    return f"no setting is enough: a smaller model, or {larger}"


def _options(changes: Sequence[str]) -> str:
    return " ".join(f"--set {shlex.quote(change)}" for change in changes)


def _disk(forecast: Forecast, out: Path) -> Text:
    free = free_disk(out)
    if not forecast.machine.is_measured or free is None:
        return Text(f"{forecast.disk / GB:.1f} GB")
    text = Text(f"{forecast.disk / GB:.1f} of {free / GB:.1f} GB free")
    if forecast.disk > free:
        text.append("; not enough: choose another --out", "bold red")
    return text


def free_disk(out: Path) -> float | None:
    """Return the free bytes where the run is to be written; None if unknown."""
    try:
        place = next((path for path in (out, *out.absolute().parents) if path.exists()), None)
        return None if place is None else float(shutil.disk_usage(place).free)
    except OSError:
        return None


def _memory(forecast: Forecast) -> Table:
    """Lay out the parts of the largest stage by phase; the largest phase is bold."""
    stage = forecast.largest
    largest, _ = peak(stage.phases)
    shown = [phase for phase in PHASES if phase in stage.phases]
    table = _table(shown)
    for part in PARTS:
        sizes = [stage.phases[phase].get(part, 0.0) for phase in shown]
        if max(sizes) >= SHOWN:
            table.add_row(part, *(f"{size / GB:.2f}" if size >= SHOWN else "" for size in sizes))
    sums = [sum(stage.phases[phase].values()) for phase in shown]
    cells = [
        Text(f"{size / GB:.2f}", "bold" if phase == largest else "")
        for phase, size in zip(shown, sums, strict=True)
    ]
    table.add_row(Text("together", "bold"), *cells)
    if forecast.server:
        table.add_row("vLLM server, once", *[f"{forecast.server / GB:.2f}"] * len(shown))
    return table


def _time(forecast: Forecast) -> Table:
    shown = forecast.expected or forecast
    most = {stage.name: short(stage.step_s) for stage in forecast.stages}
    has_most = forecast.completions is not None
    heads = ("steps", "sample", "learn", "publish", "s/step", *["at most"] * has_most)
    blank = [""] * len(heads)
    table = _table((*heads, "time", "price"))
    for name, stages in _rows(shown.stages):
        seconds = sum(stage.seconds for stage in stages)
        price = money(seconds / 3600 * forecast.machine.hour)
        if len(stages) > 1:
            table.add_row(f"{name} ({len(stages)} stages)", *blank, _stage_time(seconds), price)
            continue
        stage = stages[0]
        if stage.data_s:
            data_price = money(stage.data_s / 3600 * forecast.machine.hour)
            table.add_row(f"{name}: its data", *blank, _stage_time(stage.data_s), data_price)
            seconds -= stage.data_s
            price = money(seconds / 3600 * forecast.machine.hour)
        at_most = [most[name] if stage.n_steps else ""] * has_most
        table.add_row(name, *_step(stage), *at_most, _stage_time(seconds), price)
    return table


def _stage_time(seconds: float) -> str:
    return duration(seconds) if seconds < DAYS_S else span(seconds)


def _scaling(forecast: Forecast) -> list[RenderableType]:
    """Lay out the scaling model; the memory that counts is bold."""
    rows = scaling(forecast)
    too_small = [row for row in rows if row.seconds is None]
    rows = [*too_small[-1:], *rows[len(too_small) :]]  # fewer GPUs than these do not fit either
    if len(rows) < 2 and not too_small:
        return []
    table = _table(("whole", "sharded", "s/step", "time", "price", "efficiency"))
    for row in rows:
        memory = [
            Text("" if size is None else f"{size / GB:.1f}", "bold" if is_used else "")
            for size, is_used in ((row.whole, not row.is_sharded), (row.sharded, row.is_sharded))
        ]
        if row.seconds is None or row.step_s is None:
            table.add_row(f"{row.n_gpus}", *memory, "does not fit", "", "", "")
            continue
        table.add_row(
            f"{row.n_gpus}", *memory, short(row.step_s), span(row.seconds),
            money(row.price or 0.0), percent(row.efficiency or 0.0),
        )  # fmt: skip
    title = (
        f"By number of GPUs, computed and not measured: GB per GPU, s/step of "
        f"{longest(forecast).name}"
    )
    return [Text(), Text(title, "bold"), table]


def _step(stage: StageForecast) -> Sequence[str]:
    if not stage.n_steps:
        return [""] * 5
    split = (stage.sample_s, stage.learn_s, stage.publish_s)
    is_rl = stage.sample_s > 0
    cells = [short(seconds) if is_rl or seconds else "" for seconds in split]
    return [f"{stage.n_steps:,}", *cells, short(stage.step_s)]


def _rows(stages: Iterable[StageForecast]) -> Iterator[tuple[str, list[StageForecast]]]:
    """Group the stages of a family, such as the students, in one row."""
    for name, members in groupby(stages, key=lambda stage: family(stage.name)):
        yield name, list(members)


def _table(heads: Sequence[str]) -> Table:
    table = Table(box=None, padding=(0, 1), pad_edge=False, header_style="dim")
    table.add_column("", no_wrap=True)
    for head in heads:
        table.add_column(head, justify="right", no_wrap=True)
    return table


def assumptions(forecast: Forecast) -> list[str]:
    """Return what the numbers rest on, as sentences."""
    lines = [
        "Upper bounds of time and tokens: completions of full length, every sample kept, every "
        "group learned from."
    ]
    if forecast.completions is not None:
        lines.append(
            "The expected time takes completions as long as those of the base; training may "
            "make them longer."
        )
    if not forecast.machine.is_measured:
        lines.append(
            "Seconds are estimated from data sheets, within a factor of two; communication is "
            "added, as if it were never hidden."
        )
    elif forecast.machine.load > BUSY * forecast.machine.n_processes:
        lines.append(
            f"The machine was busy while it was measured (load {forecast.machine.load:.0f}): "
            "--measure measures it again."
        )
    lines += forecast.notes
    if any(facts.config.path is None for facts in forecast.setting.models.values()):
        lines.append("Lengths of prompts are guessed, as the tokenizer is not trained yet.")
    return lines


def as_json(forecast: Forecast, out: Path) -> dict[str, Any]:
    """Return the forecast for programs: bytes, seconds and tokens."""
    machine = forecast.machine
    remedy = None if forecast.fits else one_change(forecast)
    return {
        "recipe": forecast.recipe.name,
        "machine": {**vars(machine), "free_disk": free_disk(out)},
        "fits": forecast.fits,
        "to_fit": None if remedy is None else list(remedy.changes),
        "memory_per_process": forecast.largest.peak,
        "memory": forecast.needed,
        "server_memory": forecast.server,
        "seconds": forecast.seconds,
        "expected": _expected_json(forecast),
        "price": forecast.price,
        "disk": forecast.disk,
        "sampled_tokens": sum(stage.sampled_tokens for stage in forecast.stages),
        "trained_tokens": sum(stage.trained_tokens for stage in forecast.stages),
        "assumptions": assumptions(forecast),
        "by_n_gpus": [vars(row) for row in scaling(forecast)],
        "stages": {
            stage.name: {**vars(stage), "seconds": stage.seconds, "step_s": stage.step_s,
                         "memory": stage.peak}
            for stage in forecast.stages
        },
    }  # fmt: skip


def _expected_json(forecast: Forecast) -> dict[str, Any] | None:
    expected = forecast.expected
    if expected is None or forecast.completions is None:
        return None
    return {
        "mean_tokens": forecast.completions.mean_tokens,
        "seconds": expected.seconds,
        "step_s": {stage.name: stage.step_s for stage in expected.stages},
    }


def span(seconds: float) -> str:
    """Format a long time in words: `40 seconds`, `25 minutes`, `9.4 hours`, `3.1 days`."""
    for unit, size, below in (("seconds", 1, 90), ("minutes", 60, 5400), ("hours", 3600, 172_800)):
        if seconds < below:
            return (
                f"{seconds / size:.1f} {unit}"
                if unit == "hours"
                else (f"{seconds / size:.0f} {unit}")
            )
    return f"{seconds / 86_400:.1f} days"


def money(amount: float) -> str:
    """Format an amount: `12.40`, `<0.01`, `2.27 M`."""
    if amount >= 1e5:
        return count(amount)
    return "<0.01" if 0 < amount < 0.01 else f"{amount:.2f}"


def count(number: float) -> str:
    """Format a number of tokens: `412 k`, `61 M`, `2.1 G`."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return f"{number:.0f}"


def short(seconds: float) -> str:
    """Format the seconds of a part of a step."""
    return (
        f"{seconds:.0f}"
        if seconds >= 100
        else f"{seconds:.1f}"
        if seconds >= 1
        else (f"{seconds:.2f}")
    )
