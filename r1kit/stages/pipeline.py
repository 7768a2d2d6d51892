"""The recipe as a table: which stages there are, in which order, and the run that makes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from r1kit import claims
from r1kit.config import Recipe
from r1kit.errors import ConfigError
from r1kit.evidence import ASIDE, rank, read
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
from r1kit.stages.measure import compute

OWN = "its own samples"


def plan(recipe: Recipe) -> list[Unit]:
    """The units of a recipe in the order of the paper: the sections it has decide.

    A recipe whose students learn from a file has them alone. Raises ConfigError when a unit begins
    with another that the recipe has no section of.
    """
    if recipe.distill is not None and recipe.distill.data is not None:
        return _students(recipe)
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
    if _needs_reward_models(recipe):
        units.append(Unit("bench", bench.judge, None, None, _judged(recipe, units)))
    _refuse_gaps(units)
    return units


def _students(recipe: Recipe) -> list[Unit]:
    if recipe.distill is None:
        return []
    units: list[Unit] = []
    file = recipe.distill.data
    taught = () if file else ("rejection",)
    for student in recipe.distill.students:
        name = f"distill/{student.name}"
        units.append(Unit(f"{name}/base", distill.make_base, None, "corpus"))
        units.append(Unit(name, distill.run, f"{name}/base", file or "rejection", taught))
        if student.twin:
            units.append(Unit(f"{name}/zero", distill.make_twin, f"{name}/base", OWN))
    return units


def _judged(recipe: Recipe, units: Sequence[Unit]) -> tuple[str, ...]:
    """What the reward models look at, and they themselves."""
    main = [unit.name for unit in units if unit.name.split("/")[0] not in ASIDE]
    finals = [f"ablation/{item.name}" for item in recipe.ablations if item.of == "final"]
    return (*main, *finals, *preference.STAGES)


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


@dataclass(frozen=True)
class Wanted:
    """Which stages of a recipe are made in this session; by default all that are not finished."""

    only: str | None = None
    """a unit, or a family of them"""
    last: str | None = None
    """the family after which it ends"""
    again: str | None = None
    """a family that is made once more, with all that follow"""

    def __contains__(self, name: str) -> bool:
        is_late = self.last is not None and rank(name) > rank(self.last)
        is_named = self.only is None or name == self.only or name.startswith(f"{self.only}/")
        return is_named and not is_late

    def check(self, names: Sequence[str]) -> None:
        """Raises ConfigError for what is no stage of a recipe with units of these names."""
        families = list(dict.fromkeys(name.split("/")[0] for name in names))
        for option, stage, known in (
            ("--only", self.only, [*families, *names]),
            ("--to", self.last, families),
            ("--from", self.again, families),
        ):
            if stage is not None and stage not in known:
                told = ", ".join(dict.fromkeys(known))
                raise ConfigError(f"There is no stage {stage!r} for {option}; there are {told}.")


def run(recipe: Recipe, out: Path, observer: Observer, wanted: Wanted | None = None) -> None:
    """Runs the recipe in the folder `out`, or goes on with it, on all processes.

    Raises an R1Error when the recipe, the folder or the machine do not allow it.
    """
    wanted = wanted or Wanted()
    wanted.check([unit.name for unit in plan(recipe)])
    n = parallel.n_processes(recipe.compute, recipe.zero.n_problems)
    with RunDir.create_or_resume(out, recipe, wanted.again) as folder:
        parallel.launch(n, recipe.compute, _on_rank, recipe, wanted, First(folder, observer))
        folder.write_results(folder.results() | {"claims": claims.table([read(folder.path)])})


class First:
    """What only the first rank has; it does not travel to the others."""

    def __init__(self, run: RunDir | None, observer: Observer | None) -> None:
        self.run = run
        self.observer = observer

    def __reduce__(self) -> tuple[type[First], tuple[None, None]]:
        return First, (None, None)


def _on_rank(ranks: Ranks, recipe: Recipe, wanted: Wanted, first: First) -> None:
    context = Context(recipe, ranks, first.run, first.observer)
    for unit in plan(recipe):
        if unit.name not in wanted:
            continue
        if context.is_finished(unit.name):
            context.note(f"{unit.name} is finished.")
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
    if outcome is None:
        family, name, measured = "stages", unit.name, bench.run(context, unit.name)
    else:
        family, _, name = unit.name.partition("/")
        measured = outcome
    checkpoint = context.newest(unit.name)
    if context.run is None:
        return
    measured["wall_s"] = context.run.wall_s(unit.name)
    if outcome is None:
        measured["compute"] = compute(context.run.metrics(unit.name), measured["n_parameters"])
    results = context.run.results()
    results[family] = (results.get(family, {}) | {name: measured}) if name else measured
    context.run.write_results(results)
    born = {"weights_from": unit.weights_from, "data_from": unit.data_from}
    saved = {"checkpoint": checkpoint.name} if checkpoint else {}
    context.run.mark_finished(unit.name, saved | born)
    if context.observer is not None:
        context.observer.stage_finished(unit.name, measured)
