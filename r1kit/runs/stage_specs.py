"""The stages of the recipe: the fixed properties of each, in one table."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class StageSpec:
    """A stage: `StageSpec("cold_start", "cold_start.run", "cold_start.sft", 1_000_000)`."""

    name: str
    """family of its units; `distill/small` is a unit of distill"""
    entry_point: str
    """function in stages/ that runs a unit: `(Context, Unit) -> dict[str, Any] | None`"""
    section: str
    """section of the recipe with its training settings; empty if it trains nothing"""
    first_index: int | None = None
    """index of its first problem in the endless sequence of the train split; the ranges of stages
    are disjoint, so that no stage samples problems that its weights were trained on"""
    is_main: bool = True
    """True if its models are on the path from the base to R1"""


SPECS = (
    StageSpec("base", "base.run", "base"),
    StageSpec("zero", "zero.run", "zero", 0),
    StageSpec("cold_start", "cold_start.run", "cold_start.sft", 1_000_000),
    StageSpec("reasoning", "reasoning.run", "reasoning", 2_000_000),
    StageSpec("rejection", "rejection.run", "rejection.sft", 3_000_000),
    StageSpec("preference", "preference.run", "preference", is_main=False),
    StageSpec("final", "final.run", "final", 4_000_000),
    StageSpec("distill", "distill.run", "distill.sft", is_main=False),
    StageSpec("ablation", "ablation.run", "ablations", is_main=False),
    StageSpec("preference_eval", "preference_eval.run", "", is_main=False),
)
"""in the order of the paper"""

STAGES = {spec.name: spec for spec in SPECS}


def family(stage: str) -> str:
    """Return the family of a unit or of a checkpoint's folder: `distill` of `distill.small-5`."""
    return stage.replace(".", "/").split("/")[0].split("-")[0]


def is_main(stage: str) -> bool:
    """Return True if the unit is on the path from the base to R1, or of no known stage."""
    spec = STAGES.get(family(stage))
    return spec is None or spec.is_main


def stage_order(stage: str) -> int:
    """Return the rank of a stage in the order of the paper; unknown stages come last."""
    names = list(STAGES)
    return names.index(family(stage)) if family(stage) in STAGES else len(names)


def first_index(stage: str) -> int:
    """Return the index of the first problem of a stage that samples problems."""
    index = STAGES[stage].first_index
    assert index is not None, f"{stage} samples no problems"
    return index
