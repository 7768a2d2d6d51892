"""Reach a target with given numbers, each used once.

    29 3 4 → 28   <think>29-3-4=26-4=22,28-22=6 no
                  wait 29-3+4=26+4=30,28-30=-2 no
                  wait 29+3-4=32-4=28,28-28=0 yes</think>\\boxed{29+3-4}

Level 1: a number and two digits, in this order, with + and -. Level 2: three numbers up to 12 in
any order. Level 3: the first operation may be a product. Each further level adds a number. Any
valid expression is correct, not only the author's.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from itertools import permutations, product
from typing import ClassVar

from r1kit.tasks.world.author import N_TRIES, P_SKIP, Author
from r1kit.tasks.world.family import Family
from r1kit.types import Problem, Verdict
from r1kit.verify.answer import final_answer
from r1kit.verify.expression import check_countdown


@dataclass(frozen=True)
class CountdownExpression:
    """An expression evaluated left to right: `CountdownExpression((9, 3, 4), "+-")` is 9+3-4."""

    numbers: tuple[int, ...]
    operations: str

    def __str__(self) -> str:
        tail = zip(self.operations, self.numbers[1:], strict=True)
        return f"{self.numbers[0]}" + "".join(f"{op}{number}" for op, number in tail)

    def steps(self) -> list[tuple[int, str]]:
        """Return (value so far, remaining expression) after each operation."""
        value, steps = self.numbers[0], []
        for i, (op, number) in enumerate(zip(self.operations, self.numbers[1:], strict=True)):
            value = value * number if op == "*" else value + number if op == "+" else value - number
            rest = zip(self.operations[i + 1 :], self.numbers[i + 2 :], strict=True)
            steps.append((value, "".join(f"{o}{n}" for o, n in rest)))
        return steps

    def value(self) -> int:
        return self.steps()[-1][0]


def candidates(numbers: tuple[int, ...], level: int) -> list[CountdownExpression]:
    """Return all candidate expressions in a fixed order, without commutative duplicates."""
    if level == 1:
        return [CountdownExpression(numbers, "".join(signs)) for signs in product("-+", repeat=2)]
    first_operators = "+*" if level > 2 else "+"
    expressions: dict[tuple[object, ...], CountdownExpression] = {}
    for first, *rest in product(first_operators, *(("+-",) * (len(numbers) - 2))):
        for order in permutations(numbers):
            operations = first + "".join(rest)
            addends = {n for op, n in zip(rest, order[2:], strict=True) if op == "+"}
            key = (
                (first, *sorted(order[:2])) if first == "*" else "+",
                tuple(sorted([*(order[:2] if first == "+" else ()), *addends])),
                tuple(sorted(n for op, n in zip(rest, order[2:], strict=True) if op == "-")),
            )
            expressions.setdefault(key, CountdownExpression(order, operations))
    return list(expressions.values())


class Countdown(Family):
    name = "countdown"
    WORDINGS: ClassVar = {
        "en": ("Make {}", "Use each number once: {}"),
        "ko": ("숫자를 한 번씩 써서 {}", "{} 만들기"),
        "zh": ("每个数用一次：{}", "算出 {}"),
    }

    def draw(self, rng: random.Random, language: str) -> Problem:
        numbers = self._numbers(rng)
        expressions = [
            expression for expression in candidates(numbers, self.level) if expression.value() > 0
        ]
        expression = rng.choice(expressions)
        numbers_text = " ".join(map(str, numbers))
        statement = f"{numbers_text} → {expression.value()}"
        key = f"{' '.join(map(str, sorted(numbers)))} → {expression.value()}"
        return self.worded(
            rng,
            language,
            key,
            statement,
            str(expression),
            numbers=numbers,
            target=expression.value(),
        )

    def _numbers(self, rng: random.Random) -> tuple[int, ...]:
        """Draw the numbers.

        Level 1: one from 20 to 40 and two digits. Above: up to 12, and no product of two over 99.
        """
        if self.level == 1:
            return (rng.randint(20, 40), *rng.sample(range(1, 10), 2))
        while True:
            numbers = rng.sample(range(1, 13), max(3, self.level))
            *_, second, largest = sorted(numbers)
            if second * largest < 100:
                return tuple(numbers)

    def think(self, problem: Problem, author: Author) -> str:
        expressions = candidates(problem.meta["numbers"], self.level)
        values, wait = [expression.value() for expression in expressions], ""
        start = max(0, values.index(problem.meta["target"]) - author.rng.randint(3, 5))
        if author.chance(P_SKIP):
            return author.guess(str(expressions[start]))
        for expression in expressions[start:]:
            if not self._try(problem, expression, wait, author) or author.gives_up():
                break
            wait = author.wait()
        return str(expression)

    def drill(self, problem: Problem, author: Author) -> None:
        numbers, target = problem.meta["numbers"], problem.meta["target"]
        author.write(f"{' '.join(map(str, numbers))} → {target}")
        expressions = candidates(numbers, self.level)
        first = author.rng.randrange(max(1, len(expressions) - N_TRIES + 1))
        for expression in expressions[first : first + N_TRIES]:
            self._try(problem, expression, "", author)

    @staticmethod
    def _try(
        problem: Problem, expression: CountdownExpression, opening: str, author: Author
    ) -> int:
        """Write one line; return the remainder that the author computed."""
        value = 0
        opening += str(expression)
        for exact, rest in expression.steps():
            value = author.compute(exact)
            opening += f"={value}{rest}" if rest else "="
        return author.judge(opening, value, problem.meta["target"])

    def verify(self, problem: Problem, answer: str) -> Verdict:
        expression = final_answer(answer)
        if expression is None:
            return Verdict(False, None, "no answer")
        return check_countdown(expression, problem.meta["numbers"], problem.meta["target"])
