"""Reward models: train a scorer on pairs of completions or on completions labelled safe or unsafe.

    pairs:     -log sigmoid(score of the chosen - score of the rejected)
    labelled:  binary cross-entropy of sigmoid(score), the probability that a completion is safe

Source: the R1 paper, section 2.3.4 of its first version and 3.1 of its second: pairwise for
helpfulness (Bradley and Terry 1952), pointwise for harmlessness. The loss of a step is the mean
over the examples of all ranks, so the gradient is the same for any number of processes and any
micro-batch size, up to rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import PreTrainedModel

from r1kit.model import sharding
from r1kit.model.policy import TrainableModel
from r1kit.model.ranks import Ranks
from r1kit.model.scorer import score_all
from r1kit.train.batch import fill


@dataclass(frozen=True, slots=True)
class PreferencePair:
    """Two completions of a prompt, prompt included: `PreferencePair([1, 52, 9], [1, 52, 7, 7])`."""

    chosen_ids: list[int]
    rejected_ids: list[int]

    @property
    def lengths(self) -> list[int]:
        return [len(self.chosen_ids), len(self.rejected_ids)]

    @property
    def n_tokens(self) -> int:
        return sum(self.lengths)


@dataclass(frozen=True, slots=True)
class LabelledCompletion:
    """A labelled completion, with its prompt: `LabelledCompletion([1, 52, 9], is_safe=True)`."""

    token_ids: list[int]
    is_safe: bool

    @property
    def lengths(self) -> list[int]:
        return [len(self.token_ids)]

    @property
    def n_tokens(self) -> int:
        return len(self.token_ids)


Example = PreferencePair | LabelledCompletion
_FILLER: list[Example] = [LabelledCompletion([0, 0], is_safe=True)]
"""the pass of a rank without work (`Ranks.pad`)"""


def pairwise_loss(chosen: Tensor, rejected: Tensor) -> Tensor:
    """Return the losses [B] of pairs from the scores [B] of chosen and rejected completions."""
    return -F.logsigmoid(chosen - rejected)


def pointwise_loss(scores: Tensor, safe: Tensor) -> Tensor:
    """Return the losses [B] of completions from their scores [B] and labels [B] bool."""
    return F.binary_cross_entropy_with_logits(scores, safe.to(scores.dtype), reduction="none")


@torch.no_grad()
def measure(
    model: PreTrainedModel, examples: Sequence[Example], ranks: Ranks, micro_batch_tokens: int
) -> dict[str, float]:
    """Return the `accuracy` on all ranks' examples, its `stderr`, and their number `n`.

    A pair is correct if the chosen completion scores higher, a labelled completion if the sign of
    its score matches the label.
    """
    n_correct = 0.0
    for batch in ranks.pad(_batches(examples, micro_batch_tokens), []):
        _, correct = _outcomes(model, batch or _FILLER, ranks.device)
        n_correct += correct.sum().item() if batch else 0.0
    sums = ranks.sum({"correct": n_correct, "n": float(len(examples))})
    accuracy = sums["correct"] / sums["n"]
    stderr = (accuracy * (1 - accuracy) / sums["n"]) ** 0.5
    return {"accuracy": accuracy, "stderr": stderr, "n": sums["n"]}


def preference_loss(
    model: TrainableModel, examples: Sequence[Example], ranks: Ranks, micro_batch_tokens: int
) -> dict[str, float]:
    """Compute gradients of the mean loss over all ranks' examples; return the mean and accuracy.

    Examples are pairs or labelled completions. Raises ValueError for a mixture.
    """
    n = ranks.sum({"n": float(len(examples))})["n"]
    totals = {"loss": 0.0, "accuracy": 0.0, "n_trained_tokens": 0.0, "n_flops": 0.0}
    for batch in ranks.pad(_batches(examples, micro_batch_tokens), []):
        losses, correct = _outcomes(model.module, batch or _FILLER, ranks.device)
        loss = losses.sum() / n
        if not batch:
            (loss * 0).backward()
            continue
        loss.backward()
        totals["loss"] += loss.item()
        totals["accuracy"] += correct.sum().item() / n
        totals["n_trained_tokens"] += sum(example.n_tokens for example in batch)
        totals["n_flops"] += sum(model.pass_flops.of(example.lengths) for example in batch)
    return ranks.sum(totals)


def _batches(examples: Sequence[Example], micro_batch_tokens: int) -> list[list[Example]]:
    """Return micro-batches of whole examples: both completions of a pair are in the same one."""
    return list(fill(examples, micro_batch_tokens, lambda example: example.n_tokens))


def _outcomes(
    model: PreTrainedModel, examples: Sequence[Example], device: torch.device
) -> tuple[Tensor, Tensor]:
    """Return the losses [B], and the correctness [B] bool, of a micro-batch."""
    pairs = [example for example in examples if isinstance(example, PreferencePair)]
    labelled = [example for example in examples if isinstance(example, LabelledCompletion)]
    if pairs and labelled:
        raise ValueError("a step learns from pairs or from labelled completions, not from both")
    if pairs:
        sequences = [ids for pair in pairs for ids in (pair.chosen_ids, pair.rejected_ids)]
        chosen, rejected = sharding.run(model, score_all, sequences, device).view(-1, 2).unbind(1)
        return pairwise_loss(chosen, rejected), chosen > rejected
    sequences = [example.token_ids for example in labelled]
    scores = sharding.run(model, score_all, sequences, device)
    safe = torch.tensor([example.is_safe for example in labelled], device=device)
    return pointwise_loss(scores, safe), (scores > 0) == safe
