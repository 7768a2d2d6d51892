"""Lengths and languages of texts; languages and tokens of a sample if there are many."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TypeVar

from r1kit.verify.language import language_of

T = TypeVar("T")

N_SAMPLED = 1000
"""number of texts whose languages and tokens are counted"""
CHARS_PER_TOKEN = 4.0
"""of Latin script, for the estimate without a tokenizer"""
CHARS_PER_TOKEN_CJK = 1.5
"""of Chinese and Korean"""
_CJK = 0x2E80
"""first code point of the East Asian scripts"""

CountTokens = Callable[[str], int]


def sampled(items: Sequence[T]) -> Sequence[T]:
    """Return all items, or a sample of `N_SAMPLED`, in their order; always the same ones."""
    if len(items) <= N_SAMPLED:
        return items
    places = sorted(random.Random(0).sample(range(len(items)), N_SAMPLED))
    return [items[place] for place in places]


def lengths(texts: Sequence[str], count_tokens: CountTokens | None) -> str:
    """Describe how long texts are: in tokens, or in characters with an estimate of the tokens."""
    if not texts:
        return "none"
    count = count_tokens or estimated_tokens
    tokens = _spread([count(text) for text in sampled(texts)])
    if count_tokens is not None:
        return f"{tokens} tokens"
    return f"{_spread([len(text) for text in texts])} characters, about {tokens} tokens"


def estimated_tokens(text: str) -> int:
    """Estimate the tokens of a text from its characters."""
    n_cjk = sum(ord(character) >= _CJK for character in text)
    return round(n_cjk / CHARS_PER_TOKEN_CJK + (len(text) - n_cjk) / CHARS_PER_TOKEN)


def languages(texts: Sequence[str]) -> str:
    """Describe in which languages texts are, by most of their words: `en 96 %, ko 4 %`."""
    counts = Counter(language_of(text[:1000]) for text in sampled(texts))
    shares = [f"{name} {100 * n / counts.total():.0f} %" for name, n in counts.most_common()]
    return ", ".join(shares)


def _spread(numbers: Sequence[int]) -> str:
    """Return median, 95th percentile and maximum: `56 · 101 · 159`."""
    ordered = sorted(numbers)
    median, most = (ordered[int(share * (len(ordered) - 1))] for share in (0.5, 0.95))
    return f"{median:,} · {most:,} · {ordered[-1]:,}"
