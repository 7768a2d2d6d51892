"""The metrics that show a finding: its curves on the page of `r1 watch`."""

from __future__ import annotations

ACCURACY = "rewards/accuracy/mean"
LENGTH = "completions/mean_length"

CURVES_OF: dict[str, tuple[str, ...]] = {
    "broken": ("loss", "grad_norm"),
    "unlearned": ("grad_norm", "frac_reward_zero_std"),
    "no_gradient": ("grad_norm",),
    "no_reward": (ACCURACY, "completions/clipped_ratio", "rewards/format/mean"),
    "few_groups": ("frac_reward_zero_std", ACCURACY),
    "hacked": ("rewards/preference/mean", ACCURACY),
    "collapse": (ACCURACY,),
    "entropy": ("entropy",),
    "cut_off": ("completions/clipped_ratio", LENGTH),
    "length": (LENGTH, ACCURACY),
    "gives_up": (LENGTH, ACCURACY),
    "kl": ("kl",),
    "mismatch": ("sampling/sampling_logp_difference/mean",),
    "spikes": ("grad_norm",),
    "undecided": ("n_undecided",),
    "zero_loss": ("loss",),
    "flat_loss": ("loss",),
}
"""maps the kind of a finding to metrics, the most telling one first"""
