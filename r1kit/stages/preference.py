"""Stages preference/helpful and preference/harmless: one reward model each, for the final RL.

Source: the R1 paper, section 2.3.4 of its first version, 3.1 and B of its second: 66,000 pairs and
106,000 labelled completions, batches of 256, one epoch, learning rate 6e-6. Departures: pairs and
labels are generated (tasks/general/preference.py) or read from files (preference_file.py), not
judged by a model; training is in fp32 whatever compute.dtype is, because updates this small are
lost in bf16 weights.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import count, islice
from typing import Any

import torch
from transformers import PreTrainedModel

from r1kit.config import Recipe
from r1kit.errors import DataError, TaskError
from r1kit.judges import is_harmful
from r1kit.judges.learned import RewardInputEncoder, RewardModels
from r1kit.model import causal_lm, scorer
from r1kit.model.policy import TrainableModel
from r1kit.renderers import renderer_of
from r1kit.stages import supervised
from r1kit.stages.context import Context
from r1kit.stages.plan import HARMLESS, HELPFUL, REWARD_MODELS, PlannedStage, preference_sources
from r1kit.tasks import mix
from r1kit.tasks.general import General, Preference, Safety, preference, safety
from r1kit.tasks.general.preference_file import ExampleFile, example_file, label_of, pair_of
from r1kit.train.reward_model import (
    Example,
    LabelledCompletion,
    PreferencePair,
    measure,
    preference_loss,
)
from r1kit.types import Split

N_HELD_OUT = 256
"""maximum number of held-out problems for evaluation"""
HELD_OUT_DRAWS = 4_000
"""number of indices searched for them; the general task is small, and its problems repeat"""

PreferenceOrSafety = Preference | Safety
Fits = Callable[[PreferenceOrSafety], bool]
"""test whether an example is short enough for the model"""


def run(context: Context, stage: PlannedStage) -> dict[str, Any]:
    """Train a reward model from the policy that the stage names; leaves its finished checkpoint.

    Returns its `accuracy` on pairs (or labels) of held-out problems, with `stderr` and their number
    `n`. Raises CheckpointError if that policy cannot become a scorer.
    """
    name, parent = stage.name, context.parent_checkpoint(stage)
    recipe, config, ranks = context.recipe, context.recipe.preference, context.ranks
    resumed = context.resume(name)
    tokenizer = context.tokenizer(parent)
    if resumed and recipe.lora is None:
        with context.opening(resumed.path):
            module = scorer.load(resumed.path, ranks.device, torch.float32)
    else:
        module = scorer.from_policy(parent, ranks.device)
    encoder = RewardInputEncoder(renderer_of(tokenizer))
    fits = _fits(encoder, recipe, causal_lm.max_positions(module))
    batches = _batches(recipe, name, fits)
    steps = [[_example(encoder, example) for example in ranks.share(batch)] for batch in batches]
    n_examples = sum(map(len, batches)) // config.epochs
    kind = "pairs of answers" if name == HELPFUL else "labelled completions"
    what = f"a reward model learns from {n_examples:,} {kind}"
    model = TrainableModel(module, tokenizer)
    context.prepare_training(model, stage, resumed)
    supervised.run(context, stage, preference_loss, model, steps, config, resumed, what)
    return _measured(context, name, module, encoder)


def evaluate_again(context: Context, stage: PlannedStage) -> dict[str, Any]:
    """Evaluate the finished checkpoint of `run` again; return the same as `run`."""
    path = context.finished_checkpoint(stage.name)
    with context.opening(path):
        model = scorer.load(path, context.ranks.device, torch.float32)
    return _measured(
        context, stage.name, model, RewardInputEncoder(renderer_of(context.tokenizer(path)))
    )


def _measured(
    context: Context, stage: str, model: PreTrainedModel, encoder: RewardInputEncoder
) -> dict[str, Any]:
    ranks, recipe = context.ranks, context.recipe
    fits = _fits(encoder, recipe, causal_lm.max_positions(model))
    examples = _held_out(recipe, stage, fits)
    held_out = [_example(encoder, example) for example in ranks.share(examples)]
    measured = measure(model, held_out, ranks, recipe.compute.micro_batch_tokens)
    return measured | {"n": int(measured["n"])}


def reward_models(context: Context) -> RewardModels:
    """Load the judge that this run has trained."""
    paths = {name: context.finished_checkpoint(name) for name in REWARD_MODELS}
    models = {
        name: scorer.load(path, context.ranks.device, context.dtype) for name, path in paths.items()
    }
    renderer = renderer_of(context.tokenizer(paths[HELPFUL]))
    return RewardModels(models[HELPFUL], models[HARMLESS], renderer)


def _batches(
    recipe: Recipe, stage: str, fits: Fits = lambda example: True
) -> list[list[PreferenceOrSafety]]:
    """Return the examples of every step, over all ranks; each epoch is shuffled anew."""
    config = recipe.preference
    examples = _from_file(recipe, stage, "train", fits)[: config.n_pairs] or list(
        islice(_preference_data(_task(recipe, "train"), stage, count()), config.n_pairs)
    )
    batches = []
    for epoch in range(config.epochs):
        random.Random(f"{stage}/{recipe.seed}/{epoch}").shuffle(examples)
        batches += [
            examples[start : start + config.batch]
            for start in range(0, len(examples), config.batch)
        ]
    return batches


def _held_out(
    recipe: Recipe, stage: str, fits: Fits = lambda example: True
) -> list[PreferenceOrSafety]:
    """Return one pair per held-out problem, or one safe and one unsafe completion; or a file's."""
    if examples := _from_file(recipe, stage, "held_out", fits):
        return examples[:N_HELD_OUT]
    task = _task(recipe, "held_out")
    first: dict[str, int] = {}
    for index in range(HELD_OUT_DRAWS):
        problem = task.problem(index)
        if is_harmful(problem) == (stage == HARMLESS):
            first.setdefault(problem.id, index)
    return list(_preference_data(task, stage, list(first.values())[:N_HELD_OUT]))


def _from_file(recipe: Recipe, stage: str, split: Split, fits: Fits) -> list[PreferenceOrSafety]:
    """Return the examples of the file that the recipe names for a reward model; [] without one.

    Raises DataError if none is usable.
    """
    source = preference_sources(recipe)[stage]
    if source is None:
        return []
    file: ExampleFile[Any] = example_file(source, pair_of if stage == HELPFUL else label_of)
    part: Sequence[PreferenceOrSafety] = file.part(split, seed=recipe.seed)
    examples = [example for example in part if fits(example)]
    if not examples:
        raise DataError(f"{source} has no {split} example that fits; raise preference.max_length.")
    return examples


def _fits(encoder: RewardInputEncoder, recipe: Recipe, positions: int | None) -> Fits:
    """Return the test whether an example of a file fits into the model."""
    longest = min(filter(None, (recipe.preference.max_length, positions)), default=None)

    def fits(example: PreferenceOrSafety) -> bool:
        encoded = _example(encoder, example)
        if isinstance(encoded, LabelledCompletion):
            return longest is None or encoded.n_tokens <= longest
        n_tokens = max(len(encoded.chosen_ids), len(encoded.rejected_ids))
        return longest is None or n_tokens <= longest

    return fits


def _preference_data(
    task: General, stage: str, indices: Iterable[int]
) -> Iterator[PreferenceOrSafety]:
    """Yield pairs about helpfulness, or safe and unsafe completions alternately."""
    for index in indices:
        if stage == HARMLESS:
            yield from safety(task, index) or ()
        else:
            pair = preference(task, index)
            # An empty answer is never judged: it scores 0.
            if pair.kind == "helpful" and pair.rejected.strip():
                yield pair


def _task(recipe: Recipe, split: Split) -> General:
    task = mix.general(recipe, split)
    if not isinstance(task, General):
        raise TaskError(
            f"The general prompts {task.name!r} come without preferences; name files of them as "
            "preference.pairs and preference.labels, or a judge as final.judge_url."
        )
    return task


def _example(encoder: RewardInputEncoder, example: PreferenceOrSafety) -> Example:
    """Encode an example as the judge will see it: answers alone, or whole completions."""
    if isinstance(example, Safety):
        text = encoder.renderer.format_completion(example.reasoning, example.answer)
        return LabelledCompletion(encoder.whole(example.problem, text), example.is_safe)
    chosen, rejected = (
        encoder.answer(example.problem, answer.strip())
        for answer in (example.chosen, example.rejected)
    )
    assert chosen, example
    assert rejected, example
    return PreferencePair(chosen, rejected)
