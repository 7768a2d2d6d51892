"""Data parallelism: the rank of this process, and the collective operations of all ranks."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch.distributed.tensor import DTensor

T = TypeVar("T")

_BUCKET = 2**24
"""gradients that are copied and summed at once; all at once would need as much memory again"""


@dataclass
class WaitClock:
    """Adds up the seconds that a rank spends in collective operations, waiting for the others."""

    seconds: float = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds += time.perf_counter() - started


@dataclass(frozen=True)
class Ranks:
    """This process's rank among those of the run, and their collective operations."""

    rank: int = 0
    size: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    shard_degree: int = 1
    """number of ranks that a trained model is sharded over (sharding.py); 1: each has all of it"""
    waiting: WaitClock = field(default_factory=WaitClock, compare=False)
    """time in the collective operations below; those inside the layers of a sharded model are not
    included"""

    @property
    def is_first(self) -> bool:
        return self.rank == 0

    @property
    def is_sharded(self) -> bool:
        return self.shard_degree > 1

    def share(self, items: Iterable[T]) -> list[T]:
        """Return this rank's items: every `size`-th one, from index `rank` on."""
        return list(items)[self.rank :: self.size]

    def pad(self, batches: Sequence[T], filler: T) -> list[T]:
        """Return as many batches as the rank with the most has, if models are sharded.

        All ranks of a sharded model have to run the same passes.
        """
        n = max(self.gather(len(batches))) if self.is_sharded else len(batches)
        return [*batches, *[filler] * (n - len(batches))]

    def sum_gradients(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        """Sum the gradients over all ranks in place; a parameter without one counts as zero.

        Those of sharded parameters have been summed by the backward pass.
        """
        parameters = [parameter for parameter in parameters if parameter.requires_grad]
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        if self.size == 1:
            return
        for bucket in _buckets(p for p in parameters if not isinstance(p, DTensor)):
            flat = torch.cat([parameter.grad.flatten() for parameter in bucket])  # type: ignore[union-attr]
            finish(self.device)
            with self.waiting.running():
                dist.all_reduce(flat)
                finish(self.device)
            pieces = flat.split([parameter.numel() for parameter in bucket])
            for parameter, piece in zip(bucket, pieces, strict=True):
                parameter.grad.copy_(piece.view_as(parameter))  # type: ignore[union-attr]

    def gather(self, item: T) -> list[T]:
        """Return the items of all ranks in rank order, on every rank. Small Python objects only."""
        if self.size == 1:
            return [item]
        items: list[Any] = [None] * self.size
        finish(self.device)
        with self.waiting.running():
            dist.all_gather_object(items, item)
        return items

    def barrier(self) -> None:
        """Wait until every rank has come here."""
        self.gather(None)

    def unlike_first(self, item: object) -> list[int]:
        """Return the ranks whose item is not equal to the first rank's, on every rank."""
        items = self.gather(item)
        return [rank for rank, other in enumerate(items) if other != items[0]]

    def sum(self, numbers: dict[str, float]) -> dict[str, float]:
        """Sum dicts of numbers over the ranks, key by key."""
        totals: dict[str, float] = {}
        for part in self.gather(numbers):
            for key, value in part.items():
                totals[key] = totals.get(key, 0.0) + value
        return totals


def finish(device: torch.device) -> None:
    """Wait until a GPU has done what it was given, so that a clock sees its time."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _buckets(parameters: Iterable[torch.nn.Parameter]) -> Iterator[list[torch.nn.Parameter]]:
    """Yield lists of at most `_BUCKET` numbers; a larger parameter is alone."""
    bucket: list[torch.nn.Parameter] = []
    n_held = 0
    for parameter in parameters:
        if bucket and n_held + parameter.numel() > _BUCKET:
            yield bucket
            bucket, n_held = [], 0
        bucket.append(parameter)
        n_held += parameter.numel()
    if bucket:
        yield bucket
