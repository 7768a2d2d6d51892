"""Groups made by hand."""

from typing import Protocol

import pytest

from r1kit.renderers.thinking import parse
from r1kit.types import (
    Completion,
    FinishReason,
    Group,
    Json,
    Message,
    Problem,
    Reward,
    Rollout,
    Verdict,
)


class MakeGroup(Protocol):
    """Makes a group from texts, or from (text, changes of the rollout)."""

    def __call__(
        self,
        *texts: str | tuple[str, Json],
        id: str = "t/1",
        question: str = "2+3?",
        language: str = "en",
    ) -> Group: ...


def rollout(
    problem: Problem,
    text: str,
    correct: bool = True,
    finish: FinishReason = "stop",
    n_tokens: int = 10,
) -> Rollout:
    verdict = Verdict(correct, problem.answer if correct else None, "by hand")
    completion = Completion([7] * n_tokens, [-0.1] * n_tokens, text, finish, 3)
    return Rollout(problem, [1], completion, parse(text), verdict, Reward(0.0, {}))


@pytest.fixture
def make_group() -> MakeGroup:
    """A group from texts, or from (text, changes of the rollout)."""

    def make(*texts: str | tuple[str, Json], id: str = "t/1", question: str = "2+3?",
             language: str = "en") -> Group:  # fmt: skip
        problem = Problem(id, "t", (Message("user", question),), "5", language)
        pairs = [(text, {}) if isinstance(text, str) else text for text in texts]
        return Group(problem, [rollout(problem, text, **changes) for text, changes in pairs])

    return make
