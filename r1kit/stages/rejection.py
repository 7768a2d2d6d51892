"""Stage rejection: the BASE once more, fine-tuned on what the reasoning model solves and on talk.

Source: R1 paper §2.3.3: correct samples of the RL checkpoint, without mixed languages and chaos,
and general conversations, without thinking where none is needed. Weights from `base`, not from the
model that was sampled: only its data go on.
"""

from __future__ import annotations

from r1kit.config import TunedConfig
from r1kit.files.atomic import replace_lines
from r1kit.stages import sampled_data, tune
from r1kit.stages.context import Context
from r1kit.stages.plan import Unit


def run(context: Context, unit: Unit) -> None:
    """Leaves a finished checkpoint of stage `rejection`, and what it learned from for students."""
    config = context.recipe.rejection or TunedConfig()
    rows = sampled_data.draw(context, unit, "reasoning", config.sample)
    rows += sampled_data.general(context, config.n_general)
    taught = context.data("rejection.taught")
    if context.ranks.is_first:
        replace_lines(taught, rows)
    tune.run(context, unit, rows, config.sft)
