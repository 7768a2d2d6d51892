"""Stage zero: R1-Zero. Reinforcement learning on the base, with rule-based rewards alone.

Source: R1 paper §2.2. Weights from `base`; data are the policy's own samples. No supervised step,
no reward model, no instruction to reflect.
"""

from __future__ import annotations

from r1kit.runs.stage_specs import first_index
from r1kit.stages import reinforce
from r1kit.stages.context import Context
from r1kit.stages.plan import PlannedStage


def run(context: Context, stage: PlannedStage) -> None:
    """Run stage `zero`; leaves its finished checkpoint."""
    config = context.recipe.zero
    reinforce.run_with_rule_rewards(context, stage, config, first_index("zero"))
