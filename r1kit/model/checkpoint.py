"""Checkpoints: plain Hugging Face folders with a manifest and a small sidecar for resuming.

    config.json, model.safetensors, generation_config.json, tokenizer files, chat template
    README.md                  the model card; no checksum covers it, as it is written again with
                               the scores (export/card.py)
    r1kit.json                 the `Checkpoint` manifest, with a checksum of every other file and of
                               itself; without it the folder is not valid
    resume/state.json          everything except tensors: counters, schedules, generators
    resume/tensors.safetensors optimizer moments and generator states, bit-exact

A checkpoint is written to a temporary folder, flushed to disk and renamed: a kill at any moment
leaves all of it or nothing. `AutoModelForCausalLM`, vLLM and converters open it with no merge step.

Departure from common practice: the sidecar is JSON and safetensors, not `torch.save`: nothing is
ever unpickled, and a float in JSON reads back bit-equal.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch.distributed.tensor import DTensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from r1kit.errors import CheckpointError, first_line
from r1kit.files.atomic import (
    CARD,
    MARKER,
    TEMPORARY,
    explaining_full_disk,
    flush_tree,
    remove_leftovers,
    replace_folder,
    seal,
    to_json,
)
from r1kit.files.checksums import names_below, of_files
from r1kit.model import adapter_folder, causal_lm, folder
from r1kit.model.tokenizer import check_fits
from r1kit.types import Checkpoint

_DAMAGE = (
    ValueError, KeyError, TypeError, AttributeError, IndexError, RuntimeError, OSError,
)  # fmt: skip
"""exceptions raised when values of the wrong type are read and used"""

TENSORS = "tensors.safetensors"
"""file of a resume state"""
SHARDED = "sharded"
"""beginning of the names of sharded tensors in a resume state"""
State = dict[str, Any]
"""nested dicts, lists and tuples of tensors, numbers, strings, booleans and None"""


def save(
    path: Path,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    manifest: Checkpoint,
    state: State | None = None,
    card: str = "",
    weights: dict[str, torch.Tensor] | None = None,
) -> None:
    """Write a checkpoint to `path` atomically, replacing an existing one.

    `state` is everything that resuming needs besides the weights, `card` the text of the model
    card. `weights` are written in place of the model's own. Raises CheckpointError if the tokenizer
    does not fit the model, RunError if the disk is full.
    """
    check_fits(_n_embeddings(model), tokenizer)
    with writing(path, manifest, card) as temporary:
        with causal_lm.quiet():
            write_model(temporary, model, tokenizer, weights)
        if state is not None:
            _write_state(temporary / "resume", state)


@contextlib.contextmanager
def writing(path: Path, manifest: Checkpoint, card: str = "") -> Iterator[Path]:
    """Yield a temporary folder, which becomes the checkpoint `path` after the block."""
    with explaining_full_disk(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(path.parent)
        temporary = path.with_name(f"{TEMPORARY}{path.name}")
        temporary.mkdir()
        try:
            yield temporary
            if card:
                (temporary / CARD).write_text(card, encoding="utf-8")
            facts = dataclasses.asdict(dataclasses.replace(manifest, path=str(path)))
            sealed = seal({**facts, "files": _checksums(temporary)})
            (temporary / MARKER).write_text(to_json(sealed, indent=2) + "\n", encoding="utf-8")
            replace_folder(temporary, path)
        except BaseException:
            remove_leftovers(path.parent)
            raise


def load(
    path: Path | str, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load model, in eval mode, and tokenizer from a folder, a GGUF file or a hub id (a str).

    `path` is a result of `find_model`. Raises CheckpointError if the folder is missing,
    half-written or foreign, or if model and tokenizer do not fit each other.
    """
    if isinstance(path, Path):
        folder.require_existing(path)
    if isinstance(path, Path) and adapter_folder.is_adapter_folder(path):
        return _load_adapted(path, device, dtype)
    model = causal_lm.load(path, device, dtype)
    tokenizer = folder.open_tokenizer(path)
    check_fits(_n_embeddings(model), tokenizer)
    return model, tokenizer


def _load_adapted(
    path: Path, device: torch.device | str, dtype: torch.dtype
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load the base of an adapter folder and merge the adapter; the folder may have a tokenizer."""
    base = adapter_folder.base_of(path)
    model, tokenizer = load(base, device, dtype)
    adapter_folder.merge_into(model, path)
    if (path / "tokenizer_config.json").exists():
        tokenizer = folder.open_tokenizer(path)
        check_fits(_n_embeddings(model), tokenizer)
    return model, tokenizer


def read_tensors(folder: Path) -> dict[str, torch.Tensor]:
    """Read the tensors of a resume state by name."""
    return load_file(folder / TENSORS)


def load_state(
    path: Path, read: Callable[[Path], dict[str, torch.Tensor]] = read_tensors
) -> State | None:
    """Return the `state` passed to `save` (tensors on the CPU), or None if there was none.

    Raises CheckpointError if it is damaged.
    """
    folder.load_manifest(path)
    with (
        folder.verifying_checksums(path, lambda name: name.startswith(folder.RESUME)),
        restoring(path),
    ):
        resume = path / "resume"
        if not resume.exists():
            return None
        tree = json.loads((resume / "state.json").read_text(encoding="utf-8"))
        state = _with_tensors(tree, read(resume))
        if not isinstance(state, dict):
            raise TypeError(f"a {type(state).__name__} in the place of a state")
        return state


@contextlib.contextmanager
def restoring(path: Path) -> Iterator[None]:
    """Turn errors in the block into a CheckpointError that blames the resume state of `path`."""
    try:
        yield
    except (*_DAMAGE, SafetensorError) as error:
        reason = f"{type(error).__name__}: {first_line(error)}"
        raise CheckpointError(
            f"The resume state in {path / 'resume'} is damaged ({reason}); {folder.REMEDY}."
        ) from None


def _checksums(path: Path) -> dict[str, str]:
    """Return the checksum of every file but the card, computed while they are flushed to disk."""
    with of_files(path, [name for name in names_below(path) if name != CARD]) as sums:
        flush_tree(path)
        return {name: checksum.result() for name, checksum in sums.items()}


def _n_embeddings(model: PreTrainedModel) -> int:
    n_rows: int = model.get_input_embeddings().weight.shape[0]
    return n_rows


def write_model(
    path: Path,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    weights: dict[str, torch.Tensor] | None = None,
) -> None:
    model.save_pretrained(path, state_dict=weights)
    write_companions(path, model, tokenizer)


def write_companions(
    path: Path, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase
) -> None:
    """Write the files beside weights and config: tokenizer, template, generation config."""
    tokenizer.save_pretrained(path)
    generation = copy.deepcopy(getattr(model, "generation_config", None))  # a scorer has none
    if generation is not None:
        eos_ids = generation.eos_token_id
        ids = eos_ids if isinstance(eos_ids, list) else [] if eos_ids is None else [eos_ids]
        if tokenizer.eos_token_id is not None and tokenizer.eos_token_id not in ids:
            generation.eos_token_id = [*ids, tokenizer.eos_token_id]
        generation.save_pretrained(path)


def _write_state(path: Path, state: State) -> None:
    path.mkdir()
    tensors: dict[str, torch.Tensor] = {}
    tree = without_tensors(state, tensors)
    save_file(tensors, path / TENSORS)
    (path / "state.json").write_text(json.dumps(tree), encoding="utf-8")


def without_tensors(value: Any, tensors: dict[str, torch.Tensor]) -> Any:
    """Return `value` as JSON; tensors move to `tensors`, and types that JSON lacks are tagged."""
    if isinstance(value, torch.Tensor):
        if isinstance(value, DTensor):
            name = f"{SHARDED}{len(tensors)}"
            tensors[name] = value.detach()
            return {"tensor": name}
        name = str(len(tensors))
        # A copy, because safetensors refuses views that share memory.
        tensors[name] = value.detach().cpu().clone().contiguous()
        return {"tensor": name}
    if isinstance(value, dict):
        return {"dict": [[k, without_tensors(v, tensors)] for k, v in value.items()]}
    if isinstance(value, tuple):
        return {"tuple": [without_tensors(item, tensors) for item in value]}
    if isinstance(value, list):
        return [without_tensors(item, tensors) for item in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"a resume state holds no {type(value).__name__}: {value!r}")


def _with_tensors(tree: Any, tensors: dict[str, torch.Tensor]) -> Any:
    if isinstance(tree, list):
        return [_with_tensors(item, tensors) for item in tree]
    if not isinstance(tree, dict):
        return tree
    ((kind, content),) = tree.items()
    if kind == "tensor":
        return tensors[content]
    if kind == "tuple":
        return tuple(_with_tensors(item, tensors) for item in content)
    return {key: _with_tensors(item, tensors) for key, item in content}
