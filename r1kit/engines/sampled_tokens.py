"""Sampled tokens with their log-probabilities, held back until their text is certain.

The tokens that a client sees are those of the text that it sees: a stop string is cut out of both,
and blanks before an answer are dropped from both.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from r1kit.engines.base import TokenLogprobs
from r1kit.engines.text import Detokenizer
from r1kit.types import TopLogprobs


class SampledToken(NamedTuple):
    """A token of a completion, or of an echoed prompt, with its log-probability."""

    id: int
    logprob: float | None
    """None for the first token of a prompt, which nothing predicts"""
    top: TopLogprobs
    """the `n_top` likeliest tokens at its position"""
    is_shown: bool = True
    """False if the token is not in the text: an EOS or control token, or dropped blanks"""


class SampledTokens:
    """The tokens of one completion that have not been returned yet."""

    def __init__(self, text: Detokenizer, is_begun: bool) -> None:
        """`is_begun` is False if blanks before the answer are dropped."""
        self.n_dropped = 0
        """number of characters at the end of the completion that are not in its text"""
        self._text = text
        self._is_begun = is_begun
        self._pending: list[SampledToken] = []

    def add(
        self,
        ids: Sequence[int],
        logprobs: Sequence[float],
        tops: Sequence[TopLogprobs],
        is_thought: bool,
    ) -> None:
        """Add the next tokens; `tops` may be empty."""
        for token_id, logprob, top in zip(ids, logprobs, tops or [[]] * len(ids), strict=True):
            is_shown = self._text.shows(token_id)
            if is_shown and not self._is_begun and not is_thought:
                is_shown = self._is_begun = bool(self._text.decode([token_id]).strip())
            self._pending.append(SampledToken(token_id, logprob, top, is_shown))

    def take(self) -> list[SampledToken]:
        """Return the pending tokens."""
        tokens, self._pending = self._pending, []
        return tokens

    def finish(self) -> list[SampledToken]:
        """Return the pending tokens at the end; those of dropped text are not shown."""
        tokens = self.take()
        ids = [token.id for token in tokens]
        starts = range(len(ids) - 1, -1, -1)
        n_shown = len(ids)
        for start in starts:
            if not self.n_dropped or len(self._text.decode(ids[start:])) > self.n_dropped:
                break
            n_shown = start
        return tokens[:n_shown] + [token._replace(is_shown=False) for token in tokens[n_shown:]]


def prompt_tokens(
    ids: Sequence[int], scored: TokenLogprobs | None, text: Detokenizer
) -> list[SampledToken]:
    """Return the tokens of an echoed prompt; the first has no log-probability."""
    logprobs: list[float | None] = [None, *(scored.logprobs if scored else ())]
    tops = [[], *scored.tops] if scored and scored.tops else [[]] * len(ids)
    return [
        SampledToken(token, logprob, top, text.shows(token))
        for token, logprob, top in zip(ids, logprobs, tops, strict=True)
    ]
