"""Decoding and reading prompts in few operations, for the one architecture that most models share.

A decoding step of a small model costs what its operations cost to start, and transformers' forward
starts 260 of them from as many Python calls. Llama, Qwen2 and Qwen3 are the same few lines, written
out here on the model's own modules: weights stay where they are and are never copied. Any other
model goes through transformers' forward; tests hold the two together.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import chain
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedModel

from r1kit.model.attention import Layout, Scores
from r1kit.model.cache import KeyValues, PrefillCache, RowCache
from r1kit.model.chunked_prefill import ChunkedPrefill
from r1kit.model.logprobs import forward
from r1kit.model.numba_model import NumbaModel, fits
from r1kit.model.packed import Packed

PLAIN = frozenset({"Llama", "Qwen2", "Qwen3"})
_LONG = 512
"""tokens of a text; behind more, torch's attention in blocks is faster than a loop"""


class Inference(Protocol):
    """A model that is sampled from."""

    def decode(self, tokens: Tensor, positions: Tensor, cache: RowCache, used: int) -> Tensor:
        """A token a row, [R] at positions [R] < used -> logits [R, V]."""
        ...

    def read(self, prompts: Sequence[list[int]], before: Sequence[KeyValues]) -> list[KeyValues]:
        """Texts of at least one token, each behind what is known before it -> all that is known."""
        ...


def inference(model: PreTrainedModel) -> Inference:
    """The fastest way of this model."""
    if not _is_plain(model):
        return _Transformers(model)
    plain = _LlamaLike(model)
    return _ShortAndLong(NumbaModel(model), plain) if fits(model) else plain


class _ShortAndLong:
    """What ends a long text in torch, all else in loops."""

    def __init__(self, loops: NumbaModel, torchs: _LlamaLike) -> None:
        self.decode = loops.decode
        self._loops, self._torchs = loops, torchs

    def read(self, prompts: Sequence[list[int]], before: Sequence[KeyValues]) -> list[KeyValues]:
        pairs = list(zip(prompts, before, strict=True))
        long = [len(ids) + (known[0][0].shape[1] if known else 0) > _LONG for ids, known in pairs]
        read: dict[int, KeyValues] = {}
        for way, is_long in ((self._loops, False), (self._torchs, True)):  # whoever else is read
            places = [place for place, one in enumerate(long) if one is is_long]
            if places:
                found = way.read([prompts[i] for i in places], [before[i] for i in places])
                read |= dict(zip(places, found, strict=True))
        return [read[place] for place in range(len(pairs))]


class _InLayouts(ABC):
    """What goes through torch: prompts that begin at once in one pass, the others one by one."""

    device: torch.device

    def read(self, prompts: Sequence[list[int]], before: Sequence[KeyValues]) -> list[KeyValues]:
        """See `Inference`."""
        new = [ids for ids, known in zip(prompts, before, strict=True) if not known]
        packed = iter(self._read_packed(new) if new else [])
        return [
            self._read_on(known, ids) if known else next(packed)
            for ids, known in zip(prompts, before, strict=True)
        ]

    @abstractmethod
    def forward(
        self, tokens: Tensor, positions: Tensor, layout: Layout, cache: PrefillCache
    ) -> None:
        """Leave the keys and values of [T] tokens in the cache."""

    def _read_packed(self, prompts: list[list[int]]) -> list[KeyValues]:
        lengths = [len(prompt) for prompt in prompts]
        layout, cache = Packed(lengths, self.device), PrefillCache()
        self._read(list(chain.from_iterable(prompts)), layout, cache)
        return cache.split(lengths)

    def _read_on(self, before: KeyValues, ids: list[int]) -> KeyValues:
        n_before, cache = next(iter(before.values()))[0].shape[1], PrefillCache(before)
        self._read(ids, ChunkedPrefill(n_before, len(ids)), cache)
        return cache.stream

    def _read(self, ids: list[int], layout: Packed | ChunkedPrefill, cache: PrefillCache) -> None:
        tokens = torch.tensor(ids, device=self.device)
        self.forward(tokens, layout.positions()[0].to(self.device), layout, cache)


class _Transformers(_InLayouts):
    """Any architecture: its own forward."""

    def __init__(self, model: PreTrainedModel) -> None:
        self.model = model
        self.device = model.device

    def decode(self, tokens: Tensor, positions: Tensor, cache: RowCache, used: int) -> Tensor:
        """See `Inference`."""
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

    def forward(
        self, tokens: Tensor, positions: Tensor, layout: Layout, cache: PrefillCache
    ) -> None:
        forward(
            self.model,
            tokens[None],
            positions[None],
            layout,
            keep=1,
            past_key_values=cache,
            use_cache=True,
        )


class _LlamaLike(_InLayouts):
    """Pre-norm layers of rotary attention and gated SiLU."""

    def __init__(self, model: PreTrainedModel) -> None:
        self.body: Any = model.model
        self.head: Any = model.lm_head
        self.device = model.device

    def decode(self, tokens: Tensor, positions: Tensor, cache: RowCache, used: int) -> Tensor:
        """See `Inference`."""
        layout = cache.at(positions, used)
        x = self.body.embed_tokens(tokens)
        turn = self._turn(x, positions)
        for index, layer in enumerate(self.body.layers):
            query, key, value = _heads(layer, x, turn)
            keys, values = cache.update(key[:, :, None], value[:, :, None], index)
            x = _mlp_block(layer, x, layout.attend(query[:, :, None], keys, values, _scores(layer)))
        return _linear(self.head, self.body.norm(x))

    def forward(
        self, tokens: Tensor, positions: Tensor, layout: Layout, cache: PrefillCache
    ) -> None:
        x = self.body.embed_tokens(tokens)
        turn = self._turn(x, positions)
        last = len(self.body.layers) - 1
        for index, layer in enumerate(self.body.layers):
            query, key, value = (y.transpose(0, 1)[None] for y in _heads(layer, x, turn))
            keys, values = cache.update(key, value, index)
            if index < last:  # what comes of it nobody reads
                x = _mlp_block(layer, x, layout.attend(query, keys, values, _scores(layer))[0])

    def _turn(self, x: Tensor, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Cosines and sines of rotary embedding; the first half of the sines negated."""
        cos, sin = self.body.rotary_emb(x[:, None], positions[:, None])
        half = sin.shape[-1] // 2
        return cos, torch.cat([-sin[..., :half], sin[..., half:]], -1)


def _is_plain(model: Any) -> bool:
    """Whether every module is one that `_LlamaLike` knows, with nothing put in or hooked on."""
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


def _heads(layer: Any, x: Tensor, turn: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """[R, hidden] -> queries, keys and values [R, heads, D], those that turn turned."""
    own, normed = layer.self_attn, layer.input_layernorm(x)
    query, key = (_rotated(_projected(own, name, normed), *turn) for name in "qk")
    return query, key, _projected(own, "v", normed)


def _projected(attention: Any, name: str, x: Tensor) -> Tensor:
    """[R, hidden] -> [R, heads, D]: the projection, and Qwen3's norm of it."""
    projected = _linear(getattr(attention, f"{name}_proj"), x).unflatten(
        -1, (-1, attention.head_dim)
    )
    norm = getattr(attention, f"{name}_norm", None)
    heads: Tensor = projected if norm is None else norm(projected)
    return heads


def _mlp_block(layer: Any, x: Tensor, seen: Tensor) -> Tensor:
    """[R, hidden], and what its heads have seen [R, ..., D], through the rest of the layer."""
    x = _linear(layer.self_attn.o_proj, seen.reshape(len(x), -1)).add_(x)
    normed, mlp = layer.post_attention_layernorm(x), layer.mlp
    gate = F.silu(_linear(mlp.gate_proj, normed), inplace=True)
    return _linear(mlp.down_proj, gate.mul_(_linear(mlp.up_proj, normed))).add_(x)


def _scores(layer: Any) -> Scores:
    own = layer.self_attn
    return Scores(own.scaling, getattr(own, "sliding_window", None), None)


def _rotated(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary embedding; the first half of `sin` comes negated."""
    return torch.addcmul(x * cos, x.roll(x.shape[-1] // 2, -1), sin)
