"""The plan of a recipe: its stages, their order, and where each gets its weights. Torch-free.

Impossible recipes and commands are rejected here, before anything is loaded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic import ValidationError

from r1kit.config import AblationConfig, Recipe, RLConfig, explain
from r1kit.errors import ConfigError
from r1kit.runs.stage_specs import STAGES, family, is_main, stage_order

OWN = "its own samples"
HELPFUL, HARMLESS = REWARD_MODELS = ("preference/helpful", "preference/harmless")


@dataclass(frozen=True)
class PlannedStage:
    """A step of the plan, a box in the paper's figure.

    `_stage("rejection", "base", "reasoning")`
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
    """other stages that must be finished first"""

    @property
    def sources(self) -> tuple[str, ...]:
        """The stages that must be finished first: `weights_from` and `needs`."""
        return self.needs if self.weights_from is None else (self.weights_from, *self.needs)


def plan(recipe: Recipe) -> list[PlannedStage]:
    """Return the stages of a recipe in the order of the paper, according to its sections.

    A recipe whose students are trained on a file has no other stages. Raises ConfigError if a stage
    needs another for which the recipe has no section.
    """
    if is_students_alone(recipe):
        return _students(recipe)
    stages = [_stage("base", None, "corpus"), _stage("zero", "base", OWN)]
    if recipe.cold_start is not None:
        stages.append(_stage("cold_start", "base", "zero", ("zero",)))
    if recipe.reasoning is not None:
        stages.append(_stage("reasoning", "cold_start", OWN))
    if recipe.rejection is not None:
        stages.append(_stage("rejection", "base", "reasoning", ("reasoning",)))
    if recipe.final is not None:
        judges = REWARD_MODELS if _needs_reward_models(recipe) else ()
        made = "made preferences"
        stages += [_stage(name, "rejection", made) for name in judges]
        stages.append(_stage("final", "rejection", OWN, judges))
    stages += _students(recipe)
    named = {stage.name: stage for stage in stages}
    for item in recipe.ablations:
        ablation_settings(recipe, item)
        name = f"ablation/{item.name}"
        stages.append(
            replace(named[item.of], name=name, entry_point=STAGES["ablation"].entry_point)
        )
    if _needs_reward_models(recipe):
        stages.append(_stage("preference_eval", None, None, _judged(recipe, stages)))
    _refuse_gaps(stages)
    return stages


def _stage(
    name: str, weights_from: str | None, data_from: str | None, needs: tuple[str, ...] = ()
) -> PlannedStage:
    return PlannedStage(name, STAGES[family(name)].entry_point, weights_from, data_from, needs)


def is_students_alone(recipe: Recipe) -> bool:
    """True if the recipe trains only students, on an existing file of data."""
    return recipe.distill is not None and recipe.distill.data is not None


def ablation_settings(recipe: Recipe, ablation: AblationConfig) -> RLConfig:
    """Return the settings of an ablation. Raises ConfigError if they are invalid."""
    section: RLConfig | None = getattr(recipe, ablation.of)
    if section is None:
        raise ConfigError(
            f"Ablation {ablation.name} changes stage {ablation.of}, which is not in the recipe."
        )
    try:
        return type(section).model_validate(merged(section.model_dump(), ablation.change))
    except ValidationError as error:
        raise ConfigError(explain(error, f"Ablation {ablation.name}", type(section))) from None


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
        for option, stage, known in (
            ("--only", self.only, [*families, *names]),
            ("--to", self.last, families),
            ("--from", self.again, families),
        ):
            if stage is not None and stage not in known:
                told = ", ".join(dict.fromkeys(known))
                raise ConfigError(f"There is no stage {stage!r} for {option}; there are {told}.")


def _students(recipe: Recipe) -> list[PlannedStage]:
    if recipe.distill is None:
        return []
    stages: list[PlannedStage] = []
    file = recipe.distill.data
    taught = () if file else ("rejection",)
    for student in recipe.distill.students:
        name = f"distill/{student.name}"
        base = f"{name}/base"
        stages.append(PlannedStage(base, "distill.make_base", None, "corpus"))
        stages.append(_stage(name, base, file or "rejection", taught))
        if student.twin:
            stages.append(PlannedStage(f"{name}/zero", "distill.make_twin", base, OWN))
    return stages


def _judged(recipe: Recipe, stages: Sequence[PlannedStage]) -> tuple[str, ...]:
    """Return the stages that the reward models score, and the reward models themselves."""
    main = [stage.name for stage in stages if is_main(stage.name)]
    finals = [f"ablation/{item.name}" for item in recipe.ablations if item.of == "final"]
    return (*main, *finals, *REWARD_MODELS)


def _needs_reward_models(recipe: Recipe) -> bool:
    config = recipe.final
    return config is not None and recipe.general is not None and config.judge_url is None


def _refuse_gaps(stages: Sequence[PlannedStage]) -> None:
    names = {stage.name for stage in stages}
    for stage in stages:
        for source in stage.sources:
            if source not in names:
                raise ConfigError(
                    f"Stage {stage.name} needs {source}, and the recipe has no section of it; add "
                    f"[{source.split('/')[0]}]."
                )


def merged(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Merge the settings in `new` over those in `old`, section by section."""
    return old | {
        key: merged(old[key], value)
        if isinstance(value, dict) and isinstance(old.get(key), dict)
        else value
        for key, value in new.items()
    }
