"""The statistics of an evaluation, against values worked out by hand."""

from __future__ import annotations

import itertools
import math
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from r1kit.evals import scores
from r1kit.evals.scores import GradedProblem, GradedSample


def sample(correct: bool | None, extracted: str | None = "5", tokens: int = 10) -> GradedSample:
    return GradedSample(correct, extracted, tokens, is_truncated=False)


def problem(name: str, *outcomes: bool | None) -> GradedProblem:
    return GradedProblem(name, name, samples=[sample(outcome) for outcome in outcomes])


PROBLEMS = [
    problem("a", True, True, False, False),
    problem("b", False, False, False, False),
    problem("c", True, True, True, None),
]
"""their rates are 1/2, 0 and 1: the undecided completion does not count"""


def test_pass_at_1_is_a_mean_over_problems_with_the_error_of_problems() -> None:
    result = scores.scores(PROBLEMS, 4, has_votes=False)["pass@1"]
    assert result.value == pytest.approx(0.5)
    assert result.stderr == pytest.approx(0.5 / math.sqrt(3))


def test_the_error_over_seeds_is_that_of_the_completions() -> None:
    variance = statistics.variance([1, 1, 0, 0]) / 4
    assert scores.resampling_stderr(PROBLEMS) == pytest.approx(math.sqrt(variance) / 3)
    assert scores.resampling_stderr([problem("a", True)]) is None


@given(st.integers(1, 8), st.data())
def test_pass_at_k_is_the_share_of_all_choices_with_a_correct_one(
    n: int, data: st.DataObject
) -> None:
    n_correct, k = data.draw(st.integers(0, n)), data.draw(st.integers(1, n))
    outcomes = [True] * n_correct + [False] * (n - n_correct)
    choices = [any(choice) for choice in itertools.combinations(outcomes, k)]
    assert scores.pass_at_k(n, n_correct, k) == pytest.approx(statistics.fmean(choices))


def test_sizes_double_up_to_k() -> None:
    assert [scores.sizes_up_to(k) for k in (1, 2, 3, 4, 16)] == [
        [1], [1, 2], [1, 2, 3], [1, 2, 4], [1, 2, 4, 8, 16],
    ]  # fmt: skip
    names = list(scores.scores(PROBLEMS, 4, has_votes=True))
    assert names == ["pass@1", "pass@2", "pass@4", "cons@4"]


def test_a_vote_joins_correct_answers_and_shares_ties() -> None:
    right = [sample(True, "1/2"), sample(True, "0.5")]
    assert scores.vote([*right, sample(False, "7")]) == 1.0
    assert scores.vote([*right, sample(False, "7"), sample(False, " 7 ")]) == 0.5
    assert scores.vote([sample(False, "7"), sample(False, "7"), right[0]]) == 0.0
    assert scores.vote([sample(False, None), sample(False, None), right[0]]) == 1.0
    assert scores.vote([sample(False, None)]) == 0.0


def test_every_completion_is_in_one_column() -> None:
    samples = [
        sample(True), sample(False), sample(False, None), sample(None),
        GradedSample(False, None, 10, is_truncated=True, is_context_short=True),
        GradedSample(None, None, 10, is_truncated=False, grader_failed=True),
        GradedSample(None, None, 10, False, details={"judge_failed": True}),
    ]  # fmt: skip
    counts = scores.counts_of([GradedProblem("a", "a", "", samples, {"timeout": 2, "refused": 1})])
    assert counts == {
        "right": 1, "wrong": 1, "no_answer": 2, "truncated": 1, "context_truncated": 1,
        "undecided": 3, "grader_failed": 1, "judge_failed": 1, "refused": 1,
        "timeout": 2, "failed": 0, "context": 0,
    }  # fmt: skip


def test_tokens_of_right_and_wrong_completions_are_means_over_problems() -> None:
    problems = [
        GradedProblem("a", "a", samples=[sample(True, tokens=10), sample(False, tokens=30)]),
        GradedProblem("b", "b", samples=[sample(True, tokens=20), sample(True, tokens=40)]),
    ]
    facts = scores.facts_of(problems)
    assert facts["mean_tokens"].value == 25
    assert facts["mean_tokens_right"].value == 20
    assert facts["mean_tokens_wrong"].value == 30


def test_a_budget_counts_the_right_answers_within_it() -> None:
    problems = [
        GradedProblem("a", "a", samples=[sample(True, tokens=20), sample(True, tokens=100)]),
        GradedProblem("b", "b", samples=[sample(False, tokens=20), sample(True, tokens=60)]),
    ]
    assert scores.budget_curve(problems) == [(32, 0.25), (64, 0.5), (128, 0.75)]
    assert scores.length_histogram(problems) == [(32, 1, 1), (64, 1, 0), (128, 1, 0)]


def test_subjects_have_their_own_scores() -> None:
    pairs = [("x", True), ("x", False), ("y", True)]
    problems = [
        GradedProblem(str(i), str(i), subject, [sample(correct)])
        for i, (subject, correct) in enumerate(pairs)
    ]
    assert {k: v["pass@1"] for k, v in scores.by_subject(problems).items()} == {
        "x": 0.5,
        "y": 1.0,
    }
    assert scores.by_subject(problems[:2]) == {}


def test_the_error_of_a_mean_is_that_of_problems() -> None:
    assert scores.stderr([0.5, 0.0, 1.0]) == pytest.approx(0.5 / math.sqrt(3))
    assert scores.stderr([0.5]) == 0.0
    assert scores.mean([]) is None


def test_a_ratio_of_equal_clusters_is_a_mean() -> None:
    assert scores.ratio([(1, 2), (0, 2), (2, 2)]) == pytest.approx(
        (0.5, scores.stderr([0.5, 0, 1]))
    )
    assert scores.ratio([(1, 2)]) == (0.5, 0.0)
    assert scores.ratio([(0, 0)]) is None


def test_a_score_between_right_and_wrong_counts_as_it_is() -> None:
    compared = GradedSample(True, "a", 5, False, details={"score": 0.75})
    mixed = GradedProblem("a", "a", samples=[compared, sample(False)])
    assert mixed.rate == pytest.approx(0.375)
