"""The statistics behind every number of README, against values worked out by hand."""

import math

import pytest

from r1kit.evals import metrics
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
    assert metrics.vote(group(*rollouts)) == expected


def test_the_error_of_a_mean_takes_problems_as_clusters() -> None:
    rates = [metrics.pass_rate(group(RIGHT, WRONG)), metrics.pass_rate(group(WRONG, WRONG)), 1.0]
    assert rates == [0.5, 0.0, 1.0]
    assert metrics.stderr(rates) == pytest.approx(0.5 / math.sqrt(3))
    assert metrics.stderr([0.5]) == 0.0


def test_completions_without_words_have_no_language() -> None:
    korean = rollout("<think>다시 wait</think>5", "5", True)
    wordless = rollout("5", "5", True)
    assert metrics.mean_fact(group(korean, wordless), "language") == 0.5
    assert metrics.mean_fact(group(wordless), "language") is None
    assert metrics.mean_fact(group(RIGHT, WRONG), "tokens") == 2.5
