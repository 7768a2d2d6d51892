"""Encoding of text that never becomes a control token."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from r1kit.renderers.thinking import END_THINK, THINK, THINKING_TAGS

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def encode_text(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    """Encode plain text: `</think>` or `<｜User｜>` in it stay ordinary characters.

    Added tokens are matched before the normaliser and the pre-tokenizer, so starting at the
    normaliser bypasses them.
    """
    backend = tokenizer.backend_tokenizer
    if backend.normalizer is not None:
        text = backend.normalizer.normalize_str(text)
    if not text:
        return []
    splitter = backend.pre_tokenizer
    words = [(text, None)] if splitter is None else splitter.pre_tokenize_str(text)
    return [token.id for word, _ in words for token in backend.model.tokenize(word)]


def encode_completion(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    """Encode a whole completion: thinking tags become tokens, all else stays plain text."""
    ids: list[int] = []
    for part in re.split(f"({THINK}|{END_THINK})", text):
        is_tag = part in THINKING_TAGS
        ids += (
            tokenizer.encode(part, add_special_tokens=False)
            if is_tag
            else encode_text(tokenizer, part)
        )
    return ids


def without_forged_tokens(
    tokenizer: PreTrainedTokenizerBase, ids: list[int], encode_separately: Callable[[], list[int]]
) -> list[int]:
    """Return `ids`, or `encode_separately()` if message text has become control tokens in `ids`."""
    if getattr(tokenizer, "backend_tokenizer", None) is None:
        return ids
    added = set(tokenizer.get_added_vocab().values())
    safe = encode_separately()
    forged = [i for i in ids if i in added] != [i for i in safe if i in added]
    return safe if forged else ids


def adds_bos(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Return True if the tokenizer itself puts a BOS token in front of a text."""
    bos = tokenizer.bos_token_id
    return bos is not None and tokenizer.encode("a")[:1] == [bos]


def with_one_bos(ids: list[int], bos: int | None) -> list[int]:
    while bos is not None and ids[:2] == [bos, bos]:
        ids = ids[1:]
    return ids
