"""The plan of a recipe: its stages, their order, and where each gets its weights. Torch-free.

Impossible recipes and commands are rejected here, before anything is loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic import ValidationError

from r1kit.config import AblationConfig, Recipe, RLConfig, explain
from r1kit.errors import ConfigError
from r1kit.runs.stage_specs import (
    OWN_SAMPLES,
    STAGES,
    StageSpec,
    family,
    is_main,
    stage_order,
)

HELPFUL, HARMLESS = REWARD_MODELS = ("preference/helpful", "preference/harmless")


@dataclass(frozen=True)
class PlannedStage:
    """A stage of the plan, a box in the paper's figure.

    `PlannedStage("rejection", "rejection.run", "base", "reasoning", ("base", "reasoning"))`
    """

    name: str
    """name of the stage, with its family before a slash if it has one: `distill/small`"""
    entry_point: str
    """function in this package that runs it: `(Context, PlannedStage) -> dict[str, Any] | None`; it
    leaves a finished checkpoint, and may return its entry in results.json"""
    weights_from: str | None = None
    """stage whose weights it starts from"""
    data_from: str | None = None
    """source of its data: a stage, or a description"""
    needs: tuple[str, ...] = ()
    """stages that must be finished first, those of its weights and data included"""


def plan(recipe: Recipe) -> list[PlannedStage]:
    """Return the stages of a recipe in the order of the paper, according to its sections.

    A recipe whose students are trained on a file has no other stages. Raises ConfigError if a stage
    needs another for which the recipe has no section.
    """
    planned: list[PlannedStage] = []
    for spec in (STAGES["distill"],) if is_students_alone(recipe) else STAGES.values():
        planned += FAMILIES.get(spec.name, _single)(recipe, spec, planned)
    _refuse_gaps(planned)
    return planned


def is_students_alone(recipe: Recipe) -> bool:
    """True if the recipe trains only students, on an existing file of data."""
    return recipe.distill is not None and recipe.distill.data is not None


def ablation_settings(recipe: Recipe, ablation: AblationConfig) -> RLConfig:
    """Return the settings of an ablation. Raises ConfigError if they are invalid."""
    section: RLConfig | None = getattr(recipe, ablation.of)
    if section is None or section.n_steps == 0:
        raise ConfigError(
            f"Ablation {ablation.name} changes stage {ablation.of}, which is not in the recipe."
        )
    try:
        changed = merge_settings(section.model_dump(), ablation.change)
        settings = type(section).model_validate(changed)
    except ValidationError as error:
        raise ConfigError(explain(error, f"Ablation {ablation.name}", type(section))) from None
    if settings.n_steps == 0:  # which only zero's own section may have
        raise ConfigError(f"Ablation {ablation.name} has no steps; n_steps must be 1 or more.")
    return settings


@dataclass(frozen=True)
class StageSelection:
    """The stages of a recipe to run in this session; by default all unfinished ones."""

    only: str | None = None
    """a stage, or a family of stages"""
    last: str | None = None
    """family after which the session ends"""
    again: str | None = None
    """family that is run again, with all later ones"""

    def __contains__(self, name: str) -> bool:
        is_late = self.last is not None and stage_order(name) > stage_order(self.last)
        is_named = self.only is None or name == self.only or name.startswith(f"{self.only}/")
        return is_named and not is_late

    def check(self, names: Sequence[str]) -> None:
        """Raises ConfigError if an option names a stage that is not among these stages."""
        families = list(dict.fromkeys(map(family, names)))
        for option, stage, allowed in (
            ("--only", self.only, [*families, *names]),
            ("--to", self.last, families),
            ("--from", self.again, families),
        ):
            if stage is not None and stage not in allowed:
                listed = ", ".join(dict.fromkeys(allowed))
                raise ConfigError(f"There is no stage {stage!r} for {option}; there are {listed}.")


def _single(recipe: Recipe, spec: StageSpec, earlier: Sequence[PlannedStage]) -> list[PlannedStage]:
    """Plan a stage if the recipe has its section, and `zero` if it has steps."""
    section = getattr(recipe, spec.name)
    if section is None or getattr(section, "n_steps", None) == 0:
        return []
    needs = [stage.name for stage in earlier if family(stage.name) == spec.needs]
    planned = _planned(spec.name, spec, needs)
    if (traces := getattr(getattr(recipe, spec.name), "traces", None)) is not None:
        others = tuple(name for name in planned.needs if name != spec.data_from)
        return [replace(planned, data_from=traces, needs=others)]
    return [planned]


def _planned(name: str, spec: StageSpec, needs: Sequence[str] = ()) -> PlannedStage:
    parents = (*spec.parents, *needs)
    return PlannedStage(name, spec.entry_point, spec.weights_from, spec.data_from, parents)


def _reward_models(recipe: Recipe, spec: StageSpec, _: object) -> list[PlannedStage]:
    return [
        replace(_planned(name, spec), data_from=source or spec.data_from)
        for name, source in preference_sources(recipe).items()
        if needs_reward_models(recipe)
    ]


def _students(recipe: Recipe, spec: StageSpec, _: object) -> list[PlannedStage]:
    """Plan each student's base, the student itself, and its twin if it has one."""
    if recipe.distill is None:
        return []
    students: list[PlannedStage] = []
    file = recipe.distill.data
    teachers = () if file else spec.parents
    for student in recipe.distill.students:
        name = f"{spec.name}/{student.name}"
        base, twin, data = f"{name}/base", f"{name}/zero", file or spec.data_from
        students.append(PlannedStage(base, "distill.make_base", None, "corpus"))
        students.append(PlannedStage(name, spec.entry_point, base, data, (base, *teachers)))
        if student.twin:
            students.append(PlannedStage(twin, "distill.make_twin", base, OWN_SAMPLES, (base,)))
    return students


def _ablations(
    recipe: Recipe, spec: StageSpec, earlier: Sequence[PlannedStage]
) -> list[PlannedStage]:
    stages = {stage.name: stage for stage in earlier}
    for item in recipe.ablations:
        ablation_settings(recipe, item)  # raises ConfigError if they are invalid
    return [
        replace(stages[item.of], name=f"{spec.name}/{item.name}", entry_point=spec.entry_point)
        for item in recipe.ablations
    ]


def _preference_eval(
    recipe: Recipe, spec: StageSpec, earlier: Sequence[PlannedStage]
) -> list[PlannedStage]:
    """Plan the scores of the main stages and of those that learned from the reward models."""
    if not needs_reward_models(recipe):
        return []
    main = [stage.name for stage in earlier if is_main(stage.name)]
    finals = [f"ablation/{item.name}" for item in recipe.ablations if item.of == "final"]
    return [PlannedStage(spec.name, spec.entry_point, needs=(*main, *finals, *REWARD_MODELS))]


FAMILIES: dict[str, Callable[[Recipe, StageSpec, list[PlannedStage]], list[PlannedStage]]] = {
    "preference": _reward_models,
    "distill": _students,
    "ablation": _ablations,
    "preference_eval": _preference_eval,
}
"""stages that are not planned by their section alone: (recipe, spec, earlier stages) → stages"""


def preference_sources(recipe: Recipe) -> dict[str, str | None]:
    """Return the file of each reward model's examples; None if they are generated."""
    return {HELPFUL: recipe.preference.pairs, HARMLESS: recipe.preference.labels}


def needs_reward_models(recipe: Recipe) -> bool:
    """True if the final stage of a recipe has reward models of this run as its judge."""
    config = recipe.final
    return config is not None and recipe.general is not None and config.judge_url is None


def _refuse_gaps(planned: Sequence[PlannedStage]) -> None:
    names = {stage.name for stage in planned}
    for stage in planned:
        for source in stage.needs:
            if source not in names:
                section = source.split("/")[0]
                raise ConfigError(
                    f"Stage {stage.name} needs {source}, and zero.n_steps is 0; give it steps."
                    if section == "zero"
                    else f"Stage {stage.name} needs {source}, and the recipe has no section of it; "
                    f"add [{section}]."
                )


def merge_settings(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Merge the settings in `new` over those in `old`, section by section."""
    return old | {
        key: merge_settings(old[key], value)
        if isinstance(value, dict) and isinstance(old.get(key), dict)
        else value
        for key, value in new.items()
    }
