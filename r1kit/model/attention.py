"""The one attention function of r1kit, registered with transformers under the name "r1kit".

transformers provides the architecture; r1kit decides which tokens attend to which. A forward pass
takes a layout, `model(..., layout=Packed(...))`, which transformers passes to every attention
layer:

- `packed.Packed`: a flat stream of sequences that do not attend to each other (training, prefill).
- `decode.Decode`: one new token per row against the key/value cache.
- no layout: bit-identical to transformers' "sdpa", so `model(ids)` and `generate` are unchanged.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from r1kit.errors import CheckpointError

NAME = "r1kit"


class ScoreParams(NamedTuple):
    """Parameters that an architecture applies to q·k before the softmax."""

    scale: float | None
    """None means 1 / sqrt(head_dim)"""
    window: int | None
    """a query attends to itself and the window - 1 tokens before it"""
    softcap: float | None
    """scores become softcap * tanh(score / softcap)"""


class Layout(Protocol):
    """A rule for which tokens attend to which in one forward pass."""

    def attend(self, query: Tensor, key: Tensor, value: Tensor, scores: ScoreParams) -> Tensor:
        """Attend: [B, heads, L, D] each (fewer key/value heads is GQA) -> [B, L, heads, D]."""
        ...


def attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    layout: Layout | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """Implement transformers' attention interface: [B, heads, L, D] in, [B, L, heads, D] out.

    With a layout, `attention_mask` and `dropout` are ignored: r1kit's models have no dropout.
    """
    scores = ScoreParams(kwargs.get("scaling"), kwargs.get("sliding_window"), kwargs.get("softcap"))
    if layout is not None:
        _check_plain(module, kwargs)
        return layout.attend(query, key, value, scores), None
    if scores.softcap is None:
        output, _ = sdpa_attention_forward(module, query, key, value, attention_mask, **kwargs)
        return output, None
    return _attend_softcapped(query, key, value, scores, attention_mask).transpose(1, 2), None


def attend(
    query: Tensor, key: Tensor, value: Tensor, scores: ScoreParams, mask: Tensor | None
) -> Tensor:
    """Attend: [B, heads, L, D] each -> [B, heads, L, D]; additive mask, or None for causal."""
    if scores.softcap is not None:
        return _attend_softcapped(query, key, value, scores, mask)
    return F.scaled_dot_product_attention(
        query,
        key,
        value,
        attn_mask=mask,
        is_causal=mask is None,
        scale=scores.scale,
        enable_gqa=query.shape[1] != key.shape[1],
    )


def band(length: int, window: int, like: Tensor) -> Tensor:
    """Return the [L, L] additive causal mask of a sliding window.

    A token attends to itself and the window - 1 tokens before it.
    """
    full = torch.ones(length, length, dtype=torch.bool, device=like.device)
    unseen = ~(full.tril() & full.triu(1 - window))
    empty = torch.zeros(length, length, dtype=like.dtype, device=like.device)
    return empty.masked_fill_(unseen, -torch.inf)


@cache
def no_mask(device: torch.device, dtype: torch.dtype) -> Tensor:
    """Return the dummy `attention_mask` to pass with a layout: 4-D, so transformers builds none."""
    with torch.inference_mode(False):
        return torch.zeros(1, 1, 1, 1, device=device, dtype=dtype)


def _attend_softcapped(
    query: Tensor, key: Tensor, value: Tensor, scores: ScoreParams, mask: Tensor | None
) -> Tensor:
    """Attend with Gemma 2's soft-capped scores, which no fused torch kernel supports."""
    assert scores.softcap is not None
    repeats = query.shape[1] // key.shape[1]
    key, value = (x.repeat_interleave(repeats, 1) for x in (key, value))
    scale = query.shape[-1] ** -0.5 if scores.scale is None else scores.scale
    logits = query @ key.transpose(-1, -2) * scale
    logits = torch.tanh(logits / scores.softcap) * scores.softcap
    if mask is None and query.shape[2] > 1:
        mask = band(query.shape[2], query.shape[2], query)
    if mask is not None and mask.dtype == torch.bool:
        logits = logits.masked_fill(~mask, torch.finfo(logits.dtype).min)
    elif mask is not None:
        logits = logits + mask
    return logits.softmax(-1, dtype=torch.float32).to(query.dtype) @ value


def _check_plain(module: nn.Module, kwargs: dict[str, Any]) -> None:
    for name in ("s_aux", "position_bias"):
        if kwargs.get(name) is not None:
            raise CheckpointError(
                f"{type(module).__name__} needs attention with {name!r}, which r1kit does not "
                "have; choose a model with plain, grouped, windowed or soft-capped attention."
            )


AttentionInterface.register(NAME, attention)
AttentionMaskInterface.register(NAME, sdpa_mask)
