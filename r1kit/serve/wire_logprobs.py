"""Log-probabilities of tokens, as the JSON objects that clients read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from r1kit.engines.completion import Chunk
from r1kit.types import Json


class Decoder(Protocol):
    """The part of a tokenizer that this module needs."""

    def decode(self, ids: list[int], **options: Any) -> Any: ...


def token_logprobs(chunks: Iterable[Chunk], decoder: Decoder | None) -> list[Json]:
    """Return every token of the text in the format of OpenAI's newer routes."""
    return [
        {
            **token_json(token.id, token.logprob, decoder),
            "top_logprobs": [token_json(*pair, decoder) for pair in token.top],
        }
        for chunk in chunks
        for token in chunk.tokens
        if token.is_shown
    ]


def token_json(token_id: int, logprob: float | None, decoder: Decoder | None) -> Json:
    text = token_text(decoder, token_id)
    is_whole = "\N{REPLACEMENT CHARACTER}" not in text
    data = list(text.encode()) if is_whole else None
    return {"token": text, "logprob": logprob, "bytes": data}


def foreign_logprobs(chunks: Sequence[Chunk]) -> Json | None:
    """Join the log-probabilities that an upstream server sent: lists under the same names."""
    joined: Json = {}
    for chunk in chunks:
        for name, values in (chunk.foreign_logprobs or {}).items():
            if isinstance(values, list):
                joined[name] = [*(joined.get(name) or []), *values]
            else:
                joined.setdefault(name, values)
    return joined or None


def token_text(decoder: Decoder | None, token_id: int) -> str:
    """Return the text of one token, control tokens included."""
    assert decoder is not None  # without a decoder there are no tokens
    return str(decoder.decode([token_id], skip_special_tokens=False))
