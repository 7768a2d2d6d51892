"""Judges: preference scores for completions that no verifier can decide. The torch-free interface.

A verifier returns right or wrong; a judge returns a quality from 0 to 1, or undecided.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Protocol

from r1kit.types import Attempt, Group, Problem, Reward, Rollout

PART = "preference"
"""name of a judge's score among the parts of a reward"""


def is_harmful(problem: Problem) -> bool:
    """True if the request is harmful: then the whole completion is judged, for safety."""
    return problem.meta.get("kind") == "harm"


class Judge(Protocol):
    """A scorer of completions: r1kit's own reward models, or an LLM judge on a server."""

    def scores(self, attempts: Sequence[Attempt]) -> list[float | None]:
        """Score each attempt from 0 to 1; None is undecided.

        Beyond rounding, a score does not depend on the rest of the batch.
        """
        ...


def add_judge_scores(groups: Sequence[Group], judge: Judge, weight: float) -> list[Group]:
    """Add the judge's score to the parts of every reward, and its weighted value to the total.

    Undecided rollouts are dropped, as a zero would be a verdict; a group may become empty. Raises
    ValueError for a score that is not from 0 to 1, and for a wrong number of scores.
    """
    rollouts = [rollout for group in groups for rollout in group.rollouts]
    scores = judge.scores(rollouts)
    if len(scores) != len(rollouts):
        raise ValueError(f"a judge gave {len(scores)} scores for {len(rollouts)} completions")
    remaining = iter(scores)
    return [
        dataclasses.replace(
            group,
            rollouts=[
                _with_score(rollout, score, weight)
                for rollout in group.rollouts
                if (score := next(remaining)) is not None
            ],
        )
        for group in groups
    ]


def _with_score(rollout: Rollout, score: float, weight: float) -> Rollout:
    if not 0 <= score <= 1:
        raise ValueError(f"a judge's score is from 0 to 1, not {score}")
    total = rollout.reward.total + weight * score
    return dataclasses.replace(rollout, reward=Reward(total, {**rollout.reward.parts, PART: score}))
