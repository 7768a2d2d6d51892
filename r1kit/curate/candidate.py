"""Candidates and training rows: what filters see of a rollout, and the conversation it becomes.

A row has the format that trl, transformers and most tools read: `messages` with `role` and
`content`, the thinking as `reasoning_content` (DeepSeek's name for it) on its own turn.
`provenance` records the origin of the row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from r1kit.types import Group, Message, ParsedCompletion, Rollout

TrainingRow = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A rollout with the data that filters need."""

    rollout: Rollout
    pass_rate: float
    """correct share of its group, 0 to 1"""
    n_samples: int
    """number of rollouts in its group, without undecided ones"""

    @property
    def parsed(self) -> ParsedCompletion:
        return self.rollout.parsed

    @property
    def question(self) -> str:
        """The text of all turns before the completion."""
        return "\n".join(message.content for message in self.rollout.problem.messages)

    @property
    def text(self) -> str:
        """The full training text: question, thinking and answer."""
        return "\n".join((self.question, self.parsed.thinking or "", self.parsed.answer or ""))


@dataclass(frozen=True, slots=True)
class Provenance:
    """The model and seed of a sample: `Provenance("runs/tiny/reasoning/step-90", seed=0)`."""

    checkpoint: str
    seed: int


def candidates_of(groups: Sequence[Group]) -> list[Candidate]:
    """Return the rollouts as candidates, in order."""
    candidates = []
    for group in groups:
        n = len(group.rollouts)
        n_correct = sum(rollout.verdict.correct is True for rollout in group.rollouts)
        candidates += [Candidate(rollout, n_correct / n, n) for rollout in group.rollouts]
    return candidates


def training_row(candidate: Candidate, origin: Provenance, filters: Sequence[str]) -> TrainingRow:
    """Convert a candidate to a conversation; `filters` are the names of the filters it passed."""
    problem, verdict = candidate.rollout.problem, candidate.rollout.verdict
    answer = Message("assistant", candidate.parsed.answer or "", candidate.parsed.thinking)
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
        pass_rate=candidate.pass_rate,
        n_samples=candidate.n_samples,
        n_tokens=len(candidate.rollout.completion.token_ids) or None,  # unknown for remote models
        filters=list(filters),
    )


def conversation(messages: Sequence[Message], **provenance: Any) -> TrainingRow:
    """Build a row from any messages, such as a gold conversation that has no rollout."""
    turns = []
    for message in messages:
        turn = {"role": message.role, "content": message.content}
        if message.reasoning is not None:
            turn["reasoning_content"] = message.reasoning
        turns.append(turn)
    return {"messages": turns, "provenance": provenance}


def messages_of(row: TrainingRow) -> tuple[Message, ...]:
    """Return the messages of a row; `reasoning`, the key of other tools, is read as well."""
    return tuple(
        Message(turn["role"], turn["content"], turn.get("reasoning_content", turn.get("reasoning")))
        for turn in row["messages"]
    )
