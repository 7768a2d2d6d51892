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
from r1kit.types import Completion, Finish, Request, TopLogprobs


@dataclass(frozen=True, slots=True)
class CompletionUpdate:
    """The tokens of a completion sampled since the last update."""

    token_ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    finish: Finish | None = None
    n_cached: int = 0
    """number of prompt tokens found in the prefix cache; 0 if not reported"""
    tops: list[TopLogprobs] = field(default_factory=list)


@dataclass(eq=False, slots=True)
class RemoteCompletion:
    """The tokens of one completion received so far."""

    job: RequestState
    place: int
    token_ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    tops: list[TopLogprobs] = field(default_factory=list)

    @property
    def is_open(self) -> bool:
        return self.job.completions[self.place] is None


class RemoteEngine(ABC):
    """A partial `base.StreamingSampler`; subclasses implement `step`, `_send` and `_let_go`."""

    def __init__(
        self, tokenizer: Any, *, n_ids: int, eos_ids: Collection[int], max_positions: int | None
    ) -> None:
        """`n_ids` is the vocabulary size of the model."""
        self.counters = Counters()
        self.eos_ids = frozenset(eos_ids)
        self._n_ids = n_ids
        self._max_positions = max_positions
        self._text = Text(tokenizer, self.eos_ids)
        self._rows: dict[RequestState, list[RemoteCompletion]] = {}

    @property
    def max_positions(self) -> int | None:
        """Implements `StreamingSampler.max_positions`."""
        return self._max_positions

    def submit(self, request: Request, ahead: bool = False) -> RequestState:
        """Implements `StreamingSampler.submit`."""
        check(request, self._n_ids, self._max_positions)
        job = RequestState(request)
        self.counters.prompt_tokens += len(request.prompt_ids)
        self._rows[job] = [RemoteCompletion(job, place) for place in range(request.n)]
        self._send(job, self._rows[job], ahead)
        return job

    def abort(self, job: RequestState) -> None:
        """Implements `StreamingSampler.abort`."""
        for row in self._rows.pop(job, []):
            if row.is_open:
                self._let_go(row)
                self._end(row, "abort")

    def cut(self, job: RequestState, index: int) -> Completion:
        """Implements `StreamingSampler.cut`."""
        if job.completions[index] is not None:
            raise EngineError(f"Completion {index} is not being sampled, so it cannot be cut.")
        row = self._rows[job][index]
        self._let_go(row)
        return self._end(row, "abort")

    def sampled(self, job: RequestState, index: int) -> list[int]:
        """Implements `StreamingSampler.sampled`."""
        if index in job.errors:
            raise job.errors[index]
        done = job.completions[index]
        return self._rows[job][index].token_ids if done is None else done.token_ids

    def odds(self, job: RequestState, index: int) -> TokenLogprobs:
        """Implements `StreamingSampler.odds`."""
        told = job.completions[index] or self._rows[job][index]
        return TokenLogprobs(told.logprobs, told.tops)

    @abstractmethod
    def step(self) -> list[RequestState]:
        """Receive new tokens; see `StreamingSampler.step`."""

    @abstractmethod
    def _send(self, job: RequestState, rows: list[RemoteCompletion], ahead: bool) -> None:
        """Send the request to the sampler, one completion for each of `rows`."""

    @abstractmethod
    def _let_go(self, row: RemoteCompletion) -> None:
        """Tell the sampler to stop sampling this completion."""

    def _take(self, row: RemoteCompletion, news: CompletionUpdate | EngineError) -> bool:
        """Apply an update; return True if it finished the request."""
        if not row.is_open:
            return False
        row.job.n_begun = max(row.job.n_begun, row.place + 1)
        if isinstance(news, EngineError):
            row.job.errors[row.place] = news
            return False
        row.token_ids += news.token_ids
        row.logprobs += news.logprobs
        row.tops += news.tops
        self.counters.completion_tokens += len(news.token_ids)
        self.counters.cached_tokens += max(0, news.n_cached - row.job.n_cached)
        row.job.n_cached = max(row.job.n_cached, news.n_cached)
        if news.finish is None:
            return False
        self._end(row, news.finish)
        return row.job.n_left == 0

    def _end(self, row: RemoteCompletion, finish: Finish) -> Completion:
        job = row.job
        text, stopped = self._text.complete(row.token_ids, job.request.sampling.stop)
        finish = "stop" if stopped else finish
        done = Completion(row.token_ids, row.logprobs, text, finish, 0, row.tops)
        job.completions[row.place] = done
        job.n_left -= 1
        if not job.n_left:
            self._rows.pop(job, None)
        return done
