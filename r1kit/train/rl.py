"""Reinforcement learning: GRPO as published, and its named variants.

One step: collect groups of completions · compare each with its group · update · publish.

    rewards of a group → advantages → trajectories → micro-batches → loss → gradient → weights

Source: DeepSeekMath §4.1, R1 §2.1-2.2; the variants are in `loss.LOSSES`. The learner sees only
token streams and numbers, and does not depend on tasks, templates or the computation of rewards.

Departures from the R1 paper:
- old log-probabilities are recorded by the engine while sampling, instead of a second forward pass;
  `sampling/sampling_logp_difference` is their distance from the learner's before the first update.
- completions whose advantage is exactly 0 are not passed through the model if there is no KL term:
  their gradient is exactly 0. They still count in every average.
- the reference of the KL term is refreshed every `ref_model_sync_steps` steps, as in R1; with
  `beta = 0` there is none.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import torch
from torch import Tensor

from r1kit.config import RLConfig
from r1kit.model.policy import Policy
from r1kit.model.ranks import Ranks
from r1kit.train.batch import Batch, fill, filler, pack
from r1kit.train.loss import LOSSES, kl_term
from r1kit.train.mismatch import CorrectedTokens, Correction, correct, divergence
from r1kit.train.optim import Optimizers, lr_scale
from r1kit.train.routing import ExpertLoads
from r1kit.train.step_times import StepClock
from r1kit.types import Trajectory

Metrics = dict[str, float]
LOGP_DIFFERENCE = "sampling/sampling_logp_difference"
KL_K3 = "sampling/kl_k3"
CUT_RATIO = "sampling/importance_sampling_clip_ratio"


@dataclass
class RLState:
    """The training state besides weights and optimizer."""

    step: int = 0
    cursor: int = 0
    """index of the next problem"""


@dataclass
class Step:
    """The result of `collect`: this rank's trajectories of one step, and the new cursor."""

    groups: list[tuple[int, list[Trajectory]]]
    """(index of the problem among those of this step over all ranks, trajectories of its group)"""
    n_groups: int
    """number of groups over all ranks"""
    cursor: int
    metrics: Metrics


S = TypeVar("S", bound=Step)
CollectFunction = Callable[[int, int], S]
"""(step, cursor) → trajectories sampled by the current weights"""
AfterStep = Callable[[RLState, Metrics, S], None]


@dataclass
class Learner:
    """A policy in training and its optimizers; with a KL term the policy has a reference."""

    policy: Policy
    optimizers: Optimizers
    config: RLConfig
    ranks: Ranks
    micro_batch_tokens: int
    correction: Correction | None = None
    """treatment of a sampler that is not the policy's own module; None: it is the same module"""

    def __post_init__(self) -> None:
        if self.config.beta and not self.policy.has_reference:
            self.policy.refresh_reference()


def reinforce(
    learner: Learner,
    state: RLState,
    collect: CollectFunction[S],
    publish: Callable[[int], None],
    after_step: AfterStep[S],
    sample_ahead: Callable[[int, int], None] | None = None,
) -> None:
    """Run the steps from `state.step` to `config.n_steps`.

    `sample_ahead(step, cursor)` begins to sample the next step, without waiting for it; `collect`
    returns it later.
    """
    config = learner.config
    while state.step < config.n_steps:
        clock = StepClock(learner.ranks)
        collected = collect(state.step, state.cursor)
        clock.end("sample")
        if sample_ahead is not None and state.step + 1 < config.n_steps:
            sample_ahead(state.step + 1, collected.cursor)
        metrics = learn(learner, collected, lr_scale(state.step, config.n_steps, config.optim))
        learn_s, learned = clock.end("learn"), time.perf_counter()
        state.step, state.cursor = state.step + 1, collected.cursor
        publish(state.step)
        published = time.perf_counter()
        if learner.policy.has_reference and state.step % config.ref_model_sync_steps == 0:
            learner.policy.refresh_reference()
            metrics["time/reference_s"] = time.perf_counter() - published
        metrics |= collected.metrics | {
            "time/learn_s": learn_s,
            "time/publish_s": published - learned,
            "time/tokens_per_s": metrics["n_trained_tokens"] / learn_s,
            "step_time": clock.elapsed,
        }
        metrics |= clock.shares()
        after_step(state, metrics, collected)


def learn(learner: Learner, collected: Step, scale: float) -> Metrics:
    """Update the policy on the groups of one step, in `updates_per_step` parts."""
    config, totals = learner.config, MetricAccumulator()
    collected_groups = collected.groups
    if learner.correction is not None:
        totals.sums |= {"k3": 0.0, "n_cut": 0.0}  # reported also if no completion teaches
    if learner.correction and learner.correction.needs_old_logprobs and config.updates_per_step > 1:
        collected_groups = with_learner_logprobs(learner, collected_groups)
    learner.policy.module.train()
    with ExpertLoads(learner.policy.module) as loads:
        for part in range(config.updates_per_step):
            trajectories = [
                trajectory
                for index, group in collected_groups
                if index * config.updates_per_step // max(1, collected.n_groups) == part
                for trajectory in group
            ]
            update(learner, trajectories, scale, totals, is_first=part == 0)
        routing = loads.finish_update(learner.ranks)
    learner.policy.module.eval()
    return totals.metrics(learner.ranks) | routing | {"learning_rate": scale * config.optim.lr}


def update(
    learner: Learner,
    trajectories: Sequence[Trajectory],
    scale: float,
    totals: MetricAccumulator,
    is_first: bool,
) -> None:
    """Make one optimizer step on this rank's share of the trajectories."""
    config, loss_spec = learner.config, LOSSES[learner.config.loss_type]
    weights = _weights(trajectories, config, learner.ranks)
    learned_from = [
        pair for pair in zip(trajectories, weights, strict=True) if pair[0].advantage or config.beta
    ]
    batches = pack(
        [trajectory for trajectory, _ in learned_from],
        [weight for _, weight in learned_from],
        learner.micro_batch_tokens,
        learner.ranks.device,
    )
    for batch in learner.ranks.pad(batches, filler(learner.ranks.device)):
        scored = batch.input_ids, batch.lengths, batch.mask, config.temperature
        # Before the pass of the policy, whose gathered weights must not be those of the reference.
        has_reference = learner.policy.has_reference
        ref_logprobs = learner.policy.reference_logprobs(*scored) if has_reference else None
        logprobs = learner.policy.logprobs(*scored)
        corrected = _corrected(learner, batch, logprobs.detach(), totals, is_first)
        token_loss, stats = loss_spec.token_loss(
            logprobs,
            batch.old_logprobs if corrected is None else corrected.old_logprobs,
            batch.advantages,
            batch.sequence_ids,
            len(batch.lengths),
            config.epsilon,
            config.epsilon if config.epsilon_high is None else config.epsilon_high,
        )
        if corrected is not None:
            token_loss = token_loss * corrected.weights
        kl = None
        if ref_logprobs is not None:
            kl = kl_term(config.kl_estimator, logprobs, ref_logprobs, batch.old_logprobs)
            token_loss = token_loss + config.beta * kl
        loss = (token_loss * batch.weights).sum()
        loss.backward()
        if batch.is_filler:
            continue
        if kl is not None:
            totals.add("kl", kl.detach())
        totals.count("n_trained_tokens", batch.input_ids.numel())
        totals.count("n_flops", learner.policy.pass_flops.of(batch.lengths))
        totals.update(loss.detach(), stats, logprobs.detach(), batch.old_logprobs, is_first)
    learner.ranks.sum_gradients(learner.optimizers.weights.updated)
    totals.grad_norms.append(learner.optimizers.step(scale))


def _corrected(
    learner: Learner, batch: Batch, logprobs: Tensor, totals: MetricAccumulator, is_first: bool
) -> CorrectedTokens | None:
    """Return the correction of a micro-batch and count what it cuts; None if there is none."""
    if learner.correction is None:
        return None
    learner_logprobs = logprobs if batch.learner_logprobs is None else batch.learner_logprobs
    corrected = correct(
        learner.correction,
        logprobs,
        learner_logprobs,
        batch.old_logprobs,
        batch.advantages,
        batch.sequence_ids,
        len(batch.lengths),
    )
    totals.add("n_cut", corrected.is_cut)
    if is_first:
        totals.add("k3", divergence(logprobs, batch.old_logprobs))
    return corrected


@torch.no_grad()
def with_learner_logprobs(
    learner: Learner, groups: Sequence[tuple[int, Sequence[Trajectory]]]
) -> list[tuple[int, list[Trajectory]]]:
    """Return the groups with their log-probabilities under the current policy."""
    every = [trajectory for _, group in groups for trajectory in group]
    scored = [trajectory for trajectory in every if any(trajectory.loss_mask)]
    chunks = list(fill(scored, learner.micro_batch_tokens, lambda item: len(item.token_ids)))
    logprobs: dict[int, list[float]] = {}
    device = learner.ranks.device
    for chunk in learner.ranks.pad(chunks, [Trajectory([0, 0], [0, 1])]):
        lengths = [len(trajectory.token_ids) for trajectory in chunk]
        ids = torch.tensor([token for trajectory in chunk for token in trajectory.token_ids])
        mask = torch.tensor([m for trajectory in chunk for m in trajectory.loss_mask]).bool()
        values = learner.policy.logprobs(
            ids.to(device), lengths, mask.to(device), learner.config.temperature
        )
        spread = torch.zeros(len(ids)).masked_scatter(mask, values.cpu())
        for trajectory, part in zip(chunk, spread.split(lengths), strict=True):
            logprobs[id(trajectory)] = part.tolist()
    return [
        (index, [replace(item, learner_logprobs=logprobs.get(id(item))) for item in group])
        for index, group in groups
    ]


def _weights(trajectories: Sequence[Trajectory], config: RLConfig, ranks: Ranks) -> list[float]:
    """Return the token weight of each of this rank's trajectories, computed over all ranks."""
    lengths = ranks.gather([sum(trajectory.loss_mask) for trajectory in trajectories])
    all_lengths = [length for part in lengths for length in part]
    weights = LOSSES[config.loss_type].aggregation(all_lengths, config.max_tokens)
    start = sum(len(part) for part in lengths[: ranks.rank])
    return weights[start : start + len(trajectories)]


class MetricAccumulator:
    """Sums over the micro-batches and updates of one step."""

    def __init__(self) -> None:
        self.sums: Metrics = {}
        self.grad_norms: list[float] = []
        self.max_difference = 0.0

    def add(self, name: str, values: Tensor) -> None:
        self.count(name, values.sum().item())

    def count(self, name: str, number: float) -> None:
        self.sums[name] = self.sums.get(name, 0.0) + number

    def update(
        self,
        loss: Tensor,
        stats: dict[str, Tensor],
        logprobs: Tensor,
        old_logprobs: Tensor,
        is_first: bool,
    ) -> None:
        self.add("loss", loss)
        self.add("n_scored", torch.tensor(float(len(logprobs))))
        for name, value in stats.items():
            self.add(name, value)
        if is_first:
            difference = (logprobs - old_logprobs).abs()
            self.add("logp_difference", difference)
            self.add("n_compared", torch.tensor(float(len(difference))))
            self.max_difference = max(self.max_difference, difference.max().item())

    def metrics(self, ranks: Ranks) -> Metrics:
        """Return the metrics over all ranks.

        Loss and gradient norm are means over updates, clip ratio and KL over scored tokens.
        """
        sums = ranks.sum(self.sums)
        n_updates = len(self.grad_norms)
        n_scored = max(1.0, sums.get("n_scored", 0.0))
        n_compared = max(1.0, sums.get("n_compared", 0.0))
        low, high = (sums.get(name, 0.0) / n_scored for name in ("clipped_low", "clipped_high"))
        metrics = {
            "loss": sums.get("loss", 0.0) / n_updates,
            "n_trained_tokens": float(sums.get("n_trained_tokens", 0.0)),
            "n_flops": sums.get("n_flops", 0.0),
            "grad_norm": sum(self.grad_norms) / n_updates,
            "clip_ratio/low_mean": low,
            "clip_ratio/high_mean": high,
            "clip_ratio/region_mean": low + high,
            f"{LOGP_DIFFERENCE}/mean": sums.get("logp_difference", 0.0) / n_compared,
            f"{LOGP_DIFFERENCE}/max": max(ranks.gather(self.max_difference)),
        }
        if "k3" in sums:
            metrics[KL_K3] = sums["k3"] / n_compared
            metrics[CUT_RATIO] = sums["n_cut"] / n_scored
        if "kl" in sums:
            metrics["kl"] = sums["kl"] / n_scored
        return metrics
