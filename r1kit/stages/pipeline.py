"""A run: execute the units of a recipe one after the other, in a run folder, on all processes.

Errors are reported within a second or two: torch is imported only if a unit has to run, and the
stages, which import the models, by all processes at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from r1kit import claims
from r1kit.config import Recipe
from r1kit.console.progress import Observer
from r1kit.curate import read_conversations
from r1kit.errors import ConfigError
from r1kit.model.find import find_model
from r1kit.processes.loading import gc_paused_imports
from r1kit.runs.run_dir import RunDir
from r1kit.runs.run_reader import read
from r1kit.stages.context_length import refuse_long, sampled_lengths
from r1kit.stages.plan import StageSelection, Unit, is_students_alone, plan
from r1kit.tasks import mix

if TYPE_CHECKING:
    from r1kit.model.ranks import Ranks
    from r1kit.stages.context import Context


def run(
    recipe: Recipe, out: Path, observer: Observer, selection: StageSelection | None = None
) -> None:
    """Run or resume the recipe in the folder `out`, on all processes.

    Raises an R1Error if the recipe, the folder or the machine does not allow it.
    """
    selection, units = selection or StageSelection(), plan(recipe)
    selection.check([unit.name for unit in units])
    _refuse_missing(recipe)
    with RunDir.create_or_resume(out, recipe, selection.again) as folder:
        remaining = _remaining(units, selection, folder, observer)
        if remaining:
            _make(recipe, remaining, RankZero(folder, observer))
        folder.write_results(folder.results() | {"claims": claims.table([read(folder.path)])})


def _refuse_missing(recipe: Recipe) -> None:
    """Raises an R1Error for missing tasks, models and data, and for lengths that cannot fit."""
    mix.load_tasks(recipe, "train")
    students = recipe.distill.students if recipe.distill is not None else ()
    if recipe.distill is not None and recipe.distill.data is not None:
        read_conversations(Path(recipe.distill.data))
    for student in (None, *students):
        shape = recipe.model if student is None else student.model
        if shape.path is not None:
            find_model(shape.path)
        elif student is not None or not is_students_alone(recipe):
            refuse_long(sampled_lengths(recipe, student), shape.max_positions)


def _remaining(
    units: Sequence[Unit], selection: StageSelection, folder: RunDir, observer: Observer
) -> list[Unit]:
    """Return the selected units to run. Raises ConfigError if the source of one is not finished."""
    remaining: list[Unit] = []
    finished = {unit.name for unit in units if folder.finished(unit.name)}
    for unit in units:
        if unit.name not in selection:
            continue
        if folder.finished(unit.name):
            remaining += _lost(unit, folder, observer)
            continue
        if not folder.checkpoints(unit.name):
            for source in finished.intersection(unit.sources):
                if folder.finished(source):
                    folder.refuse_missing(source)
        for source in unit.sources:
            if source not in finished:
                raise ConfigError(
                    f"Stage {unit.name} starts from {source}, which is not finished in this run; "
                    f"run it without --only, or with --only {source} first."
                )
        finished.add(unit.name)
        remaining.append(unit)
    return remaining


def _lost(unit: Unit, folder: RunDir, observer: Observer) -> list[Unit]:
    """Return the work left for a finished unit: an evaluation if results.json lacks its result."""
    if _result(folder.results(), unit.name) is None:
        observer.note(f"{unit.name} is finished, but not in results.json: it is measured again.")
        return [
            replace(unit, program=EVALUATION_PROGRAMS.get(unit.program, "evaluation.skip_training"))
        ]
    observer.note(f"{unit.name} is finished{folder.missing_remark(unit.name)}.")
    return []


def _result_keys(name: str) -> tuple[str, str]:
    """Return the keys of a unit's result in results.json: its family, and its name there or ""."""
    family, _, rest = name.partition("/")
    return (family, rest) if family in ("preference", "preference_eval") else ("stages", name)


def _result(results: Mapping[str, Any], name: str) -> Any:
    family, inside = _result_keys(name)
    results_of_family = results.get(family)
    return (results_of_family or {}).get(inside) if inside else results_of_family


EVALUATION_PROGRAMS = {
    "preference.run": "preference.evaluate_again",
    "preference_eval.run": "preference_eval.run",
}
"""program of a unit → program that evaluates its finished checkpoint"""


class RankZero:
    """Objects that only the first rank has; they are None when unpickled on the others."""

    def __init__(self, run: RunDir | None, observer: Observer | None) -> None:
        self.run = run
        self.observer = observer

    def __reduce__(self) -> tuple[type[RankZero], tuple[None, None]]:
        return RankZero, (None, None)


def _make(recipe: Recipe, units: Sequence[Unit], first: RankZero) -> None:
    with gc_paused_imports():
        from r1kit.model import devices, parallel

    n = devices.n_processes(recipe.compute, recipe.zero.n_problems)
    crowd = devices.crowding_warning(recipe.compute, n)
    if crowd and first.observer is not None:
        first.observer.note(crowd)
    parallel.launch(n, recipe.compute, _on_rank, recipe, units, first)


def _on_rank(ranks: Ranks, recipe: Recipe, units: Sequence[Unit], first: RankZero) -> None:
    with gc_paused_imports():
        from r1kit.stages.context import Context

        programs = [_program(unit) for unit in units]

    context = Context(recipe, ranks, first.run, first.observer)
    for unit, program in zip(units, programs, strict=True):
        context.tick(unit.name)
        _finish(context, unit, program(context, unit))


def _program(unit: Unit) -> Callable[[Context, Unit], dict[str, Any] | None]:
    module, _, function = unit.program.partition(".")
    program: Callable[..., Any] = getattr(import_module(f"r1kit.stages.{module}"), function)
    return program


def _finish(context: Context, unit: Unit, outcome: dict[str, Any] | None) -> None:
    """Write the result of a unit to results.json, and mark it finished; evaluate policies first."""
    from r1kit.stages import evaluation
    from r1kit.stages.compute import compute_spent

    measured = evaluation.run(context, unit.name) if outcome is None else outcome
    checkpoint = context.newest_checkpoint(unit.name)
    if context.run is None:
        return
    measured["wall_s"] = context.run.wall_s(unit.name)
    if outcome is None:
        metrics = context.run.metrics(unit.name)
        measured["compute"] = compute_spent(metrics, measured["n_parameters"])
    context.run.write_results(_with(context.run.results(), unit.name, measured, context.recipe))
    parents = {"weights_from": unit.weights_from, "data_from": unit.data_from}
    saved = {"checkpoint": checkpoint.name} if checkpoint else {}
    context.run.mark_finished(unit.name, saved | parents)
    if context.observer is not None:
        context.observer.stage_finished(unit.name, measured)


def _with(
    results: Mapping[str, Any], name: str, measured: dict[str, Any], recipe: Recipe
) -> dict[str, Any]:
    """Add the result of a unit to the results, in the order of the plan."""
    family, inside = _result_keys(name)
    if not inside:
        return {**results, family: measured}
    order = [_result_keys(unit.name)[1] for unit in plan(recipe)]
    entries = {**results.get(family, {}), inside: measured}
    names = sorted(entries, key=lambda key: order.index(key) if key in order else len(order))
    return {**results, family: {key: entries[key] for key in names}}
