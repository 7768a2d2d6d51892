"""Chains of additions and subtractions with carrying.

    47+38-19   <think>47+38=77+8=85
               85-19=75-9=66
               wait check 66+19=76+9=85
               85,85-85=0 yes</think>\\boxed{66}

Level 1: three numbers, all intermediate values from 11 to 99. Each further level adds a number and
raises the largest value by 100.
"""

from __future__ import annotations

import random
from typing import ClassVar

from r1kit.tasks.world.author import P_CHECK, P_GUESS, P_TRUE_COMPARISON, Author
from r1kit.tasks.world.family import Family
from r1kit.types import Problem


class Arithmetic(Family):
    name = "arithmetic"
    WORDINGS: ClassVar = {
        "en": ("{}=?", "Work out {}", "How much is {}?"),
        "ko": ("{}은?", "{}을 계산하라", "{}은 얼마?"),
        "zh": ("计算{}", "{}等于多少？", "{}=？"),
    }

    def draw(self, rng: random.Random, language: str) -> Problem:
        value = rng.randint(11, 99)
        statement = str(value)
        for _ in range(self.level + 1):
            room = 100 * self.level - 1 - value
            sign = "+" if room >= 11 and (value < 22 or rng.random() < 0.5) else "-"
            number = rng.randint(11, min(99, room if sign == "+" else value - 11))
            value = value - number if sign == "-" else value + number
            statement += f"{sign}{number}"
        return self.worded(rng, language, statement, statement, str(value))

    def think(self, problem: Problem, author: Author) -> str:
        if author.chance(P_GUESS):
            error = author.rng.choice((-20, -10, -1, 1, 10, 20))
            return author.guess(str(max(1, int(problem.answer) + error)))
        value, *rest = self.terms(problem)
        for number in rest:
            previous, value = value, add(value, number, "", author)
        if author.chance(P_CHECK):
            check = add(value, -rest[-1], f"{author.wait()}{author.say('check')} ", author)
            if author.judge("", check, previous):
                value = add(previous, rest[-1], author.wait(), author)
        return str(value)

    def drill(self, problem: Problem, author: Author) -> None:
        value, *rest = self.terms(problem)
        for number in rest:
            previous, value = value, add(value, number, "", author)
            check = add(value, -number, "", author)
            claim = (
                check
                if author.chance(P_TRUE_COMPARISON)
                else check + author.rng.choice((-10, -1, 1))
            )
            author.judge("", claim, previous)

    @staticmethod
    def terms(problem: Problem) -> list[int]:
        """Return the signed numbers of the chain."""
        statement = problem.id.partition("/")[2]
        return [int(term) for term in statement.replace("-", "+-").split("+")]


def add(value: int, number: int, opening: str, author: Author) -> int:
    """Write `47+38=77+8=85`, tens first; return the author's sum, which may have a slip."""
    tens = int(number / 10) * 10
    ones = number - tens
    if not ones:
        total = author.compute(value + number)
        author.write(f"{opening}{value}{number:+d}={total}")
        return total
    middle = author.compute(value + tens)
    total = author.compute(middle + ones)
    author.write(f"{opening}{value}{number:+d}={middle}{ones:+d}={total}")
    return total
