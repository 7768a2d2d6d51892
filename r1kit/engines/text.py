"""Detokenisation: whole completions, stop strings, and streams of complete characters.

Streaming follows the two-offset method of Hugging Face text-generation-inference and vLLM
(`detokenize_incrementally`): decode from a little before the new tokens, so that tokenizers that
treat the first token of a text differently give the same text as when decoding all at once.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from r1kit.engines.base import Delta
from r1kit.types import Completion

_BROKEN = "\N{REPLACEMENT CHARACTER}"
"""text to which an incomplete character decodes"""


class Detokenizer:
    """A decoder for one tokenizer and one set of EOS ids."""

    def __init__(
        self, tokenizer: Any, eos_ids: Collection[int], hidden_ids: frozenset[int] = frozenset()
    ) -> None:
        """Tokens of `hidden_ids` have no text."""
        self._tokenizer = tokenizer
        self._eos_ids = eos_ids
        self._hidden_ids = hidden_ids

    def hides(self, ids: Sequence[int]) -> bool:
        """Return True if a token has no text because it is hidden."""
        return not self._hidden_ids.isdisjoint(ids)

    def shows(self, token_id: int) -> bool:
        """Return True if a token is text: neither an EOS token nor hidden."""
        return token_id not in self._eos_ids and token_id not in self._hidden_ids

    def decode(self, ids: Sequence[int]) -> str:
        """Decode all tokens, including thinking tags, except hidden ones and an EOS at the end."""
        if ids and ids[-1] in self._eos_ids:
            ids = ids[:-1]
        if self.hides(ids):
            ids = [token for token in ids if token not in self._hidden_ids]
        text: str = self._tokenizer.decode(
            list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False
        )
        return text

    def complete(self, ids: Sequence[int], stop: Sequence[str]) -> tuple[str, bool]:
        """Return the text cut before the first stop string, and True if there was one."""
        text = self.decode(ids)
        # An incomplete character, possible only at an end without EOS, matches no stop string.
        is_ended = bool(ids) and ids[-1] in self._eos_ids
        certain = text if is_ended else text.rstrip(_BROKEN)
        positions = [position for string in stop if (position := certain.find(string)) >= 0]
        return (text[: min(positions)], True) if positions else (text, False)

    def stops(self, ids: Sequence[int], stop: Sequence[str]) -> bool:
        """True if the last of these ids completes a stop string."""
        # A token is at least one byte, so a stop string spans no more tokens than it has bytes.
        reach = max(len(string.encode()) for string in stop)
        tail = self.decode(ids[-reach:]).rstrip(_BROKEN)
        return any(string in tail for string in stop) and self.complete(ids, stop)[1]


class StopStringFilter:
    """A filter that passes streamed text up to the first stop string."""

    def __init__(self, stop: Sequence[str]) -> None:
        self.is_stopped = False
        """True once a stop string has been found"""
        self.matched: str | None = None
        """the stop string that was found"""
        self.n_dropped = 0
        """number of characters from the stop string on"""
        self._stop = stop
        self._held_back = ""
        """text held back because it may be the start of a stop string"""

    @property
    def is_holding(self) -> bool:
        """True if text is held back or has been cut off."""
        return bool(self._held_back) or self.is_stopped

    def feed(self, chunk: str) -> str:
        """Add a chunk; return the text that is now certain, which is "" after a stop string."""
        if self.is_stopped:
            self.n_dropped += len(chunk)
            return ""
        if not self._stop:
            return chunk
        text = self._held_back + chunk
        matches = [(at, string) for string in self._stop if (at := text.find(string)) >= 0]
        self.is_stopped = bool(matches)
        if matches:
            certain, self.matched = min(matches)
            self.n_dropped = len(text) - certain
        else:
            certain = min(_before(text, string) for string in self._stop)
        self._held_back = "" if matches else text[certain:]
        return text[:certain]

    def finish(self) -> str:
        """Return the text held back, which at the end of the text starts no stop string."""
        text, self._held_back = self._held_back, ""
        return text


class IncrementalDetokenizer:
    """The incremental decoder of one completion."""

    def __init__(self, text: Detokenizer, stop: Sequence[str]) -> None:
        self._text = text
        self._context = 0
        """index of the first token that is decoded again with the new ones"""
        self._read = 0
        """number of tokens whose text has been decoded"""
        self._n_sent = 0
        """number of tokens in the deltas returned so far"""
        self._text_so_far = ""
        self._until = StopStringFilter(stop)

    @property
    def is_holding(self) -> bool:
        """True if text is held back or has been cut off."""
        return self._until.is_holding

    def advance(self, ids: Sequence[int]) -> Delta | None:
        """Return the new text that is certain for an open completion with `ids` so far, if any."""
        before = self._text.decode(ids[self._context : self._read])
        after = self._text.decode(ids[self._context :])
        if len(after) <= len(before) or after.endswith(_BROKEN):
            return None
        self._context, self._read = self._read, len(ids)
        text = self._until.feed(after[len(before) :])
        return self._delta(ids, text) if text else None

    def finish(self, completion: Completion) -> Delta:
        """Return the rest of a finished completion, with its finish reason."""
        text = completion.text[len(self._text_so_far) :]
        delta = self._delta(completion.token_ids, text)
        return Delta(delta.token_ids, delta.text, completion.finish)

    def _delta(self, ids: Sequence[int], text: str) -> Delta:
        new = list(ids[self._n_sent :])
        self._n_sent = len(ids)
        self._text_so_far += text
        return Delta(new, text)


def _before(text: str, stop: str) -> int:
    """Return the length of `text` without an end that may be the start of `stop`."""
    sizes = range(min(len(text), len(stop) - 1), 0, -1)
    return len(text) - next((size for size in sizes if text.endswith(stop[:size])), 0)
