"""Stage cold_start: fine-tune the base on good samples of Zero, so that RL starts out readable.

Source: R1 paper §2.3.1: correct and readable samples of R1-Zero, made readable, with an answer
after the thinking. Weights from `base`; data from `zero`. Departure: samples are not rewritten by a
language model or by annotators; those that mix languages are dropped instead of translated, and an
answer that is only a box gets the word "answer" in the question's language. Traces from a file
(`cold_start.traces`), such as those of open-r1 or OpenThoughts, can replace the samples.
"""

from __future__ import annotations

from r1kit.config import FineTuneConfig
from r1kit.curate import TrainingRow
from r1kit.stages import file_data, sampled_data, tune
from r1kit.stages.context import Context
from r1kit.stages.plan import PlannedStage

ANSWER = {"en": "Answer: ", "ko": "답: ", "zh": "答案："}


def run(context: Context, stage: PlannedStage) -> None:
    """Run stage `cold_start`; leaves its finished checkpoint."""
    config = context.recipe.cold_start or FineTuneConfig()
    if config.traces is not None:
        rows = file_data.traces(context, stage, config)
    else:
        samples = sampled_data.sample_conversations(context, stage, config.sample)
        rows = [insert_answer_word(row) for row in samples]
    rows += sampled_data.general_conversations(context, config.n_general)
    rows += file_data.conversations(context, stage, config)
    tune.run(context, stage, rows, config.sft)


def insert_answer_word(row: TrainingRow) -> TrainingRow:
    """Insert the word "answer" before an answer that is only a box."""
    *before, last = row["messages"]
    if not last["content"].startswith("\\boxed{"):
        return row
    answer = ANSWER[row["provenance"]["language"]] + last["content"]
    return {**row, "messages": [*before, {**last, "content": answer}]}
