"""The tokens of recorded completions with their log-probabilities, for `r1 watch`.

A recorded group has them for its first `MAX_RECORDED_TOKENS` tokens, whole completions only, so
that samples.jsonl grows by at most about 60 kB per group, whatever the model writes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from r1kit.engines.text import Detokenizer, IncrementalDetokenizer
from r1kit.types import Completion, Rollout

MAX_RECORDED_TOKENS = 4096
_DIGITS = 3


def token_records(rollouts: Sequence[Rollout], tokenizer: Any) -> list[dict[str, Any]]:
    """Return `{"tokens": ["x", "=5"], "logprobs": [-0.01, -1.2]}` of each rollout, or `{}`.

    The texts of the tokens join to the text of the completion; a token that ends no character, and
    EOS, have an empty text.
    """
    records: list[dict[str, Any]] = []
    n_left = MAX_RECORDED_TOKENS
    for rollout in rollouts:
        completion = rollout.completion
        n_left -= len(completion.token_ids)
        if n_left < 0:
            return records + [{}] * (len(rollouts) - len(records))
        logprobs = [round(value, _DIGITS) for value in completion.logprobs]
        records.append({"tokens": token_texts(completion, tokenizer), "logprobs": logprobs})
    return records


def token_texts(completion: Completion, tokenizer: Any) -> list[str]:
    """Return the text that each token adds; together they are the text of the completion."""
    eos = tokenizer.eos_token_id
    stream = IncrementalDetokenizer(Detokenizer(tokenizer, () if eos is None else (eos,)), ())
    ids, texts = completion.token_ids, list[str]()
    for n in range(1, len(ids) + 1):
        delta = stream.advance(ids[:n])
        texts.append(delta.text if delta else "")
    if texts:  # an incomplete character at the end, and what a stop string has cut off
        texts[-1] += completion.text[len("".join(texts)) :]
    return texts
