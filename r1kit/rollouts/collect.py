"""Rollout collection: problems x G → engine → verify → reward → groups.

Verification overlaps sampling: the completions of a finished group are verified in a thread pool
while the engine samples the others. After sampling, outstanding verdicts are awaited within a time
budget; completions without a verdict by then are undecided.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from r1kit.engines.base import Sampler, generate
from r1kit.errors import R1Error
from r1kit.judges import Judge, preferred
from r1kit.renderers.base import is_prefilled, render_prompt
from r1kit.renderers.thinking import parse
from r1kit.rollouts.rewards import overlong_penalty, reward
from r1kit.types import (
    Completion,
    Group,
    Problem,
    Request,
    Reward,
    Rollout,
    Sampling,
    Verdict,
)

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Verify = Callable[[Problem, str], Verdict]
"""(problem, answer part of the text) → verdict; called from several threads at once"""

VERIFIERS = 4
"""verification threads; slow verifiers run in processes that these threads wait for"""
BUDGET_S = 60.0
"""longest wait for verdicts, in seconds, after the last completion was sampled"""
SEED_STRIDE = 1_000_003
"""a prime, so that request seeds of different runs do not line up"""


class VerifierError(Exception):
    """A verifier failed on one answer; the completion counts as undecided."""


@dataclass(frozen=True)
class Rubric:
    """The rules for rendering problems as prompts and for scoring completions."""

    tokenizer: PreTrainedTokenizerBase
    verify: Verify
    weights: Mapping[str, float]
    """weights of the parts of the reward"""
    weights_of: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """task name -> weights, for tasks that override them"""
    max_tokens: int = 0
    overlong_buffer: int = 0
    """number of tokens before `max_tokens` over which a length penalty grows; 0 turns it off"""
    judge: Judge | None = None
    judged: str = ""
    """name of the task whose completions the judge scores"""

    def prompt(self, problem: Problem) -> list[int]:
        return render_prompt(self.tokenizer, problem.messages)

    def score(
        self, problem: Problem, prompt_ids: list[int], completion: Completion, prefilled: bool
    ) -> Rollout | None:
        """Verify and reward a completion; return None if the verdict is undecided.

        Raises VerifierError if the verifier fails in another way than by an R1Error.
        """
        parsed = parse(completion.text, prefilled)
        if parsed.answer is None:
            verdict = Verdict(False, None, "no answer: the thinking never ended")
        else:
            verdict = self._verify(problem, parsed.answer)
        if verdict.correct is None:
            return None
        weights = self.weights_of.get(problem.task, self.weights)
        scored = reward(
            completion, verdict, problem.language, weights, prefilled, problem.needs_thinking
        )
        if self.overlong_buffer:
            n_tokens = len(completion.token_ids)
            penalty = overlong_penalty(n_tokens, self.max_tokens, self.overlong_buffer)
            scored = Reward(scored.total + penalty, scored.parts | {"length": penalty})
        return Rollout(problem, prompt_ids, completion, verdict, scored)

    def _verify(self, problem: Problem, answer: str) -> Verdict:
        try:
            return self.verify(problem, answer)
        except R1Error:
            raise
        except Exception as error:
            cause = f"{type(error).__name__}: {error}"
            raise VerifierError(f"The verifier of {problem.task} failed ({cause}).") from error

    def judge_groups(self, groups: Sequence[Group]) -> list[Group]:
        """Add the judge's score to the rewards of its task; drop rollouts it cannot decide."""
        if self.judge is None:
            return list(groups)
        weight = self.weights_of.get(self.judged, {}).get("preference", 0.0)
        judged = [group for group in groups if group.problem.task == self.judged]
        scored = iter(preferred(judged, self.judge, weight))
        return [next(scored) if group.problem.task == self.judged else group for group in groups]


@dataclass
class RolloutBatch:
    """The groups of a set of problems, and the time it took to collect them."""

    groups: list[Group] = field(default_factory=list)
    n_undecided: int = 0
    n_late: int = 0
    """number of undecided completions whose verdict did not arrive within the budget"""
    n_failed: int = 0
    """number of undecided completions on which the verifier failed"""
    failure: str = ""
    """the first of these failures, as a sentence"""
    sample_s: float = 0.0
    verify_s: float = 0.0
    """time spent waiting for verdicts after sampling had ended"""


def request_seed(run_seed: int, problem_index: int) -> int:
    """Derive the seed from the problem's index, so that a restart samples the same completions."""
    return (run_seed * SEED_STRIDE + problem_index) % (1 << 62)


class Scoring:
    """A thread pool that scores completions while others are still being sampled."""

    def __init__(self, rubric: Rubric, problems: Sequence[tuple[int, Problem]]) -> None:
        self._rubric = rubric
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
        """Start scoring the completions of the problem at index `place`."""
        problem = self._problems[place]
        self._scored[place] = [
            self._pool.submit(self._rubric.score, problem, prompt_ids, completion, prefilled)
            for completion in completions
        ]

    @property
    def n_added(self) -> int:
        """Number of problems whose completions were added."""
        return len(self._scored)

    def wait(self, budget_s: float = BUDGET_S) -> RolloutBatch:
        """Return all groups in order; completions without a verdict in time are undecided.

        A problem without added completions has a group without rollouts.
        """
        started = time.perf_counter()
        wait([future for futures in self._scored.values() for future in futures], budget_s)
        batch = RolloutBatch(verify_s=time.perf_counter() - started)
        for place, problem in enumerate(self._problems):
            futures = self._scored.get(place, [])
            in_time = [future for future in futures if future.done() and not future.cancelled()]
            rollouts = [rollout for f in in_time if (rollout := _result(f, batch)) is not None]
            batch.n_late += len(futures) - len(in_time)
            batch.n_undecided += len(futures) - len(rollouts)
            batch.groups.append(Group(problem, rollouts))
        return batch


def _result(future: Future[Rollout | None], batch: RolloutBatch) -> Rollout | None:
    """Return the rollout, if it is decided; count a failed verifier in `batch`."""
    try:
        return future.result()
    except VerifierError as error:
        batch.n_failed += 1
        batch.failure = batch.failure or str(error)
        return None


def collect_rollouts(
    engine: Sampler,
    rubric: Rubric,
    problems: Sequence[tuple[int, Problem]],
    n: int,
    sampling: Sampling,
    seed: int,
    budget_s: float = BUDGET_S,
    on_sampled: Callable[[int], None] | None = None,
) -> RolloutBatch:
    """Sample n completions of each (index, problem), verify and reward them.

    Undecided completions are dropped from their group and counted. `on_sampled` is called with the
    number of problems whose completions are all sampled.
    """
    requests = [
        Request(rubric.prompt(problem), n, sampling, request_seed(seed, index))
        for index, problem in problems
    ]
    prefilled = bool(requests) and is_prefilled(rubric.tokenizer, requests[0].prompt_ids)
    started = time.perf_counter()
    with Scoring(rubric, problems) as scoring:

        def score(place: int, completions: list[Completion]) -> None:
            scoring.add(place, completions, requests[place].prompt_ids, prefilled)
            if on_sampled is not None:
                on_sampled(scoring.n_added)

        generate(engine, requests, on_group=score)
        sample_s = time.perf_counter() - started
        batch = scoring.wait(budget_s)
    batch.sample_s = sample_s
    n_verified = sum(len(group.rollouts) for group in batch.groups)
    batch.groups = rubric.judge_groups(batch.groups)
    batch.n_undecided += n_verified - sum(len(group.rollouts) for group in batch.groups)
    return batch
