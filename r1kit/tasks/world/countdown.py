"""Reach a target with given numbers, each used once.

    9 3 4 → 8   <think>9+3+4=12+4=16,8-16=-8 no
                wait 9+3-4=12-4=8,8-8=0 yes</think>\\boxed{9+3-4}

Level 1: three numbers, + and -. Level 2: three numbers, the first operation may be a product.
Each level more adds a number. Any valid expression is right, not only the author's.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from itertools import permutations, product
from typing import ClassVar

from r1kit.tasks.world.author import GIVES_UP, N_TRIES, RIGHT, SKIPS, Author
from r1kit.tasks.world.family import Family
from r1kit.types import Problem, Verdict
from r1kit.verify.answer import final_answer
from r1kit.verify.expression import check_countdown


@dataclass(frozen=True)
class Candidate:
    """An expression worked from left to right: `Candidate((9, 3, 4), "+-")` is 9+3-4."""

    numbers: tuple[int, ...]
    operations: str

    def __str__(self) -> str:
        tail = zip(self.operations, self.numbers[1:], strict=True)
        return f"{self.numbers[0]}" + "".join(f"{op}{number}" for op, number in tail)

    def steps(self) -> list[tuple[int, str]]:
        """(value so far, what is left to do) after each operation."""
        value, done = self.numbers[0], []
        for i, (op, number) in enumerate(zip(self.operations, self.numbers[1:], strict=True)):
            value = value * number if op == "*" else value + number if op == "+" else value - number
            rest = zip(self.operations[i + 1 :], self.numbers[i + 2 :], strict=True)
            done.append((value, "".join(f"{o}{n}" for o, n in rest)))
        return done

    def value(self) -> int:
        return self.steps()[-1][0]


def candidates(numbers: tuple[int, ...], with_product: bool) -> list[Candidate]:
    """All expressions worth trying, in a fixed order, without those equal by commuting."""
    firsts = "+*" if with_product else "+"
    found: dict[tuple[object, ...], Candidate] = {}
    for first, *rest in product(firsts, *(("+-",) * (len(numbers) - 2))):
        for order in permutations(numbers):
            operations = first + "".join(rest)
            plus = {n for op, n in zip(rest, order[2:], strict=True) if op == "+"}
            key = (
                (first, *sorted(order[:2])) if first == "*" else "+",
                tuple(sorted([*(order[:2] if first == "+" else ()), *plus])),
                tuple(sorted(n for op, n in zip(rest, order[2:], strict=True) if op == "-")),
            )
            found.setdefault(key, Candidate(order, operations))
    return list(found.values())


class Countdown(Family):
    name = "countdown"
    WORDINGS: ClassVar = {
        "en": ("Make {}", "Use each number once: {}"),
        "ko": ("숫자를 한 번씩 써서 {}", "{} 만들기"),
        "zh": ("每个数用一次：{}", "算出 {}"),
    }

    def draw(self, rng: random.Random, language: str) -> Problem:
        numbers = self._numbers(rng)
        ways = [way for way in candidates(numbers, self.level > 1) if way.value() > 0]
        way = rng.choice(ways)
        given = " ".join(map(str, numbers))
        statement = f"{given} → {way.value()}"
        key = f"{' '.join(map(str, sorted(numbers)))} → {way.value()}"
        return self.worded(
            rng, language, key, statement, str(way), numbers=numbers, target=way.value()
        )

    def _numbers(self, rng: random.Random) -> tuple[int, ...]:
        """Different numbers up to 12 of which no two have a product over 99."""
        while True:
            numbers = rng.sample(range(1, 13), max(3, self.level + 1))
            *_, second, largest = sorted(numbers)
            if second * largest < 100:
                return tuple(numbers)

    def think(self, problem: Problem, author: Author) -> str:
        ways = candidates(problem.meta["numbers"], self.level > 1)
        values = [way.value() for way in ways]
        before = min(author.tries_before(), len(ways) - 1)
        start, wait = values.index(problem.meta["target"]) - before, ""
        if author.chance(SKIPS):
            return author.guess(str(ways[start]))
        for i in range(len(ways)):
            way = ways[(start + i) % len(ways)]
            left = self._try(problem, way, wait, author)
            if not left or author.chance(GIVES_UP):
                break
            wait = author.wait()
        return str(way)

    def drill(self, problem: Problem, author: Author) -> None:
        numbers, target = problem.meta["numbers"], problem.meta["target"]
        author.write(f"{' '.join(map(str, numbers))} → {target}")
        ways = candidates(numbers, self.level > 1)
        right = [way for way in ways if way.value() == target]
        for _ in range(N_TRIES):
            chosen = author.rng.choice(right if author.chance(RIGHT) else ways)
            self._try(problem, chosen, "", author)

    @staticmethod
    def _try(problem: Problem, way: Candidate, opening: str, author: Author) -> int:
        """Writes one line; returns what was found to be left."""
        value = 0
        opening += str(way)
        for exact, rest in way.steps():
            value = author.compute(exact)
            opening += f"={value}{rest}" if rest else "="
        return author.judge(opening, value, problem.meta["target"])

    def verify(self, problem: Problem, answer: str) -> Verdict:
        found = final_answer(answer)
        if found is None:
            return Verdict(False, None, "no answer")
        return check_countdown(found, problem.meta["numbers"], problem.meta["target"])
