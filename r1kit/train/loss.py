"""GRPO and its variants: three token losses and three aggregations, combined in one table.

Source: GRPO, DeepSeekMath §4.1 and R1 eq. 1-3; Dr. GRPO, arXiv 2503.20783; DAPO, 2503.14476;
GSPO, 2507.18071; CISPO, MiniMax-M1 2506.13585; k3, Schulman 2020.

A *token loss* returns the loss of every scored token, before any averaging. An *aggregation*
returns the weight of each token of a completion, computed once from the lengths of ALL completions
of the update, over all micro-batches and processes. The loss is then a plain sum, `(token_loss *
weight).sum()`, and gradients add up: nothing depends on the micro-batch size, the order of
completions or the number of processes.

Counting. A completion of length 0 (no scored token: left out by `mask_truncated_completions`) is
absent: it has no weight, and counts neither as a completion nor as tokens. A completion of
advantage 0 is a real sample and counts as both, although its gradient is exactly 0 (without a KL
term its forward pass may be skipped).

Departures: log-ratios are clamped to ±20 before `exp`; a token beyond that gives no gradient
through its ratio.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from r1kit.config import KLEstimator, LossType
from r1kit.train.advantage import ScaleRewards

MAX_LOG_RATIO = 20.0

Stats = dict[str, Tensor]
"""detached sums over tokens, to be added over micro-batches and processes: `clipped_low` and
`clipped_high` count the clipped tokens"""


class TokenLoss(Protocol):
    """A function that returns the per-token loss [S] and its statistics.

    S scored tokens of B sequences, flat, without padding.
    """

    def __call__(
        self,
        logprobs: Tensor,
        old_logprobs: Tensor,
        advantages: Tensor,
        sequence_ids: Tensor,
        n_sequences: int,
        epsilon: float,
        epsilon_high: float,
    ) -> tuple[Tensor, Stats]:
        """Take float arrays [S]; `sequence_ids` [S] are in 0..n_sequences-1."""


LossAggregation = Callable[[Sequence[int], int], list[float]]
"""(number of scored tokens of each completion of the whole update, max_tokens) -> weight of
each token of that completion"""


@dataclass(frozen=True, slots=True)
class LossSpec:
    token_loss: TokenLoss
    aggregation: LossAggregation
    scale_rewards: ScaleRewards
    """divisor of the group advantages"""


def ppo_loss(
    logprobs: Tensor,
    old_logprobs: Tensor,
    advantages: Tensor,
    sequence_ids: Tensor,
    n_sequences: int,
    epsilon: float,
    epsilon_high: float,
) -> tuple[Tensor, Stats]:
    """Compute PPO's clipped surrogate with one ratio per token; ignores `sequence_ids`."""
    return _clipped_surrogate(_ratio(logprobs - old_logprobs), advantages, epsilon, epsilon_high)


def gspo_loss(
    logprobs: Tensor,
    old_logprobs: Tensor,
    advantages: Tensor,
    sequence_ids: Tensor,
    n_sequences: int,
    epsilon: float,
    epsilon_high: float,
) -> tuple[Tensor, Stats]:
    """Compute the same surrogate with one ratio per completion, the geometric mean over tokens.

    The value is the sequence's, the gradient each token's own (the paper's GSPO-token form). All
    tokens of a sequence must be present.
    """
    log_ratio = (logprobs - old_logprobs).detach()
    sums = log_ratio.new_zeros(n_sequences).index_add(0, sequence_ids, log_ratio)
    means = sums / torch.bincount(sequence_ids, minlength=n_sequences)
    own_gradient = logprobs - logprobs.detach()
    return _clipped_surrogate(
        _ratio(means[sequence_ids] + own_gradient), advantages, epsilon, epsilon_high
    )


def cispo_loss(
    logprobs: Tensor,
    old_logprobs: Tensor,
    advantages: Tensor,
    sequence_ids: Tensor,
    n_sequences: int,
    epsilon: float,
    epsilon_high: float,
) -> tuple[Tensor, Stats]:
    """Compute REINFORCE with a clipped importance weight, so that every token keeps a gradient.

    Ignores `sequence_ids` and `n_sequences`.
    """
    ratio = _ratio(logprobs - old_logprobs).detach()
    low, high = 1 - epsilon, 1 + epsilon_high
    stats = {"clipped_low": (ratio < low).sum(), "clipped_high": (ratio > high).sum()}
    return -ratio.clamp(low, high) * advantages * logprobs, stats


def kl_term(
    estimator: KLEstimator, logprobs: Tensor, ref_logprobs: Tensor, old_logprobs: Tensor
) -> Tensor:
    """Return the KL term [S] of the loss: `k3`, or k3 times the ratio to the policy that sampled.

    With the ratio, value and gradient are unbiased estimates of the KL and of its gradient, also
    for tokens of an older policy (DeepSeek-V3.2, arXiv 2512.02556; TRL's default).
    """
    kl = k3(ref_logprobs - logprobs)
    return kl if estimator == "k3" else _ratio(logprobs - old_logprobs) * kl


def k3(log_ratio: Tensor) -> Tensor:
    """Estimate KL(policy || reference) per token from `ref_logprobs - logprobs` [S].

    Never negative, and unbiased in its value on tokens that the policy sampled. Used in the loss,
    as in R1, its gradient is not the gradient of the KL.
    """
    clamped = log_ratio.clamp(-MAX_LOG_RATIO, MAX_LOG_RATIO)
    return torch.expm1(clamped) - clamped


def sequence_mean(lengths: Sequence[int], max_tokens: int) -> list[float]:
    """Weight every completion equally: 1 / (completions * its length)."""
    n_sequences = sum(length > 0 for length in lengths)
    return [1 / (n_sequences * length) if length else 0.0 for length in lengths]


def token_mean(lengths: Sequence[int], max_tokens: int) -> list[float]:
    """Weight every token equally: 1 / all tokens."""
    n_tokens = sum(lengths)
    return [1 / n_tokens if length else 0.0 for length in lengths]


def constant_length(lengths: Sequence[int], max_tokens: int) -> list[float]:
    """Divide every completion by the same length: 1 / (completions * max_tokens)."""
    n_sequences = sum(length > 0 for length in lengths)
    return [1 / (n_sequences * max_tokens) if length else 0.0 for length in lengths]


LOSSES: dict[LossType, LossSpec] = {
    "grpo": LossSpec(ppo_loss, sequence_mean, "std"),
    "dr_grpo": LossSpec(ppo_loss, constant_length, "none"),
    "dapo": LossSpec(ppo_loss, token_mean, "std"),
    "gspo": LossSpec(gspo_loss, sequence_mean, "std"),
    "cispo": LossSpec(cispo_loss, token_mean, "std"),
}


def _ratio(log_ratio: Tensor) -> Tensor:
    return log_ratio.clamp(-MAX_LOG_RATIO, MAX_LOG_RATIO).exp()


def _clipped_surrogate(
    ratio: Tensor, advantages: Tensor, epsilon: float, epsilon_high: float
) -> tuple[Tensor, Stats]:
    """Return -min(ratio * A, clip(ratio) * A): leaving the trust region is never rewarded."""
    low, high = 1 - epsilon, 1 + epsilon_high
    stats = {
        "clipped_low": ((ratio < low) & (advantages < 0)).sum(),
        "clipped_high": ((ratio > high) & (advantages > 0)).sum(),
    }
    return -torch.minimum(ratio * advantages, ratio.clamp(low, high) * advantages), stats
