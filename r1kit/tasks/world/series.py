"""Sums of consecutive numbers, by pairing first and last.

    1+2+3+...+100   <think>100-1=99, 100 terms
                    1+100=101
                    half 100: 50, 50*101=50*100+50*1=5000+50=5050</think>\\boxed{5050}

Level 1: from 1 to n <= 20 or a multiple of ten up to 100, or from a <= 50 over at most 10 terms, so
that one of the two factors nearly always has one digit. Further levels add steps of 2, 3, ...
between the terms.
"""

from __future__ import annotations

import random
from typing import ClassVar

from r1kit.tasks.world.arithmetic import add
from r1kit.tasks.world.author import N_TRIES, P_CHECK, P_TRUE_COMPARISON, Author
from r1kit.tasks.world.family import Family
from r1kit.types import Problem

P_GUESS_SERIES = 0.6
"""probability of guessing, lower than elsewhere: as all four steps must be correct, the base
answers correctly seldom enough anyway"""
FROM_ONE_SHARE = 0.3
"""share of series that begin at 1, as the most famous one does"""
PRODUCT_SHARE = 0.4
"""share of exercise pages that contain only products"""


class Series(Family):
    name = "series"
    WORDINGS: ClassVar = {
        "en": ("{}=?", "What is {}?", "Add up {}"),
        "ko": ("{}은?", "{}의 합은?", "{}을 더하면?"),
        "zh": ("{}等于多少？", "求和：{}", "{}=？"),
    }

    def draw(self, rng: random.Random, language: str) -> Problem:
        step = rng.randint(1, self.level)
        if rng.random() < FROM_ONE_SHARE:
            first, n = 1, rng.choice(rng.choice((range(4, 21), range(10, 101, 10))))
        else:
            first, n = rng.randint(1, 50), rng.randint(4, 10)
        last = first + (n - 1) * step
        statement = f"{first}+{first + step}+{first + 2 * step}+...+{last}"
        total = n * (first + last) // 2
        return self.worded(
            rng, language, statement, statement, str(total), first=first, last=last, n=n, step=step
        )

    def think(self, problem: Problem, author: Author) -> str:
        total = int(problem.answer)
        if author.chance(P_GUESS_SERIES):
            return author.guess(str(round(total * author.rng.uniform(0.6, 1.6))))
        half, other, opening = self._pair(problem, author)
        result = multiply(half, other, opening, author)
        if author.chance(P_CHECK):
            check = multiply(other, half, f"{author.wait()}{author.say('check')} ", author)
            author.judge("", check, result)
            result = check
        return str(result)

    @staticmethod
    def _pair(problem: Problem, author: Author) -> tuple[int, int, str]:
        """Write first + last; return the two factors of the sum and the start of the next line."""
        first, last = problem.meta["first"], problem.meta["last"]
        gaps = author.compute((last - first) // problem.meta["step"])
        divisor = f"/{problem.meta['step']}" if problem.meta["step"] > 1 else ""
        distance = f"{last}-{first}" if not divisor else f"({last}-{first}){divisor}"
        author.write(f"{distance}={gaps}, {gaps + 1} {author.say('terms')}")
        pair, n = add(first, last, "", author), gaps + 1
        even, other = (n, pair) if n % 2 == 0 else (pair, n)
        half = author.compute(even // 2)
        return half, other, f"{author.say('half')} {even}: {half}, "

    def drill(self, problem: Problem, author: Author) -> None:
        if author.chance(PRODUCT_SHARE):
            for _ in range(N_TRIES):
                multiply(author.rng.randint(2, 10), author.rng.randint(11, 110), "", author)
            return
        half, other, opening = self._pair(problem, author)
        result = multiply(half, other, opening, author)
        check = multiply(other, half, "", author)
        claim = (
            check if author.chance(P_TRUE_COMPARISON) else check + author.rng.choice((-10, 1, 9))
        )
        author.judge("", claim, result)


def multiply(a: int, b: int, opening: str, author: Author) -> int:
    """Write `a*b=a*tens+a*ones=...=product`, smaller factor first; return the author's product."""
    a, b = sorted((a, b))
    tens, ones = b // 10 * 10, b % 10
    if not tens or not ones:
        value = author.compute(a * b)
        author.write(f"{opening}{a}*{b}={value}")
        return value
    left, right = author.compute(a * tens), author.compute(a * ones)
    value = author.compute(left + right)
    author.write(f"{opening}{a}*{b}={a}*{tens}+{a}*{ones}={left}+{right}={value}")
    return value
