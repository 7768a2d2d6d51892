"""Write a function that maps given inputs to given outputs, or repair one.

    f(1)=5,f(2)=8   <think>2*x: 5-2=3,4+3=7,8-7=1 no
                    wait 3*x: 5-3=2,6+2=8,8-8=0 yes</think>\\boxed{def f(x):return 3*x+2}

Answers are programs: they are run in the sandbox, on the inputs shown and on others. Level 1:
`a*x+b`, a in 2..9, b in 1..30. Each further level adds 10 to the largest a and 30 to the largest b.
"""

from __future__ import annotations

import random
from typing import ClassVar

from r1kit.tasks.world.author import N_TRIES, P_SKIP, Author
from r1kit.tasks.world.family import Family
from r1kit.types import Problem, Verdict
from r1kit.verify.answer import final_answer
from r1kit.verify.code import CallTest, check_code, default_sandbox, extract_program
from r1kit.verify.sandbox import Limits

HIDDEN_INPUTS = (0, 3, 7, 20)
"""inputs on which a program is tested besides the two shown"""
LIMITS = Limits(wall_s=2.0, cpu_s=1.0, memory_mb=128, output_bytes=1 << 14)
REPAIR_SHARE = 0.5
"""share of problems that show a function to repair"""


class Program(Family):
    name = "program"
    WORDINGS: ClassVar = {
        "en": ("Write f: {}", "Find a function with {}"),
        "ko": ("함수 f를 써라: {}", "{}인 함수는?"),
        "zh": ("写函数f：{}", "求函数：{}"),
    }
    REPAIRS: ClassVar = {"en": ("Repair {}",), "ko": ("고쳐라: {}",), "zh": ("改正：{}",)}

    def draw(self, rng: random.Random, language: str) -> Problem:
        a, b = rng.randint(2, 10 * self.level - 1), rng.randint(1, 30 * self.level)
        statement, start = f"f(1)={a + b},f(2)={2 * a + b}", None
        if rng.random() < REPAIR_SHARE:
            start = max(1, a - rng.randint(0, 3))
            program = program_text(start, b if start != a else b + rng.choice((-1, 1, 2)))
            statement = f"{program} → {statement}"
        wordings = self.REPAIRS if start else self.WORDINGS
        return self.worded(
            rng,
            language,
            f"{a}x+{b}",
            statement,
            program_text(a, b),
            wordings,
            a=a,
            b=b,
            start=start,
        )

    def think(self, problem: Problem, author: Author) -> str:
        a, b, start = (problem.meta[key] for key in ("a", "b", "start"))
        slope, wait = start or max(1, a - author.tries_before()), ""
        if author.chance(P_SKIP):
            return author.guess(program_text(slope, a + b - slope))
        while (remainder := self._try(problem, slope, wait, author)) and not author.gives_up():
            wait = author.wait()
            slope += 1 if remainder > 0 else -1
        return program_text(slope, a + b - slope)

    def drill(self, problem: Problem, author: Author) -> None:
        a, b = problem.meta["a"], problem.meta["b"]
        author.write(f"f(1)={a + b},f(2)={2 * a + b}")
        first = max(1, a - author.rng.randrange(N_TRIES))
        for slope in range(first, first + N_TRIES):
            self._try(problem, slope, "", author)

    @staticmethod
    def _try(problem: Problem, slope: int, opening: str, author: Author) -> int:
        """Write one line: the function through the first point, evaluated at the second."""
        a, b = problem.meta["a"], problem.meta["b"]
        intercept = author.compute(a + b - slope)
        double = author.compute(2 * slope)
        value = author.compute(double + intercept)
        opening += f"{slope}*x: {a + b}-{slope}={intercept},{double}{intercept:+d}="
        return author.judge(opening, value, 2 * a + b)

    def verify(self, problem: Problem, answer: str) -> Verdict:
        program = extract_program(answer) or final_answer(answer)
        if program is None:
            return Verdict(False, None, "no program")
        a, b = problem.meta["a"], problem.meta["b"]
        tests = [CallTest("f", (x,), a * x + b) for x in (1, 2, *HIDDEN_INPUTS)]
        return check_code(program, tests, default_sandbox(), LIMITS).verdict(program)


def program_text(slope: int, intercept: int) -> str:
    """Return the program of a linear function: `def f(x):return 3*x+2`."""
    return f"def f(x):return {slope}*x{intercept:+d}"
