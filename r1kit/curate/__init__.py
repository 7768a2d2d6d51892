"""Curation: filter rollouts into conversations for SFT, and report what each filter removed.

This package writes no files: the rows go to `files.atomic.replace_lines`. The order of the filters
and their thresholds are explained in docs/curation.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from r1kit.config import FilterRules
from r1kit.curate.candidate import (
    Provenance,
    TrainingRow,
    candidates_of,
    conversation,
    messages_of,
    training_row,
)
from r1kit.curate.contamination import BenchmarkQuestions, uncontaminated
from r1kit.curate.conversations import read_conversations
from r1kit.curate.duplicates import exact_copies, near_copies
from r1kit.curate.filter_pipeline import Filter, FilterReport, run
from r1kit.curate.filters import (
    consistent,
    correct,
    difficult,
    finished,
    of_each,
    readable,
    shortest,
)
from r1kit.errors import CurationError
from r1kit.types import Group

__all__ = [
    "BenchmarkQuestions",
    "CurationResult",
    "FilterReport",
    "FilterRules",
    "Provenance",
    "TrainingRow",
    "conversation",
    "curate",
    "messages_of",
    "read_conversations",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class CurationResult:
    """Curated conversations, and the report of the filters."""

    rows: list[TrainingRow]
    report: FilterReport


def curate(
    groups: Sequence[Group],
    origin: Provenance,
    rules: FilterRules | None = None,
    benchmarks: Sequence[BenchmarkQuestions] = (),
) -> CurationResult:
    """Filter rollouts into training conversations, in the order of the rollouts.

    Raises CurationError if none is left.
    """
    filters = funnel(rules or FilterRules(), benchmarks)
    candidates, report = run(candidates_of(groups), filters)
    if not candidates:
        raise CurationError(report.explain_empty())
    names = [step.name for step in filters]
    return CurationResult(
        [training_row(candidate, origin, names) for candidate in candidates], report
    )


def funnel(rules: FilterRules, benchmarks: Sequence[BenchmarkQuestions]) -> list[Filter]:
    """Return the filters in order: those on single candidates first, then those on all of them."""
    low, high = rules.lowest_pass_rate, rules.highest_pass_rate
    return [
        of_each("correct", correct),
        of_each("finished", finished),
        of_each("readable", readable),
        of_each("language", lambda candidate: consistent(candidate, rules.language)),
        of_each("pass rate", lambda candidate: difficult(candidate, low, high)),
        Filter(
            "benchmarks",
            lambda candidates: uncontaminated(candidates, benchmarks, rules.contamination),
        ),
        Filter("copies", exact_copies),
        Filter("near copies", lambda candidates: near_copies(candidates, rules.similarity)),
        Filter("per problem", lambda candidates: shortest(candidates, rules.per_problem)),
    ]
