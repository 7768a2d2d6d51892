"""Decoding and prefill in few operations, for the architectures that most models share.

The cost of a decoding step of a small model is the launch overhead of its operations, and
transformers' forward launches 260 of them from as many Python calls. Llama, Qwen2 and Qwen3 are the
same few lines, written out here on the model's own modules: weights are used in place and never
copied. DeepSeek-V3 decodes in the space of its latents. Any other model uses transformers' forward;
tests require them to agree.
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
from transformers.models.deepseek_v3.modeling_deepseek_v3 import (
    apply_rotary_pos_emb,
    apply_rotary_pos_emb_interleave,
)

from r1kit.model import bf16_model
from r1kit.model.attention import Layout, ScoreParams
from r1kit.model.cache import DecodeCache, KeyValues, PrefillCache
from r1kit.model.chunked_prefill import ChunkedPrefill
from r1kit.model.decode import Decode
from r1kit.model.logprobs import forward
from r1kit.model.lora import has_adapter, is_adapted
from r1kit.model.numba_model import NumbaModel, fits
from r1kit.model.packed import Packed

PLAIN = frozenset({"Llama", "Qwen2", "Qwen3"})
_LONG = 512
"""tokens of a sequence; above that, torch's blocked attention is faster than a loop"""


class Inference(Protocol):
    """The forward passes that sampling needs from a model."""

    def decode(self, tokens: Tensor, positions: Tensor, cache: DecodeCache, used: int) -> Tensor:
        """Decode one token per row: [R] at positions [R] < used -> logits [R, V]."""
        ...

    def read(self, prompts: Sequence[list[int]], before: Sequence[KeyValues]) -> list[KeyValues]:
        """Prefill prompts of at least one token, each after its cached prefix.

        Returns the keys and values of prefix and prompt together.
        """
        ...

    def refresh(self) -> None:
        """Use the weights as they are now; called after they have changed."""
        ...


class ScoringInference(Inference, Protocol):
    """An `Inference` that also returns the logits of prompts."""

    def read_scored(self, ids: list[int], before: KeyValues) -> tuple[KeyValues, Tensor]:
        """Prefill tokens [T] after a prefix, and return the logits [T, V] after each, float32.

        All of them exist at once: the caller limits T.
        """
        ...


def inference(model: PreTrainedModel) -> ScoringInference:
    """Return the fastest implementation for this model."""
    if _is_latent(model):
        return _Latent(model)
    if not _is_plain(model):
        return _Transformers(model)
    if fits(model):
        return _HybridInference(NumbaModel(model), _LlamaLike(model))
    return _Bfloat16Inference(model) if bf16_model.fits(model) else _LlamaLike(model)


class _HybridInference:
    """Prefill of long sequences in torch; short prefills and all decoding in compiled loops."""

    def __init__(self, loops: NumbaModel, torchs: _LlamaLike) -> None:
        self.decode = loops.decode
        self.refresh = torchs.refresh
        self.read_scored = torchs.read_scored
        self._loops, self._torchs = loops, torchs

    def read(self, prompts: Sequence[list[int]], before: Sequence[KeyValues]) -> list[KeyValues]:
        pairs = list(zip(prompts, before, strict=True))
        long = [
            len(ids) + (prefix[0][0].shape[1] if prefix else 0) > _LONG for ids, prefix in pairs
        ]
        read: dict[int, KeyValues] = {}
        for implementation, is_long in (
            (self._loops, False),
            (self._torchs, True),
        ):  # whatever the batch
            indices = [
                index for index, prompt_is_long in enumerate(long) if prompt_is_long is is_long
            ]
            if indices:
                results = implementation.read(
                    [prompts[i] for i in indices], [before[i] for i in indices]
                )
                read |= dict(zip(indices, results, strict=True))
        return [read[index] for index in range(len(pairs))]


class _TorchInference(ABC):
    """Prefill in torch: prompts without a cached prefix in one packed pass, the others singly."""

    device: torch.device

    def refresh(self) -> None:  # noqa: B027
        """Implement `Inference.refresh`: weights are used in place, so there is nothing to do."""

    def read(self, prompts: Sequence[list[int]], before: Sequence[KeyValues]) -> list[KeyValues]:
        """Implement `Inference.read`."""
        new = [ids for ids, prefix in zip(prompts, before, strict=True) if not prefix]
        packed = iter(self._read_packed(new) if new else [])
        return [
            self._read_on(prefix, ids) if prefix else next(packed)
            for ids, prefix in zip(prompts, before, strict=True)
        ]

    def read_scored(self, ids: list[int], before: KeyValues) -> tuple[KeyValues, Tensor]:
        """Implement `ScoringInference.read_scored`."""
        layout = (
            ChunkedPrefill(_n_tokens(before), len(ids))
            if before
            else Packed([len(ids)], self.device)
        )
        cache = PrefillCache(before)
        logits = self._read(ids, layout, cache, with_logits=True)
        assert logits is not None
        return cache.stream, logits.float()

    @abstractmethod
    def forward(
        self,
        tokens: Tensor,
        positions: Tensor,
        layout: Layout,
        cache: PrefillCache,
        with_logits: bool,
    ) -> Tensor | None:
        """Run [T] tokens through the model and store their keys and values in the cache.

        Returns the logits [T, V] after each token `with_logits`; otherwise there may be none.
        """

    def _read_packed(self, prompts: list[list[int]]) -> list[KeyValues]:
        lengths = [len(prompt) for prompt in prompts]
        layout, cache = Packed(lengths, self.device), PrefillCache()
        self._read(list(chain.from_iterable(prompts)), layout, cache)
        return cache.split(lengths)

    def _read_on(self, before: KeyValues, ids: list[int]) -> KeyValues:
        cache = PrefillCache(before)
        self._read(ids, ChunkedPrefill(_n_tokens(before), len(ids)), cache)
        return cache.stream

    def _read(
        self,
        ids: list[int],
        layout: Packed | ChunkedPrefill,
        cache: PrefillCache,
        with_logits: bool = False,
    ) -> Tensor | None:
        tokens = torch.tensor(ids, device=self.device)
        positions = layout.positions()[0].to(self.device)
        return self.forward(tokens, positions, layout, cache, with_logits)


def _n_tokens(cached: KeyValues) -> int:
    """Return the number of tokens that have keys and values."""
    return next(iter(cached.values()))[0].shape[1]


class _Transformers(_TorchInference):
    """Any architecture, through transformers' own forward."""

    def __init__(self, model: PreTrainedModel) -> None:
        self.model = model
        self.device = model.device

    def decode(self, tokens: Tensor, positions: Tensor, cache: DecodeCache, used: int) -> Tensor:
        """Implement `Inference.decode`."""
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
        self,
        tokens: Tensor,
        positions: Tensor,
        layout: Layout,
        cache: PrefillCache,
        with_logits: bool,
    ) -> Tensor | None:
        output = forward(
            self.model,
            tokens[None],
            positions[None],
            layout,
            keep=0 if with_logits else 1,
            past_key_values=cache,
            use_cache=True,
        )
        logits: Tensor = output.logits[0]
        return logits


class _Latent(_Transformers):
    """DeepSeek-V3, whose cache holds the latents of keys and values (multi-head latent attention).

    transformers computes the keys and values of all heads from all cached latents in every step.
    Here queries are projected to the latent space, and attend there, as in DeepSeek-V2 (arXiv
    2405.04434, section 2.1.2): all heads share one key and one value.
    """

    def decode(self, tokens: Tensor, positions: Tensor, cache: DecodeCache, used: int) -> Tensor:
        """Implement `Inference.decode`."""
        body: Any = self.model.model
        layout = cache.at(positions, used)
        x = body.embed_tokens(tokens)[:, None]
        turn = body.rotary_emb(x, positions[:, None])
        for index, layer in enumerate(body.layers):
            attended = self._attend(index, layer.input_layernorm(x), turn, cache, layout)
            x = x + layer.self_attn.o_proj(attended)
            x = x + layer.mlp(layer.post_attention_layernorm(x))
        logits: Tensor = self.model.lm_head(body.norm(x))[:, 0]
        return logits

    def _attend(
        self,
        index: int,
        x: Tensor,
        turn: tuple[Tensor, Tensor],
        cache: DecodeCache,
        layout: Decode,
    ) -> Tensor:
        """Attend from hidden states [R, 1, hidden] to the cache -> [R, 1, heads * v_head_dim]."""
        own: Any = self.model.model.layers[index].self_attn
        sizes = [own.qk_nope_head_dim, own.qk_rope_head_dim]
        query = (
            own.q_proj(x)
            if own.q_lora_rank is None
            else own.q_b_proj(own.q_a_layernorm(own.q_a_proj(x)))
        )
        query, rotary_query = query.view(len(x), -1, 1, sum(sizes)).split(sizes, -1)
        latent, rotary_key = own.kv_a_proj_with_mqa(x).split([own.kv_lora_rank, sizes[1]], -1)
        rotate = (
            apply_rotary_pos_emb_interleave if own.config.rope_interleave else apply_rotary_pos_emb
        )
        rotary_query, rotary_key = rotate(rotary_query, rotary_key[:, None], *turn)
        stores = cache.update(own.kv_a_layernorm(latent)[:, None], rotary_key, index)
        latents, rotary_keys = (store[:, 0, : layout.used] for store in stores)
        weight = own.kv_b_proj.weight.view(-1, sizes[0] + own.v_head_dim, own.kv_lora_rank)
        to_key, to_value = weight.split([sizes[0], own.v_head_dim], 1)
        query = torch.einsum("rhn,hnc->rhc", query[:, :, 0], to_key)
        scores = query @ latents.mT + rotary_query[:, :, 0] @ rotary_keys.mT
        scores = scores * own.scaling + layout.mask(None, scores.dtype)[:, None]
        shares = scores.softmax(-1, dtype=torch.float32).to(scores.dtype)
        return torch.einsum("rhc,hvc->rhv", shares @ latents, to_value).flatten(1)[:, None]


class _LlamaLike(_TorchInference):
    """Pre-norm layers of rotary attention and SwiGLU, as in Llama, Qwen2 and Qwen3."""

    def __init__(self, model: PreTrainedModel) -> None:
        self.body: Any = model.model
        self.head: Any = model.lm_head
        self.device = model.device

    def decode(self, tokens: Tensor, positions: Tensor, cache: DecodeCache, used: int) -> Tensor:
        """Implement `Inference.decode`."""
        layout = cache.at(positions, used)
        x = self.body.embed_tokens(tokens)
        turn = self._turn(x, positions)
        for index, layer in enumerate(self.body.layers):
            query, key, value = _heads(layer, x, turn)
            keys, values = cache.update(key[:, :, None], value[:, :, None], index)
            x = _mlp_block(layer, x, layout.attend(query[:, :, None], keys, values, _scores(layer)))
        return _linear(self.head, self.body.norm(x))

    def forward(
        self,
        tokens: Tensor,
        positions: Tensor,
        layout: Layout,
        cache: PrefillCache,
        with_logits: bool,
    ) -> Tensor | None:
        x = self.body.embed_tokens(tokens)
        turn = self._turn(x, positions)
        last = len(self.body.layers) - 1
        for index, layer in enumerate(self.body.layers):
            query, key, value = (y.transpose(0, 1)[None] for y in _heads(layer, x, turn))
            keys, values = cache.update(key, value, index)
            if index < last or with_logits:  # otherwise the last layer's output is not used
                x = _mlp_block(layer, x, layout.attend(query, keys, values, _scores(layer))[0])
        return _linear(self.head, self.body.norm(x)) if with_logits else None

    def _turn(self, x: Tensor, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Return rotary cosines and sines; the first half of the sines is negated."""
        cos, sin = self.body.rotary_emb(x[:, None], positions[:, None])
        half = sin.shape[-1] // 2
        return cos, torch.cat([-sin[..., :half], sin[..., half:]], -1)


class _Bfloat16Inference(_LlamaLike):
    """Prefill in torch; decoding in bfloat16 on a CPU with packed weights and compiled loops."""

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__(model)
        self._decoder = bf16_model.Bfloat16Model(model)
        self.decode = self._decoder.decode  # type: ignore[method-assign]

    def refresh(self) -> None:
        """Implement `Inference.refresh`."""
        self._decoder.refresh()


def _is_plain(model: Any) -> bool:
    """True if `_LlamaLike` supports every module."""
    family = type(model).__name__.removesuffix("ForCausalLM")
    if family not in PLAIN or model.config.hidden_act != "silu":
        return False
    if any(type(layer).__name__ != f"{family}DecoderLayer" for layer in model.model.layers):
        return False
    return _is_unchanged(model)


def _is_latent(model: Any) -> bool:
    """True if `_Latent` supports every module; it reads weights that an adapter would add to."""
    is_v3 = type(model).__name__ == "DeepseekV3ForCausalLM"
    return is_v3 and _is_unchanged(model) and not has_adapter(model)


def _is_unchanged(model: Any) -> bool:
    """True if no linear layer is foreign, and no module has hooks."""
    return all(
        not module._forward_hooks
        and not module._forward_pre_hooks
        and (type(module) is nn.Linear or is_adapted(module) or not hasattr(module, "in_features"))
        for module in model.modules()
    )


def _linear(module: Any, x: Tensor) -> Tensor:
    if is_adapted(module):
        product: Tensor = module(x)
        return product
    return F.linear(x, module.weight, module.bias)


def _heads(layer: Any, x: Tensor, turn: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Project [R, hidden] to queries, keys and values [R, heads, D]; rotate queries and keys."""
    own, normed = layer.self_attn, layer.input_layernorm(x)
    query, key = (_rotated(_projected(own, name, normed), *turn) for name in "qk")
    return query, key, _projected(own, "v", normed)


def _projected(attention: Any, name: str, x: Tensor) -> Tensor:
    """Project [R, hidden] to [R, heads, D], with Qwen3's per-head norm if the layer has one."""
    projected = _linear(getattr(attention, f"{name}_proj"), x).unflatten(
        -1, (-1, attention.head_dim)
    )
    norm = getattr(attention, f"{name}_norm", None)
    heads: Tensor = projected if norm is None else norm(projected)
    return heads


def _mlp_block(layer: Any, x: Tensor, attended: Tensor) -> Tensor:
    """Run the rest of a layer: residual [R, hidden] and attention output [R, ..., D]."""
    x = _linear(layer.self_attn.o_proj, attended.reshape(len(x), -1)).add_(x)
    normed, mlp = layer.post_attention_layernorm(x), layer.mlp
    gate = F.silu(_linear(mlp.gate_proj, normed), inplace=True)
    return _linear(mlp.down_proj, gate.mul_(_linear(mlp.up_proj, normed))).add_(x)


def _scores(layer: Any) -> ScoreParams:
    own = layer.self_attn
    return ScoreParams(own.scaling, getattr(own, "sliding_window", None), None)


def _rotated(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Apply rotary embedding; the first half of `sin` is already negated."""
    return torch.addcmul(x * cos, x.roll(x.shape[-1] // 2, -1), sin)
