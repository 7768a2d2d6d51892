"""The tokens of a stage: what a step samples, and what its micro-batches hold. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from r1kit.config import RLConfig
from r1kit.forecast.memory import MicroBatch

MAX_MERGED = 0.9
"""share of tokens that must be left for shared prefixes to be merged (model/tree.py)"""
BYTES_PER_TOKEN = 2.5
"""UTF-8 bytes per token that are assumed before a tokenizer is trained"""


@dataclass(frozen=True)
class PromptLengths:
    """Lengths of the prompts of a recipe, in tokens."""

    mean: float
    longest: int
    shared: int = 0
    """tokens with which all prompts begin"""


def prompts_of(token_ids: Sequence[Sequence[int]]) -> PromptLengths:
    """Measure tokenized prompts."""
    lengths = [len(ids) for ids in token_ids]
    first = token_ids[0]
    shared = min(_n_common(first, ids) for ids in token_ids)
    return PromptLengths(
        sum(lengths) / len(lengths), max(lengths), shared if len(lengths) > 1 else 0
    )


def prompts_by_size(texts: Sequence[str]) -> PromptLengths:
    """Guess the lengths of prompts from their texts, before a tokenizer is trained."""
    lengths = [max(1.0, len(text.encode(errors="replace")) / BYTES_PER_TOKEN) for text in texts]
    return PromptLengths(sum(lengths) / len(lengths), round(max(lengths)))


@dataclass(frozen=True)
class LearnWork:
    """The tokens that one process learns from in a step of reinforcement learning."""

    micro_batch: MicroBatch
    n_batches: float
    """micro-batches"""
    tokens: float
    """tokens in the layers over all of them"""


def learn_work(
    config: RLConfig,
    prompts: PromptLengths,
    length: float,
    n_processes: int,
    micro_batch_tokens: int,
) -> LearnWork:
    """Return the work of a step whose completions all have `length` tokens.

    All groups are learned from: a group whose rewards are all equal takes no time and no memory,
    but how many there are only the run will show.
    """
    n_groups = config.n_problems / n_processes
    groups = n_groups / config.updates_per_step
    batch = micro_batch(groups, config.n_completions, prompts, length, micro_batch_tokens)
    n_batches = n_groups * config.n_completions * (prompts.mean + length) / batch.cells
    return LearnWork(batch, n_batches, n_batches * batch.tokens)


def micro_batch(
    groups: float, per_group: int, prompts: PromptLengths, length: float, limit: int
) -> MicroBatch:
    """Return the largest micro-batch of an update over groups of completions.

    It holds s of n sequences, up to the limit. They are sorted by length, so groups are mixed: a
    group of g is absent with the chance of drawing s others, (n-s)/n x (n-s-1)/(n-1) x ..., g
    factors. Each group that is present has its prompt once.
    """
    sequence = prompts.mean + length
    everything = max(1.0, groups * per_group)
    cells = max(prompts.longest + length, min(float(limit), everything * sequence))
    s = min(cells / sequence, everything)
    absent = math.prod(
        max(0.0, (everything - s - i) / (everything - i))
        for i in range(min(per_group, int(everything)))
    )
    present = groups * (1 - absent)
    prompt_tokens = prompts.shared + max(1.0, present) * (prompts.mean - prompts.shared)
    tokens = min(cells, prompt_tokens + s * length)
    return MicroBatch(
        tokens=tokens if tokens <= MAX_MERGED * cells else cells, cells=cells, scored=s * length
    )


def text_batch(n_tokens: float, limit: int, scored_share: float = 1.0) -> MicroBatch:
    """Return the largest micro-batch of supervised training, in which nothing is shared."""
    tokens = min(float(limit), n_tokens)
    return MicroBatch(tokens, tokens, tokens * scored_share)


def _n_common(first: Sequence[int], second: Sequence[int]) -> int:
    pairs = zip(first, second, strict=False)
    return next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(first), len(second)))
