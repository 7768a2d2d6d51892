"""Ablations: a stage run again from the same weights with other settings, for comparison."""

from __future__ import annotations

from r1kit.config import FinalConfig
from r1kit.runs.stage_specs import first_index
from r1kit.stages import final, reinforce
from r1kit.stages.context import Context
from r1kit.stages.plan import PlannedStage, ablation_settings


def run(context: Context, stage: PlannedStage) -> None:
    """Run an ablation; leaves its finished checkpoint."""
    name = stage.name.split("/")[1]
    ablation = next(item for item in context.recipe.ablations if item.name == name)
    config = ablation_settings(context.recipe, ablation)
    if isinstance(config, FinalConfig):
        final.train(context, stage, config)
    else:
        reinforce.run_with_rule_rewards(context, stage, config, first_index(ablation.of))
