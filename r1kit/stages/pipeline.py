"""The recipe as a table: which stages there are, in which order, and the run that makes them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from r1kit.config import Recipe
from r1kit.errors import ConfigError
from r1kit.live import Observer
from r1kit.model import parallel
from r1kit.model.parallel import Ranks
from r1kit.rundir import RunDir
from r1kit.stages import base, bench, zero
from r1kit.stages.context import Context

STAGES: dict[str, Callable[[Context], None]] = {"base": base.run, "zero": zero.run}
"""In the order of the paper."""
LINEAGE: dict[str, dict[str, str | None]] = {
    "base": {"weights_from": None, "data_from": "corpus"},
    "zero": {"weights_from": "base", "data_from": "its own samples"},
}


def run(recipe: Recipe, out: Path, only: str | None, observer: Observer) -> None:
    """Runs the recipe in the folder `out`, or goes on with it, on all processes.

    Raises an R1Error when the recipe, the folder or the machine do not allow it.
    """
    if only is not None and only not in STAGES:
        raise ConfigError(f"There is no stage {only!r}; the stages are {', '.join(STAGES)}.")
    n = parallel.n_processes(recipe.compute, recipe.zero.n_problems)
    with RunDir.create_or_resume(out, recipe) as folder:
        parallel.launch(n, recipe.compute, _on_rank, recipe, only, First(folder, observer))


class First:
    """What only the first rank has; it does not travel to the others."""

    def __init__(self, run: RunDir | None, observer: Observer | None) -> None:
        self.run = run
        self.observer = observer

    def __reduce__(self) -> tuple[type[First], tuple[None, None]]:
        return First, (None, None)


def _on_rank(ranks: Ranks, recipe: Recipe, only: str | None, first: First) -> None:
    context = Context(recipe, ranks, first.run, first.observer)
    for stage in STAGES:
        if context.is_finished(stage):
            context.note(f"{stage} is finished.")
            continue
        if only is not None and stage != only:
            continue
        _needs(context, stage)
        context.tick(stage)
        STAGES[stage](context)
        _measure(context, stage)


def _needs(context: Context, stage: str) -> None:
    source = LINEAGE[stage]["weights_from"]
    if source is not None and not context.is_finished(source):
        raise ConfigError(
            f"Stage {stage} starts from {source}, which is not finished in this run; run it "
            "without --only, or with --only " + source + " first."
        )


def _measure(context: Context, stage: str) -> None:
    measured = bench.run(context, stage)
    if context.run is None:
        return
    measured["wall_s"] = context.run.wall_s(stage)
    results = context.run.results()
    stages = results.get("stages", {}) | {stage: measured}
    context.run.write_results(results | {"stages": stages})
    context.run.mark_finished(stage, {"checkpoint": measured["checkpoint"], **LINEAGE[stage]})
    if context.observer is not None:
        context.observer.stage_finished(stage, measured)
