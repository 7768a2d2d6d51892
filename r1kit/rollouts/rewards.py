"""Rule-based rewards from verdicts: accuracy, format, language consistency, true steps.

Source: the R1 paper, section 2.2.2 of its first version (accuracy and format, equal weight, no
neural reward) and 2.3.2 (language consistency: the share of the thinking's words that are in the
question's language, added directly). Departures: the format is that of the chat dialect, and only
R1-Zero's has `<answer>` tags (renderers/). The paper does not specify the reward of a truncated
completion; here it never gets the format reward, and accuracy only if its thinking had ended. Nor
does it specify thinking without words: here it gets the full language reward, because nothing in it
is foreign; a completion without thinking gets none. True steps are for comparison: the paper
rewards outcomes alone (section 4.2).
"""

from __future__ import annotations

from collections.abc import Mapping

from r1kit.renderers.thinking import is_well_formed, without_tags
from r1kit.types import Attempt, Reward, Verdict
from r1kit.verify.language import language_share
from r1kit.verify.steps import true_steps

PARTS = ("accuracy", "format", "language", "process", "preference")
"""parts that have a weight; "preference" is a judge's score, and "length" is a penalty"""


def reward(attempt: Attempt, verdict: Verdict, weights: Mapping[str, float]) -> Reward:
    """Score an attempt: each part is from 0 to 1 and unweighted; the total is weighted.

    If the problem needs no thinking, an answer alone is also well formed, and the language reward
    then scores the answer. A part without a weight is logged and does not count. Raises ValueError
    for an undecided verdict (drop the rollout instead), for an unknown language and for the weight
    of an unknown part.
    """
    if verdict.correct is None:
        raise ValueError("an undecided verdict has no reward; drop the rollout")
    if unknown := sorted(set(weights) - set(PARTS)):
        raise ValueError(f"no such part of the reward: {', '.join(unknown)}")
    problem, parsed = attempt.problem, attempt.parsed
    is_plain = parsed.thinking is None and not problem.needs_thinking
    well_formed = is_well_formed(parsed, problem.needs_thinking)
    parts = {
        "accuracy": float(verdict.correct and parsed.answer is not None),
        "format": float(attempt.completion.finish == "stop" and well_formed),
        "language": consistency(parsed.answer if is_plain else parsed.thinking, problem.language),
        "process": true_steps(parsed.thinking or "") or 0.0,
    }
    return Reward(sum(weights.get(name, 0.0) * value for name, value in parts.items()), parts)


def consistency(text: str | None, language: str) -> float:
    """Return the share of words in `language`: 1 if there are no words, 0 for None or "".

    Stray thinking tags are replaced with spaces; the words around them count like all others.
    """
    share = language_share(without_tags(text or ""), language)
    return float(bool(text)) if share is None else share


def overlong_penalty(n_tokens: int, max_tokens: int, buffer: int) -> float:
    """Return the penalty: 0 up to `max_tokens - buffer`, then linear to -1 at `max_tokens`.

    `buffer=0` turns it off.
    """
    if buffer == 0:
        return 0.0
    n_over = n_tokens - (max_tokens - buffer)
    return -min(max(n_over / buffer, 0.0), 1.0)
