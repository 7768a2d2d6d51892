"""Decoding of a model in bfloat16 on a CPU: packed weights, and the loops of bf16_kernels.py.

A processor that multiplies bfloat16 matrices in hardware (AMX) needs the weights in blocks of its
own. torch makes these blocks in every product, which takes longer than the product of a few rows;
here they are made once for each version of the weights, at the price of a second copy of them. The
arithmetic is that of fused.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from r1kit.model.cache import DecodeCache, as_array
from r1kit.model.lora import is_adapted
from r1kit.model.numba_model import STATIC_ROPE, RotaryTables

Product = Callable[[Tensor], Tensor]
"""[R, in] -> [R, out]"""
_N_ROWS = 32
"""rows that the blocks are chosen for; any number can be multiplied"""


class _NormWeights(NamedTuple):
    weight: Any
    eps: np.float32


class _PackedLayer(NamedTuple):
    """The parts of a layer, without the search for modules in each step."""

    first_norm: _NormWeights
    query: Product
    key: Product
    value: Product
    query_norm: _NormWeights | None
    key_norm: _NormWeights | None
    output: Product
    second_norm: _NormWeights
    gate: Product
    up: Product
    down: Product
    scale: np.float32
    window: int


def fits(model: Any) -> bool:
    """True if `Bfloat16Model` supports a plain model (fused.py): in bfloat16, on the CPU."""
    is_ours = all(p.dtype == torch.bfloat16 and p.device.type == "cpu" for p in model.parameters())
    return is_ours and model.model.rotary_emb.rope_type in STATIC_ROPE


class Bfloat16Model:
    """Decodes a plain model (fused.py) that `fits`."""

    def __init__(self, model: Any) -> None:
        from r1kit.model import bf16_kernels  # compiled at its first import, where it is used

        self._kernels = bf16_kernels
        self._model = model
        self._body: Any = model.model
        own = self._body.layers[0].self_attn
        self._dim = own.head_dim
        self._n_kv_heads = own.k_proj.out_features // own.head_dim
        self._rotary = RotaryTables(self._body.rotary_emb, torch.bfloat16)
        self._layers: list[_PackedLayer] = []

    def refresh(self) -> None:
        """Discard the packed weights; the next step packs those of the model again."""
        self._layers = []

    def decode(self, tokens: Tensor, positions: Tensor, cache: DecodeCache, used: int) -> Tensor:
        """Implement `fused.Inference.decode`."""
        if not self._layers:
            self._pack()
        kernels, cos_sin = self._kernels, self._rotary.up_to(used)
        cells = np.arange(len(tokens)), positions.numpy()
        x: Tensor = self._body.embed_tokens(tokens)
        for index, layer in enumerate(self._layers):
            kv = cache.arrays(index, self._n_kv_heads, self._dim, torch.bfloat16)
            normed = self._normed(x, layer.first_norm)
            query = self._heads(layer.query(normed), layer.query_norm)
            key = self._heads(layer.key(normed), layer.key_norm)
            value = self._heads(layer.value(normed), None)
            attended = torch.empty(len(x), query[0].size, dtype=torch.bfloat16)
            output = as_array(attended).reshape(query.shape)
            kernels.write_kv(key, value, cos_sin, kv, cells)
            kernels.attend(query, cos_sin, kv, cells, layer.scale, layer.window, output)
            x = layer.output(attended).add_(x)
            normed = self._normed(x, layer.second_norm)
            gate = layer.gate(normed)
            kernels.gated(as_array(gate), as_array(layer.up(normed)))
            x = layer.down(gate).add_(x)
        return self._head(self._normed(x, self._norm))

    def _normed(self, x: Tensor, norm: _NormWeights) -> Tensor:
        y = torch.empty_like(x)
        self._kernels.norm(as_array(x), norm.weight, norm.eps, as_array(y))
        return y

    def _heads(self, x: Tensor, norm: _NormWeights | None) -> Any:
        """Return [R, heads * D] as an array [R, heads, D], normed per head if the layer does so."""
        normed = x if norm is None else self._normed(x.view(-1, self._dim), norm)
        return as_array(normed).reshape(len(x), -1, self._dim)

    def _pack(self) -> None:
        self._layers = [_layer(module) for module in self._body.layers]
        self._norm = _norm(self._body.norm)
        self._head = _product(self._model.lm_head)


def _layer(module: Any) -> _PackedLayer:
    own, mlp = module.self_attn, module.mlp
    return _PackedLayer(
        _norm(module.input_layernorm),
        _product(own.q_proj),
        _product(own.k_proj),
        _product(own.v_proj),
        _norm(own.q_norm) if hasattr(own, "q_norm") else None,
        _norm(own.k_norm) if hasattr(own, "k_norm") else None,
        _product(own.o_proj),
        _norm(module.post_attention_layernorm),
        _product(mlp.gate_proj),
        _product(mlp.up_proj),
        _product(mlp.down_proj),
        np.float32(own.scaling),
        getattr(own, "sliding_window", None) or 0,
    )


def _norm(module: Any) -> _NormWeights:
    return _NormWeights(as_array(module.weight.detach()), np.float32(module.variance_epsilon))


def _product(module: Any) -> Product:
    """Return the product with a linear layer, packed if torch can and no adapter adds to it."""
    if is_adapted(module):
        adapted: Product = module
        return adapted
    weight, bias = module.weight.detach(), module.bias
    if not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return lambda x: F.linear(x, weight, bias)
    multiply: Any = torch.ops.mkldnn._linear_pointwise
    packed = torch.ops.mkldnn._reorder_linear_weight(weight, _N_ROWS)
    return lambda x: multiply(x, packed, bias, "none", [], "")
