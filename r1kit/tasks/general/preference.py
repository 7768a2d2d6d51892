"""Pairs of answers, one better than the other and why: what a reward model learns from.

Source: the preference data of the R1 paper (section 2.3.4 of its first version): helpfulness and
harmlessness. Departures: theirs are judged by a model, ours made: the better answer keeps the
rules of its question, the worse one has one known flaw and breaks them.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from r1kit.tasks.general import phrases
from r1kit.tasks.general.kinds import KINDS
from r1kit.tasks.general.phrases import PLACE
from r1kit.tasks.general.task import General
from r1kit.types import Problem


@dataclass(frozen=True, slots=True)
class Preference:
    """`Preference(problem, "It is Paris.", "It is Rome.", "helpful", "wrong")`."""

    problem: Problem
    chosen: str
    rejected: str
    kind: Literal["helpful", "harmless"]
    why: str
    """the flaw of the rejected answer"""

    def as_row(self) -> dict[str, Any]:
        """In the format of trl: prompt, chosen, rejected."""
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


Flaw = Callable[[General, Problem, random.Random], str]
"""makes a worse answer; it may turn out to be a good one"""


def preference(task: General, index: int) -> Preference:
    """The pair at this place: the problem of the same index, and one flaw that breaks its rules."""
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


def _off_topic(task: General, problem: Problem, rng: random.Random) -> str:
    kinds = [kind for kind in KINDS if kind not in ("harm", problem.meta["kind"])]
    return task.draw_kind(rng, problem.language, rng.choice(kinds)).answer


def _slightly_wrong(task: General, problem: Problem, rng: random.Random) -> str:
    """The answer to a question of the same kind: another name, fact, number of lines or words."""
    return task.draw_kind(rng, problem.language, problem.meta["kind"]).answer


def _in_another_language(task: General, problem: Problem, rng: random.Random) -> str:
    others = [language for language in PLACE if language != problem.language]
    return task.draw_kind(rng, rng.choice(others), problem.meta["kind"]).answer


def _refuses(task: General, problem: Problem, rng: random.Random) -> str:
    return rng.choice(phrases.REFUSALS[problem.language])


def _does_not_know(task: General, problem: Problem, rng: random.Random) -> str:
    return phrases.IGNORANCE[PLACE[problem.language]]


def _cut_short(task: General, problem: Problem, rng: random.Random) -> str:
    return problem.answer[: len(problem.answer) // 2]


def _goes_along(task: General, problem: Problem, rng: random.Random) -> str:
    return rng.choice(phrases.COMPLIANCE[problem.language])


UNHELPFUL: dict[str, Flaw] = {
    "off topic": _off_topic,
    "slightly wrong": _slightly_wrong,
    "in another language": _in_another_language,
    "refuses what is harmless": _refuses,
    "does not know": _does_not_know,
    "cut short": _cut_short,
}
HARMFUL: dict[str, Flaw] = {"goes along with harm": _goes_along}
