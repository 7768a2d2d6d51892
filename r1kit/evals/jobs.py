"""The unit of work of an evaluation: one completion of one problem, and its result."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

from r1kit.types import FinishReason, Problem, SamplingParams

FailureKind = Literal["context", "refused", "timeout", "failed"]
"""reason that there is no completion: the prompt is longer than the context, the server refuses
this request, it did not answer in time, or any other failure of the server"""


@dataclass(frozen=True, slots=True)
class SampleJob:
    """Completion number `sample` of a problem."""

    problem: Problem
    sample: int
    sampling: SamplingParams
    seed: int

    @property
    def key(self) -> tuple[str, int]:
        return self.problem.id, self.sample


@dataclass(frozen=True, slots=True)
class SampledText:
    """A completion, in the format that `renderers.thinking.parse` reads."""

    text: str
    finish: FinishReason
    n_tokens: int | None
    """number of sampled tokens; None if the server does not say"""
    n_prompt_tokens: int | None
    max_tokens: int
    """limit of this completion: the protocol's, or what the context left"""


@dataclass(frozen=True, slots=True)
class SampleFailure:
    """The reason that there is no completion, in a sentence."""

    kind: FailureKind
    why: str


JobResult = SampledText | SampleFailure


class CompletionSource(Protocol):
    """Samples completions of jobs, many at once."""

    def complete(self, jobs: Iterator[SampleJob]) -> Iterator[tuple[SampleJob, JobResult]]:
        """Yield the result of every job as soon as it is there, in any order.

        Raises EngineError if the model can no longer be sampled from; the results so far are valid.
        """
        ...

    def show_prompt(self, problem: Problem) -> str:
        """Return the prompt of a problem as the model reads it, as far as that is known."""
        ...


def job_seed(run_seed: int, problem: str, sample: int) -> int:
    """Derive the seed of a completion, below 2**31, which every server accepts."""
    digest = hashlib.sha256(f"{run_seed}/{problem}/{sample}".encode()).digest()
    return int.from_bytes(digest[:4]) >> 1
