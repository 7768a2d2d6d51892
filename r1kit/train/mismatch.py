"""Corrections for tokens whose sampler gave them other probabilities than the learner does.

An engine of its own computes with other kernels, and one that samples ahead has older weights. Let
mu be the probability of a token under its sampler, pi_old under the learner before the first update
of the step, and pi under the learner now. A correction multiplies the loss of the token by a weight
without gradient, and says which log-probabilities the ratio of the loss is taken against:

    none            1, and the ratio pi / mu
    token_truncate  min(pi_old / mu, C), and the ratio pi / pi_old
    sequence_mask   1 if the geometric mean of pi_old / mu over the completion is in [1/C, C], else
                    0, and the ratio pi / pi_old
    dppo_mask       pi / mu, but 0 if pi - mu > C with a positive advantage or mu - pi > C with a
                    negative one; the ratio is 1, so nothing else is clipped

Source: truncated importance sampling, Yao et al. 2025 (TRL, verl and NeMo-RL have it); the
geometric mask of SkyRL and verl; DPPO-TV of prime-rl, whose bound on the change of a probability
does not punish rare tokens.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from r1kit.config import RLConfig
from r1kit.train.loss import MAX_LOG_RATIO, k3

LIMITS = {"none": math.inf, "token_truncate": 2.0, "sequence_mask": 1.05, "dppo_mask": 0.2}
"""the constant C of each mode, unless the recipe has another one"""


@dataclass(frozen=True, slots=True)
class Correction:
    """A treatment of the difference between the probabilities of learner and sampler."""

    mode: str
    limit: float

    @classmethod
    def of(cls, config: RLConfig) -> Correction:
        """Return the correction of a recipe, for a sampler that is not the learner's own module."""
        chosen = config.importance_sampling_mode
        mode = "token_truncate" if chosen == "auto" else chosen
        return cls(mode, config.importance_sampling_limit or LIMITS[mode])

    @property
    def needs_old_logprobs(self) -> bool:
        """True if pi_old decides, which is to be computed before the first of several updates."""
        return self.mode in ("token_truncate", "sequence_mask")


@dataclass(frozen=True, slots=True)
class CorrectedTokens:
    """The result of a correction for the S scored tokens of a micro-batch."""

    weights: Tensor
    """[S] factors of the loss, without gradient"""
    old_logprobs: Tensor
    """[S] the log-probabilities that the ratio of the loss is taken against"""
    is_cut: Tensor
    """[S] bool, True where a weight was truncated or set to 0"""


def correct(
    correction: Correction,
    logprobs: Tensor,
    learner_logprobs: Tensor,
    sampler_logprobs: Tensor,
    advantages: Tensor,
    sequence_ids: Tensor,
    n_sequences: int,
) -> CorrectedTokens:
    """Compute log pi, log pi_old and log mu, all [S] and without gradient, into weights."""
    log_ratio = _clamped(learner_logprobs - sampler_logprobs)
    ratio, old, limit = log_ratio.exp(), learner_logprobs, correction.limit
    if correction.mode == "token_truncate":
        return CorrectedTokens(ratio.clamp(max=limit), old, ratio > limit)
    if correction.mode == "sequence_mask":
        sums = log_ratio.new_zeros(n_sequences).index_add(0, sequence_ids, log_ratio)
        means = sums / torch.bincount(sequence_ids, minlength=n_sequences)
        is_cut = (means.abs() > math.log(limit))[sequence_ids]
        return CorrectedTokens((~is_cut).to(ratio.dtype), old, is_cut)
    if correction.mode == "dppo_mask":
        change = (logprobs.exp() - sampler_logprobs.exp()) * advantages.sign()
        ratio, is_cut = _clamped(logprobs - sampler_logprobs).exp(), change > limit
        return CorrectedTokens(ratio.masked_fill(is_cut, 0.0), logprobs, is_cut)
    return CorrectedTokens(torch.ones_like(ratio), sampler_logprobs, ratio > limit)


def divergence(logprobs: Tensor, sampler_logprobs: Tensor) -> Tensor:
    """Estimate KL(sampler || learner) per token [S] by k3, on tokens of the sampler."""
    return k3(logprobs - sampler_logprobs)


def _clamped(log_ratio: Tensor) -> Tensor:
    return log_ratio.clamp(-MAX_LOG_RATIO, MAX_LOG_RATIO)
