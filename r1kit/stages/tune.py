"""What the stages of fine-tuning share: conversations become examples, and are imitated."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from transformers import PreTrainedTokenizerBase

from r1kit.config import SFTConfig
from r1kit.curate import Row, messages_of
from r1kit.errors import ConfigError
from r1kit.stages.context import Context, Unit
from r1kit.template import render_prompt, render_turn
from r1kit.train.imitate import imitate
from r1kit.train.optim import make_optimizers
from r1kit.train.sft import example, updates
from r1kit.types import Trajectory


def run(context: Context, unit: Unit, start: Path, rows: Sequence[Row], config: SFTConfig) -> None:
    """Leaves a finished checkpoint of `unit`: the weights at `start`, tuned on `rows`.

    Every rank is given all rows. Raises ConfigError if one is longer than the model can read.
    """
    recipe, ranks = context.recipe, context.ranks
    resumed = context.resume(unit.name)
    model, words = context.load(resumed.path if resumed else start)
    examples = [as_example(row, words) for row in rows]
    _refuse_long(examples, model.config.max_position_embeddings, unit.name)
    optimizers = make_optimizers(model, config.optim)
    if resumed:
        optimizers.load_state_dict(resumed.state["optimizers"])
    plan = updates(len(examples), config.batch, config.epochs, recipe.seed)
    context.started(
        unit, len(plan), f"fine-tuning on {len(rows):,} conversations, {config.epochs} times"
    )

    def after_step(step: int, metrics: dict[str, float]) -> None:
        context.log(unit.name, step, metrics)
        if step % config.checkpoint_every == 0 or step == len(plan):
            context.save(unit, step, model, words, {"optimizers": optimizers.state_dict()})

    imitate(
        model,
        optimizers,
        [[examples[place] for place in ranks.share(places)] for places in plan],
        config.optim,
        ranks,
        first_step=resumed.step if resumed else 0,
        micro_batch_tokens=recipe.compute.micro_batch_tokens,
        after_step=after_step,
    )


def as_example(row: Row, words: PreTrainedTokenizerBase) -> Trajectory:
    """A conversation as tokens: everything before its last turn is the prompt."""
    *before, last = messages_of(row)
    prompt = render_prompt(words, before)
    return example(prompt, render_turn(words, prompt, last), str(row["provenance"].get("problem")))


def _refuse_long(examples: Sequence[Trajectory], longest: int, name: str) -> None:
    lengths = [len(item.token_ids) for item in examples]
    too_long = sum(length > longest for length in lengths)
    if too_long:
        raise ConfigError(
            f"{too_long} of {len(lengths)} conversations for {name} are longer than the {longest} "
            f"tokens it can read (the longest has {max(lengths)}); raise its model.max_positions, "
            "or lower the max_tokens of the samples it learns from."
        )
