"""What is asked of one draft: is it correct, finished, readable, in one language, hard enough?

Source: rejection sampling of the R1 paper (section 2.3.3 of its first version): correct samples
only, no mixed languages, no chaos. Departures: drafts must have ended by themselves; pass rates and
the number kept a problem are bounded, which the paper does not tell of.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence

from r1kit.curate.candidate import Candidate
from r1kit.curate.filter_pipeline import Filter, Rejection
from r1kit.curate.readable import unreadable, untidy
from r1kit.types import Completion
from r1kit.verify.language import language_share


def of_each(name: str, look: Callable[[Candidate], Rejection | None]) -> Filter:
    """A filter that looks at one draft at a time."""
    return Filter(name, lambda drafts: [look(draft) for draft in drafts])


def correct(draft: Candidate) -> Rejection | None:
    """The verdict must be right."""
    if draft.rollout.verdict.correct is True:
        return None
    return Rejection(draft.rollout.verdict.outcome, draft.rollout.verdict.why)


def finished(draft: Candidate) -> Rejection | None:
    """It ended by itself: thinking first, closed, then an answer, neither of them blank.

    Where no thinking is needed, an answer alone will do.
    """
    if draft.rollout.completion.finish != "stop":
        return Rejection("cut" if draft.rollout.completion.finish == "length" else "aborted")
    if draft.parsed.fits(draft.rollout.problem.needs_thinking):
        return None
    if draft.parsed.thinking is None:
        return Rejection("no thinking")
    return Rejection("thinking never closed" if draft.parsed.answer is None else "malformed")


def readable(draft: Candidate) -> Rejection | None:
    """No loops, no broken characters; thinking is prose (readable.py)."""
    thinking, answer = draft.parsed.thinking or "", draft.parsed.answer or ""
    found = unreadable(thinking) or unreadable(answer) or untidy(thinking)
    return Rejection(*found) if found else None


def consistent(draft: Candidate, at_least: float) -> Rejection | None:
    """Thinking and answer are in the question's language; parts without words pass."""
    language = draft.rollout.problem.language
    for part, text in (("thinking", draft.parsed.thinking), ("answer", draft.parsed.answer)):
        share = language_share(text or "", language)
        if share is not None and share < at_least:
            return Rejection(f"mixed {part}", f"{share:.0%} {language}")
    return None


def difficult(draft: Candidate, low: float, high: float) -> Rejection | None:
    """The pass rate of its group is from `low` to `high`, both included."""
    if low <= draft.pass_rate <= high:
        return None
    return Rejection("too hard" if draft.pass_rate < low else "too easy", f"{draft.pass_rate:.0%}")


def shortest(drafts: Sequence[Candidate], n: int) -> list[Rejection | None]:
    """Of each problem the `n` drafts with the fewest tokens stay; among equals the earlier one.

    Where the tokens are not known, as from another server, characters count.
    """
    places: dict[str, list[int]] = defaultdict(list)
    for place, draft in enumerate(drafts):
        places[draft.rollout.problem.id].append(place)
    chosen: set[int] = set()
    for mine in places.values():
        mine.sort(key=lambda place: _length(drafts[place].rollout.completion))
        chosen.update(mine[:n])
    extra = Rejection(f"more than {n} of a problem")
    return [None if place in chosen else extra for place in range(len(drafts))]


def _length(completion: Completion) -> int:
    return len(completion.token_ids) or len(completion.text)
