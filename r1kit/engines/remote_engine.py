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
from r1kit.engines.text import Detokenizer
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
    prompt_logprobs: TokenLogprobs | None = None
    """those of the prompt, in the update that has them"""


@dataclass(eq=False, slots=True)
class RemoteCompletion:
    """The tokens of one completion received so far."""

    state: RequestState
    index: int
    token_ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    tops: list[TopLogprobs] = field(default_factory=list)

    @property
    def is_open(self) -> bool:
        return self.state.completions[self.index] is None


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
        self._text = Detokenizer(tokenizer, self.eos_ids)
        self._remote_completions: dict[RequestState, list[RemoteCompletion]] = {}

    @property
    def max_positions(self) -> int | None:
        """Implements `StreamingSampler.max_positions`."""
        return self._max_positions

    def submit(self, request: Request, ahead: bool = False) -> RequestState:
        """Implements `StreamingSampler.submit`."""
        check(request, self._vocab_size, self._max_positions)
        state = RequestState(request)
        self.counters.prompt_tokens += len(request.prompt_ids)
        self._remote_completions[state] = [
            RemoteCompletion(state, index) for index in range(request.n)
        ]
        self._send(state, self._remote_completions[state], ahead)
        return state

    def abort(self, state: RequestState) -> None:
        """Implements `StreamingSampler.abort`."""
        for completion in self._remote_completions.pop(state, []):
            if completion.is_open:
                self._cancel(completion)
                self._end(completion, "abort")

    def abort_completion(self, state: RequestState, index: int) -> Completion:
        """Implements `StreamingSampler.abort_completion`."""
        if state.completions[index] is not None:
            raise EngineError(f"Completion {index} is not being sampled, so it cannot be cut.")
        completion = self._remote_completions[state][index]
        self._cancel(completion)
        return self._end(completion, "abort")

    def sampled_ids(self, state: RequestState, index: int) -> list[int]:
        """Implements `StreamingSampler.sampled_ids`."""
        if index in state.errors:
            raise state.errors[index]
        completion = state.completions[index] or self._remote_completions[state][index]
        return completion.token_ids

    def logprobs(self, state: RequestState, index: int) -> TokenLogprobs:
        """Implements `StreamingSampler.logprobs`."""
        completion = state.completions[index] or self._remote_completions[state][index]
        return TokenLogprobs(completion.logprobs, completion.tops)

    @abstractmethod
    def step(self) -> list[RequestState]:
        """Receive new tokens; see `StreamingSampler.step`."""

    @abstractmethod
    def _send(self, state: RequestState, completions: list[RemoteCompletion], ahead: bool) -> None:
        """Send the request to the sampler, one completion for each of `completions`."""

    @abstractmethod
    def _cancel(self, completion: RemoteCompletion) -> None:
        """Tell the sampler to stop sampling this completion."""

    def _apply(self, completion: RemoteCompletion, update: CompletionUpdate | EngineError) -> bool:
        """Apply an update; return True if it finished the request."""
        if not completion.is_open:
            return False
        completion.state.n_begun = max(completion.state.n_begun, completion.index + 1)
        if isinstance(update, EngineError):
            completion.state.errors[completion.index] = update
            self._end(completion, "abort")
            return completion.state.n_left == 0
        completion.state.prompt_logprobs = (
            update.prompt_logprobs or completion.state.prompt_logprobs
        )
        completion.token_ids += update.token_ids
        completion.logprobs += update.logprobs
        completion.tops += update.tops
        self.counters.completion_tokens += len(update.token_ids)
        self.counters.cached_tokens += max(0, update.n_cached - completion.state.n_cached)
        completion.state.n_cached = max(completion.state.n_cached, update.n_cached)
        if update.finish is None:
            return False
        self._end(completion, update.finish)
        return completion.state.n_left == 0

    def _end(self, completion: RemoteCompletion, finish: FinishReason) -> Completion:
        state = completion.state
        text, has_stop = self._text.complete(completion.token_ids, state.request.sampling.stop)
        finish = "stop" if has_stop else finish
        result = Completion(
            completion.token_ids, completion.logprobs, text, finish, 0, completion.tops
        )
        state.finish(completion.index, result)
        if not state.n_left:
            self._remote_completions.pop(state, None)
        return result
