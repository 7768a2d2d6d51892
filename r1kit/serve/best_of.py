"""`best_of`: the n likeliest of the completions that were sampled for each prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from r1kit.engines.completion import Chunk
from r1kit.serve.api_error import ApiError
from r1kit.serve.schema import CompletionRequest
from r1kit.serve.wire import FullCompletion, Usage, Writer
from r1kit.types import Json


class BestOfWriter:
    """A writer that leaves out all but the best completions; it never streams."""

    def __init__(self, inner: Writer, request: CompletionRequest) -> None:
        self._inner = inner
        self.keep_alive = inner.keep_alive
        self._n, self._n_sampled = request.n or 1, request.n_sampled
        self._with_tokens = request.logprobs is not None

    def begin(self, usage: Usage) -> bytes:
        return self._inner.begin(usage)

    def say(self, chunk: Chunk) -> bytes:
        return self._inner.say(chunk)

    def end(self, usage: Usage) -> bytes:
        return self._inner.end(usage)

    def error(self, error: ApiError) -> bytes:
        return self._inner.error(error)

    def whole(self, completions: Sequence[FullCompletion], usage: Usage) -> Json:
        best: list[FullCompletion] = []
        for start in range(0, len(completions), self._n_sampled):
            ofs = completions[start : start + self._n_sampled]
            best += sorted(ofs, key=mean_logprob, reverse=True)[: self._n]
        return self._inner.whole([self._as(index, of) for index, of in enumerate(best)], usage)

    def _as(self, index: int, completion: FullCompletion) -> FullCompletion:
        chunks = [
            replace(chunk, index=index, tokens=chunk.tokens if self._with_tokens else [])
            for chunk in completion.chunks
        ]
        return replace(completion, chunks=chunks)


def mean_logprob(completion: FullCompletion) -> float:
    """Return the mean log-probability of the sampled tokens; an echoed prompt does not count."""
    sampled = [token for chunk in completion.chunks if chunk.n_tokens for token in chunk.tokens]
    logprobs = [token.logprob for token in sampled if token.logprob is not None]
    return sum(logprobs) / max(1, len(logprobs))
