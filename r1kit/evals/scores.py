"""Metrics of a benchmark: means over problems, and the standard errors of these means.

Problems are the independent samples, so that completions of the same problem do not count as such.
A problem without a decided completion has no value.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from r1kit.rollouts.metrics import facts
from r1kit.types import Group
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


class Estimate(NamedTuple):
    """The mean of a number over problems, and its standard error."""

    value: float
    stderr: float


def estimates(groups: Sequence[Group], ranks: Ranks, has_votes: bool) -> dict[str, Estimate]:
    """Return every metric over the problems of all ranks, by name."""
    values: dict[str, Callable[[Group], float | None]] = {"pass_at_1": pass_rate}
    if has_votes:
        values |= {"cons_at_k": vote, "cons_gain": lambda group: vote(group) - pass_rate(group)}
    values |= {name: partial(mean_fact, name=fact) for name, fact in MEASURES.items()}
    decided = [group for group in groups if group.rollouts]
    return {
        name: estimate(map(value, decided), ranks, WITHOUT_VALUES.get(name, 0.0))
        for name, value in values.items()
    }


def estimate(values: Iterable[float | None], ranks: Ranks, without_values: float = 0.0) -> Estimate:
    """Return the mean of the values of all ranks, one per problem that has one.

    If none has one, the mean is `without_values`.
    """
    values_of_all = [
        item for share in ranks.gather([*values]) for item in share if item is not None
    ]
    average = mean(values_of_all)
    return Estimate(without_values if average is None else average, stderr(values_of_all))


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


def vote(group: Group) -> float:
    """Return 1 if the majority answer of the group is correct, else 0.

    Answers are compared as text; ties go to the first one.
    """
    verdicts = [rollout.verdict for rollout in group.rollouts]
    counts = Counter(v.extracted for v in verdicts if v.extracted is not None)
    if not counts:
        return 0.0
    [(answer, _)] = counts.most_common(1)
    return float(next(bool(v.correct) for v in verdicts if v.extracted == answer))


def stderr(values: Sequence[float]) -> float:
    """Return the standard error of the mean."""
    return statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else 0.0


def mean_fact(group: Group, name: str) -> float | None:
    """Return the mean of a fact over the completions that have it.

    A completion without words has no language.
    """
    rows = map(facts, group.rollouts)
    return mean(row[name] for row in rows if name != "language" or row["with_language"])


def mean(values: Iterable[float]) -> float | None:
    listed = list(values)
    return statistics.fmean(listed) if listed else None
