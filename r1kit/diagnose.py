"""A run explains itself: from metrics to findings in plain words.

Each rule is a pure function of one stage's metrics; it says what was seen with its numbers, the
likely cause and what to do next. The thresholds are ours, from runs that went wrong (docs/log.md);
the questions are those people ask when they post a curve: is this normal, and if not, why?
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Rows = Sequence[dict[str, Any]]
Config = dict[str, Any]
"""the recipe's section of the stage, and `dtype`"""

RECENT = 10
"""steps at the end (and at the start) that count as one reading"""


@dataclass(frozen=True)
class Finding:
    """`Finding("warning", "zero", "Few groups teach", seen, cause, action)`."""

    level: Literal["fine", "note", "warning"]
    stage: str
    title: str
    seen: str
    cause: str
    action: str


def diagnose(metrics: Rows, recipe: dict[str, Any]) -> list[Finding]:
    """Findings about every stage, warnings first. A stage with none of them is said to be fine."""
    found = []
    for stage in dict.fromkeys(row["stage"] for row in metrics):
        rows = [row for row in metrics if row["stage"] == stage]
        config = {**recipe.get(stage, {}), "dtype": recipe.get("compute", {}).get("dtype")}
        rules = RL_RULES if any("reward" in row for row in rows) else PRETRAINING_RULES
        alike = _of_one_mix(rows)
        own = [finding for rule in rules if (finding := rule(stage, alike, config)) is not None]
        if not any(finding.level == "warning" for finding in own):
            seen = f"{len(rows)} steps, none of {len(rules)} known troubles."
            own.append(Finding("fine", stage, "Healthy", seen, "", ""))
        found += own
    order = ("warning", "fine", "note")
    return sorted(found, key=lambda finding: order.index(finding.level))


def recent(rows: Rows, key: str) -> float | None:
    """Mean over the last steps that have a number under `key`."""
    return _mean(_numbers(rows, key)[-RECENT:])


def early(rows: Rows, key: str) -> float | None:
    """Mean over the first steps that have a number under `key`."""
    return _mean(_numbers(rows, key)[:RECENT])


def not_a_number(stage: str, rows: Rows, config: Config) -> Finding | None:
    for row in rows:
        broken = [key for key in ("loss", "grad_norm") if key in row and row[key] is None]
        if broken:
            return Finding(
                "warning",
                stage,
                "Numbers broke",
                f"{broken[0]} is not a number from step {row['step']} on.",
                "The learning rate is too high, or 16-bit numbers overflowed.",
                _lower_lr(config),
            )
    return None


def no_reward(stage: str, rows: Rows, config: Config) -> Finding | None:
    """Accuracy is zero; of the three reasons, the most telling first."""
    accuracy = recent(rows, "rewards/accuracy")
    if accuracy is None or accuracy > 0.01 or len(rows) < 5:
        return None
    clipped = recent(rows, "completions/clipped_ratio") or 0.0
    format_share = recent(rows, "rewards/format")
    if clipped > 0.8:
        cause = f"{clipped:.0%} of the answers are cut off at max_tokens before they finish."
        action = f"Raise {stage}.max_tokens (now {config.get('max_tokens')})."
    elif format_share is not None and format_share < 0.05:
        cause = f"The format is hit by {format_share:.0%} only: no answer is found to be checked."
        action = "Teach the base the format: more base tokens, or a cold start."
    else:
        cause = (
            "The base is too weak for these problems: it is never right, so nothing is rewarded."
        )
        action = "Use an easier level, more base.tokens, or more completions a problem."
    seen = f"Accuracy is {accuracy:.1%} over the last {min(RECENT, len(rows))} steps."
    return Finding("warning", stage, "No reward", seen, cause, action)


def _of_one_mix(rows: Rows) -> Rows:
    """Those since a new task came in: other problems have another accuracy."""
    begun: dict[str, int] = {}
    for place, row in enumerate(rows):
        for key in row:
            if key.startswith("accuracy/"):
                begun.setdefault(key, place)
    late = [place for place in begun.values() if place > RECENT]
    return rows[max(late, default=0) :]


def few_mixed_groups(stage: str, rows: Rows, config: Config) -> Finding | None:
    share, accuracy = recent(rows, "frac_reward_zero_std"), recent(rows, "rewards/accuracy")
    if share is None or accuracy is None or share < 0.7 or accuracy <= 0.01:
        return None
    if accuracy > 0.9:
        cause = "The problems have become easy: all answers of a group are right."
        action = "Stop here, or go on with a higher level."
    else:
        cause = "Most problems are too easy or too hard: all answers of a group are alike."
        action = "Use another level, more completions a problem, or dynamic_sampling = true."
    level: Literal["note", "warning"] = "note" if accuracy > 0.9 else "warning"
    seen = f"In {share:.0%} of the groups all rewards are equal; such groups teach nothing."
    return Finding(level, stage, "Few groups teach", seen, cause, action)


def hacked(stage: str, rows: Rows, config: Config) -> Finding | None:
    before, now = early(rows, "rewards/preference"), recent(rows, "rewards/preference")
    truth_before, truth = early(rows, "rewards/accuracy"), recent(rows, "rewards/accuracy")
    if before is None or now is None or truth_before is None or truth is None:
        return None
    is_fallen = truth_before - truth > max(0.05, 0.25 * truth_before)
    if len(rows) < 2 * RECENT or now <= before or not is_fallen:
        return None
    return Finding(
        "warning",
        stage,
        "The judge is hacked",
        f"The judge's score rose from {before:.2f} to {now:.2f} while right answers fell from "
        f"{truth_before:.1%} to {truth:.1%}.",
        "The policy has found what the judge likes and nobody means.",
        "Lower preference_share or the number of steps, or train the judge on such answers.",
    )


def collapse(stage: str, rows: Rows, config: Config) -> Finding | None:
    if hacked(stage, rows, config) is not None:
        return None
    values = _numbers(rows, "rewards/accuracy")
    if len(values) < 2 * RECENT:
        return None
    means = [statistics.fmean(values[i : i + RECENT]) for i in range(len(values) - RECENT + 1)]
    best, now = max(means), means[-1]
    if best - now < max(0.05, 0.25 * best):
        return None
    at = rows[means.index(best) + RECENT - 1]["step"]
    return Finding(
        "warning",
        stage,
        "Collapse",
        f"Accuracy fell from {best:.1%} (around step {at}) to {now:.1%}.",
        "The steps were too large for the policy: it left the region its samples describe.",
        _lower_lr(config),
    )


def entropy_gone(stage: str, rows: Rows, config: Config) -> Finding | None:
    start, now = early(rows, "entropy"), recent(rows, "entropy")
    if start is None or now is None or len(rows) < 2 * RECENT or now > min(0.1 * start, 0.05):
        return None
    return Finding(
        "warning",
        stage,
        "Nothing left to explore",
        f"Entropy fell from {start:.3f} to {now:.3f} nats a token.",
        "The policy gives one answer with certainty; groups become equal and learning stops.",
        f"Raise {stage}.clip_high to 0.28, lower the learning rate, or stop earlier.",
    )


def cut_off(stage: str, rows: Rows, config: Config) -> Finding | None:
    share, accuracy = recent(rows, "completions/clipped_ratio"), recent(rows, "rewards/accuracy")
    if share is None or share < 0.2 or accuracy is None or accuracy <= 0.01:
        return None
    length = recent(rows, "completions/mean_length")
    return Finding(
        "warning",
        stage,
        "Answers are cut off",
        f"{share:.0%} of the answers reach max_tokens ({config.get('max_tokens')}); "
        f"the mean is {length or 0.0:.0f} tokens.",
        "Thinking has grown past the room it has, or the model never ends its text.",
        f"Raise {stage}.max_tokens, or set {stage}.overlong_buffer to make length cost something.",
    )


def length_without_gain(stage: str, rows: Rows, config: Config) -> Finding | None:
    half = rows[len(rows) // 2 :]
    if len(half) < 2 * RECENT:
        return None
    before, now = early(half, "completions/mean_length"), recent(half, "completions/mean_length")
    gain = (recent(half, "rewards/accuracy") or 0.0) - (early(half, "rewards/accuracy") or 0.0)
    if before is None or now is None or now < 1.5 * before or gain > 0.02:
        return None
    return Finding(
        "warning",
        stage,
        "Length runs away",
        f"In the second half answers grew from {before:.0f} to {now:.0f} tokens, "
        f"accuracy by {100 * gain:+.1f} points.",
        "Longer answers are no longer better ones; the loss may favour length.",
        f'Set {stage}.overlong_buffer, or use {stage}.loss = "dr_grpo" or "dapo".',
    )


def gives_up(stage: str, rows: Rows, config: Config) -> Finding | None:
    before, now = early(rows, "completions/mean_length"), recent(rows, "completions/mean_length")
    accuracy = recent(rows, "rewards/accuracy")
    if before is None or now is None or accuracy is None or len(rows) < 2 * RECENT:
        return None
    if now > 0.6 * before or accuracy > 0.5:
        return None
    return Finding(
        "warning",
        stage,
        "It learns to give up",
        f"Answers shrank from {before:.0f} to {now:.0f} tokens at {accuracy:.1%} accuracy.",
        "Going on does not pay: the base does not recognise a right result when it has one.",
        "Improve the base (more base.tokens, an easier level) until its checks are reliable.",
    )


def far_from_reference(stage: str, rows: Rows, config: Config) -> Finding | None:
    values = _numbers(rows, "kl")
    if not values or max(values) < 1.0:
        return None
    return Finding(
        "warning",
        stage,
        "KL blew up",
        f"The KL to the reference reached {max(values):.3g} nats a token.",
        "Rare tokens became far likelier than under the reference, or the steps are too large.",
        _lower_lr(config),
    )


def sampler_and_learner_differ(stage: str, rows: Rows, config: Config) -> Finding | None:
    limit = 0.02 if config.get("dtype") == "bfloat16" else 1e-3
    mean = recent(rows, "mismatch/mean_abs")
    if mean is None or mean < limit:
        return None
    return Finding(
        "warning",
        stage,
        "Sampler and learner disagree",
        f"Their log-probabilities of the same tokens differ by {mean:.2g} on average "
        f"(expected below {limit:g}).",
        "Old weights in the sampler, another precision, or another sampling law than is scored.",
        "Check that the weights are published after each step and that dtype is one everywhere.",
    )


def gradient_spikes(stage: str, rows: Rows, config: Config) -> Finding | None:
    values = _numbers(rows, "grad_norm")
    if len(values) < RECENT:
        return None
    median = statistics.median(values)
    spikes = [value for value in values if value > 10 * median and value > 1.0]
    if not spikes:
        return None
    many = len(spikes) > 0.05 * len(values)
    return Finding(
        "warning" if many else "note",
        stage,
        "Gradient spikes",
        f"{len(spikes)} of {len(values)} steps had a gradient norm over ten times the median "
        f"({median:.2g}); the largest was {max(spikes):.2g}.",
        "Single groups dominate a step.",
        _lower_lr(config) if many else "Clipping tamed them; nothing to do.",
    )


def undecided(stage: str, rows: Rows, config: Config) -> Finding | None:
    lost, kept = _total(rows, "n_undecided"), _total(rows, "n_problems")
    asked = kept * float(config.get("n_completions") or 1)
    if not lost or lost < 0.02 * (asked + lost):
        return None
    return Finding(
        "warning",
        stage,
        "The verifier could not decide",
        f"{lost:.0f} completions ({lost / (asked + lost):.1%}) were dropped without a verdict.",
        "The verifier ran out of time, or met answers it cannot read.",
        "Read their `why` in samples.jsonl and mend the task's verifier.",
    )


def loss_near_zero(stage: str, rows: Rows, config: Config) -> Finding | None:
    values = _numbers(rows, "loss")
    if not values or max(map(abs, values)) > 0.05:
        return None
    return Finding(
        "note",
        stage,
        "A loss near 0 is normal",
        f"The loss stayed within ±{max(map(abs, values)):.2g}.",
        "Before the first update it is minus a mean of advantages, which are centred on 0 in each "
        "group; its gradient is not near 0.",
        "Watch reward, length and entropy instead.",
    )


def loss_not_falling(stage: str, rows: Rows, config: Config) -> Finding | None:
    start, now = early(rows, "loss"), recent(rows, "loss")
    if start is None or now is None or len(rows) < 3 * RECENT or now < 0.9 * start:
        return None
    return Finding(
        "warning",
        stage,
        "It does not learn",
        f"The loss went from {start:.2f} to {now:.2f} in {len(rows)} steps.",
        "The learning rate does not suit the model.",
        f"Try {stage}.optim.lr and muon_lr three times lower, then three times higher.",
    )


Rule = Callable[[str, Rows, Config], Finding | None]
PRETRAINING_RULES: tuple[Rule, ...] = (not_a_number, loss_not_falling, gradient_spikes)
RL_RULES: tuple[Rule, ...] = (
    not_a_number,
    no_reward,
    few_mixed_groups,
    hacked,
    collapse,
    entropy_gone,
    cut_off,
    length_without_gain,
    gives_up,
    far_from_reference,
    sampler_and_learner_differ,
    gradient_spikes,
    undecided,
    loss_near_zero,
)


def _numbers(rows: Rows, key: str) -> list[float]:
    return [row[key] for row in rows if isinstance(row.get(key), (int, float))]


def _total(rows: Rows, key: str) -> float:
    return sum(_numbers(rows, key))


def _mean(values: list[float]) -> float | None:
    return statistics.fmean(values) if values else None


def _lower_lr(config: Config) -> str:
    lr = config.get("optim", {}).get("lr")
    told = f" ({lr:g} → {lr / 3:.1g})" if lr else ""
    return f"Lower optim.lr by three{told} and go back to an earlier checkpoint."
