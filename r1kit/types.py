"""The nouns of r1kit, in one file that imports no sibling and no torch.

Letters: N problems a step · G completions a group · P prompt tokens · C completion tokens ·
T sequence tokens (P + C) · B sequences · V vocabulary. Per-token arrays are aligned to the token
they speak about: `logprobs[t]` is log p(token t | tokens before t).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Json = dict[str, Any]
"""a JSON object"""
Finish = Literal["stop", "length", "abort"]
Outcome = Literal["correct", "incorrect", "no answer", "undecided"]
Split = Literal["train", "held_out"]
TopLogprobs = list[tuple[int, float]]
"""the likeliest tokens at one place and their log-probabilities, the likeliest first"""


@dataclass(frozen=True, slots=True)
class Message:
    """One turn: `Message("assistant", "\\\\boxed{5}", reasoning="try 5: ...")`."""

    role: Literal["system", "user", "assistant"]
    content: str
    reasoning: str | None = None


@dataclass(frozen=True, slots=True)
class Problem:
    """A question with its gold answer.

    `Problem("equation/7x+3=38", "equation", (Message("user", "7x + 3 = 38, x = ?"),), "5", "en")`
    """

    id: str
    """Canonical: two wordings of the same problem in the same task share it."""
    task: str
    messages: tuple[Message, ...]
    answer: str
    language: str
    """Of the question: "en", "ko" or "zh"."""
    meta: dict[str, Any] = field(default_factory=dict)
    needs_thinking: bool = True
    """False where an answer without thinking is as well formed as one with it: "Hello!" """

    def as_record(self) -> dict[str, str]:
        """What somebody who reads its completions wants to know."""
        return {
            "id": self.id,
            "task": self.task,
            "language": self.language,
            "question": self.messages[-1].content,
            "gold": self.answer,
        }


@dataclass(frozen=True, slots=True)
class Sampling:
    """How completions are drawn. `temperature=0` is greedy; `top_k=0` and `top_p=1` cut nothing."""

    max_tokens: int
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    stop: tuple[str, ...] = ()
    json_schema: str | None = None
    """a JSON schema, as JSON, that the completion follows from its first token on"""
    n_top: int = 0
    """how many of the likeliest tokens are to be told at every place"""
    min_tokens: int = 0
    """no EOS token is drawn before there are so many"""


@dataclass(frozen=True, slots=True)
class Request:
    """`n` completions of a prompt: `Request([1, 52, 9], n=16, sampling=Sampling(256), seed=7)`."""

    prompt_ids: list[int]
    n: int
    sampling: Sampling
    seed: int
    """Completion i of a request depends on (seed, i) and the weights, never on its neighbours."""


@dataclass(frozen=True, slots=True)
class Completion:
    """Sampled tokens. The end-of-sequence token, if one was sampled, is the last of `token_ids`."""

    token_ids: list[int]
    """[C]"""
    logprobs: list[float]
    """[C], under the law actually sampled from (temperature, top-k and top-p applied)."""
    text: str
    """Decoded without the end-of-sequence token; with thinking tags; cut before a stop string."""
    finish: Finish
    policy_version: int
    tops: list[TopLogprobs] = field(default_factory=list)
    """[C] under the same law; at most n_top each, none that cannot be drawn. [] if not asked for"""


@dataclass(frozen=True, slots=True)
class Verdict:
    """`Verdict(True, "5", "equal")`; `correct=None` is undecided: it drops the rollout."""

    correct: bool | None
    extracted: str | None
    why: str

    @property
    def outcome(self) -> Outcome:
        """The verdict in one word; wrong with nothing extracted is "no answer"."""
        if self.correct is None:
            return "undecided"
        if self.correct:
            return "correct"
        return "no answer" if self.extracted is None else "incorrect"


@dataclass(frozen=True, slots=True)
class Reward:
    """`Reward(2.0, {"accuracy": 1.0, "format": 1.0, "language": 0.8})`."""

    total: float
    parts: dict[str, float]


@dataclass(frozen=True, slots=True)
class Rollout:
    """A completion with its verdict and reward."""

    problem: Problem
    prompt_ids: list[int]
    completion: Completion
    verdict: Verdict
    reward: Reward


@dataclass(frozen=True, slots=True)
class Group:
    """The G rollouts of one problem; undecided ones are already gone."""

    problem: Problem
    rollouts: list[Rollout]


@dataclass(frozen=True, slots=True)
class Trajectory:
    """What the learner sees: `Trajectory([1, 52, 9, 7], [0, 0, 1, 1], 0.7, [0, 0, -0.1, -0.3])`."""

    token_ids: list[int]
    """[T] prompt and completion"""
    loss_mask: list[int]
    """[T] 1 where the token was sampled (or is to be imitated); carried, never rebuilt from ids"""
    advantage: float | None = None
    """the same for every token of the completion (outcome supervision); None in SFT"""
    old_logprobs: list[float] | None = None
    """[T] by the sampling policy; 0 where loss_mask is 0; None in SFT"""
    source: str = ""
    """problem id, for reading"""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The manifest beside the weights of every checkpoint (`r1kit.json`)."""

    path: str
    stage: str
    step: int
    weights_from: str | None
    data_from: str | None
    template: str
    tokenizer_hash: str
    config_hash: str


@dataclass(frozen=True, slots=True)
class BenchScore:
    """One benchmark on one checkpoint, with its error bar."""

    benchmark: str
    checkpoint: str
    n_problems: int
    samples: int
    """completions a problem"""
    pass_at_1: float
    stderr: float
    """standard error of pass_at_1, problems as clusters"""
    mean_tokens: float
    reflection_per_answer: float
    language_consistency: float
    truncated: float
    unanswered: float
