"""LoRA: small adapters on frozen weights, through the library peft.

A model with adapters is the same module with a pair of small matrices, A and B, at each adapted
layer, which adds `lora_alpha / r * B @ A @ x` to its output (Hu et al., arXiv 2106.09685). Learner
and engine run this same module, so no merged copy of the weights is needed; `merged_weights` is
the sum, for folders that everybody opens. B is zero at first, so training begins at the frozen
model. Adapters have the dtype of the model, and the optimizer updates fp32 copies of them: an fp32
adapter would save its input once more for the backward pass. Departure: no dropout, as everywhere
in r1kit. In a mixture of experts only attention is adapted: peft would turn names of its
feed-forward layers into adapters of whole expert tensors.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from r1kit.config import LoraConfig
from r1kit.errors import ConfigError, first_line, require
from r1kit.model import sharding
from r1kit.model.roles import routers_of

ADAPTER = "default"
"""peft's name of the only adapter of a model"""

AdapterState = dict[str, Tensor]
"""name in the module → tensor, for all trained parameters of a model with adapters"""


def add_adapter(model: PreTrainedModel, config: LoraConfig, seed: str) -> None:
    """Freeze a model and add new adapters; a scorer's head is still trained as a whole.

    Raises DependencyError without peft, ConfigError if no layer has a name of `target_modules`.
    """
    require("peft", "leave [lora] out of the recipe")
    from peft import LoraConfig as PeftLoraConfig
    from peft import TaskType, inject_adapter_in_model

    is_causal = model.get_output_embeddings() is not None
    settings = PeftLoraConfig(
        r=config.r,
        lora_alpha=config.lora_alpha,
        target_modules=_targets(model, config),
        task_type=TaskType.CAUSAL_LM if is_causal else TaskType.SEQ_CLS,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(random.Random(seed).getrandbits(63))
        try:
            inject_adapter_in_model(settings, model, ADAPTER)
        except ValueError as error:
            raise ConfigError(
                f"lora.target_modules does not fit a {type(model).__name__} "
                f'({first_line(error)}); set it to "all-linear".'
            ) from None
    if any(is_adapted(module) for module in _ends(model)):
        raise ConfigError(
            "lora.target_modules names the embedding or the head of the model, which adapters of "
            'r1kit leave as they are; set it to "all-linear".'
        )
    if not is_causal:
        model.score.requires_grad_(True)


def _targets(model: PreTrainedModel, config: LoraConfig) -> str | list[str]:
    """Return peft's `target_modules`. Raises ConfigError for feed-forward layers of a mixture."""
    targets = config.target_modules
    if not routers_of(model):
        return targets if isinstance(targets, str) else list(targets)
    linear = [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    attention = [name for name in linear if ".self_attn." in name]
    if targets == "all-linear":
        return attention
    names = [targets] if isinstance(targets, str) else list(targets)
    outside = [end for end in names if not any(name.endswith(f".{end}") for name in attention)]
    if outside:
        raise ConfigError(
            f"lora.target_modules names {outside[0]}, but in a {type(model).__name__} adapters are "
            'only for attention, not for experts; set it to "all-linear".'
        )
    return names


def _ends(model: PreTrainedModel) -> Iterator[nn.Module]:
    yield model.get_input_embeddings()
    if (head := model.get_output_embeddings()) is not None:
        yield head


def is_adapted(module: nn.Module) -> bool:
    """Return True if a layer has an adapter."""
    return hasattr(module, "lora_A") and hasattr(module, "base_layer")


def has_adapter(model: nn.Module) -> bool:
    """Return True if any layer of a model has an adapter."""
    return any(map(is_adapted, model.modules()))


def rank_of(model: PreTrainedModel) -> int:
    """Return the rank of a model's adapters."""
    return int(model.peft_config[ADAPTER].r)


def adapter_state(model: nn.Module) -> AdapterState:
    """Return copies of all trained parameters."""
    return {name: parameter.detach().clone() for name, parameter in _trained(model)}


@torch.no_grad()
def load_adapter_state(model: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Restore an `adapter_state`. Raises KeyError or RuntimeError if it is of another model."""
    for name, parameter in _trained(model):
        parameter.copy_(state[name])


@contextlib.contextmanager
def using_adapter(model: nn.Module, state: Mapping[str, Tensor]) -> Iterator[None]:
    """Use the adapters of `state` in the block, without copying; for passes without gradients."""
    parameters = dict(_trained(model))
    own = {name: parameter.data for name, parameter in parameters.items()}
    try:
        for name, parameter in parameters.items():
            parameter.data = state[name]
        yield
    finally:
        for name, parameter in parameters.items():
            parameter.data = own[name]


@torch.no_grad()
def base_weights(model: PreTrainedModel) -> dict[str, Tensor]:
    """Return the frozen weights below the adapters, on the CPU."""
    return {
        name.replace(".base_layer.", "."): weight.cpu()
        for name, weight in model.state_dict().items()
        if not _is_of_adapter(name)
    }


@torch.no_grad()
def merged_weights(model: PreTrainedModel) -> dict[str, Tensor]:
    """Return the weights of the model without adapters that computes the same, on the CPU."""
    deltas = {
        f"{name}.base_layer.weight": module
        for name, module in model.named_modules()
        if is_adapted(module)
    }
    merged: dict[str, Tensor] = {}
    for name, weight in model.state_dict().items():
        if _is_of_adapter(name):
            continue
        if (layer := deltas.get(name)) is not None:
            total = weight.float() + sharding.like(layer.get_delta_weight(ADAPTER), weight)
            weight = total.to(weight.dtype)
        merged[name.replace(".base_layer.", ".")] = weight.cpu()
    return merged


def _is_of_adapter(name: str) -> bool:
    return ".lora_A." in name or ".lora_B." in name


def _trained(model: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            yield name, parameter
