"""Rollouts: problems x G → engine → verify → reward → groups.

Verification runs as each group finishes, while the engine samples the others.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from r1kit.engines.base import Engine
from r1kit.rewards import reward
from r1kit.template import is_prefilled, parse, render_prompt
from r1kit.types import Completion, Group, Problem, Request, Rollout, Sampling, Verdict

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Verify = Callable[[Problem, str], Verdict]
"""(problem, answer part of the text) → verdict"""

SEED_STRIDE = 1_000_003
"""A prime, so that request seeds of different runs do not line up."""


@dataclass(frozen=True)
class Exam:
    """How problems are asked and completions scored."""

    tokenizer: PreTrainedTokenizerBase
    verify: Verify
    weights: Mapping[str, float]
    """of the parts of the reward"""

    def prompt(self, problem: Problem) -> list[int]:
        return render_prompt(self.tokenizer, problem.messages)

    def score(
        self, problem: Problem, prompt_ids: list[int], completion: Completion, prefilled: bool
    ) -> Rollout | None:
        """The completion with its verdict and reward; None when the verdict is undecided."""
        parsed = parse(completion.text, prefilled)
        if parsed.answer is None:
            verdict = Verdict(False, None, "no answer: the thinking never ended")
        else:
            verdict = self.verify(problem, parsed.answer)
        if verdict.correct is None:
            return None
        scored = reward(completion, verdict, self.weights, prefilled)
        return Rollout(problem, prompt_ids, completion, verdict, scored)


@dataclass
class Collected:
    """The groups of some problems, and what collecting them took."""

    groups: list[Group] = field(default_factory=list)
    n_undecided: int = 0
    sample_s: float = 0.0
    verify_s: float = 0.0


def request_seed(run_seed: int, problem_index: int) -> int:
    """Of the problem's place in the run, so that a restart draws the same completions."""
    return (run_seed * SEED_STRIDE + problem_index) % (1 << 62)


def collect(
    engine: Engine,
    exam: Exam,
    problems: Sequence[tuple[int, Problem]],
    n: int,
    sampling: Sampling,
    seed: int,
) -> Collected:
    """Draws n completions of each (index, problem), verifies and rewards them.

    Undecided completions are dropped from their group and counted.
    """
    found = Collected()
    rollouts: dict[int, list[Rollout]] = {}
    requests = [
        Request(exam.prompt(problem), n, sampling, request_seed(seed, index))
        for index, problem in problems
    ]
    prefilled = bool(requests) and is_prefilled(exam.tokenizer, requests[0].prompt_ids)

    def score(place: int, completions: list[Completion]) -> None:
        started = time.perf_counter()
        problem, prompt_ids = problems[place][1], requests[place].prompt_ids
        scored = [
            exam.score(problem, prompt_ids, completion, prefilled) for completion in completions
        ]
        rollouts[place] = [rollout for rollout in scored if rollout is not None]
        found.n_undecided += scored.count(None)
        found.verify_s += time.perf_counter() - started

    started = time.perf_counter()
    engine.generate(requests, on_group=score)
    found.sample_s = time.perf_counter() - started - found.verify_s
    found.groups = [Group(problem, rollouts[place]) for place, (_, problem) in enumerate(problems)]
    return found
