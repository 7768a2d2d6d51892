"""Statistics of a benchmark: its problems are the independent samples."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Sequence

from r1kit.rollouts.metrics import facts
from r1kit.types import Group


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
    found = map(facts, group.rollouts)
    return mean(row[name] for row in found if name != "language" or row["with_language"])


def mean(values: Iterable[float]) -> float | None:
    listed = list(values)
    return statistics.fmean(listed) if listed else None
