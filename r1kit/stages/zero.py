"""Stage zero: R1-Zero. Reinforcement learning on the base with rule-based rewards, nothing else.

Source: R1 paper §2.2. Weights from `base`; data are the policy's own samples. No supervised step,
no reward model, no instruction to reflect.
"""

from __future__ import annotations

from r1kit.config import RLConfig
from r1kit.stages import reinforce
from r1kit.stages.context import Context, Unit
from r1kit.tasks import mix


def run(context: Context, unit: Unit) -> None:
    """Leaves a finished checkpoint of stage `zero`."""
    train(context, unit, context.recipe.zero)


def train(context: Context, unit: Unit, config: RLConfig) -> None:
    """The same for a student's twin, or with other settings."""
    tasks = mix.load(context.recipe, "train")
    start = context.weights(unit)
    reinforce.run(context, unit, start, config, reinforce.Lesson(lambda step: tasks))
