"""Stage reasoning: large-scale RL from the cold start, with a language consistency reward.

Source: R1 paper §2.3.2: as R1-Zero, with the share of the thinking's words in the question's
language added to the reward. Weights from `cold_start`; data are the policy's own samples.
"""

from __future__ import annotations

from r1kit.config import ReasoningConfig
from r1kit.runs.stage_specs import first_index
from r1kit.stages import reinforce
from r1kit.stages.context import Context
from r1kit.stages.plan import PlannedStage


def run(context: Context, stage: PlannedStage) -> None:
    """Run stage `reasoning`; leaves its finished checkpoint."""
    config = context.recipe.reasoning or ReasoningConfig()
    reinforce.run_with_rule_rewards(context, stage, config, first_index("reasoning"))
