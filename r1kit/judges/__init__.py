"""WHICH ANSWER IS BETTER? Scores for what no verifier can decide; the contract, without torch.

A verifier says right or wrong; a judge says how good, from 0 to 1, or that it cannot tell.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Protocol

from r1kit.types import Group, Problem, Reward, Rollout

PART = "preference"
"""The name of a judge's score among the parts of a reward."""


def is_harmful(problem: Problem) -> bool:
    """Whether something harmful is asked: then the whole completion is judged, for safety."""
    return problem.meta.get("kind") == "harm"


class Judge(Protocol):
    """Who scores completions: a reward model trained here, or a language model that is asked."""

    def scores(self, problems: Sequence[Problem], texts: Sequence[str]) -> list[float | None]:
        """From 0 to 1 for each completion text, thinking tags included; None is undecided.

        `problems[i]` is what `texts[i]` answers. A score does not depend on its neighbours beyond
        rounding.
        """
        ...


def preferred(groups: Sequence[Group], judge: Judge, weight: float) -> list[Group]:
    """The groups with the judge's score as a part of every reward; the total grows by the weighted.

    Rollouts the judge cannot decide are dropped: a zero would be a verdict. A group may be left
    without any. Raises ValueError for a score that is not from 0 to 1, and for too many or too few.
    """
    rollouts = [rollout for group in groups for rollout in group.rollouts]
    scores = judge.scores(
        [rollout.problem for rollout in rollouts],
        [rollout.completion.text for rollout in rollouts],
    )
    if len(scores) != len(rollouts):
        raise ValueError(f"a judge gave {len(scores)} scores for {len(rollouts)} completions")
    left = iter(scores)
    return [
        dataclasses.replace(
            group,
            rollouts=[
                _rewarded(rollout, score, weight)
                for rollout in group.rollouts
                if (score := next(left)) is not None
            ],
        )
        for group in groups
    ]


def _rewarded(rollout: Rollout, score: float, weight: float) -> Rollout:
    if not 0 <= score <= 1:
        raise ValueError(f"a judge's score is from 0 to 1, not {score}")
    total = rollout.reward.total + weight * score
    return dataclasses.replace(rollout, reward=Reward(total, {**rollout.reward.parts, PART: score}))
