"""One decoding step in few operations, for the one architecture that most models share.

A decoding step of a small model costs what its operations cost to start, and transformers' forward
starts 260 of them from as many Python calls. Llama, Qwen2 and Qwen3 are the same few lines, written
out here for one token a row, on the model's own modules: weights stay where they are and are never
copied. Any other model goes through transformers' forward; tests hold the two together.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedModel

from r1kit.model.attention import Scores
from r1kit.model.cache import RowCache
from r1kit.model.few import Few
from r1kit.model.logprobs import forward

DecodeStep = Callable[[Tensor, Tensor, RowCache, int], Tensor]
"""(tokens [R], positions [R], cache, keys of the longest row) -> logits [R, V]"""

PLAIN = frozenset({"Llama", "Qwen2", "Qwen3"})


def decode_step(model: PreTrainedModel) -> DecodeStep:
    """The fastest way of this model to read one token a row."""
    return _Plain(model) if _is_plain(model) else _Transformers(model)


class _Transformers:
    """Any architecture: its own forward."""

    def __init__(self, model: PreTrainedModel) -> None:
        self.model = model

    def __call__(self, tokens: Tensor, positions: Tensor, cache: RowCache, used: int) -> Tensor:
        output = forward(
            self.model,
            tokens[:, None],
            positions[:, None],
            cache.at(positions, used),
            past_key_values=cache,
            use_cache=True,
        )
        logits: Tensor = output.logits[:, -1]
        return logits


class _Plain:
    """Pre-norm layers of rotary attention and gated SiLU."""

    def __init__(self, model: PreTrainedModel) -> None:
        self.body: Any = model.model
        self.head: Any = model.lm_head
        self.few = Few(model)

    def __call__(self, tokens: Tensor, positions: Tensor, cache: RowCache, used: int) -> Tensor:
        if self.few.fits(tokens):
            return self.few(tokens, positions, cache, used)
        layout = cache.at(positions, used)
        x = self.body.embed_tokens(tokens)
        cos, sin = self.body.rotary_emb(x[:, None], positions[:, None])
        half = sin.shape[-1] // 2
        sin = torch.cat([-sin[..., :half], sin[..., half:]], -1)
        for index, layer in enumerate(self.body.layers):
            own = layer.self_attn
            normed = layer.input_layernorm(x)
            query = _rotated(_heads(own, "q", normed), cos, sin)
            key = _rotated(_heads(own, "k", normed), cos, sin)
            value = _heads(own, "v", normed)
            keys, values = cache.update(key[:, :, None], value[:, :, None], index)
            scores = Scores(own.scaling, getattr(own, "sliding_window", None), None)
            seen = layout.attend(query[:, :, None], keys, values, scores)
            x = _linear(own.o_proj, seen.flatten(1)).add_(x)
            normed, mlp = layer.post_attention_layernorm(x), layer.mlp
            gate = F.silu(_linear(mlp.gate_proj, normed), inplace=True)
            x = _linear(mlp.down_proj, gate.mul_(_linear(mlp.up_proj, normed))).add_(x)
        return _linear(self.head, self.body.norm(x))


def _is_plain(model: Any) -> bool:
    """Whether every module is one that `_Plain` knows, with nothing put in or hooked on."""
    family = type(model).__name__.removesuffix("ForCausalLM")
    if family not in PLAIN or model.config.hidden_act != "silu":
        return False
    if any(type(layer).__name__ != f"{family}DecoderLayer" for layer in model.model.layers):
        return False
    return all(
        not module._forward_hooks
        and not module._forward_pre_hooks
        and (type(module) is nn.Linear or not hasattr(module, "in_features"))
        for module in model.modules()
    )


def _linear(module: Any, x: Tensor) -> Tensor:
    return F.linear(x, module.weight, module.bias)


def _heads(attention: Any, name: str, x: Tensor) -> Tensor:
    """[R, hidden] -> [R, heads, D]: the projection, and Qwen3's norm of it."""
    projected = _linear(getattr(attention, f"{name}_proj"), x).unflatten(
        -1, (-1, attention.head_dim)
    )
    norm = getattr(attention, f"{name}_norm", None)
    heads: Tensor = projected if norm is None else norm(projected)
    return heads


def _rotated(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary embedding; the first half of `sin` comes negated."""
    return torch.addcmul(x * cos, x.roll(x.shape[-1] // 2, -1), sin)
