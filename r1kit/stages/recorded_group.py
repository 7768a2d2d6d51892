"""The group that an RL step records in samples.jsonl: verdicts, rewards, advantages, tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from r1kit.config import RLConfig
from r1kit.model.policy import Policy
from r1kit.rollouts.metrics import group_record
from r1kit.rollouts.token_record import n_recorded, token_records
from r1kit.rollouts.trajectories import advantage_records
from r1kit.types import Group, Rollout


def record_group(
    stage: str, step: int, group: Group, policy: Policy, config: RLConfig
) -> dict[str, Any]:
    """Return a group as a line of samples.jsonl; call it before the policy learns from the group.

    A sharded policy records no entropies, since this rank cannot run it alone.
    """
    recorded = group.rollouts[: n_recorded(group.rollouts)]
    entropies = None if policy.is_sharded else _entropies(policy, recorded, config.temperature)
    tokens = token_records(recorded, policy.tokenizer, entropies)
    tokens += [{}] * (len(group.rollouts) - len(recorded))
    advantages = advantage_records(group, config)
    return group_record(
        stage, step, group, [a | b for a, b in zip(advantages, tokens, strict=True)]
    )


def _entropies(
    policy: Policy, rollouts: Sequence[Rollout], temperature: float
) -> list[list[float]]:
    """Return the entropy, in nats, of the distribution behind each token of the completions."""
    lengths = [len(rollout.completion.token_ids) for rollout in rollouts]
    if not sum(lengths):
        return [[] for _ in rollouts]
    ids, mask = list[int](), list[bool]()
    for rollout, length in zip(rollouts, lengths, strict=True):
        ids += rollout.prompt_ids + rollout.completion.token_ids
        mask += [False] * len(rollout.prompt_ids) + [True] * length
    device = policy.module.device
    entropies = policy.entropies(
        torch.tensor(ids, device=device),
        [len(rollout.prompt_ids) + n for rollout, n in zip(rollouts, lengths, strict=True)],
        torch.tensor(mask, device=device),
        temperature,
    )
    return [part.tolist() for part in entropies.cpu().split(lengths)]
