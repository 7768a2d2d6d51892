"""The metrics of a step, against values worked out by hand."""

import math

import pytest

from r1kit.model.ranks import Ranks
from r1kit.rollouts import metrics
from r1kit.types import Group
from tests.groups import RIGHT, WRONG, group, rollout


def test_a_step_is_described_over_completions_and_groups() -> None:
    result = metrics.describe([group(RIGHT, WRONG), group(WRONG, WRONG)], Ranks())
    assert result["reward"] == 0.25
    assert result["reward_group_std"] == pytest.approx(math.sqrt(0.5) / 2)
    assert result["frac_reward_zero_std"] == 0.5
    assert result["completions/mean_length"] == 11 / 4
    assert result["completions/clipped_ratio"] == 0.75
    assert result["entropy"] == pytest.approx((2.0 + 3 * 4.0) / 11)
    assert result["completions/mean_reflections"] == 0.25
    assert result["n_completion_tokens"] == 11
    assert result["n_prompt_tokens"] == 12
    assert result["n_problems"] == 2
    assert result["rewards/accuracy/mean"] == result["accuracy/equation"] == 0.25


def test_tasks_and_parts_of_rewards_are_means_of_their_own_completions() -> None:
    other = rollout("5", "5", True, reward=1.0, task="countdown")
    result = metrics.describe([group(RIGHT, WRONG), group(other)], Ranks())
    assert result["accuracy/equation"] == 0.5
    assert result["accuracy/countdown"] == 1.0
    assert result["rewards/accuracy/mean"] == pytest.approx(2 / 3)


def test_language_is_a_mean_over_the_completions_that_have_words() -> None:
    korean = rollout("<think>다시 wait</think>5", "5", True)
    result = metrics.describe([group(korean, rollout("5", "5", True))], Ranks())
    assert result["language_consistency"] == 0.5
    wordless = metrics.describe([group(rollout("5", "5", True))], Ranks())
    assert wordless["language_consistency"] == 1.0


def test_a_problem_without_a_decided_completion_is_not_counted() -> None:
    some = [group(RIGHT, WRONG), group(WRONG, WRONG)]
    empty = Group(RIGHT.problem, [])
    assert metrics.describe([*some, empty], Ranks()) == metrics.describe(some, Ranks())


def test_nothing_sampled_is_described_without_dividing_by_zero() -> None:
    result = metrics.describe([], Ranks())
    assert result["reward"] == result["entropy"] == result["n_problems"] == 0.0
