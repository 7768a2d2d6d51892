"""Reading prompts, a piece at a time; each that begins with a known text, on from there."""

from __future__ import annotations

from collections.abc import Sequence

from r1kit.engines.base import RequestState
from r1kit.engines.prefix_cache import PrefixCache
from r1kit.model.cache import KeyValues
from r1kit.model.fused import Inference
from r1kit.types import Request


class PrefillState(RequestState):
    """A job whose prompt is being read: all but its last token, which decoding reads."""

    def __init__(self, request: Request, n_known: int = 0) -> None:
        super().__init__(request)
        self.prompt = request.prompt_ids[:-1]
        self.known: KeyValues = {}
        """keys and values of the first `n_read` tokens"""
        self.n_read: int | None = None
        """None before anything has been looked up or read"""
        self._n_known = n_known
        """tokens that earlier prompts will spare, as far as one could tell when it was submitted"""

    @property
    def is_read(self) -> bool:
        return self.n_read == len(self.prompt)

    @property
    def n_unread(self) -> int:
        """Tokens that are left to read."""
        return len(self.prompt) - (self._n_known if self.n_read is None else self.n_read)

    @property
    def n_waiting(self) -> int:
        """Completions that have not begun."""
        return self.request.n - self.n_begun

    def forget(self) -> None:
        """Give back what was read."""
        self.known, self.n_read, self._n_known = {}, None, 0


class Prefill:
    """Reads prompts with a model; remembers at most `prefix_tokens` tokens of them."""

    def __init__(self, inference: Inference, prefix_tokens: int) -> None:
        self._inference = inference
        self._known = PrefixCache(prefix_tokens)

    def n_known(self, request: Request) -> int:
        """Tokens of a prompt that earlier prompts began with."""
        return self._known.count(request.prompt_ids[:-1])

    def advance(self, jobs: Sequence[PrefillState], most: int) -> None:
        """Read on, at most so many tokens of each; each begins with what earlier prompts left."""
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
        for job in jobs:  # also of a prompt that is not read yet: another may begin like it
            self._known.keep(job.prompt[: job.n_read], job.known)

    def forget(self) -> None:
        """The weights have changed."""
        self._known.clear()
