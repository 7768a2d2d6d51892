"""Grading: an attempt becomes a rollout with a verdict and a reward."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from r1kit.errors import R1Error
from r1kit.judges import Judge, add_judge_scores
from r1kit.rollouts.rewards import overlong_penalty, reward
from r1kit.types import Attempt, Group, Problem, Reward, Rollout, Verdict

VerifyFunction = Callable[[Problem, str], Verdict]
"""(problem, answer part of the text) → verdict; called from several threads at once"""


class VerifierError(Exception):
    """A verifier failed on one answer; the completion counts as undecided."""


@dataclass(frozen=True)
class Rubric:
    """The rules for grading attempts."""

    verify: VerifyFunction
    weights: Mapping[str, float]
    """weights of the parts of the reward"""
    weights_by_task: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """task name -> weights, for tasks that override them"""
    max_tokens: int = 0
    overlong_buffer: int = 0
    """number of tokens before `max_tokens` over which a length penalty grows; 0 turns it off"""
    judge: Judge | None = None
    judged_task: str = ""
    """name of the task whose completions the judge scores"""

    def grade(self, attempt: Attempt) -> Rollout | None:
        """Verify and reward an attempt; return None if the verdict is undecided.

        Raises VerifierError if the verifier fails in another way than by an R1Error.
        """
        problem, completion, parsed = attempt.problem, attempt.completion, attempt.parsed
        if parsed.answer is None:
            verdict = Verdict(False, None, "no answer: the thinking never ended")
        else:
            verdict = self._verify(problem, parsed.answer)
        if verdict.correct is None:
            return None
        scored = reward(attempt, verdict, self.weights_by_task.get(problem.task, self.weights))
        if self.overlong_buffer:
            n_tokens = len(completion.token_ids)
            penalty = overlong_penalty(n_tokens, self.max_tokens, self.overlong_buffer)
            scored = Reward(scored.total + penalty, scored.parts | {"length": penalty})
        return Rollout(problem, attempt.prompt_ids, completion, parsed, verdict, scored)

    def _verify(self, problem: Problem, answer: str) -> Verdict:
        try:
            return self.verify(problem, answer)
        except R1Error:
            raise
        except Exception as error:
            cause = f"{type(error).__name__}: {error}"
            raise VerifierError(f"The verifier of {problem.task} failed ({cause}).") from error

    def judge_groups(self, groups: Sequence[Group]) -> list[Group]:
        """Add the judge's score to the rewards of its task; drop rollouts it cannot decide."""
        if self.judge is None:
            return list(groups)
        weight = self.weights_by_task.get(self.judged_task, {}).get("preference", 0.0)
        judged = [group for group in groups if group.problem.task == self.judged_task]
        scored = iter(add_judge_scores(judged, self.judge, weight))
        return [
            next(scored) if group.problem.task == self.judged_task else group for group in groups
        ]
