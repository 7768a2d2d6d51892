"""Checkpoints of sharded models, through torch.distributed.checkpoint in safetensors files.

    config.json, model.safetensors, ...   as in checkpoint.py: every rank writes its parts of the
                                          weights, and the first joins the files on disk
    resume/state.json                     as in checkpoint.py
    resume/shard-*.safetensors            the tensors, in a file per rank; the names of sharded ones
                                          begin with "sharded"

Any number of ranks opens it, one without shards included. Departure from torch's default: no file
is a pickle. Weights that transformers stores under other names than it computes with (experts) are
gathered on the first rank, which writes them.
"""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.distributed.checkpoint.hf_storage import (
    HuggingFaceStorageReader,
    HuggingFaceStorageWriter,
)
from torch.distributed.checkpoint.metadata import TensorStorageMetadata
from torch.distributed.checkpoint.state_dict_loader import load as load_distributed
from torch.distributed.checkpoint.state_dict_saver import save as save_distributed
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import Replicate, Shard, empty
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.core_model_loading import revert_weight_conversion

from r1kit.files.atomic import TEMPORARY
from r1kit.model import causal_lm, checkpoint, lora, sharding
from r1kit.model.checkpoint import State
from r1kit.model.ranks import Ranks
from r1kit.types import Checkpoint

MAX_FILE = 50 * 10**9
"""bytes of weights in a file, as in transformers"""


def save(
    path: Path,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    manifest: Checkpoint,
    state: State,
    card: str,
    ranks: Ranks,
) -> None:
    """Write a checkpoint as `checkpoint.save` does; call it on every rank."""
    weights = _weights(model)
    with _writing(path, manifest, card, ranks) as temporary:
        if ranks.is_first:
            model.config.dtype = str(sharding.saved_dtype(model)).removeprefix("torch.")
            model.config.architectures = [type(model).__name__.removeprefix("FSDP")]
            model.config.save_pretrained(temporary)
            checkpoint.write_companions(temporary, model, tokenizer)
        if _is_renamed(model, weights):
            _write_gathered(temporary, model, weights, ranks)
        else:
            _write_parts(temporary, weights, ranks)
        tensors: dict[str, Tensor] = {}
        tree = checkpoint.without_tensors(state, tensors)
        _write(temporary / "resume", tensors)
        if ranks.is_first:
            (temporary / "resume" / "state.json").write_text(json.dumps(tree), encoding="utf-8")


def load_state(path: Path, mesh: DeviceMesh | None) -> State | None:
    """Return the resume state of any checkpoint, as `checkpoint.load_state` does.

    Sharded tensors are read as this rank's parts of the mesh, or without a mesh as a whole. With a
    mesh, call it on every rank.
    """
    return checkpoint.load_state(path, lambda folder: _read_tensors(folder, mesh))


def _read_tensors(folder: Path, mesh: DeviceMesh | None) -> dict[str, Tensor]:
    if (folder / checkpoint.TENSORS).exists():
        return checkpoint.read_tensors(folder)
    reader = HuggingFaceStorageReader(str(folder))
    tensors: dict[str, Tensor] = {}
    for name, facts in reader.read_metadata().state_dict_metadata.items():
        assert isinstance(facts, TensorStorageMetadata), facts
        kind = facts.properties.dtype
        if mesh is not None and name.startswith(checkpoint.SHARDED):
            placements = [Replicate()] * (mesh.ndim - 1) + [Shard(0)]
            tensors[name] = empty(facts.size, dtype=kind, device_mesh=mesh, placements=placements)
        else:
            tensors[name] = torch.empty(facts.size, dtype=kind)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "torch.distributed is disabled")  # as it should be
        load_distributed(tensors, storage_reader=reader, no_dist=mesh is None)
    return tensors


@contextmanager
def _writing(path: Path, manifest: Checkpoint, card: str, ranks: Ranks) -> Iterator[Path]:
    """Yield the temporary folder; the first rank makes it, seals it and gives it its name."""
    if not ranks.is_first:
        ranks.barrier()
        yield path.with_name(f"{TEMPORARY}{path.name}")
        ranks.barrier()
        return
    with checkpoint.writing(path, manifest, card) as temporary:
        ranks.barrier()
        yield temporary
        ranks.barrier()


def _weights(model: PreTrainedModel) -> dict[str, Tensor]:
    """Return the weights to save in their own dtype, each once, and the stored buffers."""
    state = lora.merged_weights(model) if lora.has_adapter(model) else model.state_dict()
    plain = {name.replace(".base_layer.", "."): p for name, p in model.named_parameters()}
    every = {
        name.replace(".base_layer.", ".")
        for name, _ in model.named_parameters(remove_duplicate=False)
    }
    dtype = sharding.saved_dtype(model)
    return {
        name: weight.detach().to(dtype) if name in every else weight
        for name, weight in state.items()
        if name in plain or name not in every
    }


def _is_renamed(model: PreTrainedModel, weights: dict[str, Tensor]) -> bool:
    shapes = {name: torch.empty(weight.shape, device="meta") for name, weight in weights.items()}
    stored: dict[str, Tensor] = revert_weight_conversion(model, shapes)
    return stored.keys() != weights.keys()


def _write_gathered(
    path: Path, model: PreTrainedModel, weights: dict[str, Tensor], ranks: Ranks
) -> None:
    gathered: dict[str, Tensor] = {}
    for name, weight in weights.items():
        tensor = sharding.whole(weight)
        if ranks.is_first:
            gathered[name] = tensor.cpu()
    if ranks.is_first:
        saved_config = (path / "config.json").read_text(encoding="utf-8")
        with causal_lm.quiet():
            model.save_pretrained(path, state_dict=gathered)
        (path / "config.json").write_text(saved_config, encoding="utf-8")


def _write_parts(path: Path, weights: dict[str, Tensor], ranks: Ranks) -> None:
    """Write the parts of all ranks, which the first joins to one file, or several large ones."""
    files, n_bytes = dict[str, int](), 0
    for name, weight in weights.items():
        n_bytes += weight.numel() * weight.element_size()
        files[name] = 1 + n_bytes // MAX_FILE
    _write(path, weights, joined_as=files)
    if ranks.is_first:
        shutil.rmtree(path / "sharded")
        if set(files.values()) == {1}:
            (path / "model-00001-of-00001.safetensors").rename(path / "model.safetensors")
            (path / "model.safetensors.index.json").unlink()


def _write(path: Path, tensors: dict[str, Tensor], joined_as: dict[str, int] | None = None) -> None:
    writer = HuggingFaceStorageWriter(
        str(path), joined_as, save_distributed=True, enable_consolidation=joined_as is not None
    )
    state: dict[str, Any] = {name: tensor.cpu() for name, tensor in tensors.items()}
    save_distributed(state, storage_writer=writer)
