"""Differentiable log p(token | previous tokens) on a packed stream; every loss is built on it.

The head is applied only where a token is scored. Logits are computed in the model's precision, as
in the local engine, and everything after them in fp32.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from r1kit.model.attention import no_mask
from r1kit.model.packed import Packed
from r1kit.model.tree import prefix_tree, starts


def token_logprobs(
    model: PreTrainedModel,
    input_ids: Tensor,
    lengths: Sequence[int],
    mask: Tensor,
    temperature: float = 1.0,
) -> Tensor:
    """Return the log-probabilities [mask.sum()] of the masked tokens, in the order of the stream.

    input_ids [T] holds sequences of the given lengths back to back; mask [T] is bool. The logits
    are divided by the temperature, as in sampling. Raises ValueError if the mask covers the first
    token of a sequence, which nothing predicts.
    """
    logits, inverse = _predictions(model, input_ids, lengths, mask)
    scaled = logits if temperature == 1 else logits / temperature  # saves an activation
    return scaled.log_softmax(-1)[inverse, input_ids[mask]]


def scored_logits(
    model: PreTrainedModel, input_ids: Tensor, lengths: Sequence[int], mask: Tensor
) -> Tensor:
    """Return the fp32 logits [mask.sum(), V] that predict the masked tokens (`token_logprobs`)."""
    logits, inverse = _predictions(model, input_ids, lengths, mask)
    return logits[inverse]


def _predictions(
    model: PreTrainedModel, input_ids: Tensor, lengths: Sequence[int], mask: Tensor
) -> tuple[Tensor, Tensor]:
    """Return fp32 logits [K, V] after K distinct prefixes, and each masked token's index in them.

    K <= mask.sum(), because the model runs on the prefix tree of the sequences.
    """
    if bool(mask[torch.from_numpy(starts(lengths)).to(mask.device)].any()):
        raise ValueError("the first token of a sequence cannot be scored: nothing predicts it")
    predictors = mask.nonzero()[:, 0] - 1
    input_ids, predictors, layout = shared(input_ids, lengths, predictors)
    positions = layout.positions().to(input_ids.device)
    predictors_once, inverse = predictors.unique(return_inverse=True)
    output = forward(
        model, input_ids[None], positions, layout, use_cache=False, keep=predictors_once
    )
    logits: Tensor = output.logits[0]
    return logits.float(), inverse


def shared(
    input_ids: Tensor, lengths: Sequence[int], indices: Tensor
) -> tuple[Tensor, Tensor, Packed]:
    """Deduplicate shared prefixes: return the stream, `places` [...] mapped into it, its layout."""
    tree = prefix_tree(input_ids.cpu().numpy(), lengths)
    if tree is not None:
        nodes = torch.from_numpy(tree.node).to(input_ids.device)
        input_ids = input_ids[torch.from_numpy(tree.first).to(input_ids.device)]
        indices = nodes[indices]
    return input_ids, indices, Packed(lengths, input_ids.device, tree)


def forward(
    model: PreTrainedModel,
    input_ids: Tensor,
    positions: Tensor,
    layout: Any,
    *,
    keep: Tensor | int = 0,
    **kwargs: Any,
) -> Any:
    """Run the model under a layout; logits [B, kept, V] are computed at the `keep` positions."""
    takes_keep = "logits_to_keep" in inspect.signature(model.forward).parameters
    if takes_keep:
        kwargs["logits_to_keep"] = keep
    output = model(
        input_ids=input_ids,
        position_ids=positions,
        attention_mask=no_mask(input_ids.device, model.dtype),
        layout=layout,
        **kwargs,
    )
    if not takes_keep and isinstance(keep, Tensor):
        output.logits = output.logits[:, keep]
    return output
