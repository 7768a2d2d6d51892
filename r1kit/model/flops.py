"""FLOPs of a forward and backward pass, by formula, and the peak of a device, measured.

Sources: 6 FLOPs per weight and trained token (Kaplan et al. 2020, section 2.1); model FLOPs
utilization, MFU, is their rate relative to the peak of the hardware (Chowdhery et al. 2022,
appendix B).
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from r1kit.model.ranks import finish
from r1kit.model.roles import all_roles_of

EXPERT_COUNTS = ("num_local_experts", "n_routed_experts", "num_experts")
"""names of the number of experts in transformers' configs"""
PEAK_SIZE = {"cpu": 768, "cuda": 4096}
"""rows of the matrices whose product measures the peak"""
PEAK_RUNS = 4


@dataclass(frozen=True)
class PassFlops:
    """FLOPs of a forward and backward pass over a sequence of n tokens: a n + b n^2."""

    per_token: float
    per_pair: float
    """half of the FLOPs of attention for a pair of tokens, as a token sees those before it"""

    def of(self, lengths: Iterable[int]) -> float:
        """Return the FLOPs for sequences of these lengths, each whole.

        Passes with gradient checkpointing compute more, and passes that share prefixes less.
        """
        return sum(self.per_token * n + self.per_pair * n * n for n in lengths)


def pass_flops(model: PreTrainedModel) -> PassFlops:
    """Return the FLOPs of training a model: 6 per active weight and token, and attention.

    Weights that are frozen take 4 of 6, as they have no gradient. Every layer is taken to attend to
    all tokens before, so that a model with windows has less.
    """
    roles = all_roles_of(model)
    n_adapters = sum(p.numel() for p, role in roles.items() if role == "adapter")
    config = model.config
    return flops_of_shape(
        n_active(model), config.num_hidden_layers, attention_width(config), n_adapters
    )


def flops_of_shape(
    n_active: float, n_layers: int, attention_width: float, n_adapters: int = 0
) -> PassFlops:
    """Return what `pass_flops` does, for a model that is given by its numbers."""
    per_weight = 4 if n_adapters else 6
    return PassFlops(
        per_token=per_weight * n_active + 6 * n_adapters, per_pair=6 * n_layers * attention_width
    )


def n_active(model: PreTrainedModel) -> int:
    """Return the number of weights that multiply a token.

    Those are all but the embedding table, unless it is the head too, with the chosen experts alone;
    adapters are not counted.
    """
    roles = all_roles_of(model)
    n_weights = sum(p.numel() for p, role in roles.items() if role != "adapter")
    n_experts = sum(p.numel() for p, role in roles.items() if role == "expert")
    idle = round(n_experts * (1 - expert_share(model.config)))
    embedding, head = model.get_input_embeddings(), model.get_output_embeddings()
    assert isinstance(embedding, nn.Module)
    is_head = head is not None and head.weight is embedding.weight
    return n_weights - idle - (0 if is_head else int(embedding.weight.numel()))  # type: ignore[operator]


def expert_share(config: Any) -> float:
    """Return the share of the experts that multiply a token; 1 without experts."""
    n_experts = next((n for name in EXPERT_COUNTS if (n := getattr(config, name, None))), None)
    return 1.0 if n_experts is None else min(1.0, config.num_experts_per_tok / n_experts)


def attention_width(config: Any) -> float:
    """Return the mean width of all heads' keys and values: the hidden size of a usual model."""
    heads = config.num_attention_heads
    usual = getattr(config, "head_dim", None) or config.hidden_size // heads
    keys = getattr(config, "qk_head_dim", None) or usual  # latent attention has widths of its own
    values = getattr(config, "v_head_dim", None) or usual
    return float(heads * (keys + values) / 2)


def measured_peak(device: torch.device, dtype: torch.dtype) -> float:
    """Return the FLOPs per second of a large product of matrices, the fastest of a few."""
    n = PEAK_SIZE.get(device.type, PEAK_SIZE["cpu"])
    matrix = torch.full((n, n), 0.5, dtype=dtype, device=device)
    times: list[float] = []
    for _ in range(1 + PEAK_RUNS):  # the first warms up
        started = time.perf_counter()
        matrix @ matrix
        finish(device)
        times.append(time.perf_counter() - started)
    return 2 * n**3 / min(times[1:])
