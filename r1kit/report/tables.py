"""Tables of results as text, independent of the output format: of one run, or of one run per seed.

A number of several runs is their mean; its error is the one that judges claims (claims/decide.py).
"""

from __future__ import annotations

import re
import statistics
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from r1kit.claims.decide import combine
from r1kit.claims.reading import MissingError, measured
from r1kit.console.formatting import percent, value_text
from r1kit.report.translate import ENGLISH, Translator
from r1kit.runs.kept_checkpoints import EVAL_SCORE
from r1kit.runs.run_reader import RunContents
from r1kit.runs.schemas import ForecastStage
from r1kit.runs.stage_specs import is_main

MAIN_NOTE = (
    "On held-out problems, {n} completions per problem at temperature {temperature}; {over}± is "
    "one standard error, problems as clusters."
)
FORECAST_NOTE = (
    "At most: planned for completions of full length. Expected: for completions as long as the "
    "base's. Measured is the median step, and the most memory that a process has held up to then."
)

SPEED_NOTE = (
    "Medians of the steps. MFU: model FLOPs of learning per second of it, relative to the peak of "
    "all processes. Sampling, learning and waiting for other ranks are shares of a step, means "
    "over the ranks; the slowest rank is the one that waits least."
)
SPEEDS = (
    ("s/step", "step_time", "number"),
    ("sampled", "time/sampled_tokens_per_s", "rate"),
    ("trained", "time/tokens_per_s", "rate"),
    ("MFU", "time/mfu", "percent"),
    ("sampling", "time/sample_share", "percent"),
    ("learning", "time/learn_share", "percent"),
    ("waiting", "time/wait_share", "percent"),
)
"""heading, metric and unit of the columns of `speeds`"""


@dataclass(frozen=True)
class Table:
    """A table of text: `Table("Stages", ("stage", "pass@1"), [("base", "19.0 ± 1.6 %")])`."""

    title: str
    head: tuple[str, ...]
    """column headings; the first column names the row, the others are numbers"""
    rows: list[tuple[str, ...]]
    note: str = ""


Column = tuple[str, Callable[[Sequence[RunContents], str], str]]
"""heading, and a function (runs, stage) → cell"""


def tables(runs: Sequence[RunContents], t: Translator = ENGLISH) -> list[Table]:
    """Return the tables that the runs have data for, in a language."""
    candidates = (
        stages(runs, t), families(runs), public_sets(runs), evaluated_steps(runs, t),
        students(runs), aside(runs), reward_models(runs), speeds(runs), forecasts(runs),
    )  # fmt: skip
    return [
        Table(t(table.title), tuple(map(t, table.head)), table.rows, t(table.note))
        for table in candidates
        if table.rows
    ]


def main_path(runs: Sequence[RunContents]) -> list[str]:
    """Return the stages from the base to R1 that all runs have measured."""
    return [name for name in _names(runs) if is_main(name)]


def taught(runs: Sequence[RunContents]) -> list[str]:
    """Return the students that all runs have measured, by size."""
    names = [n for n in _names(runs) if n.startswith("distill/") and n.count("/") == 1]
    return sorted(names, key=lambda name: int(_stage(runs[0], name)["n_parameters"]))


def stages(runs: Sequence[RunContents], t: Translator) -> Table:
    return _table("Stages", "stage", main_path(runs), MAIN, runs, _note(runs, t))


def families(runs: Sequence[RunContents]) -> Table:
    names = main_path(runs)
    results = [_stage(run, name)["evals"].get("reasoning", {}) for run in runs for name in names]
    tasks = sorted({task for result in results for task in result.get("by_task", {})})

    def column(task: str) -> Column:
        return task, _share("reasoning", "by_task", task)

    return _table("pass@1 by family", "stage", names, [column(task) for task in tasks], runs)


def public_sets(runs: Sequence[RunContents]) -> Table:
    """Show the public benchmarks of the recipe, `[[evals]]`, that all stages were measured on."""
    names = [name for name in _names(runs) if not name.startswith("ablation/")]
    measured_sets = [set(_stage(run, name)["evals"]) for run in runs for name in names]
    common = set.intersection(*measured_sets) - {"reasoning", "general"} if names else set()
    columns: list[Column] = [(name, _rate(f"{name}.pass_at_1")) for name in sorted(common)]
    note = (
        "pass@1, sampled as `[[evals]]` says; its limit of tokens may be far below the protocol's."
    )
    return _table("Public benchmarks", "stage", names if columns else [], columns, runs, note)


def evaluated_steps(runs: Sequence[RunContents], t: Translator) -> Table:
    """Show the evaluations during training (`eval_steps`), those of every run."""
    rows: list[tuple[str, ...]] = []
    for run in runs:
        evaluated = [row for row in run.metrics if row.get(EVAL_SCORE) is not None]
        prefix = f"{run.path.name}, " if len(runs) > 1 else ""
        for row in evaluated:
            stage = [other for other in evaluated if other["stage"] == row["stage"]]
            best = max(stage, key=lambda other: other[EVAL_SCORE])  # the earliest of equals
            text = "{stage}, step {step} (best)" if row is best else "{stage}, step {step}"
            where = t(text, stage=row["stage"], step=row["step"])
            rows.append((f"{prefix}{where}", _eval_cell(row)))
    note = "The policy in training, by `eval_steps`; the best checkpoint is kept."
    return Table("Evaluations during training", ("stage and step", "pass@1"), rows, note)


def _eval_cell(row: Mapping[str, Any]) -> str:
    """Return the scores of a step: `gsm8k 41.2 ± 3.1 %`."""
    names = [key.split("/")[1] for key in row if re.fullmatch("eval/.+/pass_at_1", key)]
    return ", ".join(
        f"{name} {percent(row[f'eval/{name}/pass_at_1'], row[f'eval/{name}/stderr'])}"
        for name in names
    )


def students(runs: Sequence[RunContents]) -> Table:
    note = (
        "A student is fine-tuned on the teacher's data; its twin is trained by RL alone from the "
        "same base, with the compute of the last column times the student's."
    )
    return _table("Students", "student", taught(runs), STUDENT, runs, note)


def aside(runs: Sequence[RunContents]) -> Table:
    names = [name for name in _names(runs) if name.startswith("ablation/")]
    return _table("Ablations", "ablation", names, MAIN, runs)


def reward_models(runs: Sequence[RunContents]) -> Table:
    per_run = [run.results.get("preference", {}) for run in runs]
    names = [name for name in per_run[0] if all(name in results for results in per_run)]
    rows: list[tuple[str, ...]] = [
        (name, _percent(statistics.fmean(results[name]["accuracy"] for results in per_run)))
        for name in names
    ]
    return Table("Reward models", ("of", "held-out accuracy"), rows)


def forecasts(runs: Sequence[RunContents]) -> Table:
    """Compare the first run with the forecast that was made before it."""
    run = runs[0]
    rows = [
        row for name, forecast in run.forecast.items() if (row := _compared(run, name, forecast))
    ]
    head = ("of", "s/step at most", "expected", "measured", "GB planned", "measured")
    return Table("Planned and measured", head, rows, FORECAST_NOTE)


def _compared(run: RunContents, name: str, forecast: ForecastStage) -> tuple[str, ...] | None:
    steps = [row for row in run.metrics if row["stage"] == name and row.get("step_time")]
    if not steps:
        return None
    expected = forecast.get("expected_step_s")
    peaks = [row["memory/peak_mb"] for row in steps if row.get("memory/peak_mb")]
    return (
        name,
        f"{forecast['step_s']:.2f}",
        f"{expected:.2f}" if expected is not None else "",
        f"{statistics.median(row['step_time'] for row in steps):.2f}",
        f"{forecast['peak_mb'] / 1000:.2f}",
        f"{max(peaks) / 1000:.2f}" if peaks else "",
    )


def speeds(runs: Sequence[RunContents]) -> Table:
    """Show where the time of the first run went, stage by stage."""
    run = runs[0]
    names = dict.fromkeys(row["stage"] for row in run.metrics if row.get("time/mfu"))
    rows = [(name, *_speed_cells(run, name)) for name in names]
    head = ("of", *(heading for heading, _, _ in SPEEDS), "slowest rank", "in steps")
    filled = [i for i in range(len(head)) if any(row[i] for row in rows)]
    return Table(
        "Where the time went",
        tuple(head[i] for i in filled),
        [tuple(row[i] for i in filled) for row in rows],
        SPEED_NOTE,
    )


def _speed_cells(run: RunContents, name: str) -> Iterator[str]:
    steps = [row for row in run.metrics if row["stage"] == name and row.get("time/mfu")]
    for _, key, unit in SPEEDS:
        values = [row[key] for row in steps if row.get(key) is not None]
        yield value_text(statistics.median(values), unit) if values else ""
    slowest = [row["time/slowest_rank"] for row in steps if "time/slowest_rank" in row]
    if not slowest:
        yield from ("", "")
        return
    rank, n = Counter(slowest).most_common(1)[0]
    yield from (f"{rank:.0f}", percent(n / len(slowest)))


def _table(
    title: str,
    of: str,
    names: Sequence[str],
    columns: Sequence[Column],
    runs: Sequence[RunContents],
    note: str = "",
) -> Table:
    """Build a table without the columns that are empty in every row."""
    cells = [[_try(cell, runs, name) for _, cell in columns] for name in names]
    filled = [index for index in range(len(columns)) if any(row[index] for row in cells)]
    head = (of, *(columns[index][0] for index in filled))
    short = [name.removeprefix("distill/").removeprefix("ablation/") for name in names]
    rows = [
        (name, *(row[index] for index in filled)) for name, row in zip(short, cells, strict=True)
    ]
    return Table(title, head, rows, note)


def _try(cell: Callable[..., str], runs: Sequence[RunContents], name: str) -> str:
    try:
        return cell(runs, name)
    except (KeyError, MissingError, ZeroDivisionError):
        return ""


def _names(runs: Sequence[RunContents]) -> list[str]:
    """Return the stages that all runs have measured, in the order of the first run."""
    per_run = [run.results.get("stages", {}) for run in runs]
    return [name for name in per_run[0] if all(name in stages for stages in per_run)]


def _note(runs: Sequence[RunContents], t: Translator) -> str:
    """Return a note on how the stages were measured."""
    config = runs[0].recipe.get("eval", {})
    n_completions, temperature = config.get("n_completions", 1), config.get("temperature")
    text = MAIN_NOTE if n_completions > 1 else MAIN_NOTE.replace("completions", "completion")
    over = t("mean of {n} seeds, ", n=len(runs)) if len(runs) > 1 else ""
    return t(text, n=n_completions, temperature=temperature, over=over)


def _stage(run: RunContents, name: str) -> dict[str, Any]:
    stage: dict[str, Any] = run.results["stages"][name]
    return stage


def _mean(runs: Sequence[RunContents], name: str, *keys: str) -> float:
    """Return the mean over runs of a number of a stage: its benchmark, its metric."""
    values = []
    for run in runs:
        value: Any = _stage(run, name)["evals"]
        for key in keys:
            value = value[key]
        values.append(float(value))
    return statistics.fmean(values)


def _rate(key: str, suffix: str = "") -> Callable[[Sequence[RunContents], str], str]:
    """Return a cell function for a share with its error."""

    def cell(runs: Sequence[RunContents], name: str) -> str:
        rate = combine([measured(name + suffix, key)(run) for run in runs])
        return percent(rate.value, rate.stderr)

    return cell


def _share(*keys: str) -> Callable[[Sequence[RunContents], str], str]:
    return lambda runs, name: _percent(_mean(runs, name, *keys))


def _number(digits: int, *keys: str) -> Callable[[Sequence[RunContents], str], str]:
    return lambda runs, name: f"{_mean(runs, name, *keys):.{digits}f}"


def _vote(runs: Sequence[RunContents], name: str) -> str:
    """Return the majority-vote accuracy; empty if one completion per problem was sampled."""
    is_single = _mean(runs, name, "reasoning", "n_completions") < 2
    return "" if is_single else _percent(_mean(runs, name, "reasoning", "cons_at_k"))


def _liked(runs: Sequence[RunContents], name: str) -> str:
    scores = [run.results["preference_eval"]["scores"][name]["value"] for run in runs]
    return f"{statistics.fmean(scores):.2f}"


def _parameters(runs: Sequence[RunContents], name: str) -> str:
    return f"{statistics.fmean(_stage(run, name)['n_parameters'] for run in runs):,.0f}"


def _compute(runs: Sequence[RunContents], name: str) -> str:
    twin, student = (
        statistics.fmean(_stage(run, unit)["compute"]["flops"] for run in runs)
        for unit in (f"{name}/zero", name)
    )
    return f"{twin / student:.1f}x"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if 0.1 <= share <= 0.9 else f"{100 * share:.1f} %"


MAIN: tuple[Column, ...] = (
    ("pass@1", _rate("reasoning.pass_at_1")),
    ("vote", _vote),
    ("tokens", _number(0, "reasoning", "mean_tokens")),
    ("reflect", _number(2, "reasoning", "mean_reflections")),
    ("language", _share("reasoning", "language_consistency")),
    ("general", _share("general", "pass_at_1")),
    ("form", _share("general", "well_formed")),
    ("liked", _liked),
)
"""general: correct answers to non-reasoning prompts; form: well-formed completions of them; liked:
score given by the reward models"""

STUDENT: tuple[Column, ...] = (
    ("parameters", _parameters),
    ("its base", _rate("reasoning.pass_at_1", "/base")),
    ("taught", _rate("reasoning.pass_at_1")),
    ("RL alone", _rate("reasoning.pass_at_1", "/zero")),
    ("compute", _compute),
)
