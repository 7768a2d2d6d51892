"""Decoding and prefill of a small model on a CPU, with NumPy and the loops of kernels.py.

A decoding step of a tiny model is dominated by call overhead, which is largest in torch
(docs/log.md); here a layer is one call. The arithmetic is that of fused.py, on the same memory:
parameters and cache are never copied. Tests require both to agree.

Uses one thread: a second one gained nothing, as memory bandwidth was the limit (docs/log.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from r1kit.model.cache import DecodeCache, KeyValues, as_array
from r1kit.model.kernels import (
    Array,
    ArrayPair,
    Parameters,
    SlotPositions,
    layer,
    unembed,
    write_kv,
)
from r1kit.model.lora import has_adapter

MAX_PARAMETERS = 5_000_000
"""parameters; in a larger model matrix products dominate, for which torch uses all threads"""
STATIC_ROPE = frozenset({"default", "linear", "llama3", "yarn"})
"""types of rotary embedding that depend on the position alone"""
_NONE = np.zeros(0, np.float32)


class _Layer(NamedTuple):
    parameters: Parameters
    scale: np.float32
    eps: np.float32
    window: int


def fits(model: Any) -> bool:
    """True if `NumbaModel` supports a plain model (fused.py): small, float32, on the CPU."""
    parameters = list(model.parameters())
    is_small = sum(p.numel() for p in parameters) <= MAX_PARAMETERS and not has_adapter(model)
    is_ours = all(p.dtype == torch.float32 and p.device.type == "cpu" for p in parameters)
    return is_small and is_ours and model.model.rotary_emb.rope_type in STATIC_ROPE


class RotaryTables:
    """The rotary cosines and sines of a model as arrays, which grow with the positions."""

    def __init__(self, rotary_emb: Any, dtype: torch.dtype) -> None:
        self._rotary_emb = rotary_emb
        self._like = torch.zeros(1, 1, 1, dtype=dtype)
        self._cos_sin: tuple[Any, Any] = (), ()

    def up_to(self, length: int) -> tuple[Any, Any]:
        """Return cosines and sines [L, D] with L >= length."""
        if length > len(self._cos_sin[0]):
            cos, sin = self._rotary_emb(self._like, torch.arange(2 * length)[None])
            self._cos_sin = as_array(cos[0].contiguous()), as_array(sin[0].contiguous())
        return self._cos_sin


class NumbaModel:
    """An `Inference` for a plain model (fused.py) that `fits`."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._at: tuple[int, ...] = ()
        """addresses of the parameters that the arrays view"""
        self._layers: list[_Layer] = []
        self._rotary = RotaryTables(model.model.rotary_emb, torch.float32)

    def decode(self, tokens: Tensor, positions: Tensor, cache: DecodeCache, used: int) -> Tensor:
        """Implement `fused.Inference.decode`."""
        self._rebind()
        kv = [cache.arrays(index, *self._heads) for index in range(len(self._layers))]
        cells = np.arange(len(tokens)), positions.numpy()
        x = self._through(tokens.numpy(), kv, cells, self._rotary.up_to(used))
        logits = np.empty((len(x), len(self._head[0])), np.float32)
        unembed(x, self._norm, self._head, self._layers[0].eps, logits)
        return torch.from_numpy(logits)

    def refresh(self) -> None:
        """Implement `fused.Inference.refresh`: `_rebind` looks for moved weights in every step."""

    def _through(
        self, ids: Any, kv: Sequence[ArrayPair], cells: SlotPositions, cos_sin: ArrayPair
    ) -> Array:
        """Run tokens [R] through as many layers as there are stores -> [R, hidden]."""
        x: Array = self._embedded[ids]
        for own, pair in zip(self._layers, kv, strict=False):
            layer(x, own.parameters, cos_sin, pair, cells, own.scale, own.eps, own.window)
        return x

    def read(self, prompts: Sequence[list[int]], before: Sequence[KeyValues]) -> list[KeyValues]:
        """Implement `fused.Inference.read`."""
        self._rebind()
        return [self._longer(ids, prefix) for ids, prefix in zip(prompts, before, strict=True)]

    def _longer(self, ids: list[int], prefix: KeyValues) -> KeyValues:
        start = prefix[0][0].shape[1] if prefix else 0
        end = start + len(ids)
        *kv, last = (
            _allocate(end, self._heads, prefix.get(index)) for index in range(len(self._layers))
        )
        cells, cos_sin = (
            (np.zeros(len(ids), np.int64), np.arange(start, end)),
            self._rotary.up_to(end),
        )
        x = self._through(np.array(ids), kv, cells, cos_sin)
        own = self._layers[-1]
        write_kv(x, own.parameters, cos_sin, last, cells, own.eps)  # its output is not used
        return {
            index: (torch.from_numpy(keys[0]), torch.from_numpy(values[0]))
            for index, (keys, values) in enumerate([*kv, last])
        }

    def _rebind(self) -> None:
        """Recreate the array views if the parameters have moved: not every update is in place."""
        body = self._model.model
        at = (body.embed_tokens.weight.data_ptr(), body.norm.weight.data_ptr())
        if at == self._at:
            return
        self._at = at
        own = body.layers[0].self_attn
        self._heads = own.k_proj.out_features // own.head_dim, own.head_dim
        self._embedded = _array(body.embed_tokens.weight)
        head = self._model.lm_head
        self._norm, self._head = _array(body.norm.weight), (_array(head.weight), _array(head.bias))
        self._layers = [_layer(module) for module in body.layers]


def _allocate(
    length: int, heads: tuple[int, int], prefix: tuple[Tensor, Tensor] | None
) -> ArrayPair:
    """Allocate keys and values of one slot, and copy the cached prefix into their beginning."""
    n_heads, dim = heads
    keys, values = (np.empty((1, n_heads, length, dim), np.float32) for _ in range(2))
    if prefix is not None:
        n_known = prefix[0].shape[1]
        keys[0, :, :n_known], values[0, :, :n_known] = (x.numpy() for x in prefix)
    return keys, values


def _layer(module: Any) -> _Layer:
    own, mlp, first = module.self_attn, module.mlp, module.input_layernorm
    of_heads = (getattr(own, "q_norm", None), getattr(own, "k_norm", None))
    norms = (first, *of_heads, module.post_attention_layernorm)
    linears = (
        own.q_proj, own.k_proj, own.v_proj, own.o_proj, mlp.gate_proj, mlp.up_proj, mlp.down_proj
    )  # fmt: skip
    parameters = (
        tuple(_NONE if module is None else _array(module.weight) for module in norms),
        tuple(_array(module.weight) for module in linears),
        tuple(_array(module.bias) for module in linears),
    )
    window = getattr(own, "sliding_window", None) or 0
    return _Layer(parameters, np.float32(own.scaling), np.float32(first.variance_epsilon), window)


def _array(parameter: Tensor | None) -> Array:
    """Return a NumPy view of a parameter."""
    array: Array = _NONE if parameter is None else parameter.detach().numpy()
    return array
