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

    def advance(self, jobs: Sequence[PrefillState], chunk_tokens: int) -> None:
        """Prefill up to `most` more tokens of each prompt, after its longest cached prefix."""
        for job in jobs:
            if job.n_read is None:
                job.n_read, job.keys_values = self._cache.longest(job.prompt)
                job.n_cached = job.n_read
        unread = [(job, job.n_read) for job in jobs if job.n_read is not None and not job.is_read]
        chunks = [job.prompt[start : start + chunk_tokens] for job, start in unread]
        if unread:
            keys_values_read = self._inference.read(chunks, [job.keys_values for job, _ in unread])
            for (job, start), chunk, keys_values in zip(
                unread, chunks, keys_values_read, strict=True
            ):
                job.keys_values, job.n_read = keys_values, start + len(chunk)
        for job in jobs:  # also of unfinished prompts: another may share the prefix
            self._cache.keep(job.prompt[: job.n_read], job.keys_values)

    def forget(self) -> None:
        """Clear the prefix cache, because the weights have changed."""
        self._cache.clear()
