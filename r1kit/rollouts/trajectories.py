"""From rollouts to trajectories: rewards become advantages, and tasks and texts stay behind."""

from __future__ import annotations

from r1kit.config import RLConfig
from r1kit.train.advantage import group_advantages
from r1kit.train.loss import LOSSES
from r1kit.types import Group, Rollout, Trajectory


def group_trajectories(group: Group, config: RLConfig) -> list[Trajectory]:
    """Convert a group to trajectories: each completion is compared with the mean of the group."""
    rewards = [rollout.reward.total for rollout in group.rollouts]
    advantages = group_advantages(rewards, LOSSES[config.loss_type].scale_rewards)
    return [
        trajectory(rollout, advantage, is_masked=_is_masked(rollout, config))
        for rollout, advantage in zip(group.rollouts, advantages, strict=True)
    ]


def advantage_records(group: Group, config: RLConfig) -> list[dict[str, float]]:
    """Return `{"advantage": 0.87}` of each rollout, or `{}` of one that is masked, for samples."""
    records: list[dict[str, float]] = []
    for one in group_trajectories(group, config):
        is_trained = one.advantage is not None and any(one.loss_mask)
        records.append({"advantage": round(one.advantage or 0.0, 4)} if is_trained else {})
    return records


def trajectory(rollout: Rollout, advantage: float, is_masked: bool) -> Trajectory:
    """Join the token ids of prompt and completion; nothing is tokenised again."""
    completion, n_prompt = rollout.completion, len(rollout.prompt_ids)
    return Trajectory(
        token_ids=rollout.prompt_ids + completion.token_ids,
        loss_mask=[0] * n_prompt + [0 if is_masked else 1] * len(completion.token_ids),
        advantage=advantage,
        old_logprobs=[0.0] * n_prompt + completion.logprobs,
        source=rollout.problem.id,
    )


def _is_masked(rollout: Rollout, config: RLConfig) -> bool:
    return config.mask_truncated_completions and rollout.completion.finish == "length"
