"""Answers whose thinking is not returned (`reasoning.exclude`, `include_reasoning`). No torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from r1kit.engines.completion import Chunk
from r1kit.serve.api_error import ApiError
from r1kit.serve.wire import FullCompletion, Usage, Writer
from r1kit.types import Json


class HidingWriter:
    """A writer that passes on everything but the thinking; usage still counts it."""

    def __init__(self, inner: Writer) -> None:
        self._inner = inner
        self.keep_alive = inner.keep_alive

    def begin(self, usage: Usage) -> bytes:
        return self._inner.begin(usage)

    def say(self, chunk: Chunk) -> bytes:
        return self._inner.say(_without_thinking(chunk))

    def end(self, usage: Usage) -> bytes:
        return self._inner.end(usage)

    def error(self, error: ApiError) -> bytes:
        return self._inner.error(error)

    def whole(self, completions: Sequence[FullCompletion], usage: Usage) -> Json:
        chunks = [[_without_thinking(chunk) for chunk in c.chunks] for c in completions]
        visible = [
            replace(c, thinking="", chunks=of) for c, of in zip(completions, chunks, strict=True)
        ]
        return self._inner.whole(visible, usage)


def _without_thinking(chunk: Chunk) -> Chunk:
    pieces = [piece for piece in chunk.pieces if piece.kind != "thinking"]
    return replace(
        chunk, pieces=pieces, tokens=[] if chunk.n_thinking else chunk.tokens, thought=None
    )
