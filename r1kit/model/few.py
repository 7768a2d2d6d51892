"""One decoding step of few rows, in NumPy, whose calls cost less than those of torch.

With few rows a step of a tiny model is all calls and no work: with the sampler 1.6 ms in torch, and
0.95 with this (docs/log.md). Servers with few clients live here. The arithmetic is that of
fused.py, on the same memory: parameters and cache are never copied. Tests hold the two together.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from r1kit.model.cache import RowCache

FEW = 16
"""rows; with more the products themselves are what a step costs, and torch's are faster"""
LARGEST = 5_000_000
"""parameters; the same"""
_STATIC_ROPE = frozenset({"default", "linear", "llama3", "yarn"})
"""rotary embeddings that depend on the position alone"""

Array = npt.NDArray[np.float32]


class _Linear(NamedTuple):
    """A projection, its weight as [in, out]."""

    weight: Array
    bias: Array | None

    def __call__(self, x: Array) -> Array:
        y: Array = x @ self.weight
        return y if self.bias is None else y + self.bias


class _Norm(NamedTuple):
    weight: Array
    eps: float

    def __call__(self, x: Array) -> Array:
        mean = np.einsum("...d,...d->...", x, x)[..., None] / np.float32(x.shape[-1])
        scaled: Array = x / np.sqrt(mean + np.float32(self.eps)) * self.weight
        return scaled


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


class Few:
    """The step of `fused.DecodeStep` for a plain model; ask `fits` first."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._at: tuple[int, ...] = ()
        """where the parameters were when the arrays were made"""
        self._layers: list[_Layer] = []
        self._cos = self._sin = np.zeros((0, 0), np.float32)
        self._is_plain = (
            sum(p.numel() for p in model.parameters()) <= LARGEST
            and all(p.dtype == torch.float32 for p in model.parameters())
            and model.model.rotary_emb.rope_type in _STATIC_ROPE
            and all(not _window(layer) for layer in model.model.layers)
        )

    def fits(self, tokens: Tensor) -> bool:
        """Whether the step is for us."""
        return self._is_plain and len(tokens) <= FEW and tokens.device.type == "cpu"

    def __call__(self, tokens: Tensor, positions: Tensor, cache: RowCache, used: int) -> Tensor:
        self._look_again()
        places = positions.numpy()
        if used > len(self._cos):
            self._turn(max(used, 2 * len(self._cos)))
        cos, sin = self._cos[places][:, None], self._sin[places][:, None]
        unseen = np.where(np.arange(used) > places[:, None], -np.inf, 0).astype(np.float32)
        x = self._embedded[tokens.numpy()]
        for index, layer in enumerate(self._layers):
            x = self._attended(x, layer, index, places, cos, sin, cache, used, unseen)
            normed = layer.mlp_norm(x)
            gate = layer.gate(normed)
            gate /= 1 + np.exp(-gate)
            x = x + layer.down(gate * layer.up(normed))
        return torch.from_numpy(self._head(self._norm(x)))

    def _attended(
        self,
        x: Array,
        layer: _Layer,
        index: int,
        places: npt.NDArray[np.int64],
        cos: Array,
        sin: Array,
        cache: RowCache,
        used: int,
        unseen: Array,
    ) -> Array:
        rows, dim = len(x), layer.head_dim
        normed = layer.input_norm(x)
        query, key, value = (p(normed).reshape(rows, -1, dim) for p in (layer.q, layer.k, layer.v))
        if layer.q_norm and layer.k_norm:
            query, key = layer.q_norm(query), layer.k_norm(key)
        query, key = _rotated(query, cos, sin), _rotated(key, cos, sin)
        kv_heads = key.shape[1]
        keys, values = cache.arrays(index, kv_heads, dim)
        every = np.arange(rows)
        keys[every, :, :, places] = key
        values[every, :, places] = value
        grouped = (query * layer.scale).reshape(rows, kv_heads, -1, dim)
        logits = grouped @ keys[:rows, :, :, :used] + unseen[:, None, None]
        logits -= logits.max(-1, keepdims=True)
        np.exp(logits, out=logits)
        seen = logits @ values[:rows, :, :used] / logits.sum(-1, keepdims=True)
        attended: Array = x + layer.o(seen.reshape(rows, -1))
        return attended

    def _turn(self, length: int) -> None:
        """Cosines and sines of the first positions; the first half of the sines negated."""
        like = torch.zeros(1, 1, 1)
        cos, sin = self._model.model.rotary_emb(like, torch.arange(length)[None])
        half = sin.shape[-1] // 2
        self._cos = cos[0].numpy()
        self._sin = torch.cat([-sin[0, :, :half], sin[0, :, half:]], -1).numpy()

    def _look_again(self) -> None:
        """Arrays on the parameters as they lie now: not everybody writes in place."""
        body = self._model.model
        at = (body.embed_tokens.weight.data_ptr(), body.norm.weight.data_ptr())
        if at == self._at:
            return
        self._at = at
        self._embedded = _array(body.embed_tokens.weight)
        self._norm, self._head = _norm(body.norm), _linear(self._model.lm_head)
        self._layers = [_layer(layer) for layer in body.layers]


def _rotated(x: Array, cos: Array, sin: Array) -> Array:
    half = x.shape[-1] // 2
    turned: Array = x * cos
    turned[..., :half] += x[..., half:] * sin[..., :half]
    turned[..., half:] += x[..., :half] * sin[..., half:]
    return turned


def _layer(layer: Any) -> _Layer:
    own, mlp = layer.self_attn, layer.mlp
    norms = (getattr(own, "q_norm", None), getattr(own, "k_norm", None))
    q_norm, k_norm = (None if norm is None else _norm(norm) for norm in norms)
    return _Layer(
        _norm(layer.input_layernorm), _linear(own.q_proj), _linear(own.k_proj),
        _linear(own.v_proj), q_norm, k_norm, _linear(own.o_proj),
        _norm(layer.post_attention_layernorm), _linear(mlp.gate_proj), _linear(mlp.up_proj),
        _linear(mlp.down_proj), np.float32(own.scaling), own.head_dim,
    )  # fmt: skip


def _window(layer: Any) -> int | None:
    window: int | None = getattr(layer.self_attn, "sliding_window", None)
    return window


def _linear(module: Any) -> _Linear:
    return _Linear(_array(module.weight).T, None if module.bias is None else _array(module.bias))


def _norm(module: Any) -> _Norm:
    return _Norm(_array(module.weight), module.variance_epsilon)


def _array(parameter: Tensor) -> Array:
    """The same memory."""
    array: Array = parameter.detach().numpy()
    return array
