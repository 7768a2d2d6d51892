"""Muon that orthogonalises matrices of the same shape in one batch, in the CPU's fastest dtype.

Source: Jordan et al. 2024, as `torch.optim.Muon`, whose state and settings it keeps. That one
processes matrices one by one, always in bf16: for a model of a million parameters its step takes 25
ms and this one 8 ms; on a CPU without bf16, half a second and 40 ms (docs/log.md). Departure: a
3-D parameter, which holds the matrices of all experts of a layer, is a batch of matrices. The
momenta of a sharded model are sharded; every rank gathers a batch and keeps its rows of the result.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from itertools import groupby
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Muon, Optimizer

from r1kit.model.devices import has_bf16_matrices
from r1kit.model.sharding import like, whole


class BatchedMuon(Optimizer):
    """A batched `torch.optim.Muon`: bit-equal momenta, weights equal up to rounding.

    It also takes 3-D parameters. Its state opens in torch's Muon and the other way round.
    """

    def __init__(self, params: Iterable[nn.Parameter], lr: float = 1e-3, weight_decay: float = 0.1):
        defaults = Muon([nn.Parameter(torch.empty(1, 1))], lr, weight_decay).defaults
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """Update every parameter that has a gradient."""
        for group in self.param_groups:
            matrices = [matrix for matrix in group["params"] if matrix.grad is not None]
            for _, same_shape in groupby(sorted(matrices, key=_wide_shape), _wide_shape):
                self._step_together(group, list(same_shape))

    def _step_together(self, group: dict[str, Any], parameters: list[Tensor]) -> None:
        updates = [whole(self._update(group, parameter)) for parameter in parameters]
        batch = torch.cat([update.view(-1, *update.shape[-2:]) for update in updates])
        orthogonalised = orthogonal(
            batch, group["ns_coefficients"], group["ns_steps"], group["eps"]
        )
        parts = orthogonalised.split([update[..., 0, 0].numel() for update in updates])
        for parameter, part in zip(parameters, parts, strict=True):
            rows, columns = parameter.shape[-2:]
            update = part.mT if rows > columns else part
            parameter.mul_(1 - group["lr"] * group["weight_decay"])
            lr = group["lr"] * math.sqrt(max(1, rows / columns))
            parameter.add_(like(update.view(parameter.shape), parameter), alpha=-lr)

    def _update(self, group: dict[str, Any], parameter: Tensor) -> Tensor:
        """Return the momentum including the newest gradient, with no matrix taller than wide."""
        grad = parameter.grad
        assert grad is not None
        state = self.state[parameter]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(grad)
        momentum: Tensor = state["momentum_buffer"].lerp_(grad, 1 - group["momentum"])
        update = grad.lerp(momentum, group["momentum"]) if group["nesterov"] else momentum
        return update.mT if parameter.shape[-2] > parameter.shape[-1] else update


def orthogonal(matrices: Tensor, coefficients: Iterable[float], n_steps: int, eps: float) -> Tensor:
    """Make the rows of [n, r, c], r <= c, approximately orthonormal, by Newton-Schulz steps."""
    a, b, c = coefficients
    x = matrices.to(_product_dtype(matrices.device))
    x = x / torch.linalg.matrix_norm(x, keepdim=True).clamp(min=eps)
    for _ in range(n_steps):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.to(matrices.dtype)


def _wide_shape(parameter: Tensor) -> tuple[int, int]:
    rows, columns = parameter.shape[-2:]
    return min(rows, columns), max(rows, columns)


def _product_dtype(device: torch.device) -> torch.dtype:
    """Return bf16, which is precise enough, or fp32, which is faster if bf16 is emulated."""
    return torch.bfloat16 if has_bf16_matrices(device) else torch.float32
