"""From problems to scored groups, with the scripted engine in place of a model."""

import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from transformers import PreTrainedTokenizerFast

from r1kit.engines.scripted import Script, ScriptedEngine
from r1kit.errors import SandboxError
from r1kit.model.tokenizer import train_tokenizer
from r1kit.renderers import renderer_of
from r1kit.rollouts.collect import AttemptSampler, RolloutBatch, collect_rollouts, request_seed
from r1kit.rollouts.rejection import IndexedProblems
from r1kit.rollouts.rubric import Rubric, VerifyFunction
from r1kit.tasks.world import Equation
from r1kit.types import Attempt, Problem, Request, SamplingParams, Verdict


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return train_tokenizer(["Solve 3x+1=10 wait yes no"] * 4, 300)


def collected(
    tokenizer: PreTrainedTokenizerFast,
    answer: Callable[[IndexedProblems], Script],
    verify: VerifyFunction | None = None,
    n: int = 3,
    **more: Any,
) -> tuple[IndexedProblems, RolloutBatch]:
    task = Equation(languages=["en"])
    problems = [(index, task.problem(index)) for index in (4, 9)]
    engine = ScriptedEngine(answer(problems), tokenizer)
    renderer, rubric = (
        renderer_of(tokenizer),
        Rubric(verify or task.verify, {"accuracy": 1.0, "format": 0.5}),
    )
    attempts = AttemptSampler(engine, renderer, n, SamplingParams(64), seed=1)
    batch = collect_rollouts(attempts, rubric, problems, **more)
    return problems, batch


def right_then_wrong(problems: IndexedProblems) -> Script:
    prompts: dict[tuple[int, ...], int] = {}

    def answer(request: Request, i: int) -> str:
        index = prompts.setdefault(tuple(request.prompt_ids), len(prompts))
        gold = problems[index][1].answer
        return f"<think>try</think>\\boxed{{{gold if i == 0 else 999}}}"

    return answer


def test_groups_keep_the_order_of_their_problems(tokenizer: PreTrainedTokenizerFast) -> None:
    problems, result = collected(tokenizer, right_then_wrong)
    assert [group.problem for group in result.groups] == [problem for _, problem in problems]
    for group in result.groups:
        assert [rollout.verdict.correct for rollout in group.rollouts] == [True, False, False]
        assert [rollout.reward.total for rollout in group.rollouts] == [1.5, 0.5, 0.5]
        parts = {"accuracy": 1.0, "format": 1.0, "language": 1.0, "process": 0.0}
        assert group.rollouts[0].reward.parts == parts


def test_undecided_completions_are_dropped_and_counted(tokenizer: PreTrainedTokenizerFast) -> None:
    def undecided(problem: Problem, answer: str) -> Verdict:
        return Verdict(None if "999" in answer else True, None, "")

    _, result = collected(tokenizer, right_then_wrong, undecided)
    assert [len(group.rollouts) for group in result.groups] == [1, 1]
    assert result.n_undecided == 4


def test_a_verdict_that_is_not_in_within_the_budget_is_undecided(
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    is_over = threading.Event()

    def slow(problem: Problem, answer: str) -> Verdict:
        if "999" not in answer:
            is_over.wait(30)
        return Verdict(True, None, "")

    try:
        _, result = collected(tokenizer, right_then_wrong, slow, budget_s=1.0)
    finally:
        is_over.set()
    assert [len(group.rollouts) for group in result.groups] == [2, 2]
    assert (result.n_undecided, result.n_late) == (2, 2)
    assert 0.3 <= result.verify_s < 10


def test_verification_overlaps_sampling(tokenizer: PreTrainedTokenizerFast) -> None:
    """Both groups are being verified at once: neither waits for the verdicts of the other."""
    both = threading.Barrier(2, timeout=30)

    def meeting(problem: Problem, answer: str) -> Verdict:
        both.wait()
        return Verdict(True, None, "")

    _, result = collected(tokenizer, right_then_wrong, meeting, n=1)
    assert [len(group.rollouts) for group in result.groups] == [1, 1]


def test_a_verifier_that_fails_leaves_the_completion_undecided_and_says_so(
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    def broken(problem: Problem, answer: str) -> Verdict:
        if answer.endswith("{999}"):
            raise ZeroDivisionError("in verify")
        return Verdict(True, answer, "right")

    _, result = collected(tokenizer, right_then_wrong, broken)
    assert [len(group.rollouts) for group in result.groups] == [1, 1]
    assert (result.n_undecided, result.n_failed, result.n_late) == (4, 4, 0)
    assert result.failure == "The verifier of equation failed (ZeroDivisionError: in verify)."


def test_an_error_that_a_user_can_mend_ends_the_run(tokenizer: PreTrainedTokenizerFast) -> None:
    def uncaged(problem: Problem, answer: str) -> Verdict:
        raise SandboxError("This machine cannot confine programs.")

    with pytest.raises(SandboxError):
        collected(tokenizer, right_then_wrong, uncaged)


def test_thinking_that_never_ends_has_no_answer(tokenizer: PreTrainedTokenizerFast) -> None:
    _, result = collected(tokenizer, lambda _: lambda request, i: "<think>\\boxed{5}")
    for group in result.groups:
        for rollout in group.rollouts:
            assert rollout.verdict == Verdict(False, None, "no answer: the thinking never ended")
            assert rollout.reward.total == 0.0


def test_request_seeds_differ_by_place_and_run() -> None:
    seeds = {request_seed(run, index) for run in range(5) for index in range(1000)}
    assert len(seeds) == 5000


def test_length_and_judge_are_parts_of_the_same_reward(tokenizer: PreTrainedTokenizerFast) -> None:
    class Half:
        def scores(self, attempts: Sequence[Attempt]) -> list[float | None]:
            return [None if "999" in item.completion.text else 0.5 for item in attempts]

    task = Equation(languages=["en"])
    problems = [(index, task.problem(index)) for index in range(2)]
    engine = ScriptedEngine(right_then_wrong(problems), tokenizer)
    weights = {task.name: {"accuracy": 1.0, "preference": 4.0}}
    rubric = Rubric(
        task.verify, {"accuracy": 1.0}, weights,
        max_tokens=64, overlong_buffer=64, judge=Half(), judged_task=task.name,
    )  # fmt: skip
    attempts = AttemptSampler(engine, renderer_of(tokenizer), 2, SamplingParams(64), seed=0)
    result = collect_rollouts(attempts, rubric, problems)
    for group in result.groups:
        for rollout in group.rollouts:
            length = -len(rollout.completion.token_ids) / 64
            parts = rollout.reward.parts
            assert (parts["length"], parts["preference"]) == (length, 0.5)
            assert rollout.reward.total == pytest.approx(parts["accuracy"] + length + 4.0 * 0.5)
    assert result.n_undecided == 4 - sum(len(group.rollouts) for group in result.groups) > 0
