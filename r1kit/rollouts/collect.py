"""Rollouts: problems x G → engine → verify → reward → groups.

Verification overlaps sampling: the completions of a group that is done are verified in threads of
their own while the engine samples the others. What is left when sampling ends is waited for within
a budget, and what is not in by then is undecided.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from r1kit.engines.base import Sampler, generate
from r1kit.rollouts.rewards import reward
from r1kit.template import is_prefilled, parse, render_prompt
from r1kit.types import Completion, Group, Problem, Request, Rollout, Sampling, Verdict

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Verify = Callable[[Problem, str], Verdict]
"""(problem, answer part of the text) → verdict; called from several threads at once"""

VERIFIERS = 4
"""threads; verifiers that take long wait for processes of their own"""
BUDGET_S = 60.0
"""seconds that verdicts are waited for after the last completion was sampled"""
SEED_STRIDE = 1_000_003
"""A prime, so that request seeds of different runs do not line up."""


@dataclass(frozen=True)
class Rubric:
    """How problems are asked and completions scored."""

    tokenizer: PreTrainedTokenizerBase
    verify: Verify
    weights: Mapping[str, float]
    """of the parts of the reward"""
    weights_of: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """by task, where they are others"""

    def prompt(self, problem: Problem) -> list[int]:
        return render_prompt(self.tokenizer, problem.messages)

    def score(
        self, problem: Problem, prompt_ids: list[int], completion: Completion, prefilled: bool
    ) -> Rollout | None:
        """The completion with its verdict and reward; None when the verdict is undecided."""
        parsed = parse(completion.text, prefilled)
        if parsed.answer is None:
            verdict = Verdict(False, None, "no answer: the thinking never ended")
        else:
            verdict = self.verify(problem, parsed.answer)
        if verdict.correct is None:
            return None
        weights = self.weights_of.get(problem.task, self.weights)
        scored = reward(
            completion, verdict, problem.language, weights, prefilled, problem.needs_thinking
        )
        return Rollout(problem, prompt_ids, completion, verdict, scored)


@dataclass
class RolloutBatch:
    """The groups of some problems, and what collecting them took."""

    groups: list[Group] = field(default_factory=list)
    n_undecided: int = 0
    n_late: int = 0
    """of the undecided: verdicts that were not in when the budget was spent"""
    sample_s: float = 0.0
    verify_s: float = 0.0
    """that sampling was over and verdicts were waited for"""


def request_seed(run_seed: int, problem_index: int) -> int:
    """Of the problem's place in the run, so that a restart draws the same completions."""
    return (run_seed * SEED_STRIDE + problem_index) % (1 << 62)


class Scoring:
    """Verdicts in threads of their own, while other completions are still being sampled."""

    def __init__(self, exam: Rubric, problems: Sequence[tuple[int, Problem]]) -> None:
        self._exam = exam
        self._problems = [problem for _, problem in problems]
        self._scored: dict[int, list[Future[Rollout | None]]] = {}
        self._pool = ThreadPoolExecutor(VERIFIERS, thread_name_prefix="verify")

    def __enter__(self) -> Scoring:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    def add(
        self, place: int, completions: list[Completion], prompt_ids: list[int], prefilled: bool
    ) -> None:
        """The completions of the problem at this place begin to be scored."""
        problem = self._problems[place]
        self._scored[place] = [
            self._pool.submit(self._exam.score, problem, prompt_ids, completion, prefilled)
            for completion in completions
        ]

    @property
    def n_added(self) -> int:
        """problems"""
        return len(self._scored)

    def wait(self, budget_s: float = BUDGET_S) -> RolloutBatch:
        """All groups in order; what has no verdict within the budget is undecided.

        A problem that nothing was added for has a group without rollouts.
        """
        started = time.perf_counter()
        wait([future for futures in self._scored.values() for future in futures], budget_s)
        found = RolloutBatch(verify_s=time.perf_counter() - started)
        for place, problem in enumerate(self._problems):
            futures = self._scored.get(place, [])
            in_time = [future for future in futures if future.done() and not future.cancelled()]
            rollouts = [rollout for future in in_time if (rollout := future.result()) is not None]
            found.n_late += len(futures) - len(in_time)
            found.n_undecided += len(futures) - len(rollouts)
            found.groups.append(Group(problem, rollouts))
        return found


def collect_rollouts(
    engine: Sampler,
    exam: Rubric,
    problems: Sequence[tuple[int, Problem]],
    n: int,
    sampling: Sampling,
    seed: int,
    budget_s: float = BUDGET_S,
    on_sampled: Callable[[int], None] | None = None,
) -> RolloutBatch:
    """Draws n completions of each (index, problem), verifies and rewards them.

    Undecided completions are dropped from their group and counted. `on_sampled` is told how many
    problems have all their completions.
    """
    requests = [
        Request(exam.prompt(problem), n, sampling, request_seed(seed, index))
        for index, problem in problems
    ]
    prefilled = bool(requests) and is_prefilled(exam.tokenizer, requests[0].prompt_ids)
    started = time.perf_counter()
    with Scoring(exam, problems) as scoring:

        def score(place: int, completions: list[Completion]) -> None:
            scoring.add(place, completions, requests[place].prompt_ids, prefilled)
            if on_sampled is not None:
                on_sampled(scoring.n_added)

        generate(engine, requests, on_group=score)
        sample_s = time.perf_counter() - started
        found = scoring.wait(budget_s)
    found.sample_s = sample_s
    return found
