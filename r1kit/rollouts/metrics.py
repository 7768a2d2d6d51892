"""Metrics and readable records of groups of completions, for RL steps and benchmarks."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from r1kit.renderers.thinking import readable_text, without_tags
from r1kit.types import Group, Rollout
from r1kit.verify.language import WITHOUT_WORDS, language_share
from r1kit.verify.reflection import count_reflections

if TYPE_CHECKING:
    from r1kit.model.ranks import Ranks

RolloutMetrics = dict[str, float]


def describe(groups: Sequence[Group], ranks: Ranks) -> RolloutMetrics:
    """Return the metrics of a step over the groups of all ranks (docs/runs.md lists them)."""
    sums = ranks.sum(_sums(groups))
    n = max(1.0, sums["n"])
    metrics = {
        "reward": sums["reward"] / n,
        "reward_group_std": sums["group_std"] / max(1.0, sums["groups"]),
        "frac_reward_zero_std": sums["zero_std"] / max(1.0, sums["groups"]),
        "completions/mean_length": sums["tokens"] / n,
        "completions/clipped_ratio": sums["clipped"] / n,
        "entropy": -sums["logprobs"] / max(1.0, sums["tokens"]),
        "completions/mean_reflections": sums["reflections"] / n,
        "language_consistency": sums["language"] / sums["with_language"]
        if sums["with_language"]
        else WITHOUT_WORDS,
        "n_problems": sums["groups"],
        "n_completion_tokens": sums["tokens"],
        "n_prompt_tokens": sums["prompt_tokens"],
    }
    for key in sorted(sums):
        if key.startswith("rewards/"):
            metrics[f"{key}/mean"] = sums[key] / sums[f"n_{key}"]
        if key.startswith("accuracy/"):
            metrics[key] = sums[key] / sums[key.replace("accuracy/", "n/")]
    return metrics


def _sums(groups: Sequence[Group]) -> RolloutMetrics:
    sums: RolloutMetrics = dict.fromkeys(
        (
            "n", "groups", "reward", "group_std", "zero_std", "tokens", "prompt_tokens",
            "clipped", "logprobs", "reflections", "language", "with_language",
        ),
        0.0,
    )  # fmt: skip

    def add(key: str, value: float) -> None:
        sums[key] = sums.get(key, 0.0) + value

    for group in filter(lambda group: group.rollouts, groups):
        rewards = [rollout.reward.total for rollout in group.rollouts]
        add("groups", 1)
        add("group_std", statistics.stdev(rewards) if len(rewards) > 1 else 0.0)
        add("zero_std", float(len(set(rewards)) <= 1))
        for rollout in group.rollouts:
            for key, value in facts(rollout).items():
                add(key, value)
    return sums


def facts(rollout: Rollout) -> RolloutMetrics:
    """Return numbers about one completion; `n` and `with_language` are counts."""
    completion = rollout.completion
    text = readable_text(completion.text, rollout.parsed)
    share = language_share(without_tags(text), rollout.problem.language)
    values = {
        "n": 1.0,
        "reward": rollout.reward.total,
        "tokens": float(len(completion.token_ids)),
        "prompt_tokens": float(len(rollout.prompt_ids)),
        "clipped": float(completion.finish == "length"),
        "logprobs": sum(completion.logprobs),
        "reflections": float(count_reflections(completion.text)),
        "language": share or 0.0,
        "with_language": float(share is not None),
        f"accuracy/{rollout.problem.task}": float(bool(rollout.verdict.correct)),
        f"n/{rollout.problem.task}": 1.0,
    }
    for part, value in rollout.reward.parts.items():
        values |= {f"rewards/{part}": value, f"n_rewards/{part}": 1.0}
    return values


def group_record(
    stage: str, step: int, group: Group, more: Sequence[dict[str, Any]] = ()
) -> dict[str, Any]:
    """Return a group as a line of samples.jsonl; `more` is added to its rollouts, one by one."""
    rollouts = [rollout_record(rollout) for rollout in group.rollouts]
    for rollout, added in zip(rollouts, more, strict=False):
        rollout |= added
    return {
        "kind": "group",
        "stage": stage,
        "step": step,
        "problem": group.problem.as_record(),
        "rollouts": rollouts,
    }


def rollout_record(rollout: Rollout) -> dict[str, Any]:
    completion = rollout.completion
    return {
        "text": readable_text(completion.text, rollout.parsed),
        "correct": rollout.verdict.correct,
        "why": rollout.verdict.why,
        "extracted": rollout.verdict.extracted,
        "total": rollout.reward.total,
        "reward": rollout.reward.parts,
        "n_tokens": len(completion.token_ids),
        "finish": completion.finish,
    }
