"""Master weights: fp32 copies of the weights of a model in lower precision, for its optimizer.

A bf16 number has 8 significant bits: a weight of 1 does not change by 0.001, so an optimizer that
updates bf16 weights loses most steps of reinforcement learning. Here gradients are added up, and
weights updated, in fp32; the model gets the rounded sum. Source: Micikevicius et al., Mixed
Precision Training, arXiv 1710.03740. A model in fp32 has no copies.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from r1kit.model.sharding import like


class MasterWeights:
    """The fp32 copies of parameters that are not fp32; others are used as they are.

    A parameter's gradient moves to its copy as soon as a backward pass has computed it.
    """

    def __init__(self, parameters: Iterable[nn.Parameter] = ()) -> None:
        self._copies: dict[nn.Parameter, nn.Parameter] = {}
        self.updated: list[nn.Parameter] = []
        """what an optimizer updates, in the order of the parameters"""
        for parameter in parameters:
            if parameter.dtype != torch.float32:
                self._copies[parameter] = nn.Parameter(parameter.detach().float())
                parameter.register_post_accumulate_grad_hook(self._move_gradient)
            self.updated.append(self._copies.get(parameter, parameter))

    def of(self, parameter: nn.Parameter) -> nn.Parameter:
        """Return what an optimizer updates in place of a parameter."""
        return self._copies.get(parameter, parameter)

    @torch.no_grad()
    def publish(self) -> None:
        """Round the copies into the model's own weights."""
        for parameter, copy in self._copies.items():
            parameter.copy_(copy)

    def state(self) -> list[Tensor]:
        """Return the copies, or the weights of a sharded model, which is saved in its own dtype.

        Empty if the model is fp32 and whole.
        """
        if any(isinstance(parameter, DTensor) for parameter in self.updated):
            return list(self.updated)
        return list(self._copies.values())

    @torch.no_grad()
    def load_state(self, state: Sequence[Tensor]) -> None:
        """Restore `state`, also if the model has another precision now; ignores an empty one."""
        if state:
            for updated, saved in zip(self.updated, state, strict=True):
                updated.copy_(like(saved, updated))
            self.publish()

    def _move_gradient(self, parameter: Tensor) -> None:
        copy, grad = self._copies[parameter], parameter.grad  # type: ignore[index]
        if grad is not None:
            copy.grad = grad.float() if copy.grad is None else copy.grad.add_(grad)
            parameter.grad = None
