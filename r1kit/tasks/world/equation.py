"""Solve a x + b = c by trying values and checking them.

    7x+3=38   <think>x=4: 28+3=31,38-31=7 no
              wait x=5: 35+3=38,38-38=0 yes</think>\\boxed{5}

Level 1: a in 2..9, b in 1..20, x in 1..12, c below 100. Each further level adds 12 to the largest x
and 100 to the bound of c.
"""

from __future__ import annotations

import random
from typing import ClassVar

from r1kit.tasks.world.author import N_TRIES, P_SKIP, Author
from r1kit.tasks.world.family import Family
from r1kit.types import Problem


class Equation(Family):
    name = "equation"
    WORDINGS: ClassVar = {
        "en": ("Solve {}", "Find x: {}", "What is x if {}?"),
        "ko": ("{}를 풀어라", "x를 구하라: {}", "{}일 때 x는?"),
        "zh": ("解方程 {}", "求x：{}", "若{}，x是多少？"),
    }

    def draw(self, rng: random.Random, language: str) -> Problem:
        while True:
            a, b, x = rng.randint(2, 9), rng.randint(1, 20), rng.randint(1, 12 * self.level)
            c = a * x + b
            if c < 100 * self.level:
                break
        statement = f"{a}x+{b}={c}"
        return self.worded(rng, language, statement, statement, str(x), a=a, b=b, c=c)

    def think(self, problem: Problem, author: Author) -> str:
        x, wait = max(1, int(problem.answer) - author.tries_before()), ""
        if author.chance(P_SKIP):
            return author.guess(str(x))
        while (remainder := self._try(problem, x, wait, author)) and not author.gives_up():
            wait = author.wait()
            x += 1 if remainder > 0 else -1
        return str(x)

    def drill(self, problem: Problem, author: Author) -> None:
        author.write(problem.id.partition("/")[2])
        first = max(1, int(problem.answer) - author.rng.randrange(N_TRIES))
        for x in range(first, first + N_TRIES):
            self._try(problem, x, "", author)

    @staticmethod
    def _try(problem: Problem, x: int, opening: str, author: Author) -> int:
        """Write one line; return the remainder that the author computed."""
        a, b, c = (problem.meta[key] for key in "abc")
        product = author.compute(a * x)
        value = author.compute(product + b)
        return author.judge(f"{opening}x={x}: {product}+{b}=", value, c)
