"""Counts a model on its own architecture: weights, cache, and what a layer saves for learning."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from transformers import AutoModelForCausalLM, PreTrainedModel

from r1kit.forecast.model_shape import ModelShape
from r1kit.model import causal_lm
from r1kit.model.cache import PrefillCache
from r1kit.model.flops import attention_width, n_active
from r1kit.model.logprobs import forward
from r1kit.model.packed import Packed
from r1kit.model.roles import roles_of

COUNTED_TOKENS = 32
LARGE_LAYER = 250_000_000
"""weights of a layer from which a narrower one is counted"""


def shape_of(config: Any) -> ModelShape:
    """Count the weights of a model, and the cache and activations of its layers.

    Weights are counted without memory, on torch's meta device; the layers by running one and two
    of them on a few tokens.
    """
    with torch.device("meta"):
        whole = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    n_layers = config.num_hidden_layers
    narrow = _narrowing(config, whole)
    cuts = [cut(config, n, vocab_size=64, **narrow.widths) for n in (1, 2)]
    one, two = (_saved(cut, torch.float32) for cut in cuts)
    layer, outer = narrow.times * (two[0] - one[0]) / 4, narrow.times * (2 * one[0] - two[0]) / 4
    half_one, half_two = (_saved(cut, torch.bfloat16) for cut in cuts)
    half = narrow.times * (half_two[0] - half_one[0])
    shared = config.qk_rope_head_dim if getattr(config, "kv_lora_rank", None) else 0
    kv = narrow.times * (two[1] - one[1] - shared) + shared  # one key of all heads stays as wide
    roles = roles_of(whole)
    n_matrices = sum(p.numel() for p, role in roles.items() if role in ("matrix", "expert"))
    heads = config.num_attention_heads
    return ModelShape(
        n_parameters=whole.num_parameters(),
        n_matrices=n_matrices,
        n_active=n_active(whole),
        n_layers=n_layers,
        hidden=config.hidden_size,
        vocab_size=config.vocab_size,
        kv_floats=round(kv * n_layers),
        layer_floats=round(layer),
        wide_floats=round((half - 2 * layer) / 2),
        attention_width=attention_width(config),
        cell_floats=round(2 * attention_width(config) + kv + heads),
        outer_floats=round(outer),
        linear_features=_linear_features(whole),
        max_positions=causal_lm.max_positions(whole),
    )


@dataclass(frozen=True)
class Narrowing:
    """Smaller widths at which a large model is counted: `times` as narrow, with heads as wide."""

    times: int = 1
    widths: dict[str, int] = field(default_factory=dict)


WIDTHS = (
    "hidden_size", "intermediate_size", "num_attention_heads", "num_key_value_heads",
    "moe_intermediate_size", "n_routed_experts", "q_lora_rank", "kv_lora_rank",
)  # fmt: skip


def _narrowing(config: Any, whole: PreTrainedModel) -> Narrowing:
    """Return how a model is narrowed whose two layers would not fit in a small machine's memory.

    What a layer saves grows with its widths, of which those that all can be divided are. Of a
    mixture with dense layers before it the mixture's layers are counted.
    """
    per_layer = (whole.num_parameters() - 2 * config.vocab_size * config.hidden_size) / max(
        1, config.num_hidden_layers
    )
    if per_layer < LARGE_LAYER:
        return Narrowing()
    stated = {name: n for name in WIDTHS if (n := getattr(config, name, None))}
    times = next(n for n in (8, 4, 2, 1) if all(size % n == 0 for size in stated.values()))
    widths = {name: size // times for name, size in stated.items()}
    head = {"head_dim": _head_dim(config)} if hasattr(config, "head_dim") else {}
    dense = {"first_k_dense_replace": 0} if hasattr(config, "first_k_dense_replace") else {}
    return Narrowing(times, widths | head | dense)


def _head_dim(config: Any) -> int:
    return int(getattr(config, "head_dim", 0) or config.hidden_size // config.num_attention_heads)


def cut(config: Any, n_layers: int, **changes: Any) -> Any:
    """Return the config of a model of the first `n_layers` layers."""
    smaller = copy.deepcopy(config)
    before = smaller.num_hidden_layers
    for name, value in vars(smaller).items():
        if isinstance(value, list) and len(value) == before:
            setattr(smaller, name, value[:n_layers])
    smaller.num_hidden_layers = n_layers
    for name, value in changes.items():
        setattr(smaller, name, value)
    for name in ("pad_token_id", "bos_token_id", "eos_token_id"):
        if changes:
            setattr(smaller, name, 0)
    return smaller


def random_model(config: Any, device: torch.device | str, dtype: torch.dtype) -> PreTrainedModel:
    """Return a model with small random weights, faster than by its own initialisation."""
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config, dtype=dtype)
    model.to_empty(device=device)
    model.tie_weights()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.uniform_(-0.02, 0.02)
        for buffer in model.buffers():
            buffer.zero_()
    return causal_lm.prepare(model, "This model")


def _saved(config: Any, dtype: torch.dtype) -> tuple[float, float]:
    """Return the bytes per token saved for the backward pass, and the floats kept in the cache."""
    model = random_model(config, "cpu", dtype).train()
    ids = torch.ones(1, COUNTED_TOKENS, dtype=torch.long)
    layout = Packed([COUNTED_TOKENS])
    own = {
        tensor.untyped_storage().data_ptr() for tensor in (*model.parameters(), *model.buffers())
    }
    sizes: dict[int, int] = {}
    storages = []

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            sizes[storage.data_ptr()] = storage.nbytes()
            storages.append(storage)  # so that no address is used twice
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        forward(model, ids, layout.positions(), layout, use_cache=False, keep=1)
    cache = PrefillCache()
    with torch.no_grad():
        forward(
            model, ids, layout.positions(), layout, past_key_values=cache, use_cache=True, keep=1
        )
    floats = sum(x.numel() for pair in cache.stream.values() for x in pair)
    return sum(sizes.values()) / COUNTED_TOKENS, floats / COUNTED_TOKENS


def _linear_features(model: PreTrainedModel) -> dict[str, int]:
    """Return inputs plus outputs of the linear layers but the head, by the end of their names."""
    sums: dict[str, int] = {}
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear) and module is not model.get_output_embeddings():
            last = name.rpartition(".")[2]
            sums[last] = sums.get(last, 0) + module.in_features + module.out_features
    return sums
