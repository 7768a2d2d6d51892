"""Load of the experts in a mixture, and DeepSeek-V3's balancing of it without an auxiliary loss.

The router of V3 adds a bias to each expert's score when it chooses experts, and not to the gate
values. After every update the bias moves by a fixed amount, by the sign of the expert's load error:
up if the expert had fewer tokens than the mean, down if it had more. Source: DeepSeek-V3, arXiv
2412.19437 section 2.1.2; the violation of balance, MaxVio, is that of arXiv 2408.15664. Departures:
no auxiliary loss within a sequence, and the rate stays constant to the end.

Only pretraining moves the bias. In RL it would change the policy outside the loss and its clip, and
by the load of a few similar problems; there, as in fine-tuning, it is frozen and the load measured.
"""

from __future__ import annotations

import math
from contextlib import ExitStack
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from r1kit.model.ranks import Ranks
from r1kit.model.roles import routers_of


class ExpertLoads(ExitStack):
    """Counts the tokens of each expert in forward passes with gradients, inside a `with` block.

    A model without experts has no routers: nothing is counted, and there are no metrics.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self._routers = routers_of(module)
        self._loads = [torch.zeros(len(router.weight)) for router in self._routers]
        for router, load in zip(self._routers, self._loads, strict=True):
            self.callback(router.register_forward_hook(partial(_count, load)).remove)

    def finish_update(
        self, ranks: Ranks, bias_update_rate: float = 0.0, grad_norm: float = 0.0
    ) -> dict[str, float]:
        """Return the violation of balance since the last call, over all ranks; move the biases.

        Every rank makes the same move. If `grad_norm` is not finite there was no update, and there
        is no move.
        """
        if not self._routers:
            return {}
        loads = torch.tensor(ranks.gather([load.tolist() for load in self._loads])).sum(0)
        for load in self._loads:
            load.zero_()
        if math.isfinite(grad_norm):
            for router, load in zip(self._routers, loads, strict=True):
                _move_bias(router, load, bias_update_rate)
        violations = [float(load.max() / load.mean()) - 1 for load in loads if load.any()]
        if not violations:  # nothing was learned from
            return {}
        return {
            "router/max_violation/mean": sum(violations) / len(violations),
            "router/max_violation/max": max(violations),
        }


def _count(load: Tensor, router: nn.Module, inputs: Any, output: Any) -> None:
    """Add a router's choice; its output is (logits [T, E], gates, chosen experts [T, k])."""
    if torch.is_grad_enabled() and isinstance(output, tuple):
        load += torch.bincount(output[-1].flatten(), minlength=len(load)).to(load)


def _move_bias(router: nn.Module, load: Tensor, rate: float) -> None:
    bias = getattr(router, "e_score_correction_bias", None)
    if bias is not None and rate:
        bias += (rate * torch.sign(load.mean() - load)).to(bias)
