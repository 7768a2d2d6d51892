"""Base class of the families of the world: wordings, documents and exact integer answers."""

from __future__ import annotations

import random
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from r1kit.tasks.base import GeneratedTask
from r1kit.tasks.world.author import Author
from r1kit.types import Message, Problem, Verdict
from r1kit.verify.answer import check_number

COMPARISON_SHARE = 0.12
"""share of exercise pages that are comparisons of numbers"""


class Family(GeneratedTask):
    """A family of problems: `WORDINGS` by language, `draw`, `think`, `verify`."""

    WORDINGS: ClassVar[dict[str, tuple[str, ...]]]

    @abstractmethod
    def think(self, problem: Problem, author: Author) -> str:
        """Write thinking into `author`; return its final answer, correct or not."""

    @abstractmethod
    def drill(self, problem: Problem, author: Author) -> None:
        """Write exercises on the elementary steps of such a problem into `author`."""

    def exercise(self, index: int) -> str:
        """Return a page of an exercise book for the base corpus: steps without thinking."""
        rng = self._rng(index, "exercise")
        problem = self.problem(rng.randrange(1 << 40))
        author = Author(rng, problem.language, self.languages, is_careful=True)
        if author.chance(COMPARISON_SHARE):
            author.compare()
        else:
            self.drill(problem, author)
        return "\n".join(author.lines)

    def document(self, index: int) -> tuple[Problem, str]:
        """Return a problem of this split and an imperfect completion, for the base corpus."""
        rng = self._rng(index, "document")
        problem = self.problem(rng.randrange(1 << 40))
        author = Author(rng, problem.language, self.languages)
        answer = self.think(problem, author)
        return problem, author.finish(answer)

    def verify(self, problem: Problem, answer: str) -> Verdict:
        return check_number(answer, problem.answer)

    def worded(
        self,
        rng: random.Random,
        language: str,
        key: str,
        statement: str,
        answer: str,
        wordings: Mapping[str, tuple[str, ...]] | None = None,
        **meta: Any,
    ) -> Problem:
        """Build a problem with its statement in a wording of the family, or of `wordings`."""
        wording = rng.choice((wordings or self.WORDINGS)[language])
        question = wording.replace("{}", statement)
        return Problem(
            id=f"{self.name}/{key}",
            task=self.name,
            messages=(Message("user", question),),
            answer=answer,
            language=language,
            meta=meta,
        )
