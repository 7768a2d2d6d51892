"""Preference pairs and safety labels, generated as training data for reward models.

Source: the preference data of the R1 paper (section 2.3.4 of its first version): helpfulness and
harmlessness. Departures: theirs are judged by a model, ours are generated: the better answer
satisfies the rules of its question, the worse one has a known flaw and breaks them. Harm may occur
in the thinking alone. Thinking as such is no evidence of harm: safe completions of a harmful
question have it as often as unsafe ones.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import Any, Literal

from r1kit.tasks.general import phrases
from r1kit.tasks.general.kinds import KINDS
from r1kit.tasks.general.phrases import INDEX_OF
from r1kit.tasks.general.task import General
from r1kit.types import Problem


@dataclass(frozen=True, slots=True)
class Preference:
    """A preference pair.

    `Preference(problem, "It is Paris.", "It is Rome.", "helpful", "wrong")`
    """

    problem: Problem
    chosen: str
    rejected: str
    kind: Literal["helpful", "harmless"]
    why: str
    """flaw of the rejected answer"""

    def as_row(self) -> dict[str, Any]:
        """Return a row in TRL's format: prompt, chosen, rejected."""
        prompt = [{"role": turn.role, "content": turn.content} for turn in self.problem.messages]
        return {
            "prompt": prompt,
            "chosen": [{"role": "assistant", "content": self.chosen}],
            "rejected": [{"role": "assistant", "content": self.rejected}],
            "provenance": {
                "problem": self.problem.id,
                "language": self.problem.language,
                "kind": self.kind,
                "why": self.why,
            },
        }


FlawFunction = Callable[[General, Problem, random.Random], str]
"""function that makes a worse answer, which may happen to be a good one"""


def preference(task: General, index: int) -> Preference:
    """Return the pair of the problem at `index`, with a flaw that breaks the problem's rules."""
    problem = task.problem(index)
    rng = random.Random(f"{task.name}/preference/{task.split}/{task.seed}/{index}")
    is_harmful = problem.meta["kind"] == "harm"
    flaws = list((HARMFUL if is_harmful else UNHELPFUL).items())
    rng.shuffle(flaws)
    for why, flaw in flaws:
        rejected = flaw(task, problem, rng)
        if task.verify(problem, rejected).correct is False:
            kind: Literal["helpful", "harmless"] = "harmless" if is_harmful else "helpful"
            return Preference(problem, problem.answer, rejected, kind, why)
    raise AssertionError(f"no flaw fits {problem.id}; not knowing breaks every rule")


@dataclass(frozen=True, slots=True)
class Safety:
    """A whole completion with a safety label: `Safety(problem, None, "Good idea.", False)`."""

    problem: Problem
    reasoning: str | None
    answer: str
    is_safe: bool


def safety(task: General, index: int) -> tuple[Safety, Safety] | None:
    """Return a safe and an unsafe completion of the problem at `index`; None if it is harmless.

    In a third of cases neither has thinking, in a third both have the same, and in a third the
    unsafe one plans the harm in its thinking and then refuses. Half of the safe ones are from
    another conversation.
    """
    if task.problem(index).meta["kind"] != "harm":
        return None
    pair = preference(task, index)
    problem = pair.problem
    rng = random.Random(f"{task.name}/safety/{task.split}/{task.seed}/{index}")
    form = rng.choice(("plain", "thinking", "planned"))
    thinking = None if form == "plain" else _harmless_thinking(task, problem, rng)
    safe = Safety(problem, thinking, pair.chosen, True)
    unsafe = Safety(problem, thinking, pair.rejected, False)
    if form == "planned":
        unsafe = Safety(problem, pair.rejected, pair.chosen, False)
    if rng.random() < 0.5:
        problems = (task.problem(other_index) for other_index in count(index + 1))
        other = next(other for other in problems if other.meta["kind"] != "harm")
        safe = Safety(other, other.meta["reasoning"], other.answer, True)
    return safe, unsafe


def _harmless_thinking(task: General, problem: Problem, rng: random.Random) -> str:
    """Return the thinking of another, harmless question in the same language."""
    kind = rng.choice(("day", "sentence"))
    reasoning: str = task.draw_kind(rng, problem.language, kind).meta["reasoning"]
    return reasoning


def _off_topic(task: General, problem: Problem, rng: random.Random) -> str:
    kinds = [kind for kind in KINDS if kind not in ("harm", problem.meta["kind"])]
    return task.draw_kind(rng, problem.language, rng.choice(kinds)).answer


def _slightly_wrong(task: General, problem: Problem, rng: random.Random) -> str:
    """Answer another question of the same kind: another name, fact, number of lines or words."""
    return task.draw_kind(rng, problem.language, problem.meta["kind"]).answer


def _in_another_language(task: General, problem: Problem, rng: random.Random) -> str:
    others = [language for language in INDEX_OF if language != problem.language]
    return task.draw_kind(rng, rng.choice(others), problem.meta["kind"]).answer


def _refuses(task: General, problem: Problem, rng: random.Random) -> str:
    return rng.choice(phrases.REFUSALS[problem.language])


def _does_not_know(task: General, problem: Problem, rng: random.Random) -> str:
    return phrases.IGNORANCE[INDEX_OF[problem.language]]


def _cut_short(task: General, problem: Problem, rng: random.Random) -> str:
    return problem.answer[: len(problem.answer) // 2]


def _goes_along(task: General, problem: Problem, rng: random.Random) -> str:
    return rng.choice(phrases.COMPLIANCE[problem.language])


UNHELPFUL: dict[str, FlawFunction] = {
    "off topic": _off_topic,
    "slightly wrong": _slightly_wrong,
    "in another language": _in_another_language,
    "refuses what is harmless": _refuses,
    "does not know": _does_not_know,
    "cut short": _cut_short,
}
HARMFUL: dict[str, FlawFunction] = {"goes along with harm": _goes_along}
