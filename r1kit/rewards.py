"""From a verdict to a reward: accuracy and format, rules alone.

Source: the R1 paper, section 2.2.2 of its first version (accuracy and format, equal weight, no
neural reward). Departures: no `<answer>` tags, the answer is what follows the thinking. The paper
does not say what a cut completion gets; here it never gets the format reward, and accuracy only
if its thinking had ended.
"""

from __future__ import annotations

from collections.abc import Mapping

from r1kit import template
from r1kit.types import Completion, Reward, Verdict

PARTS = ("accuracy", "format")


def reward(
    completion: Completion,
    verdict: Verdict,
    weights: Mapping[str, float],
    prefilled: bool = False,
) -> Reward:
    """Score a completion: each part is 0 or 1 and stays unweighted; the total is weighted.

    `prefilled` says that the prompt already ended in `<think>`. A part without a weight is logged
    and does not count. Raises ValueError for an undecided verdict (drop the rollout instead) and
    for the weight of an unknown part.
    """
    if verdict.correct is None:
        raise ValueError("an undecided verdict has no reward; drop the rollout")
    if unknown := sorted(set(weights) - set(PARTS)):
        raise ValueError(f"no such part of the reward: {', '.join(unknown)}")
    parsed = template.parse(completion.text, prefilled)
    parts = {
        "accuracy": float(verdict.correct and parsed.answer is not None),
        "format": float(completion.finish == "stop" and parsed.well_formed),
    }
    return Reward(sum(weights.get(name, 0.0) * value for name, value in parts.items()), parts)
