"""The statistics behind every number of README, against values worked out by hand."""

import math

import pytest

from r1kit.evals import scores
from r1kit.model.ranks import Ranks
from r1kit.types import Group
from tests.groups import RIGHT, WRONG, group, rollout


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
    assert scores.vote(group(*rollouts)) == expected


def test_the_error_of_a_mean_takes_problems_as_clusters() -> None:
    rates = [scores.pass_rate(group(RIGHT, WRONG)), scores.pass_rate(group(WRONG, WRONG)), 1.0]
    assert rates == [0.5, 0.0, 1.0]
    assert scores.stderr(rates) == pytest.approx(0.5 / math.sqrt(3))
    assert scores.stderr([0.5]) == 0.0


def test_completions_without_words_have_no_language() -> None:
    korean = rollout("<think>다시 wait</think>5", "5", True)
    wordless = rollout("5", "5", True)
    assert scores.mean_fact(group(korean, wordless), "language") == 0.5
    assert scores.mean_fact(group(wordless), "language") is None
    assert scores.mean_fact(group(RIGHT, WRONG), "tokens") == 2.5
    result = scores.estimates([group(wordless)], Ranks(), has_votes=False)
    assert result["language_consistency"] == (1.0, 0.0), "and mix none"


def test_a_metric_is_a_mean_over_problems_with_its_error() -> None:
    groups = [group(RIGHT, WRONG), group(WRONG, WRONG), Group(RIGHT.problem, [])]
    result = scores.estimates(groups, Ranks(), has_votes=True)
    assert result["mean_tokens"] == pytest.approx((2.75, 0.25))
    assert result["truncated"] == pytest.approx((0.75, 0.25))
    assert result["mean_reflections"] == pytest.approx((0.25, 0.25))
    assert result["pass_at_1"] == pytest.approx((0.25, 0.25))
    assert result["cons_at_k"] == pytest.approx((0.5, 0.5))
    assert result["cons_gain"] == pytest.approx((0.25, 0.25))


def test_a_problem_without_the_number_does_not_count() -> None:
    groups = [
        group(rollout("<think>다시 wait</think>5", "5", True)),
        group(rollout("5", "5", True)),
    ]
    result = scores.estimates(groups, Ranks(), has_votes=False)
    assert result["language_consistency"] == (0.5, 0.0)
    assert result.keys() == {"pass_at_1", *scores.MEASURES}


def test_tasks_are_means_of_their_own_problems_in_the_order_of_their_names() -> None:
    other = rollout("5", "5", True, task="countdown")
    groups = [group(RIGHT, WRONG), group(WRONG), group(other), Group(RIGHT.problem, [])]
    result = scores.by_task(groups, Ranks())
    assert list(result.items()) == [("countdown", 1.0), ("equation", 0.25)]
