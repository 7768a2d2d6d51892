"""Optimizer step: clipping, Muon for the matrices inside the layers, AdamW for everything else.

Who gets which optimizer follows from a parameter's role (model/roles.py): with Muon, matrices and
experts; routers are matrices too, but their rows are independent scores, so AdamW trains them.

Source: Muon, Jordan et al. 2024, in muon.py (learning rate times sqrt(max(1, rows /
columns)), Nesterov momentum 0.95); warmup-stable-decay, MiniCPM arXiv 2404.06395.
Departures: vectors (norms, biases) are never decayed; weights that are not fp32 are updated as fp32
copies (master_weights.py). If a gradient is not finite, weights and optimizer state stay unchanged,
and the returned norm is not finite either.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from torch.optim import AdamW, Optimizer

from r1kit.config import OptimConfig
from r1kit.errors import CheckpointError, ConfigError, require
from r1kit.model.roles import Role
from r1kit.model.sharding import like, whole
from r1kit.train.master_weights import MasterWeights
from r1kit.train.muon import BatchedMuon


@dataclass(frozen=True, slots=True)
class OptimizerGroup:
    """An optimizer and the learning rate it reaches at `lr_scale = 1`."""

    optimizer: Optimizer
    peak_lr: float


@dataclass(frozen=True, slots=True)
class Optimizers:
    """The optimizers of a model, created by `make_optimizers`."""

    parts: dict[str, OptimizerGroup]
    """name → group: "adamw", and "muon" if the recipe selects it"""
    grad_clip: float
    weights: MasterWeights = field(default_factory=MasterWeights)
    """the weights that are updated, whose gradients `step` expects to be those of all ranks"""

    def step(self, lr_scale: float) -> float:
        """Update the weights, clear the gradients, return their norm before clipping.

        Parameters without a gradient are untouched (no momentum, no decay).
        """
        parameters = [
            parameter
            for part in self.parts.values()
            for group in part.optimizer.param_groups
            for parameter in group["params"]
        ]
        norm = float(whole(nn.utils.clip_grad_norm_(parameters, self.grad_clip)))
        for part in self.parts.values():
            if math.isfinite(norm):
                _set_lr(part.optimizer, part.peak_lr * lr_scale)
                part.optimizer.step()
            part.optimizer.zero_grad(set_to_none=True)
        self.weights.publish()
        return norm

    def state_dict(self) -> dict[str, Any]:
        """Return the state that a resumed run needs to continue bit-identically."""
        states = {name: part.optimizer.state_dict() for name, part in self.parts.items()}
        masters = self.weights.state()
        return states | ({"master_weights": masters} if masters else {})

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore `state`. Raises CheckpointError if it was saved by other optimizers."""
        names = [name for name in state if name != "master_weights"]
        if set(names) != self.parts.keys():
            raise CheckpointError(
                f"The checkpoint holds the state of {', '.join(names)}, the recipe asks for "
                f"{', '.join(self.parts)}; resume with the recipe it was trained with."
            )
        self.weights.load_state(state.get("master_weights", []))
        for name, part in self.parts.items():
            try:
                part.optimizer.load_state_dict(_sharded_as(part.optimizer, state[name]))
            except ValueError as error:
                raise CheckpointError(
                    f"The optimizer state does not fit the model ({error}); "
                    "resume with the recipe it was trained with."
                ) from None


def _sharded_as(optimizer: Optimizer, state: dict[str, Any]) -> dict[str, Any]:
    """Return a state whose moments are sharded as the parameters of the optimizer are."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    moments = {
        index: {
            key: like(value, parameters[index]) if _is_moment(value, parameters[index]) else value
            for key, value in entry.items()
        }
        for index, entry in state["state"].items()
    }
    return state | {"state": moments}


def _is_moment(value: Any, parameter: nn.Parameter) -> bool:
    return isinstance(value, Tensor) and value.shape == parameter.shape


def make_optimizers(roles: Mapping[nn.Parameter, Role], config: OptimConfig) -> Optimizers:
    """Create optimizers for parameters, which are given with their roles.

    Raises ConfigError if Muon is selected and the model has no matrices inside layers, or if 8-bit
    AdamW is selected and the parameters are not on a GPU.
    """
    uses_muon = config.optimizer == "muon"
    weights = MasterWeights(roles)
    roles = {weights.of(parameter): role for parameter, role in roles.items()}
    matrices = [p for p, role in roles.items() if uses_muon and role in ("matrix", "expert")]
    if uses_muon and not matrices:
        raise ConfigError(
            'This model has no layers with matrices to train; set optim.optimizer = "adamw".'
        )
    rest = {
        p: role for p, role in roles.items() if not uses_muon or role not in ("matrix", "expert")
    }
    groups: list[dict[str, Any]] = [
        {"params": [p for p in rest if rest[p] != "vector"], "weight_decay": config.weight_decay},
        {"params": [p for p in rest if rest[p] == "vector"], "weight_decay": 0.0},
    ]
    if config.optimizer == "adamw8bit":
        adamw = _adamw8bit(groups, config)
    else:
        adamw = AdamW(groups, betas=config.betas, fused=True)
    parts = {"adamw": OptimizerGroup(adamw, config.lr)}
    if matrices:
        muon = BatchedMuon(matrices, weight_decay=config.weight_decay)
        parts["muon"] = OptimizerGroup(muon, config.muon_lr)
    return Optimizers(parts, config.grad_clip, weights)


def _adamw8bit(groups: list[dict[str, Any]], config: OptimConfig) -> Optimizer:
    parameters = [p for group in groups for p in group["params"]]
    if any(isinstance(p, DTensor) for p in parameters):
        raise ConfigError(
            'optim.optimizer = "adamw8bit" has no sharded state; set it to "adamw", or '
            "compute.data_parallel_shard_degree to 1."
        )
    device = next((p.device.type for p in parameters), "cpu")
    if device != "cuda":
        raise ConfigError(
            'optim.optimizer = "adamw8bit" needs an NVIDIA GPU, and this model is on the '
            f'{device}; set it to "adamw".'
        )
    require("bitsandbytes", 'set optim.optimizer = "adamw"')
    from bitsandbytes.optim import AdamW8bit

    adamw: Optimizer = AdamW8bit(groups, betas=config.betas)
    return adamw


def lr_scale(step: int, n_steps: int, config: OptimConfig) -> float:
    """Return the share of the peak learning rate at update `step` (0-based) of `n_steps`.

    Linear warm-up whose last step is the peak; then constant, or a decay (over all remaining steps
    for cosine, over the last `decay` share for wsd) whose last step is `final_lr`.
    """
    if step < config.warmup_steps:
        return (step + 1) / config.warmup_steps
    if config.schedule == "constant":
        return 1.0
    share = 1.0 if config.schedule == "cosine" else config.decay
    n_decay = max(min(round(share * n_steps), n_steps - config.warmup_steps), 0)
    progress = min(max(step + 1 - (n_steps - n_decay), 0) / max(n_decay, 1), 1.0)
    if config.schedule == "cosine":
        progress = (1 - math.cos(math.pi * progress)) / 2
    return 1 - (1 - config.final_lr) * progress


def _set_lr(optimizer: Optimizer, lr: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = lr
