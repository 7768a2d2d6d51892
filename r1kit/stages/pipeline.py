"""A run: execute the stages of a recipe one after the other, in a run folder, on all processes.

Errors are reported within a second or two: torch is imported only if a stage has to run, and the
stages, which import the models, by all processes at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from r1kit import claims
from r1kit.config import Recipe
from r1kit.console.progress import Observer
from r1kit.errors import ConfigError, RunError
from r1kit.model.find import find_model
from r1kit.processes import torchrun
from r1kit.processes.loading import gc_paused_imports
from r1kit.runs.run_dir import RunDir
from r1kit.runs.run_reader import read
from r1kit.runs.stage_specs import STAGES, family
from r1kit.stages.context_length import refuse_long, sampled_lengths
from r1kit.stages.plan import PlannedStage, StageSelection, is_students_alone, plan
from r1kit.stages.required_data import check_data

if TYPE_CHECKING:
    from r1kit.model.ranks import Ranks
    from r1kit.stages.context import Context


def run(
    recipe: Recipe, out: Path, observer: Observer, selection: StageSelection | None = None
) -> None:
    """Run or resume the recipe in the folder `out`, on all processes.

    Raises an R1Error if the recipe, the folder or the machine does not allow it.
    """
    selection, stages = selection or StageSelection(), plan(recipe)
    selection.check([stage.name for stage in stages])
    for note in _refuse_missing(recipe):
        observer.note(note)
    with RunDir.create_or_resume(out, recipe, selection.again) as folder:
        remaining = _remaining(stages, selection, folder, observer)
        if remaining or torchrun.world() is not None:
            _make(recipe, remaining, RankZero(folder, observer))
        folder.write_results(folder.results() | {"claims": claims.table([read(folder.path)])})


def follow(recipe: Recipe, world: torchrun.World) -> None:
    """Take part in the `run` of the first rank, as another rank that torchrun has started."""
    _refuse_missing(recipe)
    with gc_paused_imports():
        from r1kit.model import distributed

    distributed.join(world, recipe, _on_rank, recipe, [], RankZero(None, None))


def _refuse_missing(recipe: Recipe) -> Sequence[str]:
    """Return notes on data that is left out.

    Raises an R1Error for missing tasks, models and data, and for lengths that cannot fit.
    """
    notes = check_data(recipe)
    students = recipe.distill.students if recipe.distill is not None else ()
    for student in (None, *students):
        shape = recipe.model if student is None else student.model
        if shape.path is not None:
            find_model(shape.path)
        elif student is not None or not is_students_alone(recipe):
            refuse_long(sampled_lengths(recipe, student), shape.max_positions)
    return notes


def _remaining(
    stages: Sequence[PlannedStage], selection: StageSelection, folder: RunDir, observer: Observer
) -> list[PlannedStage]:
    """Return the selected stages to run. Raises ConfigError if one needs an unfinished stage."""
    remaining: list[PlannedStage] = []
    finished = {stage.name for stage in stages if folder.finished(stage.name)}
    for stage in stages:
        if stage.name not in selection:
            continue
        if folder.finished(stage.name):
            remaining += _lost(stage, folder, observer)
            continue
        if not folder.checkpoints(stage.name):
            for source in finished.intersection(stage.needs):
                if folder.finished(source):
                    folder.refuse_missing(source)
        for source in stage.needs:
            if source not in finished:
                raise ConfigError(
                    f"Stage {stage.name} starts from {source}, which is not finished in this run; "
                    f"run it without --only, or with --only {source} first."
                )
        finished.add(stage.name)
        remaining.append(stage)
    return remaining


def _lost(stage: PlannedStage, folder: RunDir, observer: Observer) -> list[PlannedStage]:
    """Return the stage if it is finished but has no result, to be evaluated again."""
    if _result(folder.results(), stage.name) is None:
        observer.note(f"{stage.name} is finished, but not in results.json: it is measured again.")
        evaluation = STAGES[family(stage.name)].evaluated_by or "evaluation.skip_training"
        return [replace(stage, entry_point=evaluation)]
    observer.note(f"{stage.name} is finished{folder.missing_remark(stage.name)}.")
    return []


def _result_keys(name: str) -> tuple[str, str]:
    """Return the keys of a result in results.json: a section, and the name there or ""."""
    is_own_section = STAGES[family(name)].evaluated_by is not None
    return (family(name), name.partition("/")[2]) if is_own_section else ("stages", name)


def _result(results: Mapping[str, Any], name: str) -> Any:
    section, key = _result_keys(name)
    results_of_section = results.get(section)
    return (results_of_section or {}).get(key) if key else results_of_section


class RankZero:
    """Objects that only the first rank has; they are None when unpickled on the others."""

    def __init__(self, run: RunDir | None, observer: Observer | None) -> None:
        self.run = run
        self.observer = observer

    def __reduce__(self) -> tuple[type[RankZero], tuple[None, None]]:
        return RankZero, (None, None)


def _make(recipe: Recipe, stages: Sequence[PlannedStage], first: RankZero) -> None:
    with gc_paused_imports():
        from r1kit.model import devices, distributed, parallel

    if (world := torchrun.world()) is not None:
        distributed.join(world, recipe, _on_rank, recipe, stages, first)
        return
    n = devices.n_processes(recipe.compute, recipe.zero.n_problems)
    crowd = devices.crowding_warning(recipe.compute, n)
    if crowd and first.observer is not None:
        first.observer.note(crowd)
    parallel.launch(n, recipe.compute, _on_rank, recipe, stages, first)


def _on_rank(ranks: Ranks, recipe: Recipe, stages: Sequence[PlannedStage], first: RankZero) -> None:
    with gc_paused_imports():
        from r1kit.stages.context import Context
        from r1kit.stages.out_of_memory import explaining_out_of_memory

        stages = ranks.gather(stages)[0]
        entry_points = [_entry_point(stage) for stage in stages]

    _refuse_unseen(ranks, first)
    with closing(Context(recipe, ranks, first.run, first.observer)) as context:
        for stage, entry_point in zip(stages, entry_points, strict=True):
            context.tick(stage.name)
            with explaining_out_of_memory(recipe, stage.name, ranks.size):
                _finish(context, stage, entry_point(context, stage))


def _refuse_unseen(ranks: Ranks, first: RankZero) -> None:
    """Raises RunError on the first rank if another one does not see the run folder."""
    own = None if first.run is None else first.run.path.resolve() / "manifest.json"
    manifest = ranks.gather(own)[0]
    assert manifest is not None
    blind = ranks.unlike_first(manifest.exists())
    if blind and ranks.is_first:
        raise RunError(
            f"Rank {', '.join(map(str, blind))} does not see {manifest.parent}; give --out a "
            "folder on a disk that all machines share."
        )
    ranks.barrier()


def _entry_point(stage: PlannedStage) -> Callable[[Context, PlannedStage], dict[str, Any] | None]:
    module, _, function = stage.entry_point.partition(".")
    entry_point: Callable[..., Any] = getattr(import_module(f"r1kit.stages.{module}"), function)
    return entry_point


def _finish(context: Context, stage: PlannedStage, outcome: dict[str, Any] | None) -> None:
    """Write the result of a stage to results.json and mark it finished; evaluate policies first."""
    from r1kit.stages import evaluation
    from r1kit.stages.compute import compute_spent

    measured = evaluation.run(context, stage.name) if outcome is None else outcome
    checkpoint = context.newest_checkpoint(stage.name)
    if context.run is None:
        return
    measured["wall_s"] = context.run.wall_s(stage.name)
    if outcome is None:
        metrics = context.run.metrics(stage.name)
        measured["compute"] = compute_spent(metrics, measured["n_parameters"])
    context.run.write_results(_with(context.run.results(), stage.name, measured, context.recipe))
    if checkpoint is not None:
        context.write_card(stage.name, checkpoint)
    parents = {"weights_from": stage.weights_from, "data_from": stage.data_from}
    saved = {"checkpoint": checkpoint.name} if checkpoint else {}
    context.run.mark_finished(stage.name, saved | parents)
    if context.recipe.compute.keep_checkpoints == "last_and_best":
        context.run.drop_resume_state(stage.name)
    if context.observer is not None:
        context.observer.stage_finished(stage.name, measured)


def _with(
    results: Mapping[str, Any], name: str, measured: dict[str, Any], recipe: Recipe
) -> dict[str, Any]:
    """Add the result of a stage to the results, in the order of the plan."""
    section, key = _result_keys(name)
    if not key:
        return {**results, section: measured}
    order = [_result_keys(stage.name)[1] for stage in plan(recipe)]
    entries = {**results.get(section, {}), key: measured}
    keys = sorted(entries, key=lambda key: order.index(key) if key in order else len(order))
    return {**results, section: {key: entries[key] for key in keys}}
