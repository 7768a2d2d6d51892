"""From a verdict to a reward: accuracy, format, language consistency, true steps; rules alone.

Source: the R1 paper, section 2.2.2 of its first version (accuracy and format, equal weight, no
neural reward) and 2.3.2 (language consistency: the share of the thinking's words that are in the
question's language, added directly). Departures: no `<answer>` tags, the answer is what follows the
thinking. The paper does not say what a cut completion gets; here it never gets the format reward,
and accuracy only if its thinking had ended. Nor does it say what thinking without words gets: here
the whole of the language reward, for nothing in it is foreign; without thinking there is none. True
steps are there for comparison: the paper rewards outcomes alone (its section 4.2).
"""

from __future__ import annotations

from collections.abc import Mapping

from r1kit import template
from r1kit.types import Completion, Reward, Verdict
from r1kit.verify.language import language_share
from r1kit.verify.steps import true_steps

PARTS = ("accuracy", "format", "language", "process", "preference")
"""the last one comes from a judge, afterwards (judges/)"""


def reward(
    completion: Completion,
    verdict: Verdict,
    language: str,
    weights: Mapping[str, float],
    prefilled: bool = False,
    needs_thinking: bool = True,
) -> Reward:
    """Score a completion: each part is from 0 to 1 and stays unweighted; the total is weighted.

    `language` is the question's; `prefilled` says that the prompt already ended in `<think>`;
    without `needs_thinking` an answer alone is as well formed, and its language counts then. A
    part without a weight is logged and does not count. Raises ValueError for an undecided verdict
    (drop the rollout instead), for an unknown language and for the weight of an unknown part.
    """
    if verdict.correct is None:
        raise ValueError("an undecided verdict has no reward; drop the rollout")
    if unknown := sorted(set(weights) - set(PARTS)):
        raise ValueError(f"no such part of the reward: {', '.join(unknown)}")
    parsed = template.parse(completion.text, prefilled)
    is_plain = parsed.thinking is None and not needs_thinking
    parts = {
        "accuracy": float(verdict.correct and parsed.answer is not None),
        "format": float(completion.finish == "stop" and parsed.fits(needs_thinking)),
        "language": consistency(parsed.answer if is_plain else parsed.thinking, language),
        "process": true_steps(parsed.thinking or "") or 0.0,
    }
    return Reward(sum(weights.get(name, 0.0) * value for name, value in parts.items()), parts)


def consistency(text: str | None, language: str) -> float:
    """Share of the words of the thinking in `language`: 1 if it has no words, 0 without thinking.

    Words inside thinking tags that do not belong there count like all others.
    """
    share = language_share(template.without_tags(text or ""), language)
    return float(bool(text)) if share is None else share
