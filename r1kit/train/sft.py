"""Supervised fine-tuning: cross-entropy on the last turn of each conversation.

Source: the R1 paper, section 2.3.1 and 2.3.3 of its first version; batch and learning rate from its
long version, B.4.2. Departures: batch size counts conversations, and the loss of an update is the
mean over all their scored tokens, whatever micro-batch or process they are in; the last batch of an
epoch may be smaller.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from r1kit.types import Trajectory


def example(prompt_ids: Sequence[int], turn_ids: Sequence[int], source: str = "") -> Trajectory:
    """Return a turn as a training example after its prompt, which is not scored."""
    return Trajectory(
        token_ids=[*prompt_ids, *turn_ids],
        loss_mask=[0] * len(prompt_ids) + [1] * len(turn_ids),
        source=source,
    )


def updates(n: int, batch: int, epochs: int, seed: int) -> list[list[int]]:
    """Return the example indices of each update: all `n` once per epoch, in a new order."""
    batches = []
    for epoch in range(epochs):
        order = list(range(n))
        random.Random(f"sft/{seed}/{epoch}").shuffle(order)
        batches += [order[start : start + batch] for start in range(0, n, batch)]
    return batches
