"""The roles of a model's parameters: optimizers, LoRA and shards treat them differently.

Roles are found by structure, not by name of the architecture. In transformers a mixture of experts
is a module with a child `experts`, whose weights are 3-D (expert, rows, columns), and the router is
its child `gate` or `router`; repeated layers are an `nn.ModuleList`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from torch import nn

Role = Literal["embedding", "matrix", "vector", "router", "expert", "adapter"]
"""embedding: weights outside the layers with more than one dimension, including the head
matrix: 2-D weights inside the layers
vector: norms and biases
router: weights that choose experts
expert: the experts' matrices, 2-D, or 3-D if a tensor holds all experts of a layer
adapter: both small matrices of a LoRA (lora.py)"""
ROUTERS = {"gate", "router", "shared_expert_gate"}
"""children of a mixture of experts whose weights choose experts"""
ADAPTERS = {"lora_A", "lora_B"}
"""children of a layer with an adapter, in peft"""


def roles_of(module: nn.Module) -> dict[nn.Parameter, Role]:
    """Return the role of every parameter that requires a gradient, in the module's order."""
    return {p: role for p, role in all_roles_of(module).items() if p.requires_grad}


def all_roles_of(module: nn.Module) -> dict[nn.Parameter, Role]:
    """Return the role of every parameter, frozen ones included."""
    inside: dict[nn.Parameter, Role] = dict(_in_layers(module))
    return {
        parameter: inside.get(parameter, "embedding") if parameter.ndim > 1 else "vector"
        for parameter in module.parameters()
    }


def routers_of(module: nn.Module) -> list[Any]:
    """Return the modules that choose experts, one per mixture, from the first layer on."""
    mixtures = (dict(m.named_children()) for m in module.modules())
    return [
        mixture[name]
        for mixture in mixtures
        if "experts" in mixture
        for name in ("gate", "router")
        if name in mixture
    ]


def _in_layers(module: nn.Module) -> Iterator[tuple[nn.Parameter, Role]]:
    """Yield the weights of the layers; a later role of a parameter replaces an earlier one."""
    modules = list(module.modules())
    for layers in modules:
        if isinstance(layers, nn.ModuleList):
            yield from ((parameter, "matrix") for parameter in layers.parameters())
    for mixture in modules:
        children = dict(mixture.named_children())
        if "experts" in children:
            yield from ((parameter, "expert") for parameter in children["experts"].parameters())
            for name in ROUTERS & children.keys():
                yield from ((parameter, "router") for parameter in children[name].parameters())
    for layer in modules:
        for name, child in layer.named_children():
            if name in ADAPTERS:
                yield from ((parameter, "adapter") for parameter in child.parameters())
