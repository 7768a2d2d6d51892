"""Graders by name: each decides whether an answer is right, from its text.

The version of a grader is a hash of its source code, so that two results with the same version were
graded by the same rules.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

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
from r1kit.verify.statements.policy import STRICT, GradingPolicy, find_policy


@dataclass(frozen=True)
class DetailedVerdict(Verdict):
    """A verdict with more than its three fields."""

    details: Mapping[str, Any] = field(default_factory=dict)
    """JSON for the file of verdicts; "score" is a number from 0 to 1 between right and wrong"""


@dataclass(frozen=True)
class Grader:
    """A named verifier of answers."""

    name: str
    check: Callable[[Problem, str, GradingPolicy], Verdict]
    sources: tuple[str, ...]
    """files and folders of r1kit/verify that decide"""
    gold: Callable[[Problem], str]
    """writes the gold answer of a problem as a model would"""
    has_votes: bool = True
    """False if answers cannot be compared as text, so that there is no majority"""
    has_policies: bool = False
    """True if the strict and the lenient policy may differ on an answer"""
    judge: str = ""
    """name and address of the judge that decides (judging.py)"""

    def verify(self, problem: Problem, answer: str, policy: str = "strict") -> Verdict:
        """Return the verdict on an answer, without its thinking, by a policy of `POLICIES`."""
        return self.check(problem, answer, find_policy(policy))

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
        return f"{self.name}@{self.version}" + (f" by {self.judge}" if self.judge else "")

    @property
    def file_name(self) -> str:
        """The name for a file of its verdicts; those of two judges are in two files."""
        judge = re.sub(r"[^\w.-]+", "-", self.judge)
        return f"{self.name}.{judge}" if judge else self.name


def _math(problem: Problem, answer: str, policy: GradingPolicy) -> Verdict:
    return check_math(answer, problem.answer, policy=policy)


def _number(problem: Problem, answer: str, policy: GradingPolicy = STRICT) -> Verdict:
    return check_number(answer, problem.answer)


def _exact(problem: Problem, answer: str, policy: GradingPolicy) -> Verdict:
    return check_exact(answer, problem.answer, policy)


def _choice(problem: Problem, answer: str, policy: GradingPolicy) -> Verdict:
    n_options = len(problem.meta.get("options") or LETTERS)
    return check_choice(answer, problem.answer, n_options, policy)


def _code(problem: Problem, answer: str, policy: GradingPolicy = STRICT) -> Verdict:
    return CODE_TASKS[problem.meta["code_task"]].without_rows().verify(problem, answer)


def _world(problem: Problem, answer: str, policy: GradingPolicy = STRICT) -> Verdict:
    return FAMILIES[problem.task](level=1).verify(problem, answer)


def _instructions(problem: Problem, answer: str, policy: GradingPolicy = STRICT) -> Verdict:
    report = check_instructions(answer, problem.meta["instructions"])
    verdict = report.verdict
    details = {"strict": list(report.strict), "loose": list(report.loose)}
    return DetailedVerdict(verdict.correct, verdict.extracted, verdict.why, details)


def _boxed(problem: Problem) -> str:
    return f"\\boxed{{{problem.answer}}}"


_STATED = ("answer.py", "statements")
"""sources that read how an answer is stated"""
GRADERS: dict[str, Grader] = {
    grader.name: grader
    for grader in (
        Grader("math", _math, ("math", *_STATED), _boxed, has_policies=True),
        Grader("number", _number, _STATED, _boxed),
        Grader("exact", _exact, ("exact.py", *_STATED), _boxed, has_policies=True),
        Grader(
            "choice", _choice, ("choice.py", *_STATED), lambda p: f"Answer: {p.answer}",
            has_policies=True,
        ),
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
