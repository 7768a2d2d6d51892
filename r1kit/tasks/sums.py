"""Sums and differences in plain words, for pretrained models that know some of them by heart.

    What is 27 + 14?
    What is 8 + 5 - 9 + 14?

Level 1 has two numbers up to 40. Each further level allows one more number, so that a problem of
level L has from 2 to L + 1 of them: the more numbers, the more it pays to add them one by one.
"""

from __future__ import annotations

import random
from typing import ClassVar

from r1kit.tasks.base import GeneratedTask
from r1kit.types import Message, Problem, Verdict
from r1kit.verify.math import check_math

LOWEST, HIGHEST = 3, 40


class Sums(GeneratedTask):
    """Sums of a few small numbers; the meta entry `n_numbers` says how many."""

    name = "sums"
    WORDINGS: ClassVar = {"en": "What is {}?", "ko": "{}의 값은 얼마입니까?", "zh": "{} 等于多少？"}

    def draw(self, rng: random.Random, language: str) -> Problem:
        n_numbers = rng.randint(2, self.level + 1)
        value = rng.randint(LOWEST, HIGHEST)
        statement = str(value)
        for _ in range(n_numbers - 1):
            number = rng.randint(LOWEST, HIGHEST)
            is_sum = number > value or rng.random() < 0.5
            value = value + number if is_sum else value - number
            statement += f" {'+' if is_sum else '-'} {number}"
        return Problem(
            id=f"{self.name}/{statement}",
            task=self.name,
            messages=(Message("user", self.WORDINGS[language].format(statement)),),
            answer=str(value),
            language=language,
            meta={"n_numbers": n_numbers},
        )

    def verify(self, problem: Problem, answer: str) -> Verdict:
        return check_math(answer, problem.answer)
