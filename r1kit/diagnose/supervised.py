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
                "Numbers broke",
                f"{broken[0]} is not a number from step {row['step']} on.",
                "The learning rate is too high, or 16-bit numbers overflowed.",
                lower_learning_rate(stage.settings),
            )
    return None


def no_gradient(stage: StageRun) -> Finding | None:
    """Warn if every gradient was zero, so that the weights never changed."""
    norms = numbers(stage.rows, "grad_norm")
    if not norms or any(norms):
        return None
    return stage.finding(
        "warning",
        "Nothing was learned",
        f"The gradient was 0 in all {len(norms)} steps, so the weights did not change.",
        "No token of the examples counts in the loss.",
        "Read the conversations that the stage learns from: is the last turn of each empty?",
    )


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
        "Gradient spikes",
        f"{len(spikes)} of {len(norms)} steps had a gradient norm over ten times the median "
        f"({median:.2g}); the largest was {max(spikes):.2g}.",
        "Single examples dominate a step.",
        lower_learning_rate(stage.settings) if is_often else "Clipping contained them.",
    )


def loss_not_falling(stage: StageRun) -> Finding | None:
    """Warn if the loss ends about where it began."""
    start, now = stage.early("loss"), stage.recent("loss")
    if start is None or now is None or len(stage.rows) < 3 * RECENT or now < 0.9 * start:
        return None
    settings = stage.settings
    is_muon = settings.get("optim.optimizer") == "muon"
    keys = [settings.shown("optim.lr"), *([settings.shown("optim.muon_lr")] if is_muon else [])]
    return stage.finding(
        "warning",
        "It does not learn",
        f"The loss went from {start:.2f} to {now:.2f} in {len(stage.rows)} steps.",
        "The learning rate does not suit the model.",
        f"Try {' and '.join(keys)} three times lower, then three times higher.",
    )


SUPERVISED_RULES: tuple[Rule, ...] = (not_a_number, no_gradient, loss_not_falling, gradient_spikes)
