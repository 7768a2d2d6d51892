"""The plan of a recipe: its units, their order, and where each gets its weights. Torch-free.

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
HELPFUL, HARMLESS = JUDGES = ("preference/helpful", "preference/harmless")


@dataclass(frozen=True)
class Unit:
    """A step of the plan, a box in the paper's figure.

    `_unit("rejection", "base", "reasoning")`
    """

    name: str
    """name of the stage, with its family before a slash if it has one: `distill/small`"""
    program: str
    """function in this package that runs it: `(Context, Unit) -> dict[str, Any] | None`; it leaves
    a finished checkpoint, and may return its entry in results.json"""
    weights_from: str | None = None
    """unit whose weights it starts from"""
    data_from: str | None = None
    """source of its data: a unit, or a description"""
    needs: tuple[str, ...] = ()
    """other units that must be finished first"""

    @property
    def sources(self) -> tuple[str, ...]:
        """The units that must be finished first: `weights_from` and `needs`."""
        return self.needs if self.weights_from is None else (self.weights_from, *self.needs)


def plan(recipe: Recipe) -> list[Unit]:
    """Return the units of a recipe in the order of the paper, according to its sections.

    A recipe whose students are trained on a file has no other units. Raises ConfigError if a unit
    needs another for which the recipe has no section.
    """
    if is_students_alone(recipe):
        return _students(recipe)
    units = [_unit("base", None, "corpus"), _unit("zero", "base", OWN)]
    if recipe.cold_start is not None:
        units.append(_unit("cold_start", "base", "zero", ("zero",)))
    if recipe.reasoning is not None:
        units.append(_unit("reasoning", "cold_start", OWN))
    if recipe.rejection is not None:
        units.append(_unit("rejection", "base", "reasoning", ("reasoning",)))
    if recipe.final is not None:
        judges = JUDGES if _needs_reward_models(recipe) else ()
        generated = "made preferences"
        units += [_unit(name, "rejection", generated) for name in judges]
        units.append(_unit("final", "rejection", OWN, judges))
    units += _students(recipe)
    named = {unit.name: unit for unit in units}
    for item in recipe.ablations:
        ablation_settings(recipe, item)
        name = f"ablation/{item.name}"
        units.append(replace(named[item.of], name=name, program=STAGES["ablation"].entry_point))
    if _needs_reward_models(recipe):
        units.append(_unit("preference_eval", None, None, _judged(recipe, units)))
    _refuse_gaps(units)
    return units


def _unit(
    name: str, weights_from: str | None, data_from: str | None, needs: tuple[str, ...] = ()
) -> Unit:
    return Unit(name, STAGES[family(name)].entry_point, weights_from, data_from, needs)


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
        return type(section).model_validate(merge_settings(section.model_dump(), ablation.change))
    except ValidationError as error:
        raise ConfigError(explain(error, f"Ablation {ablation.name}", type(section))) from None


@dataclass(frozen=True)
class StageSelection:
    """The stages of a recipe to run in this session; by default all unfinished ones."""

    only: str | None = None
    """a unit, or a family of units"""
    last: str | None = None
    """family after which the session ends"""
    again: str | None = None
    """family that is run again, with all later ones"""

    def __contains__(self, name: str) -> bool:
        is_late = self.last is not None and stage_order(name) > stage_order(self.last)
        is_named = self.only is None or name == self.only or name.startswith(f"{self.only}/")
        return is_named and not is_late

    def check(self, names: Sequence[str]) -> None:
        """Raises ConfigError if an option names a stage that is not among these units."""
        families = list(dict.fromkeys(map(family, names)))
        for option, stage, allowed in (
            ("--only", self.only, [*families, *names]),
            ("--to", self.last, families),
            ("--from", self.again, families),
        ):
            if stage is not None and stage not in allowed:
                listed = ", ".join(dict.fromkeys(allowed))
                raise ConfigError(f"There is no stage {stage!r} for {option}; there are {listed}.")


def _students(recipe: Recipe) -> list[Unit]:
    if recipe.distill is None:
        return []
    units: list[Unit] = []
    file = recipe.distill.data
    taught = () if file else ("rejection",)
    for student in recipe.distill.students:
        name = f"distill/{student.name}"
        base = f"{name}/base"
        units.append(Unit(base, "distill.make_base", None, "corpus"))
        units.append(_unit(name, base, file or "rejection", taught))
        if student.twin:
            units.append(Unit(f"{name}/zero", "distill.make_twin", base, OWN))
    return units


def _judged(recipe: Recipe, units: Sequence[Unit]) -> tuple[str, ...]:
    """Return the units that the reward models score, and the reward models themselves."""
    main = [unit.name for unit in units if is_main(unit.name)]
    finals = [f"ablation/{item.name}" for item in recipe.ablations if item.of == "final"]
    return (*main, *finals, *JUDGES)


def _needs_reward_models(recipe: Recipe) -> bool:
    config = recipe.final
    return config is not None and recipe.general is not None and config.judge_url is None


def _refuse_gaps(units: Sequence[Unit]) -> None:
    names = {unit.name for unit in units}
    for unit in units:
        for source in unit.sources:
            if source not in names:
                raise ConfigError(
                    f"Stage {unit.name} needs {source}, and the recipe has no section of it; add "
                    f"[{source.split('/')[0]}]."
                )


def merge_settings(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Merge the settings in `new` over those in `old`, section by section."""
    return old | {
        key: merge_settings(old[key], value)
        if isinstance(value, dict) and isinstance(old.get(key), dict)
        else value
        for key, value in new.items()
    }
