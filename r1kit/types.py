"""The core types of r1kit, in one file that imports no sibling and no torch.

Dimensions: N problems per step · G completions per group · P prompt tokens · C completion tokens ·
T sequence tokens (P + C) · B sequences · V vocabulary. Per-token arrays are aligned to the token
they describe: `logprobs[t]` is log p(token t | tokens before t).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Json = dict[str, Any]
"""a JSON object"""
FinishReason = Literal["stop", "length", "abort"]
Outcome = Literal["correct", "incorrect", "no answer", "undecided"]
Split = Literal["train", "held_out"]
TopLogprobs = list[tuple[int, float]]
"""the most likely tokens at one position with their log-probabilities, most likely first"""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call of a tool by a model: `ToolCall("call_1", "weather", '{"city": "Paris"}')`."""

    id: str
    name: str
    arguments: str
    """a JSON object, as a string"""


@dataclass(frozen=True, slots=True)
class Message:
    """A chat message: `Message("assistant", "\\\\boxed{5}", reasoning="try 5: ...")`."""

    role: Literal["system", "user", "assistant", "tool"]
    """author; the content of a `tool` message is the result of a call"""
    content: str
    reasoning: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    """calls after the content, by the assistant"""
    tool_call_id: str | None = None
    """id of the call that a `tool` message answers"""


@dataclass(frozen=True, slots=True)
class Problem:
    """A question with its gold answer.

    `Problem("equation/7x+3=38", "equation", (Message("user", "7x + 3 = 38, x = ?"),), "5", "en")`
    """

    id: str
    """canonical: two wordings of the same problem in the same task share it"""
    task: str
    messages: tuple[Message, ...]
    answer: str
    language: str
    """language of the question: "en", "ko" or "zh" """
    meta: dict[str, Any] = field(default_factory=dict)
    needs_thinking: bool = True
    """False if an answer without thinking is also well formed, as for "Hello!" """

    def as_record(self) -> dict[str, str]:
        """Return the fields that are written beside its completions for readers."""
        return {
            "id": self.id,
            "task": self.task,
            "language": self.language,
            "question": self.messages[-1].content,
            "gold": self.answer,
        }


LOGIT_PARAMS = (
    "frequency_penalty", "presence_penalty", "repetition_penalty", "min_p", "logit_bias",
)  # fmt: skip
"""the sampling parameters that change logits before they are sampled from"""


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """Sampling parameters. `temperature=0` is greedy; `top_k=0` and `top_p=1` do not truncate."""

    max_tokens: int
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    stop: tuple[str, ...] = ()
    json_schema: str | None = None
    """JSON schema, as a JSON string, that constrains the completion from its first token"""
    lark: str | None = None
    """grammar in llguidance's Lark that does so instead of a schema"""
    n_top: int = 0
    """number of most likely tokens to return at every position"""
    min_tokens: int = 0
    """tokens before which no EOS token is sampled, unless the grammar allows no other token"""
    frequency_penalty: float = 0.0
    """subtracted from the logit of a token for every time it was sampled"""
    presence_penalty: float = 0.0
    """subtracted once from the logit of every token that was sampled"""
    repetition_penalty: float = 1.0
    """divides positive logits of tokens in the prompt or sampled, and multiplies negative ones"""
    min_p: float = 0.0
    """probability below which no token is sampled, as a share of the likeliest token's"""
    logit_bias: tuple[tuple[int, float], ...] = ()
    """(token, value added to its logit)"""

    @property
    def adjusts_logits(self) -> bool:
        """True if logits are changed before they are sampled from."""
        penalties = self.frequency_penalty or self.presence_penalty or self.min_p
        return bool(penalties or self.logit_bias) or self.repetition_penalty != 1


@dataclass(frozen=True, slots=True)
class Request:
    """A request for `n` completions of a prompt.

    `Request([1, 52, 9], n=16, sampling=SamplingParams(256), seed=7)`
    """

    prompt_ids: list[int]
    n: int
    sampling: SamplingParams
    seed: int
    """completion i of a request depends on (seed, i) and the weights, never on the batch"""
    n_prompt_top: int | None = None
    """number of most likely tokens to return at every position of the prompt, with the
    log-probabilities of its tokens; None: no log-probabilities of the prompt"""


@dataclass(frozen=True, slots=True)
class Completion:
    """A sampled completion. Its EOS token, if one was sampled, is the last of `token_ids`."""

    token_ids: list[int]
    """[C]"""
    logprobs: list[float]
    """[C] under the distribution sampled from (temperature, top-k and top-p applied)"""
    text: str
    """decoded text with thinking tags, without the EOS token, cut before a stop string"""
    finish: FinishReason
    policy_version: int
    tops: list[TopLogprobs] = field(default_factory=list)
    """[C] under the same distribution; at most n_top each, none of zero probability. [] if not
    requested"""


@dataclass(frozen=True, slots=True)
class Verdict:
    """A verifier's result: `Verdict(True, "5", "equal")`.

    `correct=None` means undecided; the rollout is dropped.
    """

    correct: bool | None
    extracted: str | None
    why: str

    @property
    def outcome(self) -> Outcome:
        """The verdict as a label; "no answer" if it is wrong and nothing was extracted."""
        if self.correct is None:
            return "undecided"
        if self.correct:
            return "correct"
        return "no answer" if self.extracted is None else "incorrect"


@dataclass(frozen=True, slots=True)
class Reward:
    """A weighted total and its unweighted parts.

    `Reward(2.0, {"accuracy": 1.0, "format": 1.0, "language": 0.8})`
    """

    total: float
    parts: dict[str, float]


@dataclass(frozen=True, slots=True)
class ParsedCompletion:
    """A completion split into thinking and answer.

    `<think>try 5</think>\\\\boxed{5}` is `ParsedCompletion("try 5", "\\\\boxed{5}", True)`.
    """

    thinking: str | None
    """text inside the first think block, stripped; None if no block was opened"""
    answer: str | None
    """everything outside that block, stripped; None if the thinking never ended"""
    well_formed: bool
    """True for a single think block at the very start and then an answer, neither of them blank"""


@dataclass(frozen=True, slots=True)
class Attempt:
    """A sampled completion of a problem, before it is graded."""

    problem: Problem
    prompt_ids: list[int]
    completion: Completion
    parsed: ParsedCompletion


@dataclass(frozen=True, slots=True)
class Rollout(Attempt):
    """An attempt with its verdict and reward."""

    verdict: Verdict
    reward: Reward


@dataclass(frozen=True, slots=True)
class Group:
    """The G rollouts of one problem, without the undecided ones."""

    problem: Problem
    rollouts: list[Rollout]


@dataclass(frozen=True, slots=True)
class Trajectory:
    """A training example: `Trajectory([1, 52, 9, 7], [0, 0, 1, 1], 0.7, [0, 0, -0.1, -0.3])`."""

    token_ids: list[int]
    """[T] prompt and completion"""
    loss_mask: list[int]
    """[T] 1 for tokens that were sampled (or are SFT targets); stored, never rebuilt from ids"""
    advantage: float | None = None
    """the same for every token of the completion (outcome supervision); None in SFT"""
    old_logprobs: list[float] | None = None
    """[T] log-probabilities under the sampling policy; 0 where loss_mask is 0; None in SFT"""
    learner_logprobs: list[float] | None = None
    """[T] log-probabilities under the learner before the first of several updates; None: unused"""
    source: str = ""
    """problem id, for logs"""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The manifest (`r1kit.json`) stored beside the weights of every checkpoint."""

    path: str
    stage: str
    step: int
    weights_from: str | None
    data_from: str | None
    tokenizer_hash: str
    config_hash: str
