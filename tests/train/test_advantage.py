"""Advantages by hand, and the properties every group keeps."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from r1kit.train.advantage import EPSILON, ScaleRewards, group_advantages

REWARDS = st.lists(st.integers(-20, 20).map(lambda n: n / 10), min_size=2, max_size=32)
SCALES = st.sampled_from(["std", "none"])


def test_std_by_hand() -> None:
    # mean 0.5, unbiased variance (4 * 0.25) / 3 = 1/3, std = 1/sqrt(3): +-0.5 * sqrt(3) = +-0.8660
    expected = 0.5 / (math.sqrt(1 / 3) + EPSILON)
    advantages = group_advantages([1, 0, 0, 1], "std")
    assert advantages == pytest.approx([expected, -expected, -expected, expected], rel=1e-12)
    assert expected == pytest.approx(0.866025, abs=1e-5)


def test_one_success_of_four_by_hand() -> None:
    # mean 1/2, deviations 3/2 and -1/2 three times; variance (9/4 + 3/4) / 3 = 1: std = 1
    assert group_advantages([2, 0, 0, 0], "std") == pytest.approx([1.5, -0.5, -0.5, -0.5], abs=2e-6)
    assert group_advantages([2, 0, 0, 0], "none") == [1.5, -0.5, -0.5, -0.5]


@pytest.mark.parametrize("scale_rewards", ["std", "none"])
@pytest.mark.parametrize("reward", [0.0, 1.0, 0.1, 0.3, -0.7, 1e-300, 1e300])
@pytest.mark.parametrize("size", [1, 2, 3, 16])
def test_equal_rewards_are_exactly_zero(
    reward: float, size: int, scale_rewards: ScaleRewards
) -> None:
    assert group_advantages([reward] * size, scale_rewards) == [0.0] * size


def test_rewards_equal_up_to_rounding_stay_small() -> None:
    # 0.1 + 0.2 is 0.30000000000000004: without the epsilon these would be +-0.7
    assert group_advantages([0.3, 0.1 + 0.2], "std") == pytest.approx([0, 0], abs=1e-9)


def test_an_empty_group_has_no_advantages() -> None:
    assert group_advantages([], "std") == []


@pytest.mark.parametrize("reward", [math.nan, math.inf])
def test_a_reward_that_is_no_number_is_refused(reward: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        group_advantages([1.0, reward], "std")


@given(REWARDS, SCALES)
def test_sum_is_zero(rewards: list[float], scale_rewards: ScaleRewards) -> None:
    assert math.fsum(group_advantages(rewards, scale_rewards)) == pytest.approx(0, abs=1e-9)


@given(st.data(), REWARDS, SCALES)
def test_permutation_equivariant(
    data: st.DataObject, rewards: list[float], scale_rewards: ScaleRewards
) -> None:
    order = data.draw(st.permutations(range(len(rewards))))
    advantages = group_advantages(rewards, scale_rewards)
    shuffled = group_advantages([rewards[i] for i in order], scale_rewards)
    assert shuffled == [advantages[i] for i in order]


@given(REWARDS, st.integers(-5, 5), SCALES)
def test_a_constant_added_to_all_changes_nothing(
    rewards: list[float], shift: int, scale_rewards: ScaleRewards
) -> None:
    shifted = group_advantages([reward + shift for reward in rewards], scale_rewards)
    assert shifted == pytest.approx(group_advantages(rewards, scale_rewards), abs=1e-8)


@given(REWARDS, st.sampled_from([2.0, 10.0]))
def test_std_forgets_the_unit_of_reward_and_none_keeps_it(
    rewards: list[float], unit: float
) -> None:
    scaled = [reward * unit for reward in rewards]
    by_std = group_advantages(rewards, "std")
    assert group_advantages(scaled, "std") == pytest.approx(by_std, rel=1e-4, abs=1e-9)
    plain = [advantage * unit for advantage in group_advantages(rewards, "none")]
    assert group_advantages(scaled, "none") == pytest.approx(plain, abs=1e-9)


@given(REWARDS, SCALES)
def test_order_of_rewards_is_kept(rewards: list[float], scale_rewards: ScaleRewards) -> None:
    advantages = group_advantages(rewards, scale_rewards)
    for a, x in zip(rewards, advantages, strict=True):
        for b, y in zip(rewards, advantages, strict=True):
            assert (a < b) == (x < y)
