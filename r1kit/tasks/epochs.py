"""Epochs over finite data: every item once per epoch, in an order new for every epoch."""

from __future__ import annotations

import random


class Epochs:
    """Maps an index without end to an item: `Epochs(3, "seed")[5]` is the last of the second epoch.

    The order is a function of `key` and epoch alone.
    """

    def __init__(self, n: int, key: str) -> None:
        self.n = n
        self.key = key
        self._epoch = -1
        self._order: list[int] = []

    def __getitem__(self, index: int) -> int:
        epoch, place = divmod(index, self.n)
        if epoch != self._epoch:
            self._order = list(range(self.n))
            random.Random(f"{self.key}/{epoch}").shuffle(self._order)
            self._epoch = epoch
        return self._order[place]
