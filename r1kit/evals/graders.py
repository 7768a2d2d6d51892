"""Graders by name: each decides whether an answer is right, from its text.

The version of a grader is a hash of its source code, so that two results with the same version were
graded by the same rules.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from r1kit import verify
from r1kit.errors import ConfigError
from r1kit.tasks.code import CODE_TASKS
from r1kit.tasks.world import FAMILIES
from r1kit.types import Problem, Verdict
from r1kit.verify.answer import check_number
from r1kit.verify.choice import check_choice
from r1kit.verify.exact import check_exact
from r1kit.verify.instructions import check_instructions
from r1kit.verify.math import check_math
from r1kit.verify.statements.letters import LETTERS


@dataclass(frozen=True)
class Grader:
    """A named verifier of answers."""

    name: str
    verify: Callable[[Problem, str], Verdict]
    sources: tuple[str, ...]
    """files and folders of r1kit/verify that decide"""
    gold: Callable[[Problem], str]
    """writes the gold answer of a problem as a model would"""
    has_votes: bool = True
    """False if answers cannot be compared as text, so that there is no majority"""

    @cached_property
    def version(self) -> str:
        """The first eight digits of the SHA-256 of its source code."""
        root = Path(verify.__file__).parent
        digest = hashlib.sha256()
        for source in self.sources:
            path = root / source
            for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
                digest.update(file.read_bytes())
        return digest.hexdigest()[:8]

    def __str__(self) -> str:
        return f"{self.name}@{self.version}"


def _choice(problem: Problem, answer: str) -> Verdict:
    return check_choice(answer, problem.answer, len(problem.meta.get("options") or LETTERS))


def _code(problem: Problem, answer: str) -> Verdict:
    return CODE_TASKS[problem.meta["code_task"]].without_rows().verify(problem, answer)


def _world(problem: Problem, answer: str) -> Verdict:
    return FAMILIES[problem.task](level=1).verify(problem, answer)


def _instructions(problem: Problem, answer: str) -> Verdict:
    return check_instructions(answer, problem.meta["instructions"]).verdict


def _boxed(problem: Problem) -> str:
    return f"\\boxed{{{problem.answer}}}"


_STATED = ("answer.py", "statements")
"""sources that read how an answer is stated"""
GRADERS: dict[str, Grader] = {
    grader.name: grader
    for grader in (
        Grader("math", lambda p, text: check_math(text, p.answer), ("math", *_STATED), _boxed),
        Grader("number", lambda p, text: check_number(text, p.answer), _STATED, _boxed),
        Grader(
            "exact", lambda p, text: check_exact(text, p.answer), ("exact.py", *_STATED), _boxed
        ),
        Grader("choice", _choice, ("choice.py", *_STATED), lambda p: f"Answer: {p.answer}"),
        Grader(
            "code", _code, ("code", "sandbox"), lambda p: f"```python\n{p.answer}\n```",
            has_votes=False,
        ),
        Grader(
            "instructions", _instructions, ("instructions",), lambda p: p.answer, has_votes=False
        ),
        Grader("world", _world, ("expression.py", *_STATED), _boxed),
    )
}  # fmt: skip


def find_grader(name: str) -> Grader:
    """Return a grader by name. Raises ConfigError, which lists them, for an unknown name."""
    if name not in GRADERS:
        raise ConfigError(f"There is no grader {name!r}; there are {', '.join(GRADERS)}.")
    return GRADERS[name]
