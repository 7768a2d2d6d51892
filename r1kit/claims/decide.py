"""A claim as a number and a threshold, and the rule that decides it."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import hypot
from typing import Literal

from r1kit.claims.reading import Reading
from r1kit.runs.run_reader import RunContents

MIN_SEEDS = 3
"""minimum number of seeds for an error between seeds"""
N_ERRORS = 2.0
"""distance of a number from its threshold that decides a claim, standard errors"""


@dataclass(frozen=True)
class Claim:
    """A claim of the paper: a number that should be above a threshold."""

    id: str
    claim: str
    section: str
    paper: str
    """the numbers given in the paper"""
    rule: str
    """the quantity measured here, and the condition for the claim to hold"""
    unit: str
    threshold: float
    read: Callable[[RunContents], Reading]
    """reads the number from a run; raises MissingError or KeyError if it was not measured"""


@dataclass(frozen=True)
class ClaimResult:
    """A claim's number over the runs, and whether the claim holds."""

    value: float
    stderr: float
    per_seed: list[float]
    holds: bool | Literal["undecided"]


def judge(claim: Claim, readings: Sequence[Reading]) -> ClaimResult:
    """Decide whether a claim holds over the readings of one or more seeds."""
    overall = combine(readings)
    lead = overall.value - claim.threshold
    is_decided = abs(lead) > N_ERRORS * overall.stderr
    return ClaimResult(
        value=overall.value,
        stderr=overall.stderr,
        per_seed=[reading.value for reading in readings],
        holds=lead > 0 if is_decided else "undecided",
    )


def combine(readings: Sequence[Reading]) -> Reading:
    """Return the mean over seeds, with the larger of the errors between and within seeds."""
    mean = statistics.fmean(reading.value for reading in readings)
    within = hypot(*(reading.stderr for reading in readings)) / len(readings)
    if len(readings) < MIN_SEEDS:
        return Reading(mean, within)
    between = statistics.stdev(reading.value for reading in readings) / len(readings) ** 0.5
    return Reading(mean, float(max(within, between)))
