"""Losses by hand, the gradient of each side of each clip, KL and weightings."""

import math
from collections.abc import Sequence

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from r1kit.config import KLEstimator, LossType
from r1kit.train.advantage import group_advantages
from r1kit.train.loss import (
    LOSSES,
    LossAggregation,
    Stats,
    TokenLoss,
    cispo_loss,
    constant_length,
    gspo_loss,
    k3,
    kl_term,
    ppo_loss,
    sequence_mean,
    token_mean,
)

LOW, HIGH = 0.2, 0.28
MAX_TOKENS = 8
NAMES = sorted(LOSSES)

every_variant = pytest.mark.parametrize("name", NAMES)


def one_row(
    token_loss: TokenLoss, ratios: Sequence[float], advantage: float, logprob: float = -1.0
) -> tuple[list[float], list[float], Stats]:
    """Token losses, their gradients and the statistics of a row whose tokens have these ratios."""
    logprobs = torch.full((len(ratios),), logprob, dtype=torch.float64, requires_grad=True)
    old_logprobs = logprobs.detach() - torch.tensor(ratios, dtype=torch.float64).log()
    advantages = torch.full_like(old_logprobs, advantage)
    sequence_ids = torch.zeros(len(ratios), dtype=torch.long)
    losses, stats = token_loss(logprobs, old_logprobs, advantages, sequence_ids, 1, LOW, HIGH)
    losses.sum().backward()
    assert logprobs.grad is not None
    return losses.tolist(), logprobs.grad.tolist(), stats


# --- objectives by hand ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ratio", "advantage", "loss", "gradient", "low", "high"),
    [
        # d(ratio * A) / d logprob = ratio * A; a clipped token has no gradient at all.
        (1.5, 2.0, -2.56, 0.0, 0, 1),  # above, good: -min(3, 1.28 * 2)
        (1.5, -2.0, 3.0, 3.0, 0, 0),  # above, bad: -min(-3, -2.56), still pushed down
        (0.5, 2.0, -1.0, -1.0, 0, 0),  # below, good: -min(1, 1.6), still pulled up
        (0.5, -2.0, 1.6, 0.0, 1, 0),  # below, bad: -min(-1, 0.8 * -2)
        (1.1, 2.0, -2.2, -2.2, 0, 0),  # inside, good
        (0.9, -2.0, 1.8, 1.8, 0, 0),  # inside, bad
        (1.25, 2.0, -2.5, -2.5, 0, 0),  # inside only because the upper side is wider
    ],
)
def test_token_clip(
    ratio: float, advantage: float, loss: float, gradient: float, low: int, high: int
) -> None:
    losses, gradients, stats = one_row(ppo_loss, [ratio], advantage)
    assert losses == pytest.approx([loss])
    assert gradients == pytest.approx([gradient])
    assert (stats["clipped_low"].item(), stats["clipped_high"].item()) == (low, high)


@pytest.mark.parametrize(
    ("ratios", "advantage", "loss", "gradient", "low", "high"),
    [
        # The sequence ratio is the geometric mean, here of two tokens.
        ([4.0, 1.0], 2.0, -2.56, 0.0, 0, 2),  # sqrt(4) = 2, above, good: both tokens clipped
        ([4.0, 1.0], -2.0, 4.0, 4.0, 0, 0),  # above, bad
        ([0.25, 1.0], 2.0, -1.0, -1.0, 0, 0),  # sqrt(1/4) = 0.5, below, good
        ([0.25, 1.0], -2.0, 1.6, 0.0, 2, 0),  # below, bad
        ([4.0, 0.25], 2.0, -2.0, -2.0, 0, 0),  # sqrt(1) = 1: wild tokens, an unmoved sequence
    ],
)
def test_sequence_clip(
    ratios: list[float], advantage: float, loss: float, gradient: float, low: int, high: int
) -> None:
    losses, gradients, stats = one_row(gspo_loss, ratios, advantage)
    assert losses == pytest.approx([loss, loss])
    assert gradients == pytest.approx([gradient, gradient])
    assert (stats["clipped_low"].item(), stats["clipped_high"].item()) == (low, high)


def test_sequence_clip_keeps_rows_apart() -> None:
    # Rows of 2 and 1 tokens, interleaved on purpose: ratios sqrt(1.44) = 1.2 and 0.9.
    logprobs = torch.zeros(3, dtype=torch.float64)
    old_logprobs = -torch.tensor([1.44, 0.9, 1.0], dtype=torch.float64).log()
    sequence_ids = torch.tensor([0, 1, 0])
    advantages = torch.tensor([1.0, -1.0, 1.0])
    losses, _ = gspo_loss(logprobs, old_logprobs, advantages, sequence_ids, 2, LOW, HIGH)
    assert losses.tolist() == pytest.approx([-1.2, 0.9, -1.2])


def test_sequence_clip_has_the_gradient_of_the_sequence_ratio() -> None:
    # The mean over tokens of the token form has the gradient of s = (prod of ratios)^(1 / n).
    logprobs = torch.tensor([-0.3, -1.2, -0.7], dtype=torch.float64, requires_grad=True)
    old_logprobs = torch.tensor([-0.4, -1.0, -0.75], dtype=torch.float64)
    sequence_ids, advantages = torch.zeros(3, dtype=torch.long), torch.full((3,), 1.7)
    losses, _ = gspo_loss(logprobs, old_logprobs, advantages, sequence_ids, 1, LOW, HIGH)
    (token_form,) = torch.autograd.grad(losses.mean(), logprobs)
    sequence_form = -(logprobs - old_logprobs).mean().exp() * 1.7
    assert losses.mean().item() == pytest.approx(sequence_form.item())
    torch.testing.assert_close(token_form, torch.autograd.grad(sequence_form, logprobs)[0])


@pytest.mark.parametrize(
    ("ratio", "advantage", "weight", "low", "high"),
    [
        (1.5, 2.0, 1.28, 0, 1),
        (1.5, -2.0, 1.28, 0, 1),
        (0.5, 2.0, 0.8, 1, 0),
        (0.5, -2.0, 0.8, 1, 0),
        (1.1, 2.0, 1.1, 0, 0),
    ],
)
def test_weight_clip_always_has_a_gradient(
    ratio: float, advantage: float, weight: float, low: int, high: int
) -> None:
    losses, gradients, stats = one_row(cispo_loss, [ratio], advantage, logprob=-3.0)
    assert losses == pytest.approx([weight * advantage * 3])
    assert gradients == pytest.approx([-weight * advantage])
    assert (stats["clipped_low"].item(), stats["clipped_high"].item()) == (low, high)


def test_the_clip_of_r1_never_binds_below() -> None:
    # R1's epsilon is 10: ratios are cut at 11, and 1 - 10 < 0 is no bound.
    logprobs = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    old_logprobs = -torch.tensor([12.0, 1e-6], dtype=torch.float64).log()
    advantages, sequence_ids = torch.tensor([1.0, -1.0]), torch.zeros(2, dtype=torch.long)
    losses, stats = ppo_loss(logprobs, old_logprobs, advantages, sequence_ids, 1, 10, 10)
    assert losses.tolist() == pytest.approx([-11, 1e-6])
    assert (stats["clipped_low"].item(), stats["clipped_high"].item()) == (0, 1)


@every_variant
@pytest.mark.parametrize("log_ratio", [-1e4, -80.0, 80.0, 1e4])
@pytest.mark.parametrize("advantage", [-2.0, 2.0])
def test_huge_ratios_stay_finite(name: LossType, log_ratio: float, advantage: float) -> None:
    old_logprobs = torch.tensor([-1.0, -1.0])
    logprobs = (old_logprobs + torch.tensor([log_ratio, log_ratio])).requires_grad_()
    losses, _ = LOSSES[name].token_loss(
        logprobs, old_logprobs, torch.full((2,), advantage), torch.tensor([0, 0]), 1, LOW, HIGH
    )
    losses.sum().backward()
    assert logprobs.grad is not None
    assert torch.isfinite(losses).all()
    assert torch.isfinite(logprobs.grad).all()


# --- KL ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("log_ratio", "expected"),
    [(0.0, 0.0), (math.log(2), 1 - math.log(2)), (-math.log(2), math.log(2) - 0.5)],
)
def test_k3_by_hand(log_ratio: float, expected: float) -> None:
    value = k3(torch.tensor([log_ratio], dtype=torch.float64))
    assert value.item() == pytest.approx(expected, abs=1e-15)


def test_k3_pulls_towards_the_reference() -> None:
    # d/d logprob of exp(ref - logprob) - (ref - logprob) - 1 is 1 - exp(ref - logprob).
    logprobs = torch.tensor([-1.0, -1.0, -1.0], dtype=torch.float64, requires_grad=True)
    ref_logprobs = torch.tensor([-0.5, -1.0, -2.0], dtype=torch.float64)
    k3(ref_logprobs - logprobs).sum().backward()
    assert logprobs.grad is not None
    assert logprobs.grad.tolist() == pytest.approx([1 - math.exp(0.5), 0, 1 - math.exp(-1)])


@given(st.floats(-1e6, 1e6, width=32))
def test_k3_is_never_negative_and_always_finite(log_ratio: float) -> None:
    value = k3(torch.tensor([log_ratio], dtype=torch.float32)).item()
    assert 0 <= value < math.inf


def test_k3_is_an_unbiased_estimate_of_the_kl() -> None:
    # Over the whole vocabulary instead of samples, so exactly: sum of p * k3 = KL(p || q).
    torch.manual_seed(0)
    policy, reference = torch.randn(2, 7, dtype=torch.float64).log_softmax(dim=-1)
    expectation = (policy.exp() * k3(reference - policy)).sum()
    kl = (policy.exp() * (policy - reference)).sum()
    assert expectation.item() == pytest.approx(kl.item(), rel=1e-12)


def expected_kl_gradient(estimator: KLEstimator, old: Tensor) -> tuple[float, Tensor]:
    """Value and gradient of the KL term, expected over tokens sampled by `old`, exactly."""
    logits, reference = (torch.randn(7, dtype=torch.float64) for _ in range(2))
    logits.requires_grad_()
    logprobs, ref_logprobs = logits.log_softmax(-1), reference.log_softmax(-1)
    old_logprobs = logprobs.detach() if old is CURRENT else old
    terms = kl_term(estimator, logprobs, ref_logprobs, old_logprobs)
    estimate = (old_logprobs.exp() * terms).sum()
    kl = (logprobs.exp() * (logprobs - ref_logprobs)).sum()
    [gradient] = torch.autograd.grad(estimate, logits, retain_graph=True)
    [exact] = torch.autograd.grad(kl, logits)
    return (estimate - kl).item(), gradient - exact


CURRENT = torch.empty(0)
OLD = torch.tensor([0.1, -0.4, 0.9, 0.0, -1.2, 0.3, 0.5], dtype=torch.float64).log_softmax(-1)


@pytest.mark.parametrize("old", [CURRENT, OLD], ids=["on-policy", "off-policy"])
def test_the_unbiased_term_has_value_and_gradient_of_the_kl(old: Tensor) -> None:
    torch.manual_seed(1)
    error, gradient_error = expected_kl_gradient("unbiased", old)
    assert error == pytest.approx(0, abs=1e-12)
    assert gradient_error.abs().max() < 1e-12


def test_k3_has_the_value_of_the_kl_on_policy_and_another_gradient() -> None:
    torch.manual_seed(1)
    error, gradient_error = expected_kl_gradient("k3", CURRENT)
    assert error == pytest.approx(0, abs=1e-12)
    assert gradient_error.abs().max() > 0.01


# --- weightings ----------------------------------------------------------------------------


def test_weightings_by_hand() -> None:
    # Three completions of 2, 4 and 2 tokens; one masked out, which is as if it were not there.
    lengths = [2, 4, 0, 2]
    assert sequence_mean(lengths, 10) == pytest.approx([1 / 6, 1 / 12, 0, 1 / 6])
    assert token_mean(lengths, 10) == pytest.approx([1 / 8, 1 / 8, 0, 1 / 8])
    assert constant_length(lengths, 10) == pytest.approx([1 / 30, 1 / 30, 0, 1 / 30])


@pytest.mark.parametrize("aggregation", [sequence_mean, token_mean, constant_length])
def test_aggregations_of_nothing(aggregation: LossAggregation) -> None:
    assert aggregation([], 10) == []
    assert aggregation([0, 0], 10) == [0, 0]


@given(st.lists(st.integers(0, 50), min_size=1).filter(any))
def test_weights_of_a_mean_sum_to_one(lengths: list[int]) -> None:
    for aggregation in (sequence_mean, token_mean):
        weights = aggregation(lengths, 50)
        total = sum(w * n for w, n in zip(weights, lengths, strict=True))
        assert total == pytest.approx(1)


# --- the table: every variant as a whole, by hand --------------------------------------------


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        # Rewards 3 and 1: unbiased std sqrt(2), so A = 1 / sqrt(2) for the good row and -A for the
        # bad one (1 and -1 without the division). The good row has token ratios 1.44 and 1, the bad
        # one 0.5; every logprob is -1. Clipped token terms: good -1.28 A and -A, bad 0.8 A.
        ("grpo", math.sqrt(0.5) * (-2.28 / 4 + 0.8 / 2)),
        ("dr_grpo", (-2.28 + 0.8) / (2 * MAX_TOKENS)),
        ("dapo", math.sqrt(0.5) * (-2.28 + 0.8) / 3),
        ("gspo", math.sqrt(0.5) * (-1.2 / 2 + 0.8 / 2)),  # good row sqrt(1.44) = 1.2, inside
        ("cispo", math.sqrt(0.5) * (2.28 - 0.8) / 3),  # times logprob = -1
    ],
)
def test_every_loss_by_hand(name: LossType, expected: float) -> None:
    loss_spec = LOSSES[name]
    good, bad = group_advantages([3, 1], loss_spec.scale_rewards)
    long, short = loss_spec.aggregation([2, 1], MAX_TOKENS)
    logprobs = torch.full((3,), -1.0, dtype=torch.float64)
    old_logprobs = logprobs - torch.tensor([1.44, 1.0, 0.5], dtype=torch.float64).log()
    advantages = torch.tensor([good, good, bad], dtype=torch.float64)
    sequence_ids = torch.tensor([0, 0, 1])
    losses, _ = loss_spec.token_loss(logprobs, old_logprobs, advantages, sequence_ids, 2, LOW, HIGH)
    weights = torch.tensor([long, long, short], dtype=torch.float64)
    assert (losses * weights).sum().item() == pytest.approx(expected, rel=1e-6)
