"""Shared code of the fine-tuning stages: SFT on conversations."""

from __future__ import annotations

from collections.abc import Sequence

from r1kit.config import SFTConfig
from r1kit.curate import TrainingRow, messages_of
from r1kit.errors import ConfigError
from r1kit.renderers import renderer_of
from r1kit.renderers.base import Renderer
from r1kit.stages import supervised
from r1kit.stages.context import Context
from r1kit.stages.plan import PlannedStage
from r1kit.train.cross_entropy import cross_entropy
from r1kit.train.sft import example, updates
from r1kit.types import Trajectory


def run(
    context: Context, stage: PlannedStage, rows: Sequence[TrainingRow], config: SFTConfig
) -> None:
    """Fine-tune the stage's initial weights on `rows`; leaves its finished checkpoint.

    Every rank gets all rows. Raises ConfigError if one is longer than the model's context.
    """
    resumed = context.resume(stage.name)
    policy = context.load_to_train(stage, resumed)
    renderer = renderer_of(policy.tokenizer)
    examples = [as_example(row, renderer) for row in rows]
    if config.max_length is not None:
        examples = _fitting(context, examples, config.max_length)
    _refuse_long(examples, policy.max_positions, stage.name)
    plan = updates(len(examples), config.batch, config.epochs, context.recipe.seed)
    steps = [[examples[index] for index in context.ranks.share(indices)] for indices in plan]
    what = f"fine-tuning on {len(examples):,} conversations, {config.epochs} times"
    supervised.run(context, stage, cross_entropy, policy, steps, config, resumed, what)


def as_example(row: TrainingRow, renderer: Renderer) -> Trajectory:
    """Encode a conversation: everything before its last turn is the prompt."""
    *before, last = messages_of(row)
    source = str(row.get("provenance", {}).get("problem"))
    return example(renderer.render_prompt(before), renderer.render_target(last), source)


def _fitting(context: Context, examples: list[Trajectory], longest: int) -> list[Trajectory]:
    """Return the conversations of at most `longest` tokens. Raises ConfigError without any."""
    fitting = [item for item in examples if len(item.token_ids) <= longest]
    if not fitting:
        shortest = min(len(item.token_ids) for item in examples)
        raise ConfigError(
            f"Every conversation is longer than sft.max_length, {longest} tokens; the shortest has "
            f"{shortest}: raise it."
        )
    if n_long := len(examples) - len(fitting):
        context.note(
            f"{n_long:,} of {len(examples):,} conversations are longer than {longest} tokens "
            "(sft.max_length) and left out."
        )
    return fitting


def _refuse_long(examples: Sequence[Trajectory], longest: int | None, name: str) -> None:
    lengths = [len(item.token_ids) for item in examples]
    too_long = sum(longest is not None and length > longest for length in lengths)
    if too_long:
        raise ConfigError(
            f"{too_long} of {len(lengths)} conversations for {name} are longer than the {longest} "
            f"tokens it can read (the longest has {max(lengths)}); set its sft.max_length to leave "
            "out those, raise its model.max_positions, or lower the max_tokens of its samples."
        )
