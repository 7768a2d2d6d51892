"""Numbers for the claims, read from a run folder, each with its error within the run."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from math import hypot
from typing import NamedTuple

from r1kit.runs.run_reader import RunContents


class Reading(NamedTuple):
    """A number of one run and its standard error within that run."""

    value: float
    stderr: float

    def __sub__(self, other: Reading) -> Reading:
        return Reading(self.value - other.value, hypot(self.stderr, other.stderr))

    def times(self, factor: float) -> Reading:
        return Reading(factor * self.value, abs(factor) * self.stderr)

    def over(self, other: Reading) -> Reading:
        """Return the ratio, with its error to first order."""
        if not other.value:
            raise MissingError
        ratio = self.value / other.value
        return Reading(ratio, hypot(self.stderr, ratio * other.stderr) / abs(other.value))


class MissingError(Exception):
    """The run has not measured the number of a claim."""


def measured(stage: str, key: str) -> Callable[[RunContents], Reading]:
    """Return a function that reads a stage's number, `benchmark.metric`, with its error."""
    benchmark, metric = key.split(".")

    def read(run: RunContents) -> Reading:
        result = run.results["stages"][stage]["evals"][benchmark]
        error = result["stderr"] if metric == "pass_at_1" else result["errors"][metric]
        return Reading(result[metric], error)

    return read


def ratio(key: str, of: str, to: str) -> Callable[[RunContents], Reading]:
    return lambda run: measured(of, key)(run).over(measured(to, key)(run))


def points(key: str, stage: str, other: str) -> Callable[[RunContents], Reading]:
    """Return a function for the lead of one stage over another, in percentage points."""
    return lambda run: (measured(stage, key)(run) - measured(other, key)(run)).times(100)


def one_language(stage: str, other: str) -> Callable[[RunContents], Reading]:
    """Return the lead of one stage over another in words of the question's language, in points.

    A recipe in one language says nothing about it: MissingError.
    """

    def read(run: RunContents) -> Reading:
        if len(run.recipe.get("languages", ())) == 1:
            raise MissingError
        return points("reasoning.language_consistency", stage, other)(run)

    return read


def liked(stage: str, other: str) -> Callable[[RunContents], Reading]:
    """Return a function for a stage's lead in reward-model score on general prompts, in points."""

    def read(run: RunContents) -> Reading:
        scores = run.results["preference_eval"]["scores"]
        above, below = (Reading(**scores[name]) for name in (stage, other))
        return (above - below).times(100)

    return read


def twins(run: RunContents) -> Reading:
    """Return the mean lead of students over RL-only twins that had at least as much compute."""
    stages = run.results["stages"]
    leads = [
        points("reasoning.pass_at_1", name, f"{name}/zero")(run)
        for name in stages
        if f"{name}/zero" in stages
        and stages[f"{name}/zero"]["compute"]["flops"] >= stages[name]["compute"]["flops"]
    ]
    if not leads:
        raise MissingError
    return Reading(
        statistics.fmean(lead.value for lead in leads),
        hypot(*(lead.stderr for lead in leads)) / len(leads),
    )


def by_size(run: RunContents) -> Reading:
    """Return the lead of the largest student over the smallest, in percentage points."""
    stages = run.results["stages"]
    names = [name for name in stages if name.startswith("distill/") and name.count("/") == 1]
    if len(names) < 2:
        raise MissingError
    sizes = sorted(names, key=lambda name: stages[name]["n_parameters"])
    return points("reasoning.pass_at_1", sizes[-1], sizes[0])(run)


def truth_and_reward(run: RunContents, stage: str, reward: str) -> list[tuple[int, float, float]]:
    """Return (step, accuracy, reward) of an ablation on general prompts."""
    return [
        (row["step"], row["accuracy/general"], row[reward])
        for row in run.metrics
        if row["stage"] == stage and "accuracy/general" in row and reward in row
    ]


def hacked(run: RunContents) -> Reading:
    """Return the points of accuracy lost to the reward models; 0 if their score did not rise."""
    loss = points("general.pass_at_1", "rejection", "ablation/judged")(run)
    gain = liked("ablation/judged", "rejection")(run)
    return loss if gain.value > 0 else Reading(0.0, loss.stderr)
