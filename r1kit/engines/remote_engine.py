"""The base class of engines that sample elsewhere; it holds the tokens received so far.

The sampler, a process (process/) or a vLLM server (vllm/), may be ahead of this side; tokens
that arrive after a completion was ended here are ignored.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from r1kit.engines.base import Counters, RequestState, TokenLogprobs, check
from r1kit.engines.text import Text
from r1kit.errors import EngineError
from r1kit.types import Completion, FinishReason, Request, TopLogprobs


@dataclass(frozen=True, slots=True)
class CompletionUpdate:
    """The tokens of a completion sampled since the last update."""

    token_ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    finish: FinishReason | None = None
    n_cached: int = 0
    """number of prompt tokens found in the prefix cache; 0 if not reported"""
    tops: list[TopLogprobs] = field(default_factory=list)


@dataclass(eq=False, slots=True)
class RemoteCompletion:
    """The tokens of one completion received so far."""

    job: RequestState
    index: int
    token_ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    tops: list[TopLogprobs] = field(default_factory=list)

    @property
    def is_open(self) -> bool:
        return self.job.completions[self.index] is None


class RemoteEngine(ABC):
    """A partial `base.StreamingSampler`; subclasses implement `step`, `_send` and `_cancel`."""

    def __init__(
        self,
        tokenizer: Any,
        *,
        vocab_size: int,
        eos_ids: Collection[int],
        max_positions: int | None,
    ) -> None:
        """`vocab_size` is the vocabulary size of the model."""
        self.counters = Counters()
        self.eos_ids = frozenset(eos_ids)
        self._vocab_size = vocab_size
        self._max_positions = max_positions
        self._text = Text(tokenizer, self.eos_ids)
        self._rows: dict[RequestState, list[RemoteCompletion]] = {}

    @property
    def max_positions(self) -> int | None:
        """Implements `StreamingSampler.max_positions`."""
        return self._max_positions

    def submit(self, request: Request, ahead: bool = False) -> RequestState:
        """Implements `StreamingSampler.submit`."""
        check(request, self._vocab_size, self._max_positions)
        job = RequestState(request)
        self.counters.prompt_tokens += len(request.prompt_ids)
        self._rows[job] = [RemoteCompletion(job, index) for index in range(request.n)]
        self._send(job, self._rows[job], ahead)
        return job

    def abort(self, job: RequestState) -> None:
        """Implements `StreamingSampler.abort`."""
        for row in self._rows.pop(job, []):
            if row.is_open:
                self._cancel(row)
                self._end(row, "abort")

    def cut(self, job: RequestState, index: int) -> Completion:
        """Implements `StreamingSampler.cut`."""
        if job.completions[index] is not None:
            raise EngineError(f"Completion {index} is not being sampled, so it cannot be cut.")
        row = self._rows[job][index]
        self._cancel(row)
        return self._end(row, "abort")

    def sampled(self, job: RequestState, index: int) -> list[int]:
        """Implements `StreamingSampler.sampled`."""
        if index in job.errors:
            raise job.errors[index]
        completion = job.completions[index] or self._rows[job][index]
        return completion.token_ids

    def logprobs(self, job: RequestState, index: int) -> TokenLogprobs:
        """Implements `StreamingSampler.logprobs`."""
        completion = job.completions[index] or self._rows[job][index]
        return TokenLogprobs(completion.logprobs, completion.tops)

    @abstractmethod
    def step(self) -> list[RequestState]:
        """Receive new tokens; see `StreamingSampler.step`."""

    @abstractmethod
    def _send(self, job: RequestState, rows: list[RemoteCompletion], ahead: bool) -> None:
        """Send the request to the sampler, one completion for each of `rows`."""

    @abstractmethod
    def _cancel(self, row: RemoteCompletion) -> None:
        """Tell the sampler to stop sampling this completion."""

    def _take(self, row: RemoteCompletion, update: CompletionUpdate | EngineError) -> bool:
        """Apply an update; return True if it finished the request."""
        if not row.is_open:
            return False
        row.job.n_begun = max(row.job.n_begun, row.index + 1)
        if isinstance(update, EngineError):
            row.job.errors[row.index] = update
            self._end(row, "abort")
            return row.job.n_left == 0
        row.token_ids += update.token_ids
        row.logprobs += update.logprobs
        row.tops += update.tops
        self.counters.completion_tokens += len(update.token_ids)
        self.counters.cached_tokens += max(0, update.n_cached - row.job.n_cached)
        row.job.n_cached = max(row.job.n_cached, update.n_cached)
        if update.finish is None:
            return False
        self._end(row, update.finish)
        return row.job.n_left == 0

    def _end(self, row: RemoteCompletion, finish: FinishReason) -> Completion:
        job = row.job
        text, has_stop = self._text.complete(row.token_ids, job.request.sampling.stop)
        finish = "stop" if has_stop else finish
        completion = Completion(row.token_ids, row.logprobs, text, finish, 0, row.tops)
        job.finish(row.index, completion)
        if not job.n_left:
            self._rows.pop(job, None)
        return completion
