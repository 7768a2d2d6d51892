"""Reading prompts, packed in one pass; each that begins with a known text, on from there."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple

import torch
from transformers import PreTrainedModel

from r1kit.engines.prefixes import Prefixes
from r1kit.model.cache import KeyValues, PrefillCache
from r1kit.model.continued import Continued
from r1kit.model.fused import prompt_reader
from r1kit.model.packed import Packed


class Prefix(NamedTuple):
    """A prompt that has been read."""

    keys_values: KeyValues
    """{} for a prompt of no tokens"""
    n_known: int
    """tokens whose keys and values were there already"""


class Prefill:
    """Reads prompts with `model`; remembers at most `prefix_tokens` tokens of them."""

    def __init__(self, model: PreTrainedModel, prefix_tokens: int) -> None:
        self._read = prompt_reader(model)
        self._device = model.device
        self._known = Prefixes(prefix_tokens)

    def read(self, prompts: Sequence[list[int]]) -> list[Prefix]:
        """What each of these prompts leaves behind."""
        read: list[Prefix] = []
        new: list[int] = []
        for place, prompt in enumerate(prompts):
            n_known, before = self._known.longest(prompt)
            if prompt and not n_known:
                new.append(place)
            rest = prompt[n_known:]
            read.append(Prefix(self._read_on(before, n_known, rest) if n_known else {}, n_known))
        if new:
            parts = self._read_packed([prompts[place] for place in new])
            for place, part in zip(new, parts, strict=True):
                read[place] = Prefix(part, 0)
        for prompt, prefix in zip(prompts, read, strict=True):
            self._known.keep(prompt, prefix.keys_values)
        return read

    def forget(self) -> None:
        """The weights have changed."""
        self._known.clear()

    def _read_packed(self, prompts: list[list[int]]) -> list[KeyValues]:
        lengths = [len(prompt) for prompt in prompts]
        layout, cache = Packed(lengths, self._device), PrefillCache()
        self._forward(list(chain.from_iterable(prompts)), layout, cache)
        return cache.split(lengths)

    def _read_on(self, before: KeyValues, n_before: int, ids: list[int]) -> KeyValues:
        if not ids:
            return before
        cache = PrefillCache(before)
        self._forward(ids, Continued(n_before, len(ids)), cache)
        return cache.stream

    def _forward(self, ids: list[int], layout: Packed | Continued, cache: PrefillCache) -> None:
        tokens = torch.tensor(ids, device=self._device)
        self._read(tokens, layout.positions()[0].to(self._device), layout, cache)
