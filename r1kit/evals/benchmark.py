"""A benchmark, and the results of a sampler on it: pass@1, cons@k and their standard errors.

Source: R1 paper, section 3: k samples per problem at temperature 0.6 and top-p 0.95, their mean as
pass@1, their majority as cons@k. Standard errors are those of the mean over problems, so that
samples of the same problem do not count as independent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from r1kit.engines.base import Sampler
from r1kit.evals.scores import Estimate, by_task, estimates
from r1kit.renderers.base import Renderer
from r1kit.rollouts.collect import AttemptSampler, RolloutBatch, collect_rollouts
from r1kit.rollouts.rubric import Rubric, VerifyFunction
from r1kit.types import Group, Problem, SamplingParams

if TYPE_CHECKING:
    from r1kit.model.ranks import Ranks


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
