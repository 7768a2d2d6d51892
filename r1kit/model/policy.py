"""Policies: a causal LM and its tokenizer, as stages train, sample, compare and save it.

Stages and samplers handle a policy as a whole: whether it trains all weights or adapters (lora.py)
is decided here.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, Self

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from r1kit.config import LoraConfig
from r1kit.errors import ConfigError
from r1kit.model import causal_lm, checkpoint, lora, sharded_checkpoint, sharding
from r1kit.model.flops import PassFlops, pass_flops
from r1kit.model.logprobs import token_entropies, token_logprobs
from r1kit.model.ranks import Ranks
from r1kit.model.roles import Role, roles_of
from r1kit.types import Checkpoint


class Reference(Protocol):
    """A frozen policy for the KL term."""

    def module(self) -> AbstractContextManager[PreTrainedModel]:
        """Return the module to run in a `with` block, without gradients."""
        ...

    def state(self) -> dict[str, Tensor]:
        """Return the tensors that `load` restores."""
        ...

    def load(self, state: dict[str, Tensor]) -> None: ...


class CopiedReference:
    """A copy of all weights."""

    def __init__(self, policy: PreTrainedModel) -> None:
        self._module = copy.deepcopy(policy).requires_grad_(False).eval()

    def module(self) -> AbstractContextManager[PreTrainedModel]:
        """Implement `Reference.module`."""
        return contextlib.nullcontext(self._module)

    def state(self) -> dict[str, Tensor]:
        """Implement `Reference.state`."""
        state: dict[str, Tensor] = self._module.state_dict()
        return state

    @torch.no_grad()
    def load(self, state: dict[str, Tensor]) -> None:
        for name, parameter in self._module.named_parameters():
            parameter.copy_(state[name])
        self._module.load_state_dict(state, strict=False)  # buffers; sharded runs save none


class ShardedReference:
    """A copy of this rank's parts of the weights, which trade places with the policy's for a pass.

    The pass must not be between a forward pass of the policy and its backward pass.
    """

    def __init__(self, policy: PreTrainedModel) -> None:
        self._policy = policy
        self._parts = sharding.local_parts(policy)

    @contextlib.contextmanager
    def module(self) -> Iterator[PreTrainedModel]:
        """Implement `Reference.module`."""
        sharding.swap_parts(self._policy, self._parts)
        try:
            yield self._policy
        finally:
            sharding.swap_parts(self._policy, self._parts)

    def state(self) -> dict[str, Tensor]:
        """Implement `Reference.state`."""
        return self._parts

    def load(self, state: dict[str, Tensor]) -> None:
        self._parts = {
            name: sharding.like(state[name], own).to(own.dtype) for name, own in self._parts.items()
        }


class AdapterReference:
    """A copy of the adapters alone: the policy's frozen weights serve both."""

    def __init__(self, policy: PreTrainedModel) -> None:
        self._policy = policy
        self._adapter = lora.adapter_state(policy)

    @contextlib.contextmanager
    def module(self) -> Iterator[PreTrainedModel]:
        """Implement `Reference.module`."""
        with lora.using_adapter(self._policy, self._adapter):
            yield self._policy

    def state(self) -> dict[str, Tensor]:
        """Implement `Reference.state`."""
        return self._adapter

    def load(self, state: dict[str, Tensor]) -> None:
        self._adapter = {name: state[name].to(old.device) for name, old in self._adapter.items()}


@dataclass
class TrainableModel:
    """A module and its tokenizer, which are trained and saved together."""

    module: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase

    @cached_property
    def pass_flops(self) -> PassFlops:
        """FLOPs of a forward and backward pass; read it after `add_adapter`."""
        return pass_flops(self.module)

    def trainable(self) -> dict[nn.Parameter, Role]:
        """Return the parameters to train and their roles, in a fixed order."""
        return roles_of(self.module)

    def add_adapter(self, config: LoraConfig, seed: str) -> None:
        """Train new adapters instead of the weights; raises as `lora.add_adapter` does."""
        lora.add_adapter(self.module, config, seed)

    def load_adapter(self, state: dict[str, Any]) -> None:
        """Restore the adapters of a state that `save` has written. Raises KeyError without any."""
        lora.load_adapter_state(self.module, state["adapter"])

    def checkpoint_gradients(self) -> None:
        """Store only the inputs of the layers in training; backward computes the rest again.

        Raises ConfigError if transformers does not support it for the architecture.
        """
        if not self.module.supports_gradient_checkpointing:
            raise ConfigError(
                f"transformers has no gradient checkpointing for a {type(self.module).__name__}; "
                "set compute.gradient_checkpointing = false."
            )
        module: Any = self.module
        new_name = getattr(module, "activation_checkpointing_enable", None)
        (new_name or module.gradient_checkpointing_enable)({"use_reentrant": False})
        module.disable_input_require_grads()  # a hook, with which fused.py would not run the model

    def shard(self, mesh: DeviceMesh | None) -> None:
        """Shard the module over a mesh, if there is one; call it after `add_adapter`."""
        if mesh is not None:
            sharding.shard(self.module, mesh)

    @property
    def n_parameters(self) -> int:
        return int(self.module.num_parameters())

    @property
    def max_positions(self) -> int | None:
        """Maximum length of a sequence in tokens; None if the model states none."""
        return causal_lm.max_positions(self.module)

    def save(
        self,
        path: Path,
        manifest: Checkpoint,
        state: dict[str, Any] | None = None,
        card: str = "",
    ) -> None:
        """Write a checkpoint; `state`, `card` and errors are those of `checkpoint.save`.

        Adapters are merged into the weights, and `state` gets a copy of them.
        """
        weights = None
        if lora.has_adapter(self.module):
            weights = lora.merged_weights(self.module)
            state = state and state | {"adapter": lora.adapter_state(self.module)}
        checkpoint.save(path, self.module, self.tokenizer, manifest, state, card, weights)

    def save_parts(
        self, path: Path, manifest: Checkpoint, state: dict[str, Any], card: str, ranks: Ranks
    ) -> None:
        """Write a checkpoint of a sharded model as `save` does; call it on every rank."""
        if lora.has_adapter(self.module):
            state = state | {"adapter": lora.adapter_state(self.module)}
        saved = self.module, self.tokenizer, manifest, state, card, ranks
        sharded_checkpoint.save(path, *saved)


@dataclass
class Policy(TrainableModel):
    """A causal LM that completes prompts, with an optional reference for the KL term."""

    _reference: Reference | None = field(default=None, init=False)
    _whole: PreTrainedModel | None = field(default=None, init=False)
    """a whole copy of a sharded module; its weights are empty until `gathered` fills them"""

    @classmethod
    def load(
        cls, path: Path | str, device: torch.device | str, dtype: torch.dtype = torch.float32
    ) -> Self:
        """Load a policy from a checkpoint, a folder, a GGUF file or a hub id, in eval mode.

        Raises CheckpointError as `checkpoint.load` does.
        """
        return cls(*checkpoint.load(path, device, dtype))

    def shard(self, mesh: DeviceMesh | None) -> None:
        """See `TrainableModel.shard`."""
        if mesh is not None:
            self._whole = sharding.skeleton(self.module)
        super().shard(mesh)

    def gathered(self) -> Policy:
        """Return this policy with all weights on every rank: itself, or a copy if it is sharded.

        The copy is updated by the next call, which all ranks make together.
        """
        if self._whole is None:
            return self
        sharding.gather_into(self._whole, self.module)
        return Policy(self._whole, self.tokenizer)

    def logprobs(
        self, input_ids: Tensor, lengths: Sequence[int], mask: Tensor, temperature: float = 1.0
    ) -> Tensor:
        """Return differentiable log-probabilities of the masked tokens (`token_logprobs`)."""
        scored = input_ids, lengths, mask, temperature
        return sharding.run(self.module, token_logprobs, *scored)

    @property
    def is_sharded(self) -> bool:
        return sharding.is_sharded(self.module)

    def entropies(
        self, input_ids: Tensor, lengths: Sequence[int], mask: Tensor, temperature: float = 1.0
    ) -> Tensor:
        """Return the entropies behind the masked tokens (`token_entropies`), of whole weights."""
        return token_entropies(self.module, input_ids, lengths, mask, temperature)

    @property
    def has_reference(self) -> bool:
        return self._reference is not None

    def refresh_reference(self) -> None:
        """Replace the reference with a frozen copy of the current weights, or adapters."""
        if lora.has_adapter(self.module):
            self._reference = AdapterReference(self.module)
        elif self.is_sharded:
            self._reference = ShardedReference(self.module)
        else:
            self._reference = CopiedReference(self.module)

    @torch.no_grad()
    def reference_logprobs(
        self, input_ids: Tensor, lengths: Sequence[int], mask: Tensor, temperature: float = 1.0
    ) -> Tensor:
        """Return the reference's log-probabilities of the masked tokens."""
        assert self._reference is not None, "refresh_reference was never called"
        with self._reference.module() as module:
            return sharding.run(module, token_logprobs, input_ids, lengths, mask, temperature)

    def reference_state(self) -> dict[str, Any]:
        """Return what `load_reference` needs to restore the reference."""
        return {} if self._reference is None else {"reference": self._reference.state()}

    def load_reference(self, state: dict[str, Any]) -> None:
        """Restore the reference, if there is one. Raises KeyError if `state` has none."""
        if self._reference is not None:
            self._reference.load(state["reference"])
