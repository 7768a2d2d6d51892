"""The statistics behind every number of README, against values worked out by hand."""

import math

import pytest

from r1kit.model.parallel import Ranks
from r1kit.stages import measure
from r1kit.types import Completion, Group, Message, Problem, Reward, Rollout, Verdict


def problem(task: str = "equation") -> Problem:
    return Problem("p", task, (Message("user", "2x = 10?"),), "5", "en")


def rollout(
    text: str, answer: str | None, is_right: bool, *, reward: float = 0.0, task: str = "equation",
    logprobs: tuple[float, ...] = (-1.0,), finish: str = "stop",
) -> Rollout:  # fmt: skip
    completion = Completion([7] * len(logprobs), list(logprobs), text, finish, 0)  # type: ignore[arg-type]
    parts = {"accuracy": float(is_right)}
    verdict = Verdict(is_right, answer, "by hand")
    return Rollout(problem(task), [1, 2, 3], completion, verdict, Reward(reward, parts))


def group(*rollouts: Rollout) -> Group:
    return Group(rollouts[0].problem, list(rollouts))


RIGHT = rollout("<think>wait</think>5", "5", True, reward=1.0, logprobs=(-0.5, -1.5))
WRONG = rollout("6 6", "6", False, logprobs=(-2.0, -1.0, -1.0), finish="length")


def test_a_step_is_described_over_completions_and_groups() -> None:
    found = measure.describe([group(RIGHT, WRONG), group(WRONG, WRONG)], Ranks())
    assert found["reward"] == 0.25
    assert found["reward_std"] == pytest.approx(math.sqrt(0.5) / 2)
    assert found["frac_reward_zero_std"] == 0.5
    assert found["completions/mean_length"] == 11 / 4
    assert found["completions/clipped_ratio"] == 0.75
    assert found["entropy"] == pytest.approx((2.0 + 3 * 4.0) / 11)
    assert found["reflection_per_answer"] == 0.25
    assert found["n_completion_tokens"] == 11
    assert found["n_prompt_tokens"] == 12
    assert found["n_problems"] == 2
    assert found["rewards/accuracy"] == found["accuracy/equation"] == 0.25


def test_tasks_and_parts_of_rewards_are_means_of_their_own_completions() -> None:
    other = rollout("5", "5", True, reward=1.0, task="countdown")
    found = measure.describe([group(RIGHT, WRONG), group(other)], Ranks())
    assert found["accuracy/equation"] == 0.5
    assert found["accuracy/countdown"] == 1.0
    assert found["rewards/accuracy"] == pytest.approx(2 / 3)


def test_language_is_a_mean_over_the_completions_that_have_words() -> None:
    korean = rollout("<think>다시 wait</think>5", "5", True)
    found = measure.describe([group(korean, rollout("5", "5", True))], Ranks())
    assert found["language_consistency"] == 0.5


def test_nothing_sampled_is_described_without_dividing_by_zero() -> None:
    found = measure.describe([], Ranks())
    assert found["reward"] == found["entropy"] == found["n_problems"] == 0.0


def test_compute_is_six_flops_per_parameter_learned_and_two_per_token_sampled() -> None:
    steps = [
        {"n_tokens": 10.0, "n_completion_tokens": 100.0, "n_prompt_tokens": 50.0},
        {"n_tokens": 5.0},
    ]
    assert measure.compute(steps, n_parameters=1000) == {
        "learned_tokens": 15.0,
        "sampled_tokens": 150.0,
        "flops": 1000 * (6 * 15 + 2 * 150),
    }


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        (["5", "5", "6"], 1.0),
        (["6", "6", "5"], 0.0),
        (["5", "6"], 1.0),
        (["6", "5"], 0.0),
        ([None, None, "5"], 1.0),
        ([None, None], 0.0),
    ],
)
def test_the_vote_is_for_the_commonest_answer_and_the_first_of_equals(
    answers: list[str | None], expected: float
) -> None:
    rollouts = [rollout(str(answer), answer, answer == "5") for answer in answers]
    assert measure.vote(group(*rollouts)) == expected


def test_the_error_of_a_mean_takes_problems_as_clusters() -> None:
    rates = [measure.pass_rate(group(RIGHT, WRONG)), measure.pass_rate(group(WRONG, WRONG)), 1.0]
    assert rates == [0.5, 0.0, 1.0]
    assert measure.stderr(rates) == pytest.approx(0.5 / math.sqrt(3))
    assert measure.stderr([0.5]) == 0.0


def test_completions_without_words_have_no_language() -> None:
    korean = rollout("<think>다시 wait</think>5", "5", True)
    wordless = rollout("5", "5", True)
    assert measure.mean_fact(group(korean, wordless), "language") == 0.5
    assert measure.mean_fact(group(wordless), "language") is None
    assert measure.mean_fact(group(RIGHT, WRONG), "tokens") == 2.5
