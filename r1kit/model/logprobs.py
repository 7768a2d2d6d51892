"""Differentiable log p(token | previous tokens) on a packed stream; every loss is built on it.

The head is applied only where a token is scored, and in chunks where the logits would be large
(head.py). Logits are computed in the model's precision, as in the local engine, and everything
after them in fp32.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from r1kit.model.attention import no_mask
from r1kit.model.head import (
    chunked_entropies,
    chunked_logprobs,
    entropies,
    head_of,
    max_logits,
)
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
    stream, indices, inverse = _predictors(input_ids, lengths, mask)
    head = head_of(model) if is_large(model, len(indices)) else None
    if head is not None:
        hidden = hidden_states(model, *stream)[indices]
        return chunked_logprobs(head, hidden, inverse, input_ids[mask], temperature)
    logits = _logits(model, stream, indices)
    scaled = logits if temperature == 1 else logits / temperature  # saves an activation
    return scaled.log_softmax(-1)[inverse, input_ids[mask]]


@torch.no_grad()
def token_entropies(
    model: PreTrainedModel,
    input_ids: Tensor,
    lengths: Sequence[int],
    mask: Tensor,
    temperature: float = 1.0,
) -> Tensor:
    """Return the entropies [mask.sum()], in nats, of the distributions of the masked tokens.

    Arguments and errors are those of `token_logprobs`.
    """
    stream, indices, inverse = _predictors(input_ids, lengths, mask)
    head = head_of(model) if is_large(model, len(indices)) else None
    if head is not None:
        hidden = hidden_states(model, *stream)[indices]
        return chunked_entropies(head, hidden, temperature)[inverse]
    return entropies(_logits(model, stream, indices) / temperature)[inverse]


def is_large(model: PreTrainedModel, n_rows: int) -> bool:
    """Return True if the logits of `n_rows` tokens are too many to stand whole."""
    n_logits: int = n_rows * model.config.get_text_config().vocab_size
    return n_logits > max_logits(model.device)


def scored_logits(
    model: PreTrainedModel, input_ids: Tensor, lengths: Sequence[int], mask: Tensor
) -> Tensor:
    """Return the fp32 logits [mask.sum(), V] that predict the masked tokens (`token_logprobs`)."""
    stream, indices, inverse = _predictors(input_ids, lengths, mask)
    return _logits(model, stream, indices)[inverse]


def _predictors(
    input_ids: Tensor, lengths: Sequence[int], mask: Tensor
) -> tuple[tuple[Tensor, Packed], Tensor, Tensor]:
    """Return a stream with its layout, its K tokens that end distinct prefixes, and an index.

    The index [mask.sum()] maps masked tokens to these prefixes: K <= mask.sum(), because the model
    runs on the prefix tree of the sequences.
    """
    if bool(mask[torch.from_numpy(starts(lengths)).to(mask.device)].any()):
        raise ValueError("the first token of a sequence cannot be scored: nothing predicts it")
    predictors = mask.nonzero()[:, 0] - 1
    input_ids, predictors, layout = shared(input_ids, lengths, predictors)
    predictors_once, inverse = predictors.unique(return_inverse=True)
    return (input_ids, layout), predictors_once, inverse


def _logits(model: PreTrainedModel, stream: tuple[Tensor, Packed], indices: Tensor) -> Tensor:
    """Return the fp32 logits [K, V] after the tokens of a stream at `indices` [K]."""
    input_ids, layout = stream
    positions = layout.positions().to(input_ids.device)
    output = forward(model, input_ids[None], positions, layout, use_cache=False, keep=indices)
    logits: Tensor = output.logits[0]
    return logits.float()


def hidden_states(model: PreTrainedModel, input_ids: Tensor, layout: Packed) -> Tensor:
    """Return the last hidden states [T, hidden] of a stream."""
    output = getattr(model, model.base_model_prefix)(
        input_ids=input_ids[None],
        position_ids=layout.positions().to(input_ids.device),
        attention_mask=no_mask(input_ids.device, model.dtype),
        layout=layout,
        use_cache=False,
    )
    hidden: Tensor = output.last_hidden_state[0]
    return hidden


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
    parameters = inspect.signature(model.forward).parameters
    takes_keep = "logits_to_keep" in parameters
    if takes_keep:
        kwargs["logits_to_keep"] = keep
    if "cache" in parameters and "past_key_values" in kwargs:  # its name since transformers 5.24
        kwargs["cache"] = kwargs.pop("past_key_values")
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
