"""Verb 2: supervised fine-tuning. Conversations are imitated, and of each only its last turn.

Source: the R1 paper, section 2.3.1 and 2.3.3 of its first version; batch and learning rate from its
long version, B.4.2. Departures: an update is a number of conversations, and its loss the mean over
all their scored tokens, whatever micro-batch or process they are in; the last batch of an epoch may
be smaller.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from r1kit.types import Trajectory


def example(prompt_ids: Sequence[int], turn_ids: Sequence[int], source: str = "") -> Trajectory:
    """A turn to imitate after its prompt, which is read and not scored."""
    return Trajectory(
        token_ids=[*prompt_ids, *turn_ids],
        loss_mask=[0] * len(prompt_ids) + [1] * len(turn_ids),
        source=source,
    )


def updates(n: int, batch: int, epochs: int, seed: int) -> list[list[int]]:
    """Which of `n` examples each update learns from: every one once an epoch, in a new order."""
    found = []
    for epoch in range(epochs):
        order = list(range(n))
        random.Random(f"sft/{seed}/{epoch}").shuffle(order)
        found += [order[start : start + batch] for start in range(0, n, batch)]
    return found
