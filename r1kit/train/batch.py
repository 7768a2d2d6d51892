"""Micro-batches: the only place where trajectories become tensors.

A micro-batch is flat: its sequences are concatenated without padding, so there is no padding mask.
`T` counts all tokens of a batch, `S` the scored ones (those with a loss), `B` its sequences. The
same `pack` serves RL, SFT and pretraining; masks are taken from the trajectories, never rebuilt
from token ids.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TypeVar

import torch
from torch import Tensor

from r1kit.types import Trajectory

T = TypeVar("T")
WeightedTrajectory = tuple[Trajectory, float]
"""a trajectory and the weight of its scored tokens"""


@dataclass(frozen=True, slots=True)
class Batch:
    """A flat micro-batch.

    Two sequences, `[1, 52 | 9, 2]` and `[1 | 7]`, scored after the bar, are
    `Batch([1, 52, 9, 2, 1, 7], [4, 2], [0, 0, 1, 1, 0, 1], [.7, .7, -.7], ..., [0, 0, 1], ...)`.
    """

    input_ids: Tensor
    """[T] long"""
    lengths: list[int]
    """[B] number of tokens of each sequence; they sum to T"""
    mask: Tensor
    """[T] bool, True at scored tokens; never at the first token of a sequence"""
    advantages: Tensor
    """[S] float; 1 in SFT, which is the policy gradient with advantage 1"""
    old_logprobs: Tensor
    """[S] float; 0 in SFT, where nothing was sampled"""
    learner_logprobs: Tensor | None
    """[S] float, under the learner before the first of several updates; None if they have none"""
    sequence_ids: Tensor
    """[S] long, index of the token's sequence in this batch"""
    weights: Tensor
    """[S] float, weight of the token's loss in the sum over all micro-batches"""
    is_filler: bool = False
    """True if it has no weight, and exists for the ranks that have work (`Ranks.pad`)"""


def pack(
    trajectories: Sequence[Trajectory],
    weights: Sequence[float],
    micro_batch_tokens: int,
    device: torch.device | str = "cpu",
) -> list[Batch]:
    """Pack trajectories into micro-batches of at most `micro_batch_tokens`, by similar length.

    `weights` has one entry per trajectory, the weight of each of its scored tokens, from an
    aggregation of `loss.py` over the whole update. Trajectories without a scored token are left
    out; one longer than the limit gets its own batch. The longest come first, so that running out
    of memory shows at once; equal lengths keep their order.
    """
    items = [item for item in zip(trajectories, weights, strict=True) if any(item[0].loss_mask)]
    for trajectory, _ in items:
        _check(trajectory)
    chunks = fill(items, micro_batch_tokens, lambda item: len(item[0].token_ids))
    return [_batch(chunk, device) for chunk in chunks]


def filler(device: torch.device | str) -> Batch:
    """Return a micro-batch of two tokens and no weight."""
    one = torch.zeros(1, device=device)
    ids, mask = torch.zeros(2, dtype=torch.long), torch.tensor([False, True])
    return Batch(
        ids.to(device), [2], mask.to(device), one, one, None, one.long(), one, is_filler=True
    )


def fill(items: Iterable[T], limit: int, n_tokens: Callable[[T], int]) -> Iterator[list[T]]:
    """Yield lists of at most `limit` tokens, longest items first; a longer item is alone."""
    chunk: list[T] = []
    n_held = 0
    for item in sorted(items, key=n_tokens, reverse=True):
        length = n_tokens(item)
        if chunk and n_held + length > limit:
            yield chunk
            chunk, n_held = [], 0
        chunk.append(item)
        n_held += length
    if chunk:
        yield chunk


def _check(trajectory: Trajectory) -> None:
    n_tokens, old_logprobs = len(trajectory.token_ids), trajectory.old_logprobs
    if len(trajectory.loss_mask) != n_tokens:
        raise ValueError(f"{trajectory.source}: loss_mask and token_ids differ in length")
    if trajectory.loss_mask[0]:
        raise ValueError(f"{trajectory.source}: the first token has nothing to be predicted from")
    if (trajectory.advantage is None) != (old_logprobs is None):
        raise ValueError(f"{trajectory.source}: advantage and old_logprobs go together")
    if old_logprobs is not None and len(old_logprobs) != n_tokens:
        raise ValueError(f"{trajectory.source}: old_logprobs and token_ids differ in length")


def _batch(items: Sequence[WeightedTrajectory], device: torch.device | str) -> Batch:
    trajectories = [trajectory for trajectory, _ in items]
    advantages = [1.0 if t.advantage is None else t.advantage for t in trajectories]
    old_logprobs = [t.old_logprobs or [0.0] * len(t.token_ids) for t in trajectories]
    learner_logprobs = [t.learner_logprobs for t in trajectories if t.learner_logprobs is not None]
    mask = _long(chain.from_iterable(t.loss_mask for t in trajectories)).bool()
    n_scored = _long(sum(t.loss_mask) for t in trajectories)
    sequence_ids = torch.arange(len(items)).repeat_interleave(n_scored)
    return Batch(
        input_ids=_long(chain.from_iterable(t.token_ids for t in trajectories)).to(device),
        lengths=[len(t.token_ids) for t in trajectories],
        mask=mask.to(device),
        advantages=_float(advantages)[sequence_ids].to(device),
        old_logprobs=_float(chain.from_iterable(old_logprobs))[mask].to(device),
        learner_logprobs=_float(chain.from_iterable(learner_logprobs))[mask].to(device)
        if learner_logprobs
        else None,
        sequence_ids=sequence_ids.to(device),
        weights=_float(weight for _, weight in items)[sequence_ids].to(device),
    )


def _long(values: Iterable[int]) -> Tensor:
    return torch.tensor(list(values), dtype=torch.long)


def _float(values: Iterable[float]) -> Tensor:
    return torch.tensor(list(values), dtype=torch.float32)
