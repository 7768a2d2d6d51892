"""Groups of completions written by hand."""

from r1kit.renderers.thinking import parse
from r1kit.types import Completion, FinishReason, Group, Message, Problem, Reward, Rollout, Verdict


def problem(task: str = "equation") -> Problem:
    return Problem("p", task, (Message("user", "2x = 10?"),), "5", "en")


def rollout(
    text: str, answer: str | None, is_right: bool, *, reward: float = 0.0, task: str = "equation",
    logprobs: tuple[float, ...] = (-1.0,), finish: FinishReason = "stop",
) -> Rollout:  # fmt: skip
    completion = Completion([7] * len(logprobs), list(logprobs), text, finish, 0)
    parts = {"accuracy": float(is_right), "format": 1.0}
    verdict = Verdict(is_right, answer, "by hand")
    scored = Reward(reward, parts)
    return Rollout(problem(task), [1, 2, 3], completion, parse(text), verdict, scored)


def group(*rollouts: Rollout) -> Group:
    return Group(rollouts[0].problem, list(rollouts))


RIGHT = rollout("<think>wait</think>5", "5", True, reward=1.0, logprobs=(-0.5, -1.5))
WRONG = rollout("6 6", "6", False, logprobs=(-2.0, -1.0, -1.0), finish="length")
