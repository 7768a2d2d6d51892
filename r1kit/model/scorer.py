"""Scorers: causal LMs whose head returns one number per sequence. Reward models are scorers.

In transformers' terms a scorer is an `AutoModelForSequenceClassification` with one label; a saved
folder opens there. Source: a reward model is the policy's architecture with a scalar head (the R1
paper). Departure: a new head is initialised to zero, so that training begins at score 0 and a loss
of log 2, whatever the seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModelForSequenceClassification, PreTrainedModel

from r1kit.errors import CheckpointError
from r1kit.model import causal_lm
from r1kit.model.folder import declared_eos_ids
from r1kit.model.logprobs import hidden_states, shared
from r1kit.model.tree import starts

HEAD = "score.weight"


def from_policy(
    path: str | Path, device: torch.device | str, dtype: torch.dtype = torch.float32
) -> PreTrainedModel:
    """Build a new scorer on the body of the causal LM in a folder or under a hub id.

    Raises CheckpointError as `causal_lm.load` does, and if transformers has no scalar head for the
    architecture.
    """
    with torch.random.fork_rng(devices=[]):
        model, missing = causal_lm.open_model(
            AutoModelForSequenceClassification, path, dtype, num_labels=1
        )
    causal_lm.require_weights(path, [name for name in missing if name != HEAD])
    _refuse_other_head(path, model)
    nn.init.zeros_(model.score.weight)
    # Otherwise transformers would treat EOS as padding, and score the token before it.
    if model.config.pad_token_id in declared_eos_ids(model.config):
        model.config.pad_token_id = None
    return _prepared(model, path, device)


def load(path: str | Path, device: torch.device | str, dtype: torch.dtype) -> PreTrainedModel:
    """Load the scorer in a folder, on `device` in `dtype`.

    Raises CheckpointError as `causal_lm.load` does, and if the folder lacks the scalar head.
    """
    model, missing = causal_lm.open_model(AutoModelForSequenceClassification, path, dtype)
    causal_lm.require_weights(path, missing)
    _refuse_other_head(path, model)
    return _prepared(model, path, device)


def scores(model: PreTrainedModel, input_ids: Tensor, lengths: Sequence[int]) -> Tensor:
    """Return differentiable fp32 scores [B] of sequences packed back to back in input_ids [T].

    A sequence is scored at its last token, whatever token that is. Shared prefixes are computed
    once. Raises ValueError for an empty sequence.
    """
    last = torch.from_numpy(starts(lengths)) + torch.tensor(lengths) - 1
    stream, indices, layout = shared(input_ids, lengths, last.to(input_ids.device))
    scored: Tensor = model.score(hidden_states(model, stream, layout)[indices])
    return scored[:, 0].float()


def score_all(
    model: PreTrainedModel, sequences: Sequence[Sequence[int]], device: torch.device | str
) -> Tensor:
    """Return the scores [B] of lists of token ids, computed in one pass."""
    input_ids = torch.tensor(list(chain.from_iterable(sequences)), dtype=torch.long, device=device)
    return scores(model, input_ids, [len(sequence) for sequence in sequences])


def _refuse_other_head(path: str | Path, model: Any) -> None:
    head = getattr(model, "score", None)
    if not isinstance(head, nn.Linear) or head.out_features != 1 or head.bias is not None:
        raise CheckpointError(
            f"{path} opens as a {type(model).__name__}, which has no head for one score; "
            "choose a model of a newer architecture (Llama, Qwen, Gemma, ...)."
        )


def _prepared(model: Any, path: str | Path, device: torch.device | str) -> PreTrainedModel:
    return causal_lm.prepare(model.to(device), str(path))
