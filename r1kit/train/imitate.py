"""What pretraining and fine-tuning share: tokens are imitated, by the mean over an update's tokens.

Every rank takes its share of the trajectories of an update, so the gradient is the same for any
number of processes up to rounding.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from transformers import PreTrainedModel

from r1kit.config import OptimConfig
from r1kit.model.logprobs import token_logprobs
from r1kit.model.parallel import Ranks
from r1kit.train.batch import pack
from r1kit.train.optim import Optimizers, lr_scale
from r1kit.types import Trajectory

AfterStep = Callable[[int, dict[str, float]], None]
"""(step, metrics), called on every rank after each optimizer step"""


def imitate(
    model: PreTrainedModel,
    optimizers: Optimizers,
    steps: Sequence[Sequence[Trajectory]],
    config: OptimConfig,
    ranks: Ranks,
    *,
    first_step: int,
    micro_batch_tokens: int,
    after_step: AfterStep,
) -> None:
    """Trains on `steps[first_step:]`; `steps[i]` holds this rank's trajectories of step i + 1."""
    model.train()
    for step in range(first_step, len(steps)):
        started = time.perf_counter()
        scale = lr_scale(step, len(steps), config)
        metrics = _accumulate(model, steps[step], ranks, micro_batch_tokens)
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


def _accumulate(
    model: PreTrainedModel, mine: Sequence[Trajectory], ranks: Ranks, micro_batch_tokens: int
) -> dict[str, float]:
    """Gradients of the mean loss over all ranks' scored tokens; that loss, and exact counts."""
    counts = ranks.sum(
        {
            "n_scored": sum(sum(trajectory.loss_mask) for trajectory in mine),
            "n_tokens": sum(len(trajectory.token_ids) for trajectory in mine),
        }
    )
    weight = 1 / counts["n_scored"]
    total = 0.0
    for batch in pack(mine, [weight] * len(mine), micro_batch_tokens, ranks.device):
        logprobs = token_logprobs(model, batch.input_ids, batch.lengths, batch.mask)
        loss = -(logprobs * batch.weights).sum()
        loss.backward()
        total += loss.item()
    return ranks.sum({"loss": total}) | counts
