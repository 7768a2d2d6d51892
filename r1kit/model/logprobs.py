"""log p(token | tokens before), on a packed stream, differentiable: what every loss is made of.

The head is applied only where a token is scored. Logits are computed in the model's precision, as
the local engine does, and everything after them in fp32.
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
    """[mask.sum()] log-probabilities of the masked tokens, in the order of the stream.

    input_ids [T], mask [T] bool, sequences of the given lengths one after the other. The logits are
    divided by the temperature, as when the tokens were sampled. Raises ValueError if the mask
    covers the first token of a sequence, which nothing predicts.
    """
    logits, which = _predictions(model, input_ids, lengths, mask)
    scaled = logits if temperature == 1 else logits / temperature  # a division less to remember
    return scaled.log_softmax(-1)[which, input_ids[mask]]


def scored_logits(
    model: PreTrainedModel, input_ids: Tensor, lengths: Sequence[int], mask: Tensor
) -> Tensor:
    """[mask.sum(), V] fp32 logits that predict the masked tokens (see `token_logprobs`)."""
    logits, which = _predictions(model, input_ids, lengths, mask)
    return logits[which]


def _predictions(
    model: PreTrainedModel, input_ids: Tensor, lengths: Sequence[int], mask: Tensor
) -> tuple[Tensor, Tensor]:
    """fp32 logits [K, V] after K different histories, and which of them predicts each masked token.

    K <= mask.sum(): the model runs on the tree of what the sequences share.
    """
    if bool(mask[torch.from_numpy(starts(lengths)).to(mask.device)].any()):
        raise ValueError("the first token of a sequence cannot be scored: nothing predicts it")
    predictors = mask.nonzero()[:, 0] - 1
    input_ids, predictors, layout = shared(input_ids, lengths, predictors)
    positions = layout.positions().to(input_ids.device)
    kept, which = predictors.unique(return_inverse=True)
    output = forward(model, input_ids[None], positions, layout, use_cache=False, keep=kept)
    logits: Tensor = output.logits[0]
    return logits.float(), which


def shared(
    input_ids: Tensor, lengths: Sequence[int], places: Tensor
) -> tuple[Tensor, Tensor, Packed]:
    """A stream with equal beginnings there once, the same places [...] in it, and its layout."""
    tree = prefix_tree(input_ids.cpu().numpy(), lengths)
    if tree is not None:
        nodes = torch.from_numpy(tree.node).to(input_ids.device)
        input_ids = input_ids[torch.from_numpy(tree.first).to(input_ids.device)]
        places = nodes[places]
    return input_ids, places, Packed(lengths, input_ids.device, tree)


def forward(
    model: PreTrainedModel,
    input_ids: Tensor,
    positions: Tensor,
    layout: Any,
    *,
    keep: Tensor | int = 0,
    **kwargs: Any,
) -> Any:
    """The model's output under a layout, with logits [B, kept, V] at the kept positions only."""
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
