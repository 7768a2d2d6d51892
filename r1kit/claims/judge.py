"""A claim as a number and a threshold, and the rule by which runs decide it."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import hypot
from typing import Literal

from r1kit.claims.reading import Reading
from r1kit.runs.run_reader import Evidence

MIN_SEEDS = 3
"""from which on seeds say how much they differ"""
N_ERRORS = 2.0
"""standard errors between a number and its threshold that decide"""


@dataclass(frozen=True)
class Claim:
    """Something the paper reports, as a number that ought to be above a threshold."""

    id: str
    claim: str
    section: str
    paper: str
    """its numbers"""
    rule: str
    """what is counted here, and when it holds"""
    unit: str
    threshold: float
    read: Callable[[Evidence], Reading]
    """Raises MissingError, or KeyError."""


@dataclass(frozen=True)
class ClaimResult:
    """A claim with what runs say about it."""

    id: str
    claim: str
    section: str
    paper: str
    rule: str
    unit: str
    threshold: float
    value: float
    stderr: float
    per_seed: list[float]
    holds: bool | Literal["undecided"]


def judge(claim: Claim, readings: Sequence[Reading]) -> ClaimResult:
    """Whether a claim holds over the readings of one or more seeds."""
    values = [reading.value for reading in readings]
    found = combine(readings)
    lead = found.value - claim.threshold
    is_decided = abs(lead) > N_ERRORS * found.stderr
    told = {key: item for key, item in vars(claim).items() if key != "read"}
    return ClaimResult(
        **told,
        value=found.value,
        stderr=found.stderr,
        per_seed=values,
        holds=lead > 0 if is_decided else "undecided",
    )


def combine(readings: Sequence[Reading]) -> Reading:
    """The mean over seeds, with the larger error of the one between them and the one within."""
    mean = statistics.fmean(reading.value for reading in readings)
    within = hypot(*(reading.stderr for reading in readings)) / len(readings)
    if len(readings) < MIN_SEEDS:
        return Reading(mean, within)
    between = statistics.stdev(reading.value for reading in readings) / len(readings) ** 0.5
    return Reading(mean, float(max(within, between)))
