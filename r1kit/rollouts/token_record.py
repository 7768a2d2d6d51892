"""The tokens of recorded completions with log-probabilities and entropies, for `r1 watch`.

A recorded group has them for its first `MAX_RECORDED_TOKENS` tokens, whole completions only, so
that samples.jsonl grows by at most about 90 kB per group, whatever the model writes.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

from r1kit.engines.text import Detokenizer, IncrementalDetokenizer
from r1kit.types import Completion, Rollout

MAX_RECORDED_TOKENS = 4096
_DIGITS = 3


def n_recorded(rollouts: Sequence[Rollout]) -> int:
    """Return the number of rollouts whose tokens are recorded, the first ones of their group."""
    totals = accumulate(len(rollout.completion.token_ids) for rollout in rollouts)
    return sum(total <= MAX_RECORDED_TOKENS for total in totals)


def token_records(
    rollouts: Sequence[Rollout], tokenizer: Any, entropies: Sequence[list[float]] | None = None
) -> list[dict[str, Any]]:
    """Return `{"tokens": ["x", "=5"], "logprobs": [-0.01, -1.2]}` of each rollout.

    `entropies` adds those of each rollout's tokens, in nats. The texts of the tokens join to the
    text of the completion; a token that ends no character, and EOS, have an empty text.
    """
    records: list[dict[str, Any]] = []
    for index, rollout in enumerate(rollouts):
        texts = token_texts(rollout.completion, tokenizer)
        records.append({"tokens": texts, "logprobs": _rounded(rollout.completion.logprobs)})
        if entropies is not None:
            records[-1]["entropies"] = _rounded(entropies[index])
    return records


def _rounded(values: Sequence[float]) -> list[float]:
    return [round(value, _DIGITS) for value in values]


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
