"""A benchmark, and the results of a sampler on it: pass@1, cons@k and their standard errors.

Source: R1 paper, section 3: k samples per problem at temperature 0.6 and top-p 0.95, their mean as
pass@1, their majority as cons@k. The statistics are those of scores.py. A problem without a decided
completion has no value.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from r1kit.engines.base import Sampler
from r1kit.evals.scores import Estimate, estimate, mean, vote
from r1kit.renderers.base import Renderer
from r1kit.rollouts.collect import AttemptSampler, RolloutBatch, collect_rollouts
from r1kit.rollouts.metrics import facts
from r1kit.rollouts.rubric import Rubric, VerifyFunction
from r1kit.types import Group, Problem, SamplingParams
from r1kit.verify.language import WITHOUT_WORDS

if TYPE_CHECKING:
    from r1kit.model.ranks import Ranks


MEASURES = {
    "mean_tokens": "tokens",
    "mean_reflections": "reflections",
    "language_consistency": "language",
    "well_formed": "rewards/format",
    "truncated": "clipped",
}
"""metric → the fact about a completion (rollouts/metrics.py) of which it is the mean"""
WITHOUT_VALUES = {"language_consistency": WITHOUT_WORDS}
"""metric → its value if no problem has one; all others are 0"""


@dataclass(frozen=True)
class Benchmark:
    """Problems with their verifier, and how each is sampled.

    `Benchmark("reasoning", tasks.distinct(400), tasks.verify, SamplingParams(256, 0.6, 0.95), 4)`
    """

    name: str
    """key of its results in results.json"""
    problems: Sequence[Problem]
    verify: VerifyFunction
    sampling: SamplingParams
    n_completions: int = 1
    """k, completions per problem"""
    has_votes: bool = True
    """False if answers cannot be compared as text, so that there is no majority"""


@dataclass(frozen=True)
class BenchmarkResult:
    """The results of a model on a benchmark, over the problems of all ranks."""

    estimates: dict[str, Estimate]
    """metric → mean over problems"""
    by_task: dict[str, float]
    """task → pass@1"""
    n_problems: int
    """number of problems with a decided completion"""
    n_completions: int

    def as_record(self) -> dict[str, Any]:
        """Return the results as an entry of results.json (runs/schemas.py)."""
        values = {name: estimate.value for name, estimate in self.estimates.items()}
        errors = {name: estimate.stderr for name, estimate in self.estimates.items()}
        return {
            "pass_at_1": values.pop("pass_at_1"),
            "stderr": errors.pop("pass_at_1"),
            **values,
            "errors": errors,
            "n_problems": self.n_problems,
            "n_completions": self.n_completions,
            "by_task": self.by_task,
        }


def sample_benchmark(
    sampler: Sampler,
    renderer: Renderer,
    benchmark: Benchmark,
    ranks: Ranks,
    seed: int,
    on_sampled: Callable[[int], None] | None = None,
) -> RolloutBatch:
    """Sample and verify this rank's share of the problems.

    `on_sampled` is called with the number of its problems whose completions are all sampled.
    """
    attempts = AttemptSampler(sampler, renderer, benchmark.n_completions, benchmark.sampling, seed)
    problems = ranks.share(list(enumerate(benchmark.problems)))
    return collect_rollouts(attempts, Rubric(benchmark.verify, {}), problems, on_sampled=on_sampled)


def summarize(benchmark: Benchmark, groups: Sequence[Group], ranks: Ranks) -> BenchmarkResult:
    """Compute the results from the groups of all ranks; call it on every rank with its groups."""
    return BenchmarkResult(
        estimates(groups, ranks, benchmark.has_votes),
        by_task(groups, ranks),
        sum(ranks.gather(sum(bool(group.rollouts) for group in groups))),
        benchmark.n_completions,
    )


def estimates(groups: Sequence[Group], ranks: Ranks, has_votes: bool) -> dict[str, Estimate]:
    """Return every metric over the problems of all ranks, by name."""
    values: dict[str, Callable[[Group], float | None]] = {"pass_at_1": pass_rate}
    if has_votes:
        values |= {
            "cons_at_k": majority,
            "cons_gain": lambda group: majority(group) - pass_rate(group),
        }
    values |= {name: partial(mean_fact, name=fact) for name, fact in MEASURES.items()}
    decided = [group for group in groups if group.rollouts]
    return {
        name: mean_over_ranks(map(value, decided), ranks, WITHOUT_VALUES.get(name, 0.0))
        for name, value in values.items()
    }


def mean_over_ranks(
    values: Iterable[float | None], ranks: Ranks, without_values: float = 0.0
) -> Estimate:
    """Return the mean of the values of all ranks, one per problem that has one.

    If none has one, the mean is `without_values`.
    """
    shares = ranks.gather([*values])
    result = estimate(value for share in shares for value in share)
    return Estimate(without_values, 0.0) if result is None else result


def by_task(groups: Sequence[Group], ranks: Ranks) -> dict[str, float]:
    """Return pass@1 over the problems of each task, in the order of their names."""
    shares = ranks.gather(
        [(group.problem.task, pass_rate(group)) for group in groups if group.rollouts]
    )
    rates: dict[str, list[float]] = {}
    for task, rate in sorted(item for share in shares for item in share):
        rates.setdefault(task, []).append(rate)
    return {task: statistics.fmean(values) for task, values in rates.items()}


def pass_rate(group: Group) -> float:
    """Return the share of correct completions."""
    return statistics.fmean(bool(rollout.verdict.correct) for rollout in group.rollouts)


def majority(group: Group) -> float:
    """Return the vote of a group: 1 if its majority answer is correct, 0 if not, or a tie."""
    return vote([rollout.verdict for rollout in group.rollouts])


def mean_fact(group: Group, name: str) -> float | None:
    """Return the mean of a fact over the completions that have it.

    A completion without words has no language.
    """
    rows = map(facts, group.rollouts)
    return mean(row[name] for row in rows if name != "language" or row["with_language"])
