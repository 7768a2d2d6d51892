"""From a rollout to a conversation: the draft that filters look at, and the row it becomes.

A row is what trl, transformers and most tools read: `messages` with `role` and `content`, the
thinking as `reasoning_content` (DeepSeek's name for it) on the turn it belongs to. `provenance`
says where the row is from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from r1kit.template import Parsed, parse
from r1kit.types import Group, Message, Rollout

TrainingRow = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A rollout with what filters need to know about it."""

    rollout: Rollout
    parsed: Parsed
    pass_rate: float
    """share of its group that is correct, 0 to 1"""
    n_samples: int
    """in its group; undecided ones are gone before"""

    @property
    def question(self) -> str:
        """All turns before the completion."""
        return "\n".join(message.content for message in self.rollout.problem.messages)

    @property
    def text(self) -> str:
        """Everything that would be learned: question, thinking and answer."""
        return "\n".join((self.question, self.parsed.thinking or "", self.parsed.answer or ""))


@dataclass(frozen=True, slots=True)
class Provenance:
    """Who sampled: `Provenance("runs/tiny/reasoning/step-90", seed=0)`."""

    checkpoint: str
    seed: int


def drafts(groups: Sequence[Group], prefilled: bool = False) -> list[Candidate]:
    """The rollouts in order; `prefilled` says that prompts already ended in `<think>`."""
    found = []
    for group in groups:
        n = len(group.rollouts)
        n_correct = sum(rollout.verdict.correct is True for rollout in group.rollouts)
        for rollout in group.rollouts:
            parsed = parse(rollout.completion.text, prefilled)
            found.append(Candidate(rollout, parsed, n_correct / n, n))
    return found


def as_row(draft: Candidate, origin: Provenance, filters: Sequence[str]) -> TrainingRow:
    """The draft as a conversation; `filters` are the names of those it passed."""
    problem, verdict = draft.rollout.problem, draft.rollout.verdict
    answer = Message("assistant", draft.parsed.answer or "", draft.parsed.thinking)
    return conversation(
        (*problem.messages, answer),
        problem=problem.id,
        task=problem.task,
        language=problem.language,
        gold=problem.answer,
        checkpoint=origin.checkpoint,
        seed=origin.seed,
        verdict={
            "outcome": verdict.outcome,
            "extracted": verdict.extracted,
            "why": verdict.why,
        },
        pass_rate=draft.pass_rate,
        n_samples=draft.n_samples,
        n_tokens=len(draft.rollout.completion.token_ids) or None,  # unknown of other servers
        filters=list(filters),
    )


def conversation(messages: Sequence[Message], **provenance: Any) -> TrainingRow:
    """A row of any messages: those of a gold conversation have no rollout behind them."""
    turns = []
    for message in messages:
        turn = {"role": message.role, "content": message.content}
        if message.reasoning is not None:
            turn["reasoning_content"] = message.reasoning
        turns.append(turn)
    return {"messages": turns, "provenance": provenance}


def messages_of(row: TrainingRow) -> tuple[Message, ...]:
    """The turns of a row; `reasoning`, as other tools call it, is read too."""
    return tuple(
        Message(turn["role"], turn["content"], turn.get("reasoning_content", turn.get("reasoning")))
        for turn in row["messages"]
    )
