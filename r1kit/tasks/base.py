"""Base classes of tasks: problems by index, and a verifier for their answers.

A task is a pure function of its settings: `problem(index)` returns the same problem in every
process and after every restart, so a single number records which problems were used. Train and
held-out problems are disjoint by construction: the hash of a problem's canonical id determines its
split, whatever the language of its wording.

A custom task is a Python file with a subclass of `GeneratedTask` (see docs/tasks.md), named in the
recipe as `path.py:Class`.
"""

from __future__ import annotations

import hashlib
import random
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from r1kit.errors import TaskError
from r1kit.types import Problem, Split, Verdict

HELD_OUT_SHARE = 10
"""reciprocal of the held-out share: one problem in 10"""

MAX_DRAWS = 10_000
"""number of draws before a split is declared empty"""


def split_of(problem_id: str) -> Split:
    """Return the split of a problem, determined by a hash of its canonical id."""
    digest = hashlib.sha256(problem_id.encode()).digest()
    return "held_out" if digest[0] * 256 + digest[1] < 65536 // HELD_OUT_SHARE else "train"


def hash_share(text: str) -> float:
    """Return a number from 0 to 1, evenly distributed over texts and the same for equal texts."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6]) / (1 << 48)


class Task(ABC):
    """A source of problems with a verifier.

    `problem(index)` must depend on the settings and `index` alone; `verify` gets only the answer
    part of a completion (the thinking is already stripped), must not raise on hostile text, and is
    called from several threads at once.
    """

    name: str
    is_finite: ClassVar[bool] = False
    """True if its problems are rows of a file: each occurs once in every `len(file)` indices"""
    remedy: ClassVar[str] = "correct its verify()"
    """what to do if a gold answer does not verify"""
    notes: Sequence[str] = ()
    """sentences about rows that are left out"""

    def __init__(
        self,
        *,
        level: int = 1,
        languages: Sequence[str] = ("en", "ko", "zh"),
        split: Split = "train",
        seed: int = 0,
    ) -> None:
        self.level = level
        self.languages = tuple(languages)
        self.split: Split = split
        self.seed = seed

    @abstractmethod
    def problem(self, index: int) -> Problem:
        """Return the problem at an index of the endless (or repeating) sequence of this split."""

    @abstractmethod
    def verify(self, problem: Problem, answer: str) -> Verdict:
        """Verify an answer; return `Verdict(None, ...)` if it cannot be decided."""

    def gold(self, problem: Problem) -> str | None:
        """Return an answer that must verify, as a model would write it; None if none is known."""
        return f"\\boxed{{{problem.answer}}}"


class GeneratedTask(Task):
    """A task whose problems are drawn at random; subclasses implement `draw` and `verify`."""

    @abstractmethod
    def draw(self, rng: random.Random, language: str) -> Problem:
        """Draw a random problem worded in `language`, with an id independent of the wording."""

    def problem(self, index: int) -> Problem:
        rng = self._rng(index)
        language = rng.choice(self.languages)
        for _ in range(MAX_DRAWS):
            problem = self.draw(rng, language)
            if split_of(problem.id) == self.split:
                return problem
        raise TaskError(
            f"Task {self.name!r} at level {self.level} drew {MAX_DRAWS} problems, but "
            f"none is in the split {self.split}; let draw() choose from more problems."
        )

    def _rng(self, index: int, purpose: str = "problem") -> random.Random:
        return random.Random(f"{self.name}/{self.level}/{purpose}/{self.split}/{self.seed}/{index}")
