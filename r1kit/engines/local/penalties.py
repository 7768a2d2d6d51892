"""Penalties, biases and min_p: changes of logits that depend on the tokens so far.

A repetition penalty covers the prompt and the sampled tokens, the two others only the sampled ones,
as in vLLM. min_p keeps the tokens whose probability is at least that share of the likeliest one's.
"""

from __future__ import annotations

import math
from collections.abc import Collection

import torch
from torch import Tensor

from r1kit.engines.local.slots import Slots
from r1kit.types import SamplingParams


def adjust(slots: Slots, samplings: Collection[SamplingParams], logits: Tensor) -> None:
    """Adjust the logits [R, V] in place; rows of requests without such parameters keep their bits.

    `samplings` are all that occur among the slots; without such parameters nothing is done.
    """
    if not any(sampling.adjusts_logits for sampling in samplings):
        return
    for slot, sequence in enumerate(slots.sequences):
        request = sequence.state.request
        if request.sampling.adjusts_logits:
            sampled = slots.tokens[slot, : slots.count[slot]]
            adjust_row(logits[slot], request.sampling, request.prompt_ids, sampled)


def adjust_row(row: Tensor, sampling: SamplingParams, prompt_ids: list[int], ids: Tensor) -> None:
    """Adjust the logits [V] of one completion in place; ids [C] are its sampled tokens."""
    if sampling.repetition_penalty != 1:
        seen = torch.cat([torch.tensor(prompt_ids, device=ids.device), ids]).unique()
        factor = sampling.repetition_penalty
        row[seen] = torch.where(row[seen] > 0, row[seen] / factor, row[seen] * factor)
    if sampling.frequency_penalty or sampling.presence_penalty:
        tokens, counts = ids.unique(return_counts=True)
        row[tokens] -= sampling.frequency_penalty * counts + sampling.presence_penalty
    for token, bias in sampling.logit_bias:
        row[token] += bias
    if sampling.min_p:
        reach = (sampling.temperature or 1.0) * math.log(sampling.min_p)
        row.masked_fill_(row < row.max() + reach, -torch.inf)
