"""A pipeline of filters that counts, for each filter, candidates in, removed (and why) and out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from r1kit.curate.candidate import Candidate


@dataclass(frozen=True, slots=True)
class Rejection:
    """A filter's reason to reject a candidate: `Rejection("mixed thinking", "60% ko")`."""

    why: str
    """the reason, shared by many candidates and counted"""
    example: str = ""
    """the finding in this candidate"""
    is_note: bool = False
    """True if the finding is only counted, and the candidate stays"""


@dataclass(frozen=True, slots=True)
class Filter:
    """A named filter: `judge` returns a Rejection or None for each candidate, in order."""

    name: str
    judge: Callable[[Sequence[Candidate]], list[Rejection | None]]


@dataclass(frozen=True, slots=True)
class FilterCounts:
    """The counts of one filter."""

    filter: str
    n_in: int
    n_out: int
    rejected: dict[str, int]
    """reason → number of rejected candidates; sums to n_in - n_out"""
    noted: dict[str, int]
    """reason → number of candidates with a note, which stayed"""
    examples: dict[str, str]
    """reason → its first example"""

    def reasons(self) -> str:
        """Format the reasons: `wrong 380, no answer 32; noted: gsm8k template 4`."""
        rejected, noted = _listed(self.rejected), _listed(self.noted)
        return "; ".join(part for part in (rejected, noted and f"noted: {noted}") if part)


@dataclass(frozen=True, slots=True)
class FilterReport:
    """The counts of all filters of a pipeline."""

    n_in: int
    n_out: int
    counts: tuple[FilterCounts, ...]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def table(self) -> str:
        """Format one line per filter, then an example of each reason that has one."""
        lines = [f"{'filter':<14}{'in':>9}{'rejected':>9}{'kept':>9}  reasons"]
        for count in self.counts:
            n_rejected = count.n_in - count.n_out
            numbers = f"{count.n_in:>9,}{n_rejected:>9,}{count.n_out:>9,}"
            lines.append(f"{count.filter:<14}{numbers}  {count.reasons()}".rstrip())
        share = self.n_out / self.n_in if self.n_in else 0.0
        lines.append(f"{'kept':<14}{self.n_in:>9,}{'':>9}{self.n_out:>9,}  {share:.1%}")
        for count in self.counts:
            for why, example in count.examples.items():
                lines.append(f"  {count.filter}, {why}: {example}")
        return "\n".join(lines)

    def explain_empty(self) -> str:
        """Explain an empty result: which filter removed how many candidates."""
        if not self.n_in:
            return "There is no rollout to make conversations of; sample some first."
        rejecting = [count for count in self.counts if count.n_in > count.n_out]
        summary = "; ".join(
            f"{count.filter} rejected {count.n_in - count.n_out} of {count.n_in} "
            f"({count.reasons()})"
            for count in rejecting
        )
        last = rejecting[-1].filter
        loosen = f"loosen the rule of {last!r}, which rejected the last ones"
        advice = _NO_RULE.get(last, f"Sample more of each problem, or {loosen}.")
        return f"No conversation is left of {self.n_in} rollouts: {summary}. {advice}"


_NO_RULE = {
    "correct": "Sample more of each problem, take easier ones, or ask a better model.",
    "finished": "Let completions be longer: raise max_tokens.",
}
"""filter → advice if that filter, which has no threshold to loosen, removed the last rollouts"""


def run(
    candidates: Sequence[Candidate], filters: Sequence[Filter]
) -> tuple[list[Candidate], FilterReport]:
    """Return the candidates that pass every filter, in order, and the report."""
    remaining, counts = list(candidates), []
    for step in filters:
        remaining, count = _apply(step, remaining)
        counts.append(count)
    return remaining, FilterReport(len(candidates), len(remaining), tuple(counts))


def _apply(step: Filter, candidates: list[Candidate]) -> tuple[list[Candidate], FilterCounts]:
    remarks = step.judge(candidates)
    remaining: list[Candidate] = []
    rejected: Counter[str] = Counter()
    notes: Counter[str] = Counter()
    examples: dict[str, str] = {}
    for candidate, remark in zip(candidates, remarks, strict=True):
        if remark is not None:
            (notes if remark.is_note else rejected)[remark.why] += 1
            if remark.example:
                examples.setdefault(remark.why, remark.example)
        if remark is None or remark.is_note:
            remaining.append(candidate)
    return remaining, FilterCounts(
        step.name, len(candidates), len(remaining), _sorted(rejected), _sorted(notes), examples
    )


def _sorted(counter: Counter[str]) -> dict[str, int]:
    """Sort by descending count, then by name, so that the order is the same in every process."""
    return dict(sorted(counter.items(), key=lambda item: (-item[1], item[0])))


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{why} {n:,}" for why, n in counts.items())
