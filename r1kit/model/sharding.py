"""Sharded models: FSDP2 (`torch.distributed.fsdp.fully_shard`), applied from outside.

Every rank holds a part of each weight, of its gradient and of its optimizer state: rows `rank` of
`degree` (Rajbhandari et al. 2020, ZeRO stage 3). A forward pass gathers one layer at a time, the
backward pass gathers it again and sums its gradient over the ranks in fp32. The embedding, the head
and the last norm are gathered together, for the whole of each pass. Weights are stored in fp32;
a model in bfloat16 is gathered in bfloat16. The adapters of LoRA are small and stay whole.

All ranks must run the same passes, so a rank without work runs one with weight 0 (`Ranks.pad`).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from types import MethodType
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import (
    FSDPModule,
    MixedPrecisionPolicy,
    fully_shard,
    register_fsdp_forward_method,
)
from torch.distributed.tensor import DTensor, distribute_tensor
from transformers import PreTrainedModel

from r1kit.model.head import head_of
from r1kit.model.ranks import Ranks

T = TypeVar("T")


def mesh_of(ranks: Ranks) -> DeviceMesh | None:
    """Return the mesh (copies x shards, or shards alone); None if models are not sharded."""
    if not ranks.is_sharded:
        return None
    n_copies, kind = ranks.size // ranks.shard_degree, ranks.device.type
    if n_copies == 1:
        return init_device_mesh(kind, (ranks.size,), mesh_dim_names=("shard",))
    shape = (n_copies, ranks.shard_degree)
    return init_device_mesh(kind, shape, mesh_dim_names=("replicate", "shard"))


def shard(model: PreTrainedModel, mesh: DeviceMesh) -> None:
    """Shard a whole model, which is the same on all ranks, in place."""
    if model.get_output_embeddings() is not None:
        head_of(model)  # compares the head with the model, which must be whole for it
    is_adapted = any(not parameter.requires_grad for parameter in model.parameters())
    adapters = {p for p in model.parameters() if p.requires_grad} if is_adapted else set()
    precision, dtype = MixedPrecisionPolicy(), model.dtype
    if dtype != torch.float32 and not is_adapted:
        precision = MixedPrecisionPolicy(param_dtype=dtype, reduce_dtype=torch.float32)
    for module in (*_layers(model), model):
        for parameter in () if is_adapted else module.parameters():
            if not isinstance(parameter, DTensor):
                parameter.data = parameter.data.float()
        fully_shard(module, mesh=mesh, mp_policy=precision, ignored_params=adapters)
    for part in model.modules():
        if isinstance(part, FSDPModule):
            part.set_gradient_divide_factor(1.0)  # losses are sums over all ranks
            part.set_force_sum_reduction_for_comms(True)  # the only one that gloo has
    runner: Any = model
    runner.saved_dtype = dtype
    runner.run = MethodType(_run, model)
    register_fsdp_forward_method(model, "run")


def is_sharded(model: nn.Module) -> bool:
    return isinstance(model, FSDPModule)


def saved_dtype(model: PreTrainedModel) -> torch.dtype:
    """Return the dtype that a sharded model had before, in which it is gathered and saved."""
    dtype: torch.dtype = cast(Any, model).saved_dtype
    return dtype


def run(model: PreTrainedModel, function: Callable[..., T], *arguments: Any) -> T:
    """Return `function(model, *arguments)`, which may use any part of a sharded model."""
    if not isinstance(model, FSDPModule):
        return function(model, *arguments)
    result: T = cast(Any, model).run(function, *arguments)
    if not torch.is_grad_enabled():
        model.reshard()  # nothing else would free the embedding and the head
    return result


def _run(model: PreTrainedModel, function: Callable[..., T], *arguments: Any) -> T:
    result = function(model, *arguments)
    # A copy, because hooks of FSDP2 on a view are lost if the view is changed in place.
    return cast(T, result.clone()) if isinstance(result, Tensor) else result


def whole(tensor: Tensor) -> Tensor:
    """Return all of a tensor, gathered if it is sharded; call it on every rank."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def like(tensor: Tensor, example: Tensor) -> Tensor:
    """Return `tensor` sharded as `example` is; one that is whole is the same on all ranks."""
    if isinstance(tensor, DTensor) or not isinstance(example, DTensor):
        return tensor
    return distribute_tensor(tensor, example.device_mesh, example.placements, src_data_rank=None)


def skeleton(model: PreTrainedModel) -> PreTrainedModel:
    """Return a copy of a whole model whose weights are empty, for `gather_into` to fill."""
    empty = {
        id(parameter): nn.Parameter(parameter.data.new_empty(0), parameter.requires_grad)
        for parameter in model.parameters()
    }
    return copy.deepcopy(model, cast(Any, empty))


@torch.no_grad()
def gather_into(target: PreTrainedModel, model: PreTrainedModel) -> None:
    """Copy the weights of a sharded model into a whole one, parameter by parameter, on every rank.

    Frozen weights are copied the first time only.
    """
    pairs = zip(target.parameters(), model.parameters(), strict=True)
    for own, parameter in pairs:
        if not own.numel():
            own.data = whole(parameter.detach()).to(own.dtype, copy=True)
        elif parameter.requires_grad:
            own.copy_(whole(parameter.detach()))
    for own, buffer in zip(target.buffers(), model.buffers(), strict=True):
        own.copy_(buffer)


def local_parts(model: PreTrainedModel) -> dict[str, Tensor]:
    """Return copies of this rank's parts of the trained weights."""
    return {name: p.detach().clone() for name, p in _trained(model)}


@torch.no_grad()
def swap_parts(model: PreTrainedModel, parts: Mapping[str, Tensor]) -> None:
    """Exchange the trained weights of a sharded model with `parts`, in place."""
    cast(Any, model).reshard()
    for name, parameter in _trained(model):
        own, other = _local(parameter), _local(parts[name])
        before = own.clone()
        own.copy_(other)
        other.copy_(before)


def _local(tensor: Tensor) -> Tensor:
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def _trained(model: PreTrainedModel) -> Iterator[tuple[str, nn.Parameter]]:
    return ((name, p) for name, p in model.named_parameters() if p.requires_grad)


def _layers(model: nn.Module) -> Iterator[nn.Module]:
    """Yield the repeated layers: the children of the outermost module lists."""
    for child in model.children():
        yield from child if isinstance(child, nn.ModuleList) else _layers(child)
