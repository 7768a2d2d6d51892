"""A test double: an engine that answers from a function, for tests and documentation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from r1kit.engines.base import Counters, RequestState, TokenLogprobs, check
from r1kit.engines.text import Detokenizer
from r1kit.types import Completion, FinishReason, Request

Script = Callable[[Request, int], str]
"""(request, index among its n completions) -> text"""


class ScriptedEngine:
    """An engine that returns the text of `script`, with log-probabilities of 0.

    An answer of more than max_tokens tokens is cut ("length"); otherwise it ends in the tokenizer's
    EOS token ("stop"). Stop strings cut the text, as in every engine.
    """

    def __init__(self, script: Script, tokenizer: Any) -> None:
        self.counters = Counters()
        self.version = 0
        self._queue: list[RequestState] = []
        self._script = script
        self._tokenizer = tokenizer
        self._eos_id: int = tokenizer.eos_token_id
        self._text = Detokenizer(tokenizer, {self._eos_id})

    def submit(self, request: Request, ahead: bool = False) -> RequestState:
        """Implements `Sampler.submit`."""
        check(request, len(self._tokenizer), None)
        state = RequestState(request)
        if request.n_prompt_top is not None:
            state.prompt_logprobs = TokenLogprobs([0.0] * (len(request.prompt_ids) - 1), [])
        self._queue.insert(0 if ahead else len(self._queue), state)
        return state

    def step(self) -> list[RequestState]:
        """Implements `Sampler.step`: every queued request finishes."""
        finished = list(self._queue)
        for state in finished:
            self.counters.prompt_tokens += len(state.request.prompt_ids)
            state.completions = [self._complete(state.request, i) for i in range(state.request.n)]
            state.n_begun, state.n_left = state.request.n, 0
            self._queue.remove(state)
        return finished

    def abort(self, state: RequestState) -> None:
        """Implements `Sampler.abort`."""
        if state.n_left:
            self._queue.remove(state)
            state.completions = [Completion([], [], "", "abort", self.version)] * state.request.n
            state.n_left = 0

    def publish(self, version: int) -> None:
        self.version = version

    def _complete(self, request: Request, index: int) -> Completion:
        sampling = request.sampling
        ids = self._tokenizer.encode(self._script(request, index), add_special_tokens=False)
        ids = [*ids, self._eos_id][: sampling.max_tokens]
        if sampling.stop:
            ends = range(1, len(ids))
            ids = next(
                (ids[:end] for end in ends if self._text.stops(ids[:end], sampling.stop)), ids
            )
        text, has_stop = self._text.complete(ids, sampling.stop)
        finish: FinishReason = "stop" if has_stop or ids[-1:] == [self._eos_id] else "length"
        self.counters.completion_tokens += len(ids)
        return Completion(ids, [0.0] * len(ids), text, finish, self.version)
