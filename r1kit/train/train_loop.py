"""The loop of all supervised training: gradients of a step, over all ranks, then an optimizer step.

The caller gives the gradients: of tokens that are imitated (cross_entropy.py), or of completions
that are compared (reward_model.py).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from transformers import PreTrainedModel

from r1kit.config import OptimConfig
from r1kit.model.parallel import Ranks
from r1kit.train.optim import Optimizers, lr_scale

T = TypeVar("T")

Gradients = Callable[[PreTrainedModel, Sequence[T], Ranks, int], dict[str, float]]
"""(model, this rank's examples, ranks, tokens a micro-batch) → metrics of all ranks, `n_tokens`
among them; leaves this rank's part of the gradients of the step's mean loss"""
AfterUpdate = Callable[[int, dict[str, float]], None]
"""(step, metrics), called on every rank after each optimizer step"""


def train_loop(
    gradients: Gradients[T],
    model: PreTrainedModel,
    optimizers: Optimizers,
    steps: Sequence[Sequence[T]],
    config: OptimConfig,
    ranks: Ranks,
    *,
    first_step: int,
    micro_batch_tokens: int,
    after_step: AfterUpdate,
) -> None:
    """Trains on `steps[first_step:]`; `steps[i]` holds this rank's examples of step i + 1.

    All ranks have the same number of steps; a rank may have no example in one, all of them together
    have some.
    """
    model.train()
    for step in range(first_step, len(steps)):
        started = time.perf_counter()
        scale = lr_scale(step, len(steps), config)
        metrics = gradients(model, steps[step], ranks, micro_batch_tokens)
        ranks.sum_gradients(model.parameters())
        grad_norm = optimizers.step(scale)
        seconds = time.perf_counter() - started
        metrics |= {
            "lr": scale * config.lr,
            "grad_norm": grad_norm,
            "time/step_s": seconds,
            "time/tokens_per_s": metrics["n_tokens"] / seconds,
        }
        after_step(step + 1, metrics)
    model.eval()
