"""Policies: a causal LM and its tokenizer, as stages train, sample, compare and save it.

Stages and samplers handle a policy as a whole, so that adapters or shards of its weights would
change this file and not theirs.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from r1kit.errors import ConfigError
from r1kit.model import causal_lm, checkpoint
from r1kit.model.logprobs import token_logprobs
from r1kit.model.roles import Role, roles_of
from r1kit.types import Checkpoint


@dataclass
class TrainableModel:
    """A module and its tokenizer, which are trained and saved together."""

    module: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase

    def trainable(self) -> dict[nn.Parameter, Role]:
        """Return the parameters to train and their roles, in a fixed order."""
        return roles_of(self.module)

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
        """Write a checkpoint; `state`, `card` and errors are those of `checkpoint.save`."""
        checkpoint.save(path, self.module, self.tokenizer, manifest, state, card)


@dataclass
class Policy(TrainableModel):
    """A causal LM that completes prompts, with an optional reference for the KL term."""

    _reference: PreTrainedModel | None = field(default=None, init=False)

    @classmethod
    def load(
        cls, path: Path | str, device: torch.device | str, dtype: torch.dtype = torch.float32
    ) -> Self:
        """Load a policy from a checkpoint, a folder, a GGUF file or a hub id, in eval mode.

        Raises CheckpointError as `checkpoint.load` does.
        """
        return cls(*checkpoint.load(path, device, dtype))

    def logprobs(
        self, input_ids: Tensor, lengths: Sequence[int], mask: Tensor, temperature: float = 1.0
    ) -> Tensor:
        """Return differentiable log-probabilities of the masked tokens (`token_logprobs`)."""
        return token_logprobs(self.module, input_ids, lengths, mask, temperature)

    @property
    def has_reference(self) -> bool:
        return self._reference is not None

    def refresh_reference(self) -> None:
        """Replace the reference with a frozen copy of the current weights."""
        self._reference = copy.deepcopy(self.module).requires_grad_(False).eval()

    @torch.no_grad()
    def reference_logprobs(
        self, input_ids: Tensor, lengths: Sequence[int], mask: Tensor, temperature: float = 1.0
    ) -> Tensor:
        """Return the reference's log-probabilities of the masked tokens."""
        assert self._reference is not None, "refresh_reference was never called"
        return token_logprobs(self._reference, input_ids, lengths, mask, temperature)

    def reference_state(self) -> dict[str, Any]:
        """Return what `load_reference` needs to restore the reference."""
        return {} if self._reference is None else {"reference": self._reference.state_dict()}

    def load_reference(self, state: dict[str, Any]) -> None:
        """Restore the reference, if there is one. Raises KeyError if `state` has none."""
        if self._reference is not None:
            self._reference.load_state_dict(state["reference"])
