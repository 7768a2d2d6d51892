"""Shared code of stages that learn from files of conversations.

The conversations that a stage uses are written to `data/<stage>.<kind>.jsonl`, so that a resumed
stage learns from the same ones even if the file has changed.
"""

from __future__ import annotations

from r1kit.config import FineTuneConfig
from r1kit.curate import BenchmarkQuestions, TrainingRow
from r1kit.curate.conversations import ConversationRules, read_conversation_file
from r1kit.files.atomic import replace_lines
from r1kit.files.json_lines import read_lines
from r1kit.stages.context import Context
from r1kit.stages.plan import PlannedStage


def traces(context: Context, stage: PlannedStage, config: FineTuneConfig) -> list[TrainingRow]:
    """Return the traces that the recipe names for a stage, on every rank."""
    assert config.traces is not None
    return _rows(context, stage, config, "traces", config.traces, config.n_traces)


def conversations(
    context: Context, stage: PlannedStage, config: FineTuneConfig
) -> list[TrainingRow]:
    """Return the general conversations that the recipe names for a stage, on every rank."""
    if config.conversations is None:
        return []
    limit = config.n_conversations
    return _rows(context, stage, config, "conversations", config.conversations, limit)


def _rows(
    context: Context,
    stage: PlannedStage,
    config: FineTuneConfig,
    kind: str,
    source: str,
    limit: int | None,
) -> list[TrainingRow]:
    path = context.data(f"{stage.name}.{kind}")
    if context.ranks.is_first and not path.exists():
        held_out = context.tasks("held_out").distinct(context.recipe.eval.n_problems)
        questions = [problem.messages[-1].content for problem in held_out]
        rules = ConversationRules(
            kind == "traces",
            [BenchmarkQuestions("the held-out problems", questions)],
            config.sample.rules.contamination,
            limit,
            context.recipe.seed,
        )
        file = read_conversation_file(source, rules)
        if error := file.error():
            raise error
        path.parent.mkdir(exist_ok=True)
        replace_lines(path, file.rows)
        unused = f"; left out: {file.reasons()}" if file.unusable else ""
        context.note(
            f"{stage.name}: {len(file.rows):,} of {file.n_rows:,} conversations of {source} are "
            f"used{unused}."
        )
    context.ranks.barrier()  # the others wait for the file
    return [row for _, row in read_lines(path)]
