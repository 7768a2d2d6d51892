"""Corrections of the difference between sampler and learner, by hand."""

import math

import pytest
import torch

from r1kit.config import RLConfig
from r1kit.train.mismatch import CorrectedTokens, Correction, correct, divergence

IDS = torch.tensor([0, 0, 1])
"""two tokens of one completion, one token of another"""


def corrected(
    mode: str, limit: float, pi: list[float], old: list[float], mu: list[float], a: list[float]
) -> CorrectedTokens:
    pi_log, old_log, mu_log = (torch.tensor(values).log() for values in (pi, old, mu))
    return correct(Correction(mode, limit), pi_log, old_log, mu_log, torch.tensor(a), IDS, 2)


def test_token_truncation_caps_the_weight_and_leaves_the_ratio_to_the_learner() -> None:
    pi, old, mu = [0.5, 0.4, 0.9], [0.3, 0.6, 0.9], [0.1, 0.4, 0.9]
    result = corrected("token_truncate", 2.0, pi, old, mu, [1.0, 1.0, -1.0])
    assert result.weights.tolist() == pytest.approx([2.0, 1.5, 1.0])  # 3 is cut to 2
    assert result.is_cut.tolist() == [True, False, False]
    assert result.old_logprobs.exp().tolist() == pytest.approx(old)


def test_a_sequence_is_masked_by_its_geometric_mean() -> None:
    """Completion 0: sqrt(4 * 1/2) = 1.41; completion 1: 0.9 / 0.6 = 1.5."""
    old, mu = [0.4, 0.2, 0.9], [0.1, 0.4, 0.6]
    for limit, kept in ((1.45, [1.0, 1.0, 0.0]), (1.4, [0.0, 0.0, 0.0]), (1.6, [1.0] * 3)):
        result = corrected("sequence_mask", limit, old, old, mu, [1.0] * 3)
        assert result.weights.tolist() == kept
        assert result.is_cut.tolist() == [weight == 0 for weight in kept]
    swapped = corrected("sequence_mask", 1.45, mu, mu, old, [1.0] * 3)
    assert swapped.weights.tolist() == [1.0, 1.0, 0.0], "1/1.5 is as far as 1.5"


def test_dppo_masks_a_probability_that_already_moved_the_way_of_the_advantage() -> None:
    pi, mu = [0.6, 0.6, 0.1], [0.3, 0.3, 0.5]
    for advantages, weights in (
        ([1.0, -1.0, -1.0], [0.0, 2.0, 0.0]),
        ([-1.0, 1.0, 1.0], [2.0, 0.0, 0.2]),
    ):
        result = corrected("dppo_mask", 0.2, pi, mu, mu, advantages)
        assert result.weights.tolist() == pytest.approx(weights)
    assert result.old_logprobs.exp().tolist() == pytest.approx(pi), "nothing else is clipped"


def test_a_rare_token_may_change_by_a_large_factor_under_dppo_only() -> None:
    pi, mu = [1e-4, 0.5, 0.5], [1e-6, 0.5, 0.5]
    a = [1.0] * 3
    assert corrected("dppo_mask", 0.2, pi, pi, mu, a).weights[0].item() == pytest.approx(
        100, rel=1e-4
    )
    assert corrected("token_truncate", 2.0, pi, pi, mu, a).weights[0].item() == 2.0


def test_without_a_correction_the_ratio_is_that_to_the_sampler() -> None:
    result = corrected("none", math.inf, [0.5] * 3, [0.5] * 3, [0.2, 0.5, 0.8], [1.0] * 3)
    assert result.weights.tolist() == [1.0] * 3
    assert not result.is_cut.any()
    assert result.old_logprobs.exp().tolist() == pytest.approx([0.2, 0.5, 0.8])


def test_divergence_is_k3() -> None:
    """mu = 0.5, pi = 0.25: 0.5 - 1 - log 0.5."""
    value = divergence(torch.tensor([0.25]).log(), torch.tensor([0.5]).log())
    assert value.tolist() == pytest.approx([0.5 - 1 + math.log(2)])


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, Correction("token_truncate", 2.0)),
        ({"importance_sampling_mode": "sequence_mask"}, Correction("sequence_mask", 1.05)),
        (
            {"importance_sampling_mode": "dppo_mask", "importance_sampling_limit": 0.1},
            Correction("dppo_mask", 0.1),
        ),
    ],
)  # fmt: skip
def test_the_recipe_chooses(settings: dict[str, object], expected: Correction) -> None:
    assert Correction.of(RLConfig.model_validate(settings)) == expected
