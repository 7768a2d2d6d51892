"""The stages of the recipe, in one table; the plan of a recipe (stages/plan.py) follows it.

A new stage is a line here, a function `run` in a file of its name in stages/, and its settings in
config/.
"""

from __future__ import annotations

from dataclasses import dataclass

OWN_SAMPLES = "its own samples"


@dataclass(frozen=True)
class StageSpec:
    """A stage, or a family of stages of one kind: `StageSpec("zero", "base", OWN_SAMPLES, "zero")`.

    Its code is the function `run` in stages/<name>.py.
    """

    name: str
    """a single stage is planned if the recipe has a section of this name"""
    weights_from: str | None
    """stage whose weights it starts from"""
    data_from: str | None
    """source of its training data: a stage, or a description"""
    section: str
    """section of the recipe with its training settings; empty if it trains nothing"""
    first_index: int | None = None
    """index of its first problem in the endless sequence of the train split; the ranges of stages
    are disjoint, so that no stage samples problems that its weights were trained on"""
    title: str = ""
    """name in pictures"""
    needs: str | None = None
    """family whose stages must be finished first, if the recipe has them"""
    is_main: bool = True
    """True if its models are on the path from the base to R1"""
    evaluated_by: str | None = None
    """function in stages/ that measures its finished checkpoint, with a section of its own in
    results.json; None: the recipe's benchmarks"""

    @property
    def entry_point(self) -> str:
        """The function in stages/ that runs it: `(Context, PlannedStage)` → results or None."""
        return f"{self.name}.run"

    @property
    def parents(self) -> tuple[str, ...]:
        """The stages that its weights and its data come from."""
        sources = (self.weights_from, self.data_from)
        return tuple(source for source in sources if source is not None and source in STAGES)


_SPECS = (
    StageSpec("base", None, "corpus", "base", title="base"),
    StageSpec("zero", "base", OWN_SAMPLES, "zero", 0, title="R1-Zero"),
    StageSpec("cold_start", "base", "zero", "cold_start.sft", 1_000_000, title="cold start"),
    StageSpec("reasoning", "cold_start", OWN_SAMPLES, "reasoning", 2_000_000, title="reasoning RL"),
    StageSpec("rejection", "base", "reasoning", "rejection.sft", 3_000_000, title="rejection SFT"),
    StageSpec("preference", "rejection", "made preferences", "preference",
              evaluated_by="preference.evaluate_again", is_main=False),
    StageSpec("final", "rejection", OWN_SAMPLES, "final", 4_000_000, title="final RL = R1",
              needs="preference"),
    StageSpec("distill", None, "rejection", "distill.sft", is_main=False),
    StageSpec("ablation", None, None, "ablations", is_main=False),
    StageSpec("preference_eval", None, None, "",
              evaluated_by="preference_eval.run", is_main=False),
)  # fmt: skip
STAGES = {spec.name: spec for spec in _SPECS}
"""the table, by name and in the order of the paper; each student of `distill` starts from its own
base, and an ablation has the sources of the stage that it repeats"""


def family(stage: str) -> str:
    """Return the family of a stage or of a checkpoint's folder: `distill` of `distill.small-5`."""
    return stage.replace(".", "/").split("/")[0].split("-")[0]


def is_main(stage: str) -> bool:
    """Return True if the stage is on the path from the base to R1, or of no known stage."""
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
