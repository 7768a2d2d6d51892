"""IFEval's four accuracies: of prompts and of instructions, strict and loose.

Source: Zhou et al. 2023 (arXiv 2311.07911), section 2.2. The paper of R1 states the strict accuracy
of prompts. Departures: every accuracy has a standard error, for which the prompts are the
independent samples (the accuracy of instructions is a ratio of sums over prompts), and instructions
that cannot be checked are left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean

from r1kit.evals.scores import Estimate, ratio
from r1kit.verify.instructions.check import all_followed

FollowedLists = Mapping[str, Sequence[bool | None]]
"""{"strict": [True, None], "loose": [True, None]}: whether each instruction is followed"""


def instruction_scores(prompts: Sequence[Sequence[FollowedLists]]) -> dict[str, Estimate]:
    """Return the accuracies by name, from the k answers of each prompt."""
    values: dict[str, Estimate | None] = {}
    for reading in ("strict", "loose"):
        followed = [[answer[reading] for answer in answers] for answers in prompts]
        values[f"prompt {reading}"] = _prompt_accuracy(followed)
        values[f"instruction {reading}"] = _instruction_accuracy(followed)
    return {name: value for name, value in values.items() if value is not None}


def _prompt_accuracy(prompts: Iterable[Sequence[Sequence[bool | None]]]) -> Estimate | None:
    """Return the share of answers that follow all instructions; undecided answers are left out."""
    decided = [[all_followed(followed) for followed in answers] for answers in prompts]
    rates = [[float(value) for value in answers if value is not None] for answers in decided]
    return ratio([(fmean(values), 1) for values in rates if values])


def _instruction_accuracy(prompts: Iterable[Sequence[Sequence[bool | None]]]) -> Estimate | None:
    checked = [[value for row in answers for value in row if value is not None]
               for answers in prompts]  # fmt: skip
    return ratio([(sum(values), len(values)) for values in checked if values])
