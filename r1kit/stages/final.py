"""Stage final: RL on all prompts, with rule-based rewards for reasoning and preferences otherwise.

Source: R1 paper §2.3.4, and §3.2.2 of its long version: reasoning prompts with rule-based rewards
throughout; general prompts and preference rewards only in the last share of the steps, as a learned
reward is eventually hacked. Weights from `rejection`. Departure: general prompts also have
verifiable rules; the result is logged as their accuracy and never rewarded.
"""

from __future__ import annotations

import os

from r1kit.config import FinalConfig
from r1kit.engines.openai.endpoint import Endpoint
from r1kit.judges import Judge
from r1kit.judges.remote import RemoteJudge
from r1kit.runs.stage_specs import first_index
from r1kit.stages import preference, reinforce
from r1kit.stages.context import Context
from r1kit.stages.plan import PlannedStage

JUDGE_KEY = "R1_JUDGE_KEY"
"""environment variable with the key of a remote judge"""


def run(context: Context, stage: PlannedStage) -> None:
    """Run stage `final`; leaves its finished checkpoint."""
    train(context, stage, context.recipe.final or FinalConfig())


def train(context: Context, stage: PlannedStage, config: FinalConfig) -> None:
    """Run the stage with the given settings, possibly those of an ablation."""
    recipe = context.recipe
    reasoning = context.tasks("train")
    mixed, general, judge = reasoning, "", None
    if recipe.general is not None and config.preference_share and config.general_share:
        task = context.general("train")
        mixed, general = reasoning.with_share(task, config.general_share), task.name
        judge = find_judge(context, config) if config.general_rewards.preference else None
    n_rules_only = round(config.n_steps * (1 - config.preference_share))
    environment = reinforce.RLEnvironment(
        lambda step: reasoning if step < n_rules_only else mixed,
        {general: config.general_rewards.model_dump()} if general else {},
        judge,
        general,
        first_index("final"),
    )
    reinforce.run(context, stage, config, environment)


def find_judge(context: Context, config: FinalConfig) -> Judge:
    """Return the remote judge that the recipe configures, or this run's reward models."""
    if config.judge_url is not None:
        key = os.environ.get(JUDGE_KEY)
        return RemoteJudge(Endpoint(config.judge_url, config.judge_model, key))
    return preference.reward_models(context)
