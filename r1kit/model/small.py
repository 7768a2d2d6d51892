"""Decoding and reading prompts with a small model on a CPU, in NumPy and the loops of kernels.py.

A step of a tiny model is all calls and little work, and torch's cost most (docs/log.md). The
arithmetic is that of fused.py, on the same memory: parameters and cache are never copied. Tests
hold the two together.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from r1kit.model.attention import Layout, Scores
from r1kit.model.cache import PrefillCache, RowCache
from r1kit.model.kernels import Array, Places, attend, gated, linear, norm, rotate

LARGEST = 5_000_000
"""parameters; with more, the products are what a step costs, and torch has all threads for them"""
_LOOPED = 16
"""rows; with more, the blocked products of a library are faster than a loop"""
_STATIC_ROPE = frozenset({"default", "linear", "llama3", "yarn"})
"""rotary embeddings that depend on the position alone"""
_NONE = np.zeros(0, np.float32)
Turn = tuple[Array, Array]
"""cosines and sines of positions, [L, D] each"""


class _Linear:
    def __init__(self, module: Any) -> None:
        self._weight, bias = module.weight.detach(), module.bias
        self._bias = None if bias is None else bias.detach()
        self._arrays = _array(module.weight), _NONE if module.bias is None else _array(module.bias)

    def __call__(self, x: Array) -> Array:
        if len(x) <= _LOOPED:
            return linear(x, *self._arrays)
        y: Array = F.linear(torch.from_numpy(x), self._weight, self._bias).numpy()
        return y


class _Norm(NamedTuple):
    weight: Array
    eps: np.float32

    def __call__(self, x: Array) -> Array:
        flat = x.reshape(-1, x.shape[-1])
        return norm(flat, self.weight, self.eps).reshape(x.shape)


class _Layer(NamedTuple):
    """The arrays of a layer."""

    input_norm: _Norm
    q: _Linear
    k: _Linear
    v: _Linear
    q_norm: _Norm | None
    k_norm: _Norm | None
    o: _Linear
    mlp_norm: _Norm
    gate: _Linear
    up: _Linear
    down: _Linear
    scale: np.float32
    head_dim: int
    window: int

    def heads(self, x: Array, places: Places, turn: Turn) -> tuple[Array, Array, Array]:
        """[R, hidden] -> queries, keys and values [R, heads, D], those that turn turned."""
        normed = self.input_norm(x)
        query, key, value = (
            project(normed).reshape(len(x), -1, self.head_dim)
            for project in (self.q, self.k, self.v)
        )
        if self.q_norm and self.k_norm:
            query, key = self.q_norm(query), self.k_norm(key)
        rotate(query, *turn, places)
        rotate(key, *turn, places)
        return query, key, value

    def onward(self, x: Array, seen: Array) -> Array:
        """[R, hidden], and what its heads have seen, through the rest of the layer."""
        x = x + self.o(seen.reshape(len(x), -1))
        normed = self.mlp_norm(x)
        gates = self.gate(normed)
        gated(gates, self.up(normed))
        gone: Array = x + self.down(gates)
        return gone


def fits(model: Any) -> bool:
    """Whether a plain model (fused.py) is one for `Small`."""
    parameters = list(model.parameters())
    is_small = sum(p.numel() for p in parameters) <= LARGEST
    is_ours = all(p.dtype == torch.float32 and p.device.type == "cpu" for p in parameters)
    return is_small and is_ours and model.model.rotary_emb.rope_type in _STATIC_ROPE


class Small:
    """A plain model (fused.py) that `fits`."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._at: tuple[int, ...] = ()
        """where the parameters were when the arrays were made"""
        self._layers: list[_Layer] = []
        self._turn: Turn = (np.zeros((0, 0), np.float32),) * 2

    def __call__(self, tokens: Tensor, positions: Tensor, cache: RowCache, used: int) -> Tensor:
        """See `fused.DecodeStep`."""
        self._look_again()
        places, turn = positions.numpy(), self._turns(used)
        x = self._embedded[tokens.numpy()]
        for index, layer in enumerate(self._layers):
            query, key, value = layer.heads(x, places, turn)
            seen = attend(
                query, (key, value), *cache.arrays(index, *key.shape[1:]), places,
                layer.scale, layer.window, np.float32(0),
            )  # fmt: skip
            x = layer.onward(x, seen)
        return torch.from_numpy(self._head(self._norm(x)))

    def read(self, tokens: Tensor, positions: Tensor, layout: Layout, cache: PrefillCache) -> None:
        """See `fused.ReadPrompts`."""
        self._look_again()
        places, turn = positions.numpy(), self._turns(int(positions.max()) + 1)
        x, last = self._embedded[tokens.numpy()], len(self._layers) - 1
        for index, layer in enumerate(self._layers):
            heads = layer.heads(x, places, turn)
            query, key, value = (torch.from_numpy(y).transpose(0, 1)[None] for y in heads)
            keys, values = cache.update(key, value, index)
            if index < last:  # what comes of it nobody reads
                scores = Scores(float(layer.scale), layer.window or None, None)
                x = layer.onward(x, layout.attend(query, keys, values, scores)[0].numpy())

    def _turns(self, length: int) -> Turn:
        """Of the first positions, `length` of them at least."""
        if length > len(self._turn[0]):
            like = torch.zeros(1, 1, 1)
            cos, sin = self._model.model.rotary_emb(like, torch.arange(2 * length)[None])
            self._turn = cos[0].contiguous().numpy(), sin[0].contiguous().numpy()
        return self._turn

    def _look_again(self) -> None:
        """Arrays on the parameters as they lie now: not everybody writes in place."""
        body = self._model.model
        at = (body.embed_tokens.weight.data_ptr(), body.norm.weight.data_ptr())
        if at == self._at:
            return
        self._at = at
        self._embedded = _array(body.embed_tokens.weight)
        self._norm, self._head = _norm(body.norm), _Linear(self._model.lm_head)
        self._layers = [_layer(layer) for layer in body.layers]


def _layer(layer: Any) -> _Layer:
    own, mlp = layer.self_attn, layer.mlp
    norms = (getattr(own, "q_norm", None), getattr(own, "k_norm", None))
    q_norm, k_norm = (None if norm is None else _norm(norm) for norm in norms)
    return _Layer(
        _norm(layer.input_layernorm), _Linear(own.q_proj), _Linear(own.k_proj),
        _Linear(own.v_proj), q_norm, k_norm, _Linear(own.o_proj),
        _norm(layer.post_attention_layernorm), _Linear(mlp.gate_proj), _Linear(mlp.up_proj),
        _Linear(mlp.down_proj), np.float32(own.scaling), own.head_dim,
        getattr(own, "sliding_window", None) or 0,
    )  # fmt: skip


def _norm(module: Any) -> _Norm:
    return _Norm(_array(module.weight), np.float32(module.variance_epsilon))


def _array(parameter: Tensor) -> Array:
    """The same memory."""
    array: Array = parameter.detach().numpy()
    return array
