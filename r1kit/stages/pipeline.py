"""The recipe as a table: which stages there are, in which order, and the run that makes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from r1kit.config import Recipe
from r1kit.errors import ConfigError
from r1kit.live import Observer
from r1kit.model import parallel
from r1kit.model.parallel import Ranks
from r1kit.rundir import RunDir
from r1kit.stages import (
    ablation,
    base,
    bench,
    cold_start,
    distill,
    final,
    preference,
    reasoning,
    rejection,
    zero,
)
from r1kit.stages.context import Context, Unit

OWN = "its own samples"


def plan(recipe: Recipe) -> list[Unit]:
    """The units of a recipe in the order of the paper: the sections it has decide.

    Raises ConfigError when one begins with another that the recipe has no section of.
    """
    units = [Unit("base", base.run, None, "corpus"), Unit("zero", zero.run, "base", OWN)]
    if recipe.cold_start is not None:
        units.append(Unit("cold_start", cold_start.run, "base", "zero", ("zero",)))
    if recipe.reasoning is not None:
        units.append(Unit("reasoning", reasoning.run, "cold_start", OWN))
    if recipe.rejection is not None:
        units.append(Unit("rejection", rejection.run, "base", "reasoning", ("reasoning",)))
    if recipe.final is not None:
        judges = preference.STAGES if _needs_reward_models(recipe) else ()
        units += [Unit(name, preference.run, "rejection", "made preferences") for name in judges]
        units.append(Unit("final", final.run, "rejection", OWN, judges))
    units += _students(recipe)
    named = {unit.name: unit for unit in units}
    for item in recipe.ablations:
        ablation.changed(recipe, item)
        units.append(replace(named[item.of], name=f"ablation/{item.name}", run=ablation.run))
    _refuse_gaps(units)
    return units


def _students(recipe: Recipe) -> list[Unit]:
    if recipe.distill is None:
        return []
    units, taught = [], () if recipe.distill.data else ("rejection",)
    for student in recipe.distill.students:
        name = f"distill/{student.name}"
        units.append(Unit(f"{name}/base", distill.make_base, None, "corpus"))
        units.append(Unit(name, distill.run, f"{name}/base", "rejection", taught))
        if student.twin:
            units.append(Unit(f"{name}/zero", distill.make_twin, f"{name}/base", OWN))
    return units


def _needs_reward_models(recipe: Recipe) -> bool:
    config = recipe.final
    return config is not None and recipe.general is not None and config.judge_url is None


def _refuse_gaps(units: Sequence[Unit]) -> None:
    names = {unit.name for unit in units}
    for unit in units:
        for source in (unit.weights_from, *unit.needs):
            if source is not None and source not in names:
                raise ConfigError(
                    f"Stage {unit.name} needs {source}, and the recipe has no section of it; add "
                    f"[{source.split('/')[0]}]."
                )


def run(recipe: Recipe, out: Path, only: str | None, observer: Observer) -> None:
    """Runs the recipe in the folder `out`, or goes on with it, on all processes.

    `only` is a unit or a family of them. Raises an R1Error when the recipe, the folder or the
    machine do not allow it.
    """
    names = [unit.name for unit in plan(recipe)]
    if only is not None and not any(_is_named(name, only) for name in names):
        raise ConfigError(f"There is no stage {only!r}; the stages are {', '.join(names)}.")
    n = parallel.n_processes(recipe.compute, recipe.zero.n_problems)
    with RunDir.create_or_resume(out, recipe) as folder:
        parallel.launch(n, recipe.compute, _on_rank, recipe, only, First(folder, observer))


def _is_named(name: str, only: str) -> bool:
    return name == only or name.startswith(f"{only}/")


class First:
    """What only the first rank has; it does not travel to the others."""

    def __init__(self, run: RunDir | None, observer: Observer | None) -> None:
        self.run = run
        self.observer = observer

    def __reduce__(self) -> tuple[type[First], tuple[None, None]]:
        return First, (None, None)


def _on_rank(ranks: Ranks, recipe: Recipe, only: str | None, first: First) -> None:
    context = Context(recipe, ranks, first.run, first.observer)
    for unit in plan(recipe):
        if context.is_finished(unit.name):
            context.note(f"{unit.name} is finished.")
            continue
        if only is not None and not _is_named(unit.name, only):
            continue
        _needs(context, unit)
        context.tick(unit.name)
        _finish(context, unit, unit.run(context, unit))


def _needs(context: Context, unit: Unit) -> None:
    for source in (unit.weights_from, *unit.needs):
        if source is not None and not context.is_finished(source):
            raise ConfigError(
                f"Stage {unit.name} starts from {source}, which is not finished in this run; run "
                f"it without --only, or with --only {source} first."
            )


def _finish(context: Context, unit: Unit, outcome: dict[str, Any] | None) -> None:
    """What a unit reached goes to results.json; policies are measured first."""
    checkpoint = context.latest(unit.name).name
    kind = "stages" if outcome is None else unit.name.split("/")[0]
    measured = bench.run(context, unit.name) if outcome is None else outcome
    if context.run is None:
        return
    measured = measured | {"wall_s": context.run.wall_s(unit.name)}
    results = context.run.results()
    name = unit.name if outcome is None else unit.name.split("/")[1]
    results[kind] = results.get(kind, {}) | {name: measured}
    context.run.write_results(results)
    born = {"weights_from": unit.weights_from, "data_from": unit.data_from}
    context.run.mark_finished(unit.name, {"checkpoint": checkpoint, **born})
    if context.observer is not None:
        context.observer.stage_finished(unit.name, measured)
