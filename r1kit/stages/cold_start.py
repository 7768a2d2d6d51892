"""Stage cold_start: the base is fine-tuned on what Zero wrote well, so that RL begins readable.

Source: R1 paper §2.3.1: correct and readable samples of R1-Zero, made readable, and an answer after
the thinking. Weights from `base`; data from `zero`. Departure: no language model and no people
rewrite them; samples that mix languages are left out instead of translated, and a bare box gets the
word "answer" in the question's language.
"""

from __future__ import annotations

from r1kit.config import TunedConfig
from r1kit.curate import TrainingRow
from r1kit.stages import sampled_data, tune
from r1kit.stages.context import Context
from r1kit.stages.plan import Unit

ANSWER = {"en": "Answer: ", "ko": "답: ", "zh": "答案："}


def run(context: Context, unit: Unit) -> None:
    """Leaves a finished checkpoint of stage `cold_start`."""
    config = context.recipe.cold_start or TunedConfig()
    rows = [rewritten(row) for row in sampled_data.draw(context, unit, "zero", config.sample)]
    rows += sampled_data.general(context, config.n_general)
    tune.run(context, unit, rows, config.sft)


def rewritten(row: TrainingRow) -> TrainingRow:
    """The row with a word before an answer that is a bare box."""
    *before, last = row["messages"]
    if not last["content"].startswith("\\boxed{"):
        return row
    said = ANSWER[row["provenance"]["language"]] + last["content"]
    return {**row, "messages": [*before, {**last, "content": said}]}
