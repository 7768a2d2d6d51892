"""Reading prompts; each that begins with a known text, on from there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from r1kit.engines.prefixes import Prefixes
from r1kit.model.cache import KeyValues
from r1kit.model.fused import Inference


class Prefix(NamedTuple):
    """A prompt that has been read."""

    keys_values: KeyValues
    """{} for a prompt of no tokens"""
    n_known: int
    """tokens whose keys and values were there already"""


class Prefill:
    """Reads prompts with a model; remembers at most `prefix_tokens` tokens of them."""

    def __init__(self, inference: Inference, prefix_tokens: int) -> None:
        self._inference = inference
        self._known = Prefixes(prefix_tokens)

    def read(self, prompts: Sequence[list[int]]) -> list[Prefix]:
        """What each of these prompts leaves behind."""
        found = [self._known.longest(prompt) for prompt in prompts]
        rests = [prompt[n:] for prompt, (n, _) in zip(prompts, found, strict=True)]
        left = [known for _, known in found]
        new = [place for place, rest in enumerate(rests) if rest]
        if new:
            read = self._inference.read([rests[i] for i in new], [left[i] for i in new])
            for place, keys_values in zip(new, read, strict=True):
                left[place] = keys_values
        for prompt, keys_values in zip(prompts, left, strict=True):
            self._known.keep(prompt, keys_values)
        return [Prefix(known, n) for known, (n, _) in zip(left, found, strict=True)]

    def forget(self) -> None:
        """The weights have changed."""
        self._known.clear()
