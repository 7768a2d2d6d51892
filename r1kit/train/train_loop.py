"""The loop of all supervised training: gradients over all ranks, then an optimizer step.

The caller provides the function that computes gradients: cross-entropy of tokens
(cross_entropy.py), or the preference loss of completions (reward_model.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from r1kit.config import OptimConfig
from r1kit.model.policy import TrainableModel
from r1kit.model.ranks import Ranks
from r1kit.train.optim import Optimizers, lr_scale
from r1kit.train.routing import ExpertLoads
from r1kit.train.step_times import StepClock

T = TypeVar("T")
M = TypeVar("M", bound=TrainableModel)

Gradients = Callable[[M, Sequence[T], Ranks, int], dict[str, float]]
"""(model, this rank's examples, ranks, tokens per micro-batch) → metrics of all ranks, including
`n_trained_tokens` and `n_flops`; leaves this rank's part of the gradients of the mean loss"""
AfterUpdate = Callable[[int, dict[str, float]], None]
"""(step, metrics), called on every rank after each optimizer step"""


def train_loop(
    gradients: Gradients[M, T],
    model: M,
    optimizers: Optimizers,
    steps: Sequence[Sequence[T]],
    config: OptimConfig,
    ranks: Ranks,
    *,
    first_step: int,
    micro_batch_tokens: int,
    after_step: AfterUpdate,
    router_bias_update_rate: float = 0.0,
) -> None:
    """Train on `steps[first_step:]`; `steps[i]` holds this rank's examples of step i + 1.

    All ranks have the same number of steps; a rank may have no example in a step, but not all ranks
    at once. `router_bias_update_rate` moves the biases of a mixture's routers (routing.py).
    """
    model.module.train()
    with ExpertLoads(model.module) as loads:
        for step in range(first_step, len(steps)):
            clock = StepClock(ranks)
            scale = lr_scale(step, len(steps), config)
            metrics = gradients(model, steps[step], ranks, micro_batch_tokens)
            ranks.sum_gradients(optimizers.weights.updated)
            grad_norm = optimizers.step(scale)
            metrics |= loads.finish_update(ranks, router_bias_update_rate, grad_norm)
            seconds = clock.end("learn")
            metrics |= clock.shares() | {
                "learning_rate": scale * config.lr,
                "grad_norm": grad_norm,
                "step_time": seconds,
                "time/tokens_per_s": metrics["n_trained_tokens"] / seconds,
            }
            after_step(step + 1, metrics)
    model.module.eval()
