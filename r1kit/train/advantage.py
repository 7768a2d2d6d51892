"""Credit assignment: the advantages of a group's completions from their rewards.

Source: DeepSeekMath §4.1.2 and R1 eq. 3, `(r - mean) / std` over the G completions of a problem;
Dr. GRPO (arXiv 2503.20783) keeps only the difference. `loss.LOSSES` lists the scale of each loss.
Departures: the papers specify neither the kind of standard deviation nor an epsilon. Here it is the
unbiased one (G - 1) plus 1e-6, and a group whose rewards are all equal gets exactly 0.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Literal

ScaleRewards = Literal["std", "none"]

EPSILON = 1e-6


def group_advantages(rewards: Sequence[float], scale_rewards: ScaleRewards) -> list[float]:
    """Centre the rewards of one group [G]; divide by their standard deviation if "std".

    Equal rewards give exactly 0.0, and so does a group of one, which has no baseline. Raises
    ValueError if a reward is not finite.
    """
    if not all(map(math.isfinite, rewards)):
        raise ValueError(f"rewards must be finite numbers, got {list(rewards)}")
    # Explicit, because the float mean of [0.1] * 3 is not 0.1.
    if len(set(rewards)) <= 1:
        return [0.0] * len(rewards)
    mean = math.fsum(rewards) / len(rewards)
    divisor = statistics.stdev(rewards) + EPSILON if scale_rewards == "std" else 1.0
    return [(reward - mean) / divisor for reward in rewards]
