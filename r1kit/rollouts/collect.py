"""Rollout collection: problems x G → engine → verify → reward → groups.

Verification overlaps sampling: the completions of a finished group are verified in a thread pool
while the engine samples the others. After sampling, outstanding verdicts are awaited within a time
budget; completions without a verdict by then are undecided.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

from r1kit.engines.base import Sampler, generate
from r1kit.renderers.base import Renderer
from r1kit.rollouts.rubric import Rubric, VerifierError
from r1kit.types import Attempt, Completion, Group, Problem, Request, Rollout, SamplingParams

N_VERIFIER_THREADS = 4
"""verification threads; slow verifiers run in processes that these threads wait for"""
VERDICT_TIMEOUT_S = 60.0
"""longest wait for verdicts, in seconds, after the last completion was sampled"""
SEED_STRIDE = 1_000_003
"""a prime: problems of one stage have other request seeds in a run with another seed"""


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


class GradingPool:
    """A thread pool that scores completions while others are still being sampled."""

    def __init__(self, rubric: Rubric, problems: Sequence[tuple[int, Problem]]) -> None:
        self._rubric = rubric
        self._problems = [problem for _, problem in problems]
        self._scored: dict[int, list[Future[Rollout | None]]] = {}
        self._pool = ThreadPoolExecutor(N_VERIFIER_THREADS, thread_name_prefix="verify")

    def __enter__(self) -> GradingPool:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    def add(self, index: int, attempts: Sequence[Attempt]) -> None:
        """Start grading the attempts at the problem at position `index`."""
        self._scored[index] = [
            self._pool.submit(self._rubric.grade, attempt) for attempt in attempts
        ]

    @property
    def n_added(self) -> int:
        """Number of problems whose completions were added."""
        return len(self._scored)

    def wait(self, budget_s: float = VERDICT_TIMEOUT_S) -> RolloutBatch:
        """Return all groups in order; completions without a verdict in time are undecided.

        A problem without added completions has a group without rollouts.
        """
        started = time.perf_counter()
        wait([future for futures in self._scored.values() for future in futures], budget_s)
        batch = RolloutBatch(verify_s=time.perf_counter() - started)
        for index, problem in enumerate(self._problems):
            futures = self._scored.get(index, [])
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


@dataclass(frozen=True)
class AttemptSampler:
    """Samples n attempts at every problem, without grading them."""

    sampler: Sampler
    renderer: Renderer
    n: int
    """completions per problem"""
    sampling: SamplingParams
    seed: int
    """seed of the run"""

    def sample(
        self,
        problems: Sequence[tuple[int, Problem]],
        on_sampled: Callable[[int, list[Attempt]], None] | None = None,
    ) -> list[list[Attempt]]:
        """Return the attempts at each (index, problem).

        `on_sampled(index, attempts)` is called as soon as all completions of a problem are sampled;
        `index` is the problem's position in `problems`.
        """
        requests = [
            Request(
                self.renderer.render_prompt(problem.messages),
                self.n,
                self.sampling,
                request_seed(self.seed, index),
            )
            for index, problem in problems
        ]
        sampled: list[list[Attempt]] = [[] for _ in problems]

        def parse(index: int, completions: list[Completion]) -> None:
            problem, prompt_ids = problems[index][1], requests[index].prompt_ids
            sampled[index] = [
                Attempt(problem, prompt_ids, completion, self.renderer.parse(completion.text))
                for completion in completions
            ]
            if on_sampled is not None:
                on_sampled(index, sampled[index])

        generate(self.sampler, requests, on_group=parse)
        return sampled


def collect_rollouts(
    attempts: AttemptSampler,
    rubric: Rubric,
    problems: Sequence[tuple[int, Problem]],
    budget_s: float = VERDICT_TIMEOUT_S,
    on_sampled: Callable[[int], None] | None = None,
) -> RolloutBatch:
    """Sample completions of each (index, problem), verify and reward them.

    Undecided completions are dropped from their group and counted. `on_sampled` is called with the
    number of problems whose completions are all sampled.
    """
    started = time.perf_counter()
    with GradingPool(rubric, problems) as scoring:

        def grade(index: int, sampled: list[Attempt]) -> None:
            scoring.add(index, sampled)
            if on_sampled is not None:
                on_sampled(scoring.n_added)

        attempts.sample(problems, grade)
        sample_s = time.perf_counter() - started
        batch = scoring.wait(budget_s)
    batch.sample_s = sample_s
    n_verified = sum(len(group.rollouts) for group in batch.groups)
    batch.groups = rubric.judge_groups(batch.groups)
    batch.n_undecided += n_verified - sum(len(group.rollouts) for group in batch.groups)
    return batch
