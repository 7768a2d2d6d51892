"""The next token of every slot, sampled from logits by its sampling parameters and grammar."""

from __future__ import annotations

import torch
from torch import Tensor

from r1kit.engines.grammar import restrict
from r1kit.engines.local.counter_rng import uniform
from r1kit.engines.local.penalties import adjust
from r1kit.engines.local.sampling import NOT_FINITE, BatchSamplingParams, sample, top_logprobs
from r1kit.engines.local.slots import Slots
from r1kit.errors import EngineError
from r1kit.types import SamplingParams


def sample_next(
    slots: Slots, samplings: list[SamplingParams], logits: Tensor, is_eos: Tensor
) -> tuple[Tensor, Tensor, set[int]]:
    """Sample a token per slot, logits [R, V] -> tokens [R], log-probabilities [R], failed slots.

    A slot fails if its grammar allows no token; `samplings` are all that occur among the slots, and
    is_eos [V] marks the EOS tokens. Raises EngineError if the logits are not finite.
    """
    u = uniform(slots.rng_key[: slots.n], slots.count[: slots.n])
    params = slots.params(samplings)
    grammars = {}
    if any(sampling.json_schema or sampling.lark for sampling in samplings):
        grammars = {slot: s.grammar for slot, s in enumerate(slots.sequences) if s.grammar}
    errors = restrict(grammars, logits)
    if (early := slots.below_min_tokens(samplings)) is not None:
        logits[early] = _without_eos(logits[early], is_eos)
    adjust(slots, samplings, logits)
    tokens, logprobs = sample(logits, params, u)
    for slot in grammars.keys() - errors.keys():
        grammars[slot].take(int(tokens[slot]))
    for slot, error in errors.items():
        slots.sequences[slot].state.errors[slots.sequences[slot].index] = error
    if not torch.isfinite(logprobs).all():
        raise EngineError(NOT_FINITE)
    if any(sampling.n_top for sampling in samplings):
        _note_tops(slots, logits, params, (tokens, logprobs))
    return tokens, logprobs, set(errors)


def _without_eos(logits: Tensor, is_eos: Tensor) -> Tensor:
    """Mask the EOS tokens, except in rows whose grammar allows no other token."""
    masked = logits.masked_fill(is_eos, -torch.inf)
    must_end = masked.amax(-1, keepdim=True) == -torch.inf
    return torch.where(must_end, logits, masked)


def _note_tops(
    slots: Slots, logits: Tensor, params: BatchSamplingParams, sampled: tuple[Tensor, Tensor]
) -> None:
    sequences = slots.sequences
    n_tops = {slot: s.state.request.sampling.n_top for slot, s in enumerate(sequences)}
    n_tops = {slot: n for slot, n in n_tops.items() if n}
    for slot, top in zip(n_tops, top_logprobs(logits, params, n_tops, sampled), strict=True):
        sequences[slot].tops.append(top)
