"""Chunked prefill of prompts; a prompt with a cached prefix continues after that prefix.

A prompt whose log-probabilities are requested is prefilled from its start: the cache holds no
logits. They are computed in pieces, so that they never exist for a whole prompt.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from r1kit.engines.base import RequestState, TokenLogprobs
from r1kit.engines.local.prefix_cache import PrefixCache
from r1kit.engines.local.sampling import NOT_FINITE
from r1kit.errors import EngineError
from r1kit.model.cache import KeyValues
from r1kit.model.fused import ScoringInference
from r1kit.types import Request


class PrefillState(RequestState):
    """A request whose prompt is being prefilled, except the last token, which decoding reads."""

    def __init__(self, request: Request, n_cached: int = 0) -> None:
        super().__init__(request)
        self.prompt = request.prompt_ids[:-1]
        self.keys_values: KeyValues = {}
        """keys and values of the first `n_read` tokens"""
        self.n_read: int | None = None
        """number of prefilled tokens; None before the prefix cache was searched"""
        self._n_expected = n_cached
        """number of tokens found in the prefix cache when the request was submitted"""
        if self.is_scored:
            self.prompt_logprobs = TokenLogprobs([], [])

    @property
    def is_scored(self) -> bool:
        """True if the log-probabilities of the prompt are requested."""
        return self.request.n_prompt_top is not None

    @property
    def is_read(self) -> bool:
        return self.n_read == len(self.prompt)

    @property
    def n_unread(self) -> int:
        """Number of prompt tokens left to prefill."""
        return len(self.prompt) - (self._n_expected if self.n_read is None else self.n_read)

    @property
    def n_waiting(self) -> int:
        """Number of completions that have not started."""
        return self.request.n - self.n_begun

    def forget(self) -> None:
        """Drop the keys and values, so that the prompt is prefilled anew."""
        self.keys_values, self.n_read, self._n_expected = {}, None, 0
        if self.prompt_logprobs is not None:
            self.prompt_logprobs = TokenLogprobs([], [])

    def add_logits(self, start: int, logits: Tensor) -> None:
        """Score the tokens that follow those at `start` and after, logits [T, V]."""
        assert self.prompt_logprobs is not None
        following = self.request.prompt_ids[start + 1 : start + 1 + len(logits)]
        logprobs = logits.log_softmax(-1)
        scored = logprobs.gather(1, torch.tensor(following, device=logits.device)[:, None])[:, 0]
        if not torch.isfinite(scored).all():
            raise EngineError(NOT_FINITE)
        self.prompt_logprobs.logprobs.extend(scored.tolist())
        if n_top := self.request.n_prompt_top:
            likeliest = logprobs.topk(n_top)
            rows = zip(likeliest.indices.tolist(), likeliest.values.tolist(), strict=True)
            tops = [list(zip(tokens, values, strict=True)) for tokens, values in rows]
            self.prompt_logprobs.tops.extend(tops)


class Prefill:
    """Prefills prompts with a model and keeps up to `prefix_tokens` tokens in a prefix cache."""

    def __init__(
        self, inference: ScoringInference, prefix_tokens: int, max_scored: int = 512
    ) -> None:
        """`max_scored` is the number of tokens whose logits may exist at once."""
        self._inference = inference
        self._max_scored = max_scored
        self._cache = PrefixCache(prefix_tokens)

    def n_cached(self, request: Request) -> int:
        """Return the number of leading prompt tokens that the prefix cache saves."""
        is_scored = request.n_prompt_top is not None
        return 0 if is_scored else self._cache.count(request.prompt_ids[:-1])

    def advance(self, states: Sequence[PrefillState], chunk_tokens: int) -> None:
        """Prefill up to `chunk_tokens` tokens of each prompt, after its longest cached prefix."""
        for state in states:
            if state.n_read is None:
                prefix = [] if state.is_scored else state.prompt
                state.n_read, state.keys_values = self._cache.longest(prefix)
                state.n_cached = state.n_read
        unread = [
            (state, state.n_read)
            for state in states
            if state.n_read is not None and not state.is_read and not state.is_scored
        ]
        chunks = [state.prompt[start : start + chunk_tokens] for state, start in unread]
        if unread:
            keys_values_read = self._inference.read(
                chunks, [state.keys_values for state, _ in unread]
            )
            for (state, start), chunk, keys_values in zip(
                unread, chunks, keys_values_read, strict=True
            ):
                state.keys_values, state.n_read = keys_values, start + len(chunk)
        for state in states:
            if state.n_read is not None and not state.is_read and state.is_scored:
                self._score(state, state.n_read, chunk_tokens)
        for state in states:  # also of unfinished prompts: another may share the prefix
            self._cache.keep(state.prompt[: state.n_read], state.keys_values)

    def _score(self, state: PrefillState, start: int, chunk_tokens: int) -> None:
        """Prefill the next chunk of a prompt and the log-probabilities of the tokens after each."""
        end = min(start + chunk_tokens, len(state.prompt))
        for first in range(start, end, self._max_scored):
            piece = state.prompt[first : min(first + self._max_scored, end)]
            state.keys_values, logits = self._inference.read_scored(piece, state.keys_values)
            state.add_logits(first, logits)
        state.n_read = end

    def forget(self) -> None:
        """Clear the prefix cache, because the weights have changed."""
        self._cache.clear()
