"""Chunked prefill of prompts; a prompt with a cached prefix continues after that prefix."""

from __future__ import annotations

from collections.abc import Sequence

from r1kit.engines.base import RequestState
from r1kit.engines.local.prefix_cache import PrefixCache
from r1kit.model.cache import KeyValues
from r1kit.model.fused import Inference
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


class Prefill:
    """Prefills prompts with a model and keeps up to `prefix_tokens` tokens in a prefix cache."""

    def __init__(self, inference: Inference, prefix_tokens: int) -> None:
        self._inference = inference
        self._cache = PrefixCache(prefix_tokens)

    def n_cached(self, request: Request) -> int:
        """Return the number of leading prompt tokens in the prefix cache."""
        return self._cache.count(request.prompt_ids[:-1])

    def advance(self, states: Sequence[PrefillState], chunk_tokens: int) -> None:
        """Prefill up to `chunk_tokens` tokens of each prompt, after its longest cached prefix."""
        for state in states:
            if state.n_read is None:
                state.n_read, state.keys_values = self._cache.longest(state.prompt)
                state.n_cached = state.n_read
        unread = [
            (state, state.n_read)
            for state in states
            if state.n_read is not None and not state.is_read
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
        for state in states:  # also of unfinished prompts: another may share the prefix
            self._cache.keep(state.prompt[: state.n_read], state.keys_values)

    def forget(self) -> None:
        """Clear the prefix cache, because the weights have changed."""
        self._cache.clear()
