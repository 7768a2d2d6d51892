"""Pretraining: cross-entropy on whole documents without a prompt (cross_entropy.py).

Documents are packed without attending to each other. Recipes use Muon for the matrices inside the
layers and AdamW for the rest (docs/log.md has the comparison).
"""

from __future__ import annotations

from collections.abc import Sequence

from r1kit.types import Trajectory


def chunks(lengths: Sequence[int], batch_tokens: int, tokens: int) -> list[range]:
    """Split documents into steps of at least `batch_tokens`, until `tokens` is reached."""
    ranges, start, n_tokens, total = [], 0, 0, 0
    for index, length in enumerate(lengths):
        n_tokens += length
        if n_tokens >= batch_tokens:
            ranges.append(range(start, index + 1))
            start, total, n_tokens = index + 1, total + n_tokens, 0
        if total >= tokens:
            break
    return ranges


def document(token_ids: list[int], source: str = "") -> Trajectory:
    """Return a document as a training example: every token except the first is scored."""
    return Trajectory(token_ids, [0] + [1] * (len(token_ids) - 1), source=source)
