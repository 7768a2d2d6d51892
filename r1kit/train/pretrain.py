"""Verb 1: pretraining. Next-token prediction on documents packed without seeing each other.

Muon for the matrices inside the layers and AdamW for the rest (docs/log.md has the comparison);
every rank takes every size-th document of a step, so the gradient is the same for any number of
processes up to rounding.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from transformers import PreTrainedModel

from r1kit.config import BaseConfig
from r1kit.model.logprobs import token_logprobs
from r1kit.model.parallel import Ranks
from r1kit.train.batch import pack
from r1kit.train.optim import Optimizers, lr_scale
from r1kit.types import Trajectory

AfterStep = Callable[[int, dict[str, float]], None]
"""(step, metrics), called on every rank after each optimizer step"""


def chunks(lengths: Sequence[int], batch_tokens: int, tokens: int) -> list[range]:
    """Documents of each optimizer step: ranges of at least `batch_tokens`, until `tokens`."""
    ranges, start, held, total = [], 0, 0, 0
    for place, length in enumerate(lengths):
        held += length
        if held >= batch_tokens:
            ranges.append(range(start, place + 1))
            start, total, held = place + 1, total + held, 0
        if total >= tokens:
            break
    return ranges


def pretrain(
    model: PreTrainedModel,
    optimizers: Optimizers,
    steps: Sequence[Sequence[Trajectory]],
    config: BaseConfig,
    ranks: Ranks,
    *,
    first_step: int,
    micro_batch_tokens: int,
    after_step: AfterStep,
) -> None:
    """Trains on `steps[first_step:]`; `steps[i]` holds this rank's documents of step i + 1."""
    model.train()
    for step in range(first_step, len(steps)):
        started = time.perf_counter()
        scale = lr_scale(step, len(steps), config.optim)
        loss, n_tokens = _accumulate(model, steps[step], ranks, micro_batch_tokens)
        ranks.sum_gradients(model.parameters())
        grad_norm = optimizers.step(scale)
        seconds = time.perf_counter() - started
        metrics = {
            "loss": loss,
            "lr": scale * config.optim.lr,
            "grad_norm": grad_norm,
            "n_tokens": n_tokens,
            "time/step_s": seconds,
            "time/tokens_per_s": n_tokens / seconds,
        }
        after_step(step + 1, metrics)
    model.eval()


def _accumulate(
    model: PreTrainedModel, documents: Sequence[Trajectory], ranks: Ranks, micro_batch_tokens: int
) -> tuple[float, float]:
    """Gradients of the mean loss over all ranks' tokens; returns that loss and the token count."""
    scored = ranks.sum({"tokens": sum(sum(document.loss_mask) for document in documents)})
    weight = 1 / scored["tokens"]
    total = 0.0
    for batch in pack(documents, [weight] * len(documents), micro_batch_tokens, ranks.device):
        logprobs = token_logprobs(model, batch.input_ids, batch.lengths, batch.mask)
        loss = -(logprobs * batch.weights).sum()
        loss.backward()
        total += loss.item()
    n_tokens = sum(len(document.token_ids) for document in documents)
    sums = ranks.sum({"loss": total, "tokens": n_tokens})
    return sums["loss"], sums["tokens"]


def document(token_ids: list[int], source: str = "") -> Trajectory:
    """A document to imitate: every token but the first is scored."""
    return Trajectory(token_ids, [0] + [1] * (len(token_ids) - 1), source=source)
