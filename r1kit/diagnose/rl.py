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
        cause, action = stage.say("unlearned.undecided"), stage.say("undecided.action")
    elif (stage.recent("rewards/accuracy/mean") or 0.0) > 0.9:
        cause, action = stage.say("unlearned.easy"), stage.advise(_harder(stage))
    else:
        cause, action = _why_unrewarded(stage)
    return stage.finding("warning", "unlearned", cause, action, n=len(stage.rows))


def no_reward(stage: StageRun) -> Finding | None:
    """Warn if accuracy is zero while other parts of the reward still vary."""
    accuracy = stage.recent("rewards/accuracy/mean")
    if accuracy is None or accuracy > 0.01 or not _has_learned(stage):
        return None
    cause, action = _why_unrewarded(stage)
    n_steps = min(RECENT, len(stage.rows))
    return stage.finding("warning", "no_reward", cause, action, accuracy=accuracy, n=n_steps)


def few_mixed_groups(stage: StageRun) -> Finding | None:
    """Report that most groups have equal rewards: a note at high accuracy, else a warning."""
    share, accuracy = stage.recent("frac_reward_zero_std"), stage.recent("rewards/accuracy/mean")
    if share is None or accuracy is None or share < 0.7 or accuracy <= 0.01:
        return None
    if not _has_learned(stage):
        return None
    level: Severity = "note" if accuracy > 0.9 else "warning"
    if accuracy > 0.9:
        cause = stage.say("few_groups.easy")
        action = stage.advise(stage.say("do.stop"), _harder(stage))
    else:
        cause = stage.say("few_groups.unsuited")
        action = stage.advise(
            stage.say("do.other"),
            stage.say("do.raise", setting=stage.settings.shown("n_completions")),
            _dynamic_sampling(stage),
        )
    return stage.finding(level, "few_groups", cause, action, share=share)


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
    action = stage.advise(
        stage.say("do.lower", setting=settings.shown("preference_share")) if has_share else "",
        stage.say("do.lower", setting=settings.shown("n_steps")),
        stage.say("do.judge"),
    )
    return stage.finding(
        "warning",
        "hacked",
        action=action,
        before=before,
        now=now,
        truth_before=truth_before,
        truth=truth,
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
    action = lower_learning_rate(stage.settings)
    return stage.finding("warning", "collapse", action=action, best=best, step=step, now=now)


def entropy_gone(stage: StageRun) -> Finding | None:
    """Warn if the policy no longer explores."""
    start, now = stage.early("entropy"), stage.recent("entropy")
    is_short = len(stage.rows) < 2 * RECENT
    if start is None or now is None or is_short or now > min(0.1 * start, 0.05):
        return None
    settings = stage.settings
    is_narrow = (settings.get("epsilon_high") or settings.get("epsilon") or 0.2) < 0.28
    wider = stage.say("do.raise_to", setting=settings.name("epsilon_high"), value=0.28)
    action = stage.advise(
        wider if is_narrow else "",
        stage.say("do.lower", setting=settings.shown("optim.lr")),
        stage.say("do.stop_earlier", setting=settings.name("n_steps")),
    )
    return stage.finding("warning", "entropy", action=action, start=start, now=now)


def cut_off(stage: StageRun) -> Finding | None:
    """Warn if many completions reach max_tokens."""
    share, accuracy = (
        stage.recent("completions/clipped_ratio"),
        stage.recent("rewards/accuracy/mean"),
    )
    if share is None or share < 0.2 or accuracy is None or accuracy <= 0.01:
        return None
    settings, length = stage.settings, stage.recent("completions/mean_length") or 0.0
    action = stage.advise(
        stage.say("do.raise", setting=settings.shown("max_tokens")), _penalty(stage)
    )
    limit = settings.get("max_tokens")
    return stage.finding(
        "warning", "cut_off", action=action, share=share, limit=limit, length=length
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
    action = stage.advise(
        _penalty(stage),
        stage.say("do.loss", setting=settings.name("loss_type")) if is_biased else "",
        stage.say("do.stop_earlier", setting=settings.name("n_steps")),
    )
    return stage.finding(
        "warning", "length", action=action, before=before, now=now, gain=100 * gain
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
    action = stage.advise(*easier_or_stronger(stage.settings))
    return stage.finding(
        "warning", "gives_up", action=action, before=before, now=now, accuracy=accuracy
    )


def far_from_reference(stage: StageRun) -> Finding | None:
    """Warn if the KL to the reference exploded."""
    values = numbers(stage.rows, "kl")
    if not values or max(values) < 1.0:
        return None
    action = lower_learning_rate(stage.settings)
    return stage.finding("warning", "kl", action=action, largest=max(values))


def sampler_and_learner_differ(stage: StageRun) -> Finding | None:
    """Warn if sampler and learner give different log-probabilities for the same tokens."""
    limit = 0.02 if stage.settings.dtype == "bfloat16" else 1e-3
    difference = stage.recent("sampling/sampling_logp_difference/mean")
    if difference is None or difference < limit or stage.settings.get("max_staleness"):
        return None
    action = stage.say("mismatch.defect")
    if stage.settings.sampler != "local":
        mode = stage.settings.name("importance_sampling_mode")
        action = stage.say("mismatch.vllm", setting=mode)
    return stage.finding("warning", "mismatch", action=action, difference=difference, limit=limit)


def undecided(stage: StageRun) -> Finding | None:
    """Warn if the verifier left many completions undecided."""
    n_undecided, n_problems = _total(stage, "n_undecided"), _total(stage, "n_problems")
    n_decided = n_problems * float(stage.settings.get("n_completions") or 1)
    if not n_undecided or n_undecided < 0.02 * (n_decided + n_undecided):
        return None
    share = n_undecided / (n_decided + n_undecided)
    return stage.finding("warning", "undecided", n=n_undecided, share=share)


def loss_near_zero(stage: StageRun) -> Finding | None:
    """Note that a loss near 0 is normal, for users who expect the loss of RL to fall."""
    values = numbers(stage.rows, "loss")
    if not values or max(map(abs, values)) > 0.05 or not _has_learned(stage):
        return None
    return stage.finding("note", "zero_loss", largest=max(map(abs, values)))


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
        longer = stage.say("do.raise", setting=settings.shown("max_tokens"))
        return stage.say("no_reward.cut", share=clipped), stage.advise(longer)
    easier, stronger = easier_or_stronger(settings)
    if format_share is not None and format_share < 0.05:
        tuning = _fine_tuning(stage.name)
        epochs = stage.say("do.raise", setting=f"{tuning}.epochs") if tuning else ""
        return stage.say("no_reward.format", share=format_share), stage.advise(stronger, epochs)
    more = stage.say("do.raise", setting=settings.shown("n_completions"))
    return stage.say("no_reward.weak"), stage.advise(easier, stronger, more)


def _fine_tuning(stage: str) -> str:
    """Return the section of the fine-tuning that a stage starts from; empty if there is none."""
    parents = STAGES[stage].parents if stage in STAGES else ()
    sections = [STAGES[parent].section for parent in parents]
    return next((section for section in sections if section.endswith(".sft")), "")


def _harder(stage: StageRun) -> str:
    level = stage.settings.level
    return stage.say("do.raise_level", level=level) if level else stage.say("do.harder")


def _dynamic_sampling(stage: StageRun) -> str:
    if stage.settings.get("dynamic_sampling"):
        return ""
    return stage.say("do.set", setting=stage.settings.name("dynamic_sampling"), value="true")


def _penalty(stage: StageRun) -> str:
    if stage.settings.get("overlong_buffer"):
        return ""
    return stage.say("do.penalty", setting=stage.settings.name("overlong_buffer"))


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
