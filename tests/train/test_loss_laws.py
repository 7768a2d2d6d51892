"""The laws of a whole update, on a real (tiny) policy: what the loss must not depend on."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from r1kit.config import LossType
from r1kit.train.advantage import group_advantages
from r1kit.train.batch import Batch, pack
from r1kit.train.loss import LOSSES, Stats
from r1kit.types import Trajectory

LOW, HIGH = 0.2, 0.28
MAX_TOKENS = 8
VOCABULARY = 11
NAMES = sorted(LOSSES)

every_variant = pytest.mark.parametrize("name", NAMES)


class Bigram(nn.Module):
    """p(token | token before), an embedding and a head; float64 so that sums compare tightly."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.embed = nn.Embedding(VOCABULARY, 5, dtype=torch.float64)
        self.head = nn.Linear(5, VOCABULARY, dtype=torch.float64)

    def forward(self, input_ids: Tensor, mask: Tensor) -> Tensor:
        """Log-probabilities of the scored tokens [S]."""
        logits = self.head(self.embed(input_ids[:-1]))
        picked = F.log_softmax(logits, dim=-1).gather(1, input_ids[1:, None]).squeeze(1)
        return picked[mask[1:]]


def sampled_by(model: Bigram, trajectories: list[Trajectory]) -> list[Trajectory]:
    """The same rows, with the old log-probabilities of `model`."""
    result = []
    for trajectory in trajectories:
        mask = torch.tensor(trajectory.loss_mask).bool()
        old_logprobs = torch.zeros(len(trajectory.token_ids), dtype=torch.float64)
        with torch.no_grad():
            old_logprobs[mask] = model(torch.tensor(trajectory.token_ids), mask)
        result.append(replace(trajectory, old_logprobs=old_logprobs.tolist()))
    return result


def rollouts(rewards: Sequence[float], name: LossType) -> list[Trajectory]:
    """One group of completions of 1 to MAX_TOKENS tokens after a prompt of 2."""
    generator = torch.Generator().manual_seed(11)
    trajectories = []
    for index, advantage in enumerate(group_advantages(rewards, LOSSES[name].scale_rewards)):
        n_tokens = 1 + index * 3 % MAX_TOKENS
        token_ids = torch.randint(VOCABULARY, (2 + n_tokens,), generator=generator).tolist()
        trajectories.append(Trajectory(token_ids, [0, 0] + [1] * n_tokens, advantage))
    return trajectories


def moved(model: Bigram, by: float) -> Bigram:
    """A copy of the policy some updates later, so that ratios differ from 1."""
    copy = Bigram()
    generator = torch.Generator().manual_seed(5)
    for old, new in zip(model.parameters(), copy.parameters(), strict=True):
        noise = torch.randn(old.shape, generator=generator, dtype=torch.float64)
        new.data = old.detach() + by * noise
    return copy


def update(
    model: Bigram,
    name: LossType,
    trajectories: Sequence[Trajectory],
    micro_batch_tokens: int = 1000,
    n_processes: int = 1,
) -> tuple[float, Tensor, dict[str, int]]:
    """Loss, flat gradient and statistics of one update over `trajectories`."""
    loss_spec = LOSSES[name]
    weights = loss_spec.aggregation(
        [sum(trajectory.loss_mask) for trajectory in trajectories], MAX_TOKENS
    )
    model.zero_grad()
    loss, totals = 0.0, {"clipped_low": 0, "clipped_high": 0}
    for rank in range(n_processes):
        ours = slice(rank, None, n_processes)
        for batch in pack(trajectories[ours], weights[ours], micro_batch_tokens):
            part, stats = forward(model, name, batch)
            part.backward()
            loss += part.item()
            totals = {key: total + int(stats[key]) for key, total in totals.items()}
    gradients = [p.grad if p.grad is not None else torch.zeros_like(p) for p in model.parameters()]
    return loss, torch.cat([gradient.flatten() for gradient in gradients]), totals


def forward(model: Bigram, name: LossType, batch: Batch) -> tuple[Tensor, Stats]:
    losses, stats = LOSSES[name].token_loss(
        model(batch.input_ids, batch.mask),
        batch.old_logprobs,
        batch.advantages,
        batch.sequence_ids,
        len(batch.lengths),
        LOW,
        HIGH,
    )
    return (losses * batch.weights).sum(), stats


MIXED = [1.0, 0.0, 2.0, 0.0, 1.0, 1.0, 0.0, 2.0, 0.5]


@every_variant
def test_first_update_is_the_plain_policy_gradient(name: LossType) -> None:
    model = Bigram()
    trajectories = sampled_by(model, rollouts(MIXED, name))
    _, gradient, stats = update(model, name, trajectories)

    weights = LOSSES[name].aggregation(
        [sum(trajectory.loss_mask) for trajectory in trajectories], MAX_TOKENS
    )
    model.zero_grad()
    for trajectory, weight in zip(trajectories, weights, strict=True):
        logprobs = model(
            torch.tensor(trajectory.token_ids), torch.tensor(trajectory.loss_mask).bool()
        )
        assert trajectory.advantage is not None
        (-weight * trajectory.advantage * logprobs.sum()).backward()
    plain = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
    assert plain.norm() > 1e-3
    # old log-probabilities, advantages and weights travel as float32: 1e-7 of each term
    torch.testing.assert_close(gradient, plain, rtol=1e-5, atol=1e-7)
    assert stats == {"clipped_low": 0, "clipped_high": 0}


@every_variant
@pytest.mark.parametrize("reward", [0.0, 0.1, 2.0])
def test_equal_rewards_give_exactly_zero_gradient(name: LossType, reward: float) -> None:
    old = Bigram()
    trajectories = sampled_by(old, rollouts([reward] * 16, name))
    loss, gradient, _ = update(moved(old, by=0.6), name, trajectories)
    assert loss == 0
    assert not gradient.any()


@every_variant
@pytest.mark.parametrize("micro_batch_tokens", [1, 9, 24])
@pytest.mark.parametrize("n_processes", [1, 2, 3])
def test_micro_batches_and_processes_change_nothing(
    name: LossType, micro_batch_tokens: int, n_processes: int
) -> None:
    old = Bigram()
    trajectories = sampled_by(old, rollouts(MIXED, name))
    model = moved(old, by=0.6)
    loss, gradient, stats = update(model, name, trajectories)
    assert gradient.norm() > 1e-3
    assert sum(stats.values()) > 0
    assert_same(
        update(model, name, trajectories, micro_batch_tokens, n_processes), (loss, gradient, stats)
    )


@every_variant
@settings(max_examples=20)
@given(order=st.permutations(range(len(MIXED))))
def test_row_order_changes_nothing(name: LossType, order: list[int]) -> None:
    old = Bigram()
    trajectories = sampled_by(old, rollouts(MIXED, name))
    model = moved(old, by=0.6)
    shuffled = update(model, name, [trajectories[index] for index in order], micro_batch_tokens=30)
    assert_same(shuffled, update(model, name, trajectories))


@every_variant
def test_masked_rows_are_as_if_absent(name: LossType) -> None:
    old = Bigram()
    trajectories = sampled_by(old, rollouts(MIXED, name))
    truncated = {2, 5}
    masked = [
        replace(trajectory, loss_mask=[0] * len(trajectory.loss_mask))
        if index in truncated
        else trajectory
        for index, trajectory in enumerate(trajectories)
    ]
    absent = [trajectory for index, trajectory in enumerate(trajectories) if index not in truncated]
    model = moved(old, by=0.6)
    without = update(model, name, absent)
    assert_same(update(model, name, masked), without)
    assert abs(update(model, name, trajectories)[0] - without[0]) > 1e-4


@every_variant
def test_rows_of_advantage_zero_count_in_the_denominator(name: LossType) -> None:
    # As many rows again, of the same lengths and of advantage 0: the loss halves.
    old = Bigram()
    trajectories = sampled_by(old, rollouts(MIXED, name))
    silent = [replace(trajectory, advantage=0.0) for trajectory in trajectories]
    model = moved(old, by=0.6)
    loss, gradient, _ = update(model, name, trajectories)
    padded_loss, padded_gradient, _ = update(model, name, trajectories + silent)
    assert padded_loss == pytest.approx(loss / 2, rel=1e-9)
    torch.testing.assert_close(padded_gradient, gradient / 2, rtol=1e-9, atol=1e-12)


def test_a_small_step_down_the_gradient_raises_the_good_completions() -> None:
    for name in NAMES:
        model = Bigram()
        trajectories = sampled_by(model, rollouts([1.0, 0.0], name))
        update(model, name, trajectories)
        with torch.no_grad():
            for parameter in model.parameters():
                assert parameter.grad is not None
                parameter.sub_(0.05 * parameter.grad)
        good, bad = (
            model(torch.tensor(trajectory.token_ids), torch.tensor(trajectory.loss_mask).bool())
            .sum()
            .item()
            - sum(trajectory.old_logprobs or [])
            for trajectory in trajectories
        )
        assert good > bad


Update = tuple[float, Tensor, dict[str, int]]


def assert_same(left: Update, right: Update) -> None:
    assert left[0] == pytest.approx(right[0], rel=1e-10, abs=1e-12)
    torch.testing.assert_close(left[1], right[1], rtol=1e-10, atol=1e-12)
    assert left[2] == right[2]
