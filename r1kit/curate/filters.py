"""Filters on candidates: correct, finished, readable, in one language, of the right difficulty.

Source: rejection sampling of the R1 paper (section 2.3.3 of its first version): correct samples
only, no mixed languages, no chaos. Departures: candidates must have ended by themselves; pass rates
and the number kept per problem are bounded, which the paper does not mention.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence

from r1kit.curate.candidate import Candidate
from r1kit.curate.filter_pipeline import Filter, Rejection
from r1kit.curate.readable import unreadable, untidy
from r1kit.renderers.thinking import is_well_formed
from r1kit.types import Completion
from r1kit.verify.language import language_share


def of_each(name: str, look: Callable[[Candidate], Rejection | None]) -> Filter:
    """Return a filter that checks one candidate at a time."""
    return Filter(name, lambda candidates: [look(candidate) for candidate in candidates])


def correct(candidate: Candidate) -> Rejection | None:
    """Require a correct verdict."""
    if candidate.rollout.verdict.correct is True:
        return None
    return Rejection(candidate.rollout.verdict.outcome, candidate.rollout.verdict.why)


def finished(candidate: Candidate) -> Rejection | None:
    """Require a complete answer: closed thinking, then an answer, neither of them blank.

    If the problem needs no thinking, an answer alone passes.
    """
    if candidate.rollout.completion.finish != "stop":
        return Rejection("cut" if candidate.rollout.completion.finish == "length" else "aborted")
    if is_well_formed(candidate.parsed, candidate.rollout.problem.needs_thinking):
        return None
    if candidate.parsed.thinking is None:
        return Rejection("no thinking")
    return Rejection("thinking never closed" if candidate.parsed.answer is None else "malformed")


def readable(candidate: Candidate) -> Rejection | None:
    """Require no loops, no broken characters, and thinking in prose (readable.py)."""
    thinking, answer = candidate.parsed.thinking or "", candidate.parsed.answer or ""
    fault = unreadable(thinking) or unreadable(answer) or untidy(thinking)
    return Rejection(*fault) if fault else None


def consistent(candidate: Candidate, at_least: float) -> Rejection | None:
    """Require thinking and answer in the question's language; parts without words pass."""
    language = candidate.rollout.problem.language
    for part, text in (
        ("thinking", candidate.parsed.thinking),
        ("answer", candidate.parsed.answer),
    ):
        share = language_share(text or "", language)
        if share is not None and share < at_least:
            return Rejection(f"mixed {part}", f"{share:.0%} {language}")
    return None


def difficult(candidate: Candidate, low: float, high: float) -> Rejection | None:
    """Require a pass rate of its group from `low` to `high`, both included."""
    if low <= candidate.pass_rate <= high:
        return None
    return Rejection(
        "too hard" if candidate.pass_rate < low else "too easy", f"{candidate.pass_rate:.0%}"
    )


def shortest(candidates: Sequence[Candidate], n: int) -> list[Rejection | None]:
    """Keep the `n` candidates of each problem with the fewest tokens; ties go to the earlier one.

    If token counts are unknown, as for remote models, characters count.
    """
    indices: dict[str, list[int]] = defaultdict(list)
    for index, candidate in enumerate(candidates):
        indices[candidate.rollout.problem.id].append(index)
    shortest_ids: set[int] = set()
    for group in indices.values():
        group.sort(key=lambda index: _length(candidates[index].rollout.completion))
        shortest_ids.update(group[:n])
    extra = Rejection(f"more than {n} of a problem")
    return [None if index in shortest_ids else extra for index in range(len(candidates))]


def _length(completion: Completion) -> int:
    return len(completion.token_ids) or len(completion.text)
