"""A benchmark against values worked out by hand, with the scripted engine in place of a model."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from transformers import PreTrainedTokenizerBase

from r1kit.config import ComputeConfig
from r1kit.engines.scripted import ScriptedEngine
from r1kit.evals.benchmark import (
    MEASURES,
    Benchmark,
    BenchmarkResult,
    by_task,
    estimates,
    majority,
    mean_fact,
    sample_benchmark,
    summarize,
)
from r1kit.model import parallel
from r1kit.model.ranks import Ranks
from r1kit.model.tokenizer import train_tokenizer
from r1kit.renderers import renderer_of
from r1kit.rollouts.collect import request_seed
from r1kit.types import Group, Message, Problem, Request, SamplingParams, Verdict
from tests.groups import RIGHT, WRONG, group, rollout

ANSWERS = {
    "q1": ("sums", ["5", "5", "6"]),
    "q2": ("words", ["6", "6", "5"]),
    "q3": ("sums", ["?", "?", "5"]),
    "q4": ("words", ["?", "?", "?"]),
}
"""question → its task and its completions; 5 is right, and "?" is undecided"""
PROBLEMS = [
    Problem(question, task, (Message("user", question),), "5", "en")
    for question, (task, _) in ANSWERS.items()
]


def verify(problem: Problem, answer: str) -> Verdict:
    return Verdict(None if answer == "?" else answer == problem.answer, answer, "by hand")


BENCHMARK = Benchmark("by hand", PROBLEMS, verify, SamplingParams(64), n_completions=3)


def new_tokenizer() -> PreTrainedTokenizerBase:
    return train_tokenizer(["q1 q2 q3 q4 wait 5 6 ?"] * 4, 300)


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerBase:
    return new_tokenizer()


def scripted(
    tokenizer: PreTrainedTokenizerBase, seeds: dict[str, int] | None = None
) -> ScriptedEngine:
    """An engine that knows the answers; it notes the seed of each question in `seeds`."""

    def answer(request: Request, index: int) -> str:
        prompt = str(tokenizer.decode(request.prompt_ids))
        [question] = [question for question in ANSWERS if question in prompt]
        if seeds is not None:
            seeds[question] = request.seed
        return f"<think>wait</think>{ANSWERS[question][1][index]}"

    return ScriptedEngine(answer, tokenizer)


def evaluated(ranks: Ranks, **changes: Any) -> BenchmarkResult:
    tokenizer = new_tokenizer()
    benchmark = replace(BENCHMARK, **changes)
    batch = sample_benchmark(scripted(tokenizer), renderer_of(tokenizer), benchmark, ranks, seed=7)
    assert batch.failure == ""
    return summarize(benchmark, batch.groups, ranks)


def test_problems_are_the_clusters_and_undecided_ones_do_not_count() -> None:
    result = evaluated(Ranks())
    rates, votes = [2 / 3, 1 / 3, 1.0], [1.0, 0.0, 1.0]  # nothing of q4 is decided
    assert (result.n_problems, result.n_completions) == (3, 3)
    assert result.estimates["pass_at_1"].value == pytest.approx(sum(rates) / 3)
    assert result.estimates["pass_at_1"].stderr == pytest.approx(1 / 3 / math.sqrt(3))
    assert result.estimates["cons_at_k"].value == pytest.approx(sum(votes) / 3)
    assert result.estimates["cons_at_k"].stderr == pytest.approx(1 / 3)
    assert result.estimates["cons_gain"].value == pytest.approx(0.0)
    assert result.estimates["cons_gain"].stderr == pytest.approx(1 / 3 / math.sqrt(3))
    assert result.estimates["mean_reflections"] == (1.0, 0.0)
    assert result.estimates["well_formed"] == (1.0, 0.0)
    assert result.estimates["truncated"] == (0.0, 0.0)
    assert result.by_task == {"sums": pytest.approx(5 / 6), "words": pytest.approx(1 / 3)}


def test_a_record_has_the_numbers_and_their_errors() -> None:
    record = evaluated(Ranks()).as_record()
    assert list(record)[:2] == ["pass_at_1", "stderr"]
    assert record["stderr"] == pytest.approx(1 / 3 / math.sqrt(3))
    assert (record["n_problems"], record["n_completions"]) == (3, 3)
    metrics = ["cons_at_k", "cons_gain", "mean_tokens", "mean_reflections",
               "language_consistency", "well_formed", "truncated"]  # fmt: skip
    assert list(record["errors"]) == metrics
    assert all(isinstance(record[name], float) for name in metrics)


def test_answers_that_cannot_be_compared_have_no_majority() -> None:
    record, voted = evaluated(Ranks(), has_votes=False).as_record(), evaluated(Ranks()).as_record()
    assert voted.keys() - record.keys() == {"cons_at_k", "cons_gain"}
    assert voted["errors"].keys() - record["errors"].keys() == {"cons_at_k", "cons_gain"}
    assert {key: voted[key] for key in record if key != "errors"} == {
        key: value for key, value in record.items() if key != "errors"
    }


@pytest.mark.usefixtures("forked_ranks")
def test_two_ranks_have_the_results_of_one() -> None:
    compute = ComputeConfig(device="cpu")
    assert parallel.launch(2, compute, evaluated) == evaluated(Ranks())


def test_problems_have_their_seeds_on_every_rank(tokenizer: PreTrainedTokenizerBase) -> None:
    seeds: dict[str, int] = {}
    sampled: list[int] = []
    for rank in range(2):
        engine = scripted(tokenizer, seeds)
        batch = sample_benchmark(
            engine, renderer_of(tokenizer), BENCHMARK, Ranks(rank, 2), 7, on_sampled=sampled.append
        )
        assert [group.problem for group in batch.groups] == PROBLEMS[rank::2]
    assert seeds == {question: request_seed(7, index) for index, question in enumerate(ANSWERS)}
    assert sampled == [1, 2, 1, 2]


def test_where_nothing_is_decided_nothing_is_counted(tokenizer: PreTrainedTokenizerBase) -> None:
    undecided = replace(BENCHMARK, problems=PROBLEMS[3:])
    batch = sample_benchmark(scripted(tokenizer), renderer_of(tokenizer), undecided, Ranks(), 7)
    assert batch.n_undecided == 3
    result = summarize(undecided, batch.groups, Ranks())
    assert (result.n_problems, result.by_task) == (0, {})
    assert result.estimates.pop("language_consistency") == (1.0, 0.0)
    assert set(result.estimates.values()) == {(0.0, 0.0)}


def test_a_failing_verifier_is_told_and_its_answers_are_undecided() -> None:
    def broken(problem: Problem, answer: str) -> Verdict:
        if answer == "?":
            raise ZeroDivisionError("division by zero")
        return verify(problem, answer)

    benchmark, tokenizer = replace(BENCHMARK, verify=broken), new_tokenizer()
    batch = sample_benchmark(scripted(tokenizer), renderer_of(tokenizer), benchmark, Ranks(), 7)
    assert batch.failure.startswith("The verifier of ")
    assert "ZeroDivisionError: division by zero" in batch.failure
    assert summarize(benchmark, batch.groups, Ranks()) == evaluated(Ranks())


def test_tied_answers_share_the_vote_and_right_ones_are_one_group() -> None:
    def votes(*answers: str | None) -> float:
        return majority(group(*(rollout(str(x), x, x in ("5", "5.0")) for x in answers)))

    assert votes("5", "5", "6") == votes("5", "5.0", "6", "6", "5") == 1.0
    assert votes("6", "6", "5") == votes(None, None) == 0.0
    assert votes("5", "6") == votes("6", "5") == 0.5
    assert votes(None, None, "5") == 1.0


def test_completions_without_words_have_no_language() -> None:
    korean = rollout("<think>다시 wait</think>5", "5", True)
    wordless = rollout("5", "5", True)
    assert mean_fact(group(korean, wordless), "language") == 0.5
    assert mean_fact(group(wordless), "language") is None
    assert mean_fact(group(RIGHT, WRONG), "tokens") == 2.5
    result = estimates([group(wordless)], Ranks(), has_votes=False)
    assert result["language_consistency"] == (1.0, 0.0), "and mix none"


def test_a_metric_is_a_mean_over_problems_with_its_error() -> None:
    groups = [group(RIGHT, WRONG), group(WRONG, WRONG), Group(RIGHT.problem, [])]
    result = estimates(groups, Ranks(), has_votes=True)
    assert result["mean_tokens"] == pytest.approx((2.75, 0.25))
    assert result["truncated"] == pytest.approx((0.75, 0.25))
    assert result["mean_reflections"] == pytest.approx((0.25, 0.25))
    assert result["pass_at_1"] == pytest.approx((0.25, 0.25))
    assert result["cons_at_k"] == pytest.approx((0.25, 0.25)), "a tie is half right"
    assert result["cons_gain"] == (0.0, 0.0)


def test_a_problem_without_the_number_does_not_count() -> None:
    groups = [
        group(rollout("<think>다시 wait</think>5", "5", True)),
        group(rollout("5", "5", True)),
    ]
    result = estimates(groups, Ranks(), has_votes=False)
    assert result["language_consistency"] == (0.5, 0.0)
    assert result.keys() == {"pass_at_1", *MEASURES}


def test_tasks_are_means_of_their_own_problems_in_the_order_of_their_names() -> None:
    other = rollout("5", "5", True, task="countdown")
    groups = [group(RIGHT, WRONG), group(WRONG), group(other), Group(RIGHT.problem, [])]
    result = by_task(groups, Ranks())
    assert list(result.items()) == [("countdown", 1.0), ("equation", 0.25)]
