"""The checkpoints of a stage that are kept: disk space against the choice afterwards.

"Best" goes by the score of the evaluations during the stage, if it has any (`eval_steps`), whose
best checkpoint every rule keeps. Without them it goes by a number that every run measures anyway:
the mean reward of the last steps, or the mean loss of a stage without rewards. The evaluation of a
stage is that of its last checkpoint, unless `load_best_model_at_end` makes the best the last.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from r1kit.config import KeepRule
from r1kit.runs.run_reader import stage_and_step

N_NEWEST = 2
"""number of checkpoints kept by the rule "newest" """
EVAL_SCORE = "eval/pass_at_1"
"""metric of the steps after which the policy was evaluated: the mean over the benchmarks"""
N_STEPS = 10
"""number of steps before a checkpoint whose mean reward or loss ranks it"""


def superfluous(
    paths: Sequence[Path], metrics: Sequence[Mapping[str, Any]], rule: KeepRule
) -> list[Path]:
    """Return the checkpoints of a stage to delete; `paths` are all it has, oldest first."""
    if rule == "all":
        return []
    best = best_evaluated(paths, metrics)
    if rule == "newest":
        return [path for path in paths[:-N_NEWEST] if path != best]
    best = best or best_checkpoint(paths, metrics)
    return [path for path in paths[:-1] if path != best]


def best_evaluated(paths: Sequence[Path], metrics: Sequence[Mapping[str, Any]]) -> Path | None:
    """Return the checkpoint with the highest score of its evaluation, the earliest of equals.

    None if none was evaluated.
    """
    scores = {row["step"]: row[EVAL_SCORE] for row in metrics if row.get(EVAL_SCORE) is not None}
    evaluated = [path for path in paths if stage_and_step(path)[1] in scores]
    return max(evaluated, key=lambda path: scores[stage_and_step(path)[1]], default=None)


def best_checkpoint(paths: Sequence[Path], metrics: Sequence[Mapping[str, Any]]) -> Path | None:
    """Return the checkpoint with the highest mean reward, or lowest mean loss, in its last steps.

    The later one of equals; None if no step has a number.
    """
    has_rewards = any("reward" in row for row in metrics)
    name, sign = ("reward", 1) if has_rewards else ("loss", -1)

    def score(path: Path) -> float:
        step = stage_and_step(path)[1]
        values = [row.get(name) for row in metrics if step - N_STEPS < row["step"] <= step]
        finite = [value for value in values if value is not None and math.isfinite(value)]
        return sign * fmean(finite) if finite else -math.inf

    ranked = sorted(paths, key=score)
    return ranked[-1] if ranked and score(ranked[-1]) > -math.inf else None
