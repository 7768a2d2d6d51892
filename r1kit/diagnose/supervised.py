"""Rules for pretraining, fine-tuning and reward models, and rules for every stage."""

from __future__ import annotations

import statistics

from r1kit.diagnose.finding import RECENT, Finding, Rule, StageRun, lower_learning_rate, numbers


def not_a_number(stage: StageRun) -> Finding | None:
    """Warn if the loss or the gradient became NaN or infinite."""
    for row in stage.rows:
        broken = [key for key in ("loss", "grad_norm") if key in row and row[key] is None]
        if broken:
            return stage.finding(
                "warning",
                "broken",
                action=lower_learning_rate(stage.settings),
                metric=broken[0],
                step=row["step"],
            )
    return None


def no_gradient(stage: StageRun) -> Finding | None:
    """Warn if every gradient was zero, so that the weights never changed."""
    norms = numbers(stage.rows, "grad_norm")
    if not norms or any(norms):
        return None
    return stage.finding("warning", "no_gradient", n=len(norms))


def gradient_spikes(stage: StageRun) -> Finding | None:
    """Report gradients far larger than the others."""
    norms = numbers(stage.rows, "grad_norm")
    if len(norms) < RECENT:
        return None
    median = statistics.median(norms)
    spikes = [norm for norm in norms if norm > 10 * median and norm > 1.0]
    if not spikes:
        return None
    is_often = len(spikes) > 0.05 * len(norms)
    return stage.finding(
        "warning" if is_often else "note",
        "spikes",
        action=lower_learning_rate(stage.settings) if is_often else stage.say("spikes.clipped"),
        n_spikes=len(spikes),
        n=len(norms),
        median=median,
        largest=max(spikes),
    )


def loss_not_falling(stage: StageRun) -> Finding | None:
    """Warn if the loss ends about where it began."""
    start, now = stage.early("loss"), stage.recent("loss")
    if start is None or now is None or len(stage.rows) < 3 * RECENT or now < 0.9 * start:
        return None
    settings = stage.settings
    is_muon = settings.get("optim.optimizer") == "muon"
    keys = [settings.shown("optim.lr"), *([settings.shown("optim.muon_lr")] if is_muon else [])]
    action = stage.say("flat_loss.action", rates=stage.say("join.and").join(keys))
    return stage.finding(
        "warning", "flat_loss", action=action, start=start, now=now, n=len(stage.rows)
    )


SUPERVISED_RULES: tuple[Rule, ...] = (not_a_number, no_gradient, loss_not_falling, gradient_spikes)
