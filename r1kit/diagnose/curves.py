"""The metrics that show a finding: its curves on the page of `r1 watch`."""

from __future__ import annotations

ACCURACY = "rewards/accuracy/mean"
LENGTH = "completions/mean_length"

CURVES_OF: dict[str, tuple[str, ...]] = {
    "Numbers broke": ("loss", "grad_norm"),
    "Nothing was learned": ("grad_norm", "frac_reward_zero_std"),
    "No reward": (ACCURACY, "completions/clipped_ratio", "rewards/format/mean"),
    "Few groups teach": ("frac_reward_zero_std", ACCURACY),
    "The judge is hacked": ("rewards/preference/mean", ACCURACY),
    "Collapse": (ACCURACY,),
    "Nothing left to explore": ("entropy",),
    "Completions are cut off": ("completions/clipped_ratio", LENGTH),
    "Length runs away": (LENGTH, ACCURACY),
    "It learns to give up": (LENGTH, ACCURACY),
    "KL blew up": ("kl",),
    "Sampler and learner disagree": ("sampling/sampling_logp_difference/mean",),
    "Gradient spikes": ("grad_norm",),
    "The verifier could not decide": ("n_undecided",),
    "A loss near 0 is normal": ("loss",),
    "It does not learn": ("loss",),
}
"""maps the title of a finding to metrics, the most telling one first"""
