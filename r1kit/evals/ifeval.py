"""IFEval's four accuracies: of prompts and of instructions, strict and loose.

Source: Zhou et al. 2023 (arXiv 2311.07911), section 2.2. The paper of R1 states the strict accuracy
of prompts. Departures: every accuracy has a standard error, for which the prompts are the
independent samples (the accuracy of instructions is a ratio of sums over prompts), and instructions
that cannot be checked are left out and counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

from r1kit.evals.scores import Estimate
from r1kit.verify.instructions import InstructionReport
from r1kit.verify.instructions.check import all_followed

_Followed = Sequence[bool | None]


@dataclass(frozen=True, slots=True)
class InstructionScores:
    """The accuracies over all prompts, from 0 to 1."""

    prompt_strict: Estimate
    prompt_loose: Estimate
    instruction_strict: Estimate
    instruction_loose: Estimate
    by_kind: dict[str, float]
    """strict accuracy of the instructions of each kind, in the order of their names"""
    unchecked: dict[str, int]
    """instructions left out, by kind and reason, with the number of answers to them"""


def instruction_scores(reports: Sequence[Sequence[InstructionReport]]) -> InstructionScores:
    """Return the accuracies; `reports` has the k answers of each prompt."""
    strict = [[report.strict for report in answers] for answers in reports]
    loose = [[report.loose for report in answers] for answers in reports]
    return InstructionScores(
        _prompt_accuracy(strict),
        _prompt_accuracy(loose),
        _instruction_accuracy(strict),
        _instruction_accuracy(loose),
        _by_kind(report for answers in reports for report in answers),
        _unchecked(report for answers in reports for report in answers),
    )


def _prompt_accuracy(prompts: Iterable[Sequence[_Followed]]) -> Estimate:
    """Return the share of answers that follow all instructions; undecided answers are left out."""
    decided = [[all_followed(followed) for followed in answers] for answers in prompts]
    rates = [[float(value) for value in answers if value is not None] for answers in decided]
    return ratio([(fmean(values), 1) for values in rates if values])


def _instruction_accuracy(prompts: Iterable[Sequence[_Followed]]) -> Estimate:
    checked = [[value for row in answers for value in row if value is not None]
               for answers in prompts]  # fmt: skip
    return ratio([(sum(values), len(values)) for values in checked if values])


def ratio(clusters: Sequence[tuple[float, int]]) -> Estimate:
    """Return the ratio of two sums over independent clusters, and its linearised standard error."""
    n, total = len(clusters), sum(count for _, count in clusters)
    if not total:
        return Estimate(0.0, 0.0)
    value = sum(hits for hits, _ in clusters) / total
    squares = sum((hits - value * count) ** 2 for hits, count in clusters)
    return Estimate(value, (squares * n / (n - 1)) ** 0.5 / total if n > 1 else 0.0)


def _by_kind(reports: Iterable[InstructionReport]) -> dict[str, float]:
    followed: dict[str, list[float]] = {}
    for report in reports:
        for instruction, value in zip(report.instructions, report.strict, strict=True):
            if value is not None:
                followed.setdefault(instruction.kind, []).append(value)
    return {kind: fmean(followed[kind]) for kind in sorted(followed)}


def _unchecked(reports: Iterable[InstructionReport]) -> dict[str, int]:
    faults = (item for report in reports for item in report.instructions if item.fault)
    return dict(Counter(f"{item.kind} {item.fault}" for item in faults))
