"""The numbers of a benchmark: pass@1, pass@k, cons@k, tokens and counts, with standard errors.

Problems are the independent samples, so that completions of the same problem do not count as such.
Undecided completions and those that failed count in no score, only in their columns.

Sources: pass@k without bias: Chen et al. 2021, equation 1. Standard errors clustered by problem and
paired comparisons: Miller 2024, "Adding error bars to evals". cons@k: the R1 paper, section 3;
departure: tied majorities share the vote.
"""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from r1kit.types import Verdict

COUNTS = (
    "right", "wrong", "no_answer", "truncated", "context_truncated", "undecided", "grader_failed",
    "judge_failed", "refused", "timeout", "failed", "context",
)  # fmt: skip
"""columns of a benchmark. A truncated completion is also right, wrong or without answer; the last
five have no verdict and no part in a score"""


class Estimate(NamedTuple):
    """The mean of a number over problems, and its standard error."""

    value: float
    stderr: float


@dataclass(frozen=True, slots=True)
class GradedSample:
    """A completion with its verdict, without its text."""

    correct: bool | None
    extracted: str | None
    n_tokens: int | None
    is_truncated: bool
    is_context_short: bool = False
    """True if the limit was lower than the protocol's, for want of context"""
    language: float | None = None
    """share of its words in the question's language"""
    grader_failed: bool = False
    details: Mapping[str, Any] = field(default_factory=dict)
    """what the grader knows besides, such as the score of a comparison (graders.DetailedVerdict)"""

    @property
    def score(self) -> float:
        """1 for a correct completion, 0 for another one, or a comparison's score in between."""
        return float(self.details.get("score", bool(self.correct)))


@dataclass(frozen=True)
class GradedProblem:
    """The completions of a problem."""

    id: str
    hash: str
    subject: str = ""
    samples: Sequence[GradedSample] = ()
    failures: Mapping[str, int] = field(default_factory=dict)
    """number of completions that failed, by kind"""

    @property
    def decided(self) -> list[GradedSample]:
        return [sample for sample in self.samples if sample.correct is not None]

    @property
    def rate(self) -> float | None:
        """The share of correct completions, or mean score; None if none is decided."""
        return mean(sample.score for sample in self.decided)


def pass_at_k(n: int, n_correct: int, k: int) -> float:
    """Return the probability that one of k completions, drawn from n, is correct; k <= n."""
    return 1.0 - math.comb(n - n_correct, k) / math.comb(n, k)


def vote(samples: Sequence[GradedSample | Verdict]) -> float:
    """Return the share of the largest groups of equal answers that is correct: 1, 0, or a tie.

    All correct answers are one group, however they are written.
    """
    groups = Counter(
        (True, "") if sample.correct else (False, _plain(sample.extracted))
        for sample in samples
        if sample.extracted is not None
    )
    if not groups:
        return 0.0
    most = max(groups.values())
    winners = [is_correct for (is_correct, _), n in groups.items() if n == most]
    return sum(winners) / len(winners)


def mean(values: Iterable[float]) -> float | None:
    """Return the mean; None without any value."""
    listed = list(values)
    return statistics.fmean(listed) if listed else None


def stderr(values: Sequence[float]) -> float:
    """Return the standard error of the mean."""
    return statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else 0.0


def ratio(clusters: Sequence[tuple[float, float]]) -> Estimate | None:
    """Return the ratio of two sums over independent clusters, and its linearised standard error.

    None if the second sum is 0.
    """
    n, total = len(clusters), sum(count for _, count in clusters)
    if not total:
        return None
    value = sum(hits for hits, _ in clusters) / total
    squares = sum((hits - value * count) ** 2 for hits, count in clusters)
    return Estimate(value, (squares * n / (n - 1)) ** 0.5 / total if n > 1 else 0.0)


def estimate(values: Iterable[float | None]) -> Estimate | None:
    """Return the mean of the values and its standard error; None without any value."""
    listed = [value for value in values if value is not None]
    average = mean(listed)
    return None if average is None else Estimate(average, stderr(listed))


def resampling_stderr(problems: Sequence[GradedProblem]) -> float | None:
    """Return the standard error of pass@1 over seeds, for these very problems.

    It needs at least two completions of every problem.
    """
    variances = []
    for problem in problems:
        outcomes = [float(bool(sample.correct)) for sample in problem.decided]
        if len(outcomes) > 1:
            variances.append(statistics.variance(outcomes) / len(outcomes))
        elif outcomes:
            return None
    return math.sqrt(sum(variances)) / len(variances) if variances else None


def scores(problems: Sequence[GradedProblem], k: int, has_votes: bool) -> dict[str, Estimate]:
    """Return the scores by name: pass@1, pass@2, pass@4, ... and cons@k."""
    values: dict[str, Estimate | None] = {"pass@1": estimate(p.rate for p in problems)}
    for size in sizes_up_to(k)[1:]:
        values[f"pass@{size}"] = estimate(
            pass_at_k(len(decided), sum(bool(s.correct) for s in decided), size)
            for problem in problems
            if len(decided := problem.decided) >= size
        )
    if has_votes and k > 1:
        values[f"cons@{k}"] = estimate(vote(p.decided) for p in problems if p.decided)
    return {name: value for name, value in values.items() if value is not None}


def sizes_up_to(k: int) -> list[int]:
    """Return 1, 2, 4, ... below k, and k."""
    sizes = [1 << power for power in range(k.bit_length()) if 1 << power < k]
    return [*sizes, k]


def facts_of(problems: Sequence[GradedProblem]) -> dict[str, Estimate]:
    """Return means over problems: tokens, of right and of wrong completions too, and language."""
    tokens: dict[str, Callable[[GradedSample], bool]] = {
        "mean_tokens": lambda sample: True,
        "mean_tokens_right": lambda sample: sample.correct is True,
        "mean_tokens_wrong": lambda sample: sample.correct is False,
    }
    values = {
        name: estimate(_mean(s.n_tokens for s in p.samples if is_meant(s)) for p in problems)
        for name, is_meant in tokens.items()
    }
    values["language_consistency"] = estimate(
        _mean(sample.language for sample in problem.samples) for problem in problems
    )
    return {name: value for name, value in values.items() if value is not None}


def counts_of(problems: Sequence[GradedProblem]) -> dict[str, int]:
    """Return the number of completions in every column."""
    counts: Counter[str] = Counter()
    for problem in problems:
        counts.update(problem.failures)
        for sample in problem.samples:
            counts["truncated"] += sample.is_truncated
            counts["context_truncated"] += sample.is_truncated and sample.is_context_short
            counts["grader_failed"] += sample.grader_failed
            counts["judge_failed"] += "judge_failed" in sample.details
            counts[_outcome(sample)] += 1
    return {name: counts[name] for name in COUNTS}


def by_subject(problems: Sequence[GradedProblem]) -> dict[str, dict[str, float]]:
    """Return pass@1 of every subject with its error and number of problems; {} if all have one."""
    groups: dict[str, list[float]] = {}
    for problem in problems:
        if problem.rate is not None:
            groups.setdefault(problem.subject, []).append(problem.rate)
    if len(groups) < 2:
        return {}
    return {
        subject: {"pass@1": statistics.fmean(x), "stderr": stderr(x), "n_problems": len(x)}
        for subject, x in sorted(groups.items())
    }


def budget_curve(problems: Sequence[GradedProblem]) -> list[tuple[int, float]]:
    """Return (tokens, share right within them) for doubling numbers of tokens.

    Longer completions count as wrong: no answer is forced at the limit.
    """
    longest = max((s.n_tokens or 0 for p in problems for s in p.samples), default=0)
    if not longest:
        return []
    sizes = [1 << power for power in range(5, (longest - 1).bit_length() + 1)] or [longest]
    curve = []
    for size in sizes:
        shares = [
            _mean(bool(s.correct) and (s.n_tokens or 0) <= size for s in problem.decided)
            for problem in problems
        ]
        if (value := estimate(shares)) is not None:
            curve.append((size, value.value))
    return curve


def length_histogram(problems: Sequence[GradedProblem]) -> list[tuple[int, int, int]]:
    """Return (upper end in tokens, number right, number wrong) of bins that double in width."""
    bins: dict[int, list[int]] = {}
    for sample in (s for p in problems for s in p.decided):
        if sample.n_tokens:
            end = 1 << max(4, (sample.n_tokens - 1).bit_length())
            bins.setdefault(end, [0, 0])[0 if sample.correct else 1] += 1
    return [(end, right, wrong) for end, (right, wrong) in sorted(bins.items())]


def as_json(estimates: Mapping[str, Estimate]) -> dict[str, Any]:
    """Return estimates as JSON objects by name."""
    return {name: {"value": e.value, "stderr": e.stderr} for name, e in estimates.items()}


def _outcome(sample: GradedSample) -> str:
    if sample.correct is None:
        return "undecided"
    if sample.correct:
        return "right"
    return "no_answer" if sample.extracted is None else "wrong"


def _plain(text: str | None) -> str:
    return " ".join((text or "").split()).casefold()


def _mean(values: Iterable[float | None]) -> float | None:
    return mean(value for value in values if value is not None)
