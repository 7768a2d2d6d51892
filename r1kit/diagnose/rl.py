"""Rules for reinforcement learning."""

from __future__ import annotations

import statistics
from typing import Any

from r1kit.diagnose.finding import (
    RECENT,
    Finding,
    Rule,
    Severity,
    StageRun,
    advice,
    easier_or_stronger,
    lower_learning_rate,
    numbers,
)
from r1kit.diagnose.settings import Settings
from r1kit.diagnose.supervised import gradient_spikes, not_a_number
from r1kit.runs.stage_specs import STAGES


def nothing_learned(stage: StageRun) -> Finding | None:
    """Warn if no group of any step had a learning signal, however short the run."""
    if _has_learned(stage):
        return None
    if _total(stage, "n_undecided") and not _total(stage, "n_problems"):
        cause = "The verifier decided no completion, and undecided ones are dropped."
        action = "Read their `why` in samples.jsonl and fix the task's verifier."
    elif (stage.recent("rewards/accuracy/mean") or 0.0) > 0.9:
        cause = "The problems are too easy: all completions of a group are right."
        action = advice(_harder(stage.settings))
    else:
        cause, action = _why_unrewarded(stage)
    observation = (
        f"In {len(stage.rows)} steps all completions of each group had the same reward, so no "
        "token was learned from and the weights did not change."
    )
    return stage.finding("warning", "Nothing was learned", observation, cause, action)


def no_reward(stage: StageRun) -> Finding | None:
    """Warn if accuracy is zero while other parts of the reward still vary."""
    accuracy = stage.recent("rewards/accuracy/mean")
    if accuracy is None or accuracy > 0.01 or not _has_learned(stage):
        return None
    cause, action = _why_unrewarded(stage)
    n_steps = min(RECENT, len(stage.rows))
    observation = f"Accuracy is {accuracy:.1%} over the last {n_steps} steps."
    return stage.finding("warning", "No reward", observation, cause, action)


def few_mixed_groups(stage: StageRun) -> Finding | None:
    """Report that most groups have equal rewards: a note at high accuracy, else a warning."""
    share, accuracy = stage.recent("frac_reward_zero_std"), stage.recent("rewards/accuracy/mean")
    if share is None or accuracy is None or share < 0.7 or accuracy <= 0.01:
        return None
    if not _has_learned(stage):
        return None
    level: Severity = "note" if accuracy > 0.9 else "warning"
    if accuracy > 0.9:
        cause = "The problems have become easy: all completions of a group are right."
        action = advice("stop here", _harder(stage.settings))
    else:
        cause = "Most problems are too easy or too hard: the completions of a group score alike."
        action = advice(
            "use problems of another difficulty",
            f"raise {stage.settings.shown('n_completions')}",
            _dynamic_sampling(stage.settings),
        )
    observation = f"In {share:.0%} of the groups all rewards are equal; such groups teach nothing."
    return stage.finding(level, "Few groups teach", observation, cause, action)


def hacked(stage: StageRun) -> Finding | None:
    """Warn if the judge's score rises while accuracy falls."""
    before, now = stage.early("rewards/preference/mean"), stage.recent("rewards/preference/mean")
    truth_before, truth = (
        stage.early("rewards/accuracy/mean"),
        stage.recent("rewards/accuracy/mean"),
    )
    if before is None or now is None or truth_before is None or truth is None:
        return None
    is_fallen = truth_before - truth > max(0.05, 0.25 * truth_before)
    if len(stage.rows) < 2 * RECENT or now <= before or not is_fallen:
        return None
    settings = stage.settings
    has_share = settings.get("preference_share") is not None
    return stage.finding(
        "warning",
        "The judge is hacked",
        f"The judge's score rose from {before:.2f} to {now:.2f} while right answers fell from "
        f"{truth_before:.1%} to {truth:.1%}.",
        "The policy has found completions that the judge scores high and nobody wants.",
        advice(
            f"lower {settings.shown('preference_share')}" if has_share else "",
            f"lower {settings.shown('n_steps')}",
            "train the judge on such completions",
        ),
    )


def collapse(stage: StageRun) -> Finding | None:
    """Warn if accuracy fell far below its best."""
    if hacked(stage) is not None:
        return None
    values = numbers(stage.rows, "rewards/accuracy/mean")
    if len(values) < 2 * RECENT:
        return None
    means = [statistics.fmean(values[i : i + RECENT]) for i in range(len(values) - RECENT + 1)]
    best, now = max(means), means[-1]
    if best - now < max(0.05, 0.25 * best):
        return None
    step = stage.rows[means.index(best) + RECENT - 1]["step"]
    return stage.finding(
        "warning",
        "Collapse",
        f"Accuracy fell from {best:.1%} (around step {step}) to {now:.1%}.",
        "The steps were too large for the policy: it left the region its samples describe.",
        lower_learning_rate(stage.settings),
    )


def entropy_gone(stage: StageRun) -> Finding | None:
    """Warn if the policy no longer explores."""
    start, now = stage.early("entropy"), stage.recent("entropy")
    is_short = len(stage.rows) < 2 * RECENT
    if start is None or now is None or is_short or now > min(0.1 * start, 0.05):
        return None
    settings = stage.settings
    is_narrow = (settings.get("epsilon_high") or settings.get("epsilon") or 0.2) < 0.28
    return stage.finding(
        "warning",
        "Nothing left to explore",
        f"Entropy fell from {start:.3f} to {now:.3f} nats per token.",
        "The policy writes one completion with certainty; groups become equal, learning stops.",
        advice(
            f"raise {settings.name('epsilon_high')} to 0.28" if is_narrow else "",
            f"lower {settings.shown('optim.lr')}",
            f"stop earlier ({settings.name('n_steps')})",
        ),
    )


def cut_off(stage: StageRun) -> Finding | None:
    """Warn if many completions reach max_tokens."""
    share, accuracy = (
        stage.recent("completions/clipped_ratio"),
        stage.recent("rewards/accuracy/mean"),
    )
    if share is None or share < 0.2 or accuracy is None or accuracy <= 0.01:
        return None
    settings, length = stage.settings, stage.recent("completions/mean_length") or 0.0
    return stage.finding(
        "warning",
        "Completions are cut off",
        f"{share:.0%} of the completions reach max_tokens ({settings.get('max_tokens')}); "
        f"the mean is {length:.0f} tokens.",
        "Thinking has outgrown its limit, or the model never ends its text.",
        advice(f"raise {settings.shown('max_tokens')}", _penalty(settings)),
    )


def length_without_gain(stage: StageRun) -> Finding | None:
    """Warn if completions become longer and accuracy does not rise."""
    late = StageRun(stage.name, stage.rows[len(stage.rows) // 2 :], stage.settings)
    if len(late.rows) < 2 * RECENT:
        return None
    before, now = late.early("completions/mean_length"), late.recent("completions/mean_length")
    gain = (late.recent("rewards/accuracy/mean") or 0.0) - (
        late.early("rewards/accuracy/mean") or 0.0
    )
    if before is None or now is None or now < 1.5 * before or gain > 0.02:
        return None
    settings = stage.settings
    is_biased = settings.get("loss_type") not in ("dr_grpo", "dapo")
    loss = f'set {settings.name("loss_type")} = "dr_grpo" or "dapo"' if is_biased else ""
    return stage.finding(
        "warning",
        "Length runs away",
        f"In the second half completions grew from {before:.0f} to {now:.0f} tokens, "
        f"accuracy by {100 * gain:+.1f} points.",
        "Longer completions are no longer better ones; the loss may favour length.",
        advice(_penalty(settings), loss, f"stop earlier ({settings.name('n_steps')})"),
    )


def gives_up(stage: StageRun) -> Finding | None:
    """Warn if completions become shorter while most of them are wrong."""
    before = stage.early("completions/mean_length")
    now = stage.recent("completions/mean_length")
    accuracy = stage.recent("rewards/accuracy/mean")
    if before is None or now is None or accuracy is None or len(stage.rows) < 2 * RECENT:
        return None
    if now > 0.6 * before or accuracy > 0.5:
        return None
    return stage.finding(
        "warning",
        "It learns to give up",
        f"Completions shrank from {before:.0f} to {now:.0f} tokens at {accuracy:.1%} accuracy.",
        "Longer thinking is not rewarded: the base does not recognise a right result.",
        advice(*easier_or_stronger(stage.settings)),
    )


def far_from_reference(stage: StageRun) -> Finding | None:
    """Warn if the KL to the reference exploded."""
    values = numbers(stage.rows, "kl")
    if not values or max(values) < 1.0:
        return None
    return stage.finding(
        "warning",
        "KL blew up",
        f"The KL to the reference reached {max(values):.3g} nats per token.",
        "Rare tokens became far likelier than under the reference, or the steps are too large.",
        lower_learning_rate(stage.settings),
    )


def sampler_and_learner_differ(stage: StageRun) -> Finding | None:
    """Warn if sampler and learner give different log-probabilities for the same tokens."""
    limit = 0.02 if stage.settings.dtype == "bfloat16" else 1e-3
    difference = stage.recent("sampling/sampling_logp_difference/mean")
    if difference is None or difference < limit or stage.settings.get("max_staleness"):
        return None
    remedy = "Please report it with the recipe: both read the same weights, so this is a defect."
    if stage.settings.sampler != "local":
        mode = stage.settings.name("importance_sampling_mode")
        remedy = f"Give vLLM the dtype of the recipe; {mode} corrects what remains."
    return stage.finding(
        "warning",
        "Sampler and learner disagree",
        f"Their log-probabilities of the same tokens differ by {difference:.2g} on average "
        f"(expected below {limit:g}).",
        "Old weights in the sampler, another precision, or another distribution than is scored.",
        remedy,
    )


def undecided(stage: StageRun) -> Finding | None:
    """Warn if the verifier left many completions undecided."""
    n_undecided, n_problems = _total(stage, "n_undecided"), _total(stage, "n_problems")
    n_decided = n_problems * float(stage.settings.get("n_completions") or 1)
    if not n_undecided or n_undecided < 0.02 * (n_decided + n_undecided):
        return None
    share = n_undecided / (n_decided + n_undecided)
    return stage.finding(
        "warning",
        "The verifier could not decide",
        f"{n_undecided:.0f} completions ({share:.1%}) were dropped without a verdict.",
        "The verifier ran out of time, or met answers it cannot read.",
        "Read their `why` in samples.jsonl and fix the task's verifier.",
    )


def loss_near_zero(stage: StageRun) -> Finding | None:
    """Note that a loss near 0 is normal, for users who expect the loss of RL to fall."""
    values = numbers(stage.rows, "loss")
    if not values or max(map(abs, values)) > 0.05 or not _has_learned(stage):
        return None
    return stage.finding(
        "note",
        "A loss near 0 is normal",
        f"The loss stayed within ±{max(map(abs, values)):.2g}.",
        "Before the first update it is minus a mean of advantages, which are centred on 0 in each "
        "group; its gradient is not near 0.",
        "Watch reward, length and entropy instead.",
    )


def _has_learned(stage: StageRun) -> bool:
    """Return True if some step trained on a completion."""
    return any(_has_taught(row, stage.settings) for row in stage.rows)


def _has_taught(row: dict[str, Any], settings: Settings) -> bool:
    """Return True if a step trained on a completion. A length penalty separates equal rewards."""
    if any(row.get(key) == 0 for key in ("grad_norm", "n_trained_tokens", "n_problems")):
        return False
    if settings.get("overlong_buffer"):
        return True
    return row.get("reward") != 0 and row.get("frac_reward_zero_std") != 1


def _why_unrewarded(stage: StageRun) -> tuple[str, str]:
    """Return cause and advice if no answer is right; the most telling of three reasons wins."""
    settings = stage.settings
    clipped = stage.recent("completions/clipped_ratio") or 0.0
    format_share = stage.recent("rewards/format/mean")
    if clipped > 0.8:
        cause = f"{clipped:.0%} of the completions are cut off at max_tokens before they finish."
        return cause, advice(f"raise {settings.shown('max_tokens')}")
    easier, stronger = easier_or_stronger(settings)
    if format_share is not None and format_share < 0.05:
        cause = (
            f"{format_share:.0%} of the completions have the format: no answer is found to check."
        )
        tuning = _fine_tuning(stage.name)
        return cause, advice(stronger, f"raise {tuning}.epochs" if tuning else "")
    cause = "The base is too weak for these problems: it is never right, so nothing is rewarded."
    return cause, advice(easier, stronger, f"raise {settings.shown('n_completions')}")


def _fine_tuning(stage: str) -> str:
    """Return the section of the fine-tuning that a stage starts from; empty if there is none."""
    parents = STAGES[stage].parents if stage in STAGES else ()
    sections = [STAGES[parent].section for parent in parents]
    return next((section for section in sections if section.endswith(".sft")), "")


def _harder(settings: Settings) -> str:
    level = settings.level
    return f"raise the level of [[tasks]] (now {level})" if level else "use harder problems"


def _dynamic_sampling(settings: Settings) -> str:
    is_on = settings.get("dynamic_sampling")
    return "" if is_on else f"set {settings.name('dynamic_sampling')} = true"


def _penalty(settings: Settings) -> str:
    is_on = settings.get("overlong_buffer")
    return "" if is_on else f"set {settings.name('overlong_buffer')} to make length cost something"


def _total(stage: StageRun, key: str) -> float:
    return sum(numbers(stage.rows, key))


RL_RULES: tuple[Rule, ...] = (
    not_a_number,
    nothing_learned,
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
