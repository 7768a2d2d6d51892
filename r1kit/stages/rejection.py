"""Stage rejection: fine-tune the BASE again, on samples of the reasoning model and general data.

Source: R1 paper §2.3.3: correct samples of the RL checkpoint, without mixed languages and chaos,
and general conversations, without thinking where none is needed. Weights from `base`, not from the
sampled model, of which only the data are used.
"""

from __future__ import annotations

from r1kit.config import FineTuneConfig
from r1kit.files.atomic import replace_lines
from r1kit.stages import file_data, sampled_data, tune
from r1kit.stages.context import Context
from r1kit.stages.plan import PlannedStage


def run(context: Context, stage: PlannedStage) -> None:
    """Run stage `rejection`; leaves its finished checkpoint, and its training data for students."""
    config = context.recipe.rejection or FineTuneConfig()
    if config.traces is not None:
        rows = file_data.traces(context, stage, config)
    else:
        rows = sampled_data.sample_conversations(context, stage, config.sample)
    rows += sampled_data.general_conversations(context, config.n_general)
    rows += file_data.conversations(context, stage, config)
    taught = context.data(f"{stage.name}.taught")
    if context.ranks.is_first:
        replace_lines(taught, rows)
    tune.run(context, stage, rows, config.sft)
