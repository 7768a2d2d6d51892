"""General conversation: the prompts that R1's second SFT and last RL stage add to reasoning.

Source: the R1 paper, section 2.3.3 of its first version: writing, factual questions, self-cognition
and the like, and no chain of thought for "hello". Departures: theirs come from DeepSeek-V3's own
data; here a small closed world is generated, in three languages, so that rules can decide whether
an answer is good (rules.py). Translation is left out.

Level 1 asks for at most 3 lines or items and 6 days ahead; each level adds one line and 3 days.
"""

from __future__ import annotations

import random

from r1kit.tasks.base import GeneratedTask
from r1kit.tasks.general.kinds import KINDS
from r1kit.tasks.general.phrases import INDEX_OF, NAMES, OPENERS
from r1kit.tasks.general.rules import broken_rule
from r1kit.types import Message, Problem, Verdict

PAGE_LINES = 8
"""minimum number of lines on a page of the corpus"""
NAMED_SHARE = 0.7
"""share of questions that include the user's name; all of small talk does"""


class General(GeneratedTask):
    """General conversations, with rules for their answers.

    `problem.answer` is a complete good answer, without a box; `meta` holds its `kind`, `rules` and
    `reasoning` (None if none is needed).
    """

    name = "general"

    def draw(self, rng: random.Random, language: str) -> Problem:
        kind = rng.choice(list(KINDS))
        return self.draw_kind(rng, language, kind)

    def draw_kind(self, rng: random.Random, language: str, kind: str) -> Problem:
        """Draw a random problem of one kind.

        The user's name is part of the id: facts are few, and a held-out problem must ask for one
        that also occurs in training.
        """
        names = rng.choice(NAMES)
        name = names[INDEX_OF[language]]
        is_signed = kind == "chat" or rng.random() < NAMED_SHARE
        exchange = KINDS[kind](rng, language, self.level, name)
        parts = [exchange.question]
        if is_signed:
            parts.insert(rng.randrange(2), rng.choice(OPENERS[language]).replace("{}", name))
        return Problem(
            id=f"{self.name}/{kind}/{exchange.key}/{names[0] if is_signed else 'anybody'}",
            task=self.name,
            messages=(Message("user", ("" if language == "zh" else " ").join(parts)),),
            answer=exchange.answer,
            language=language,
            meta={"kind": kind, "rules": exchange.rules, "reasoning": exchange.reasoning},
            needs_thinking=exchange.reasoning is not None,
        )

    def verify(self, problem: Problem, answer: str) -> Verdict:
        """Return a correct verdict if the answer satisfies every rule."""
        rule = broken_rule(answer, problem.meta["rules"], problem.language)
        extracted = answer.strip()[:200] or None
        return Verdict(rule is None, extracted, "keeps its rules" if rule is None else rule)

    def gold(self, problem: Problem) -> str:
        return problem.answer

    def conversation(self, index: int) -> tuple[Problem, tuple[Message, ...]]:
        """Return a problem of this split with a good answer, for training."""
        problem = self.problem(index)
        answer = Message("assistant", problem.answer, problem.meta["reasoning"])
        return problem, (*problem.messages, answer)

    def exercise(self, index: int) -> str:
        """Return a page of a phrase book for the base corpus: questions and good answers.

        Plain text in one language, without roles and tags: it teaches words and facts, not
        conversation.
        """
        rng = self._rng(index, "exercise")
        lines: list[str] = []
        language = None
        while len(lines) < PAGE_LINES:
            problem = self.problem(rng.randrange(1 << 40))
            language = language or problem.language
            if problem.language == language:
                texts = (problem.messages[-1].content, problem.meta["reasoning"], problem.answer)
                lines += [line for text in texts if text for line in text.splitlines()]
        return "\n".join(lines)
