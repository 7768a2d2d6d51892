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

    def __init__(self, request: Request, n_known: int = 0) -> None:
        super().__init__(request)
        self.prompt = request.prompt_ids[:-1]
        self.known: KeyValues = {}
        """keys and values of the first `n_read` tokens"""
        self.n_read: int | None = None
        """number of prefilled tokens; None before the prefix cache was searched"""
        self._n_known = n_known
        """number of tokens found in the prefix cache when the request was submitted"""

    @property
    def is_read(self) -> bool:
        return self.n_read == len(self.prompt)

    @property
    def n_unread(self) -> int:
        """Number of prompt tokens left to prefill."""
        return len(self.prompt) - (self._n_known if self.n_read is None else self.n_read)

    @property
    def n_waiting(self) -> int:
        """Number of completions that have not started."""
        return self.request.n - self.n_begun

    def forget(self) -> None:
        """Drop the keys and values, so that the prompt is prefilled anew."""
        self.known, self.n_read, self._n_known = {}, None, 0


class Prefill:
    """Prefills prompts with a model and keeps up to `prefix_tokens` tokens in a prefix cache."""

    def __init__(self, inference: Inference, prefix_tokens: int) -> None:
        self._inference = inference
        self._known = PrefixCache(prefix_tokens)

    def n_known(self, request: Request) -> int:
        """Return the number of leading prompt tokens in the prefix cache."""
        return self._known.count(request.prompt_ids[:-1])

    def advance(self, jobs: Sequence[PrefillState], most: int) -> None:
        """Prefill up to `most` more tokens of each prompt, after its longest cached prefix."""
        for job in jobs:
            if job.n_read is None:
                job.n_read, job.known = self._known.longest(job.prompt)
                job.n_cached = job.n_read
        left = [(job, job.n_read) for job in jobs if job.n_read is not None and not job.is_read]
        pieces = [job.prompt[start : start + most] for job, start in left]
        if left:
            read = self._inference.read(pieces, [job.known for job, _ in left])
            for (job, start), piece, known in zip(left, pieces, read, strict=True):
                job.known, job.n_read = known, start + len(piece)
        for job in jobs:  # also of unfinished prompts: another may share the prefix
            self._known.keep(job.prompt[: job.n_read], job.known)

    def forget(self) -> None:
        """Clear the prefix cache, because the weights have changed."""
        self._known.clear()
