"""Ablations: a stage once more with other settings, from the same weights, to see what they do."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from r1kit.config import AblationConfig, FinalConfig, Recipe, RLConfig
from r1kit.errors import ConfigError
from r1kit.stages import final, reinforce
from r1kit.stages.context import FIRST_INDEX, Context, Unit


def run(context: Context, unit: Unit) -> None:
    """Leaves a finished checkpoint of an ablation."""
    name = unit.name.split("/")[1]
    wanted = next(item for item in context.recipe.ablations if item.name == name)
    config = changed(context.recipe, wanted)
    if isinstance(config, FinalConfig):
        final.train(context, unit, config)
    else:
        reinforce.by_rules(context, unit, config, FIRST_INDEX[wanted.of])


def changed(recipe: Recipe, wanted: AblationConfig) -> RLConfig:
    """The settings of the stage with the changes. Raises ConfigError for one that cannot be."""
    section: RLConfig | None = getattr(recipe, wanted.of)
    if section is None:
        raise ConfigError(
            f"Ablation {wanted.name} changes stage {wanted.of}, which the recipe has no section of."
        )
    try:
        return type(section).model_validate(_merged(section.model_dump(), wanted.change))
    except ValidationError as error:
        [first, *_] = error.errors()
        key = ".".join(map(str, first["loc"]))
        raise ConfigError(f"Ablation {wanted.name}: {key}: {first['msg']}.") from None


def _merged(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    return old | {
        key: _merged(old[key], value)
        if isinstance(value, dict) and isinstance(old.get(key), dict)
        else value
        for key, value in new.items()
    }
