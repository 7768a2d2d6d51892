"""Verb 1: pretraining. Documents without a prompt, imitated whole (cross_entropy.py).

They are packed without seeing each other. Muon for the matrices inside the layers and AdamW for the
rest is what recipes say here (docs/log.md has the comparison).
"""

from __future__ import annotations

from collections.abc import Sequence

from r1kit.types import Trajectory


def chunks(lengths: Sequence[int], batch_tokens: int, tokens: int) -> list[range]:
    """Documents of each optimizer step: ranges of at least `batch_tokens`, until `tokens`."""
    ranges, start, held, total = [], 0, 0, 0
    for place, length in enumerate(lengths):
        held += length
        if held >= batch_tokens:
            ranges.append(range(start, place + 1))
            start, total, held = place + 1, total + held, 0
        if total >= tokens:
            break
    return ranges


def document(token_ids: list[int], source: str = "") -> Trajectory:
    """A document to imitate: every token but the first is scored."""
    return Trajectory(token_ids, [0] + [1] * (len(token_ids) - 1), source=source)
