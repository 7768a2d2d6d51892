"""A model folder without its weights: manifest, tokenizer, EOS ids, and verification of checksums.

Imports no model class of transformers, which takes seconds.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from huggingface_hub import try_to_load_from_cache
from transformers import AutoConfig, GenerationConfig, PreTrainedTokenizerBase

from r1kit.errors import CheckpointError, first_line
from r1kit.files.atomic import MARKER
from r1kit.files.checksums import of_files
from r1kit.model import gguf_file
from r1kit.model.find import is_gguf
from r1kit.model.find import require_existing as require_existing
from r1kit.model.tokenizer import load_tokenizer, tokenizer_hash
from r1kit.runs.schemas import CheckpointFile
from r1kit.runs.validated import read_json
from r1kit.types import Checkpoint

REMEDY = "restore it from a copy, or use another checkpoint"
FOREIGN = (
    f"If you changed it on purpose, open a copy of the folder that has no {MARKER}: it is a plain "
    "Hugging Face model then."
)
WEIGHTS, RESUME = ".safetensors", "resume/"


def load_manifest(path: Path) -> Checkpoint:
    """Read the manifest of a checkpoint. Raises CheckpointError if it is missing or damaged."""
    require_existing(path)
    marker = _marker(path)
    if marker is None:
        raise CheckpointError(
            f"{path} is no complete checkpoint of r1kit: it has no {MARKER}. "
            "Name one of the folders in the run's checkpoints/."
        )
    facts = {field.name: marker[field.name] for field in dataclasses.fields(Checkpoint)}
    return Checkpoint(**facts | {"path": str(path)})


def _marker(path: Path) -> dict[str, Any] | None:
    if is_gguf(path):
        return None
    sums: dict[str, Any] | None = read_json(path / MARKER, CheckpointFile, REMEDY, CheckpointError)
    return sums


@contextlib.contextmanager
def verifying_checksums(
    path: Path | str, is_wanted: Callable[[str], bool] = lambda name: not name.startswith(RESUME)
) -> Iterator[None]:
    """Verify the checksums of a checkpoint's files while the block opens them.

    Raises CheckpointError if a file has changed, even if the block raises too: the changed file may
    be the cause. A folder written by another program or an earlier version has no checksums, and is
    not verified.
    """
    marker = _marker(path) if isinstance(path, Path) else None
    checksums = {n: c for n, c in (marker or {}).get("files", {}).items() if is_wanted(n)}
    with of_files(Path(path), checksums) as sums:
        try:
            yield
        except Exception:
            _refuse_changed(path, checksums, sums)
            raise
        _refuse_changed(path, checksums, sums)


def _refuse_changed(
    path: Path | str, checksums: Mapping[str, str], sums: Mapping[str, Future[str]]
) -> None:
    for name, checksum in checksums.items():
        try:
            is_same = sums[name].result() == checksum
        except OSError as error:
            problem = f"cannot be read ({error.strerror}); {REMEDY}."
            raise CheckpointError(f"{path}/{name} {problem}") from None
        if not is_same:
            problem = f"has changed since it was written (its checksum differs); {REMEDY}."
            advice = "" if name.startswith(RESUME) else f" {FOREIGN}"
            raise CheckpointError(f"{path}/{name} {problem}{advice}") from None


def open_tokenizer(path: Path | str) -> PreTrainedTokenizerBase:
    """Load the tokenizer of a folder, a GGUF file or a hub id (a str).

    Raises as `checkpoint.load` does.
    """
    if isinstance(path, Path):
        require_existing(path)
    with verifying_checksums(
        path, lambda name: not name.startswith(RESUME) and not name.endswith(WEIGHTS)
    ):
        tokenizer = load_tokenizer(path)
        if isinstance(path, Path):
            require_same_tokenizer(path, tokenizer)
    return tokenizer


def fingerprint(path: Path | str) -> str:
    """Return a short name of the weights, the same as long as their files do not change."""
    files: list[Path] = []
    if isinstance(path, Path):
        files = [path] if path.is_file() else sorted(path.glob("*.*"))
    elif isinstance(config := try_to_load_from_cache(path, "config.json"), str):
        path = config  # its folder is named by the commit
    facts = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    return f"fp_{hashlib.sha256(repr((str(path), facts)).encode()).hexdigest()[:10]}"


def text_config(path: str | Path) -> Any:
    """Return transformers' config of a language model, without reading its weights.

    Raises CheckpointError if it cannot be read.
    """
    try:
        with gguf_file.opening(path) as (name, extra):
            return AutoConfig.from_pretrained(
                name, trust_remote_code=False, **extra
            ).get_text_config()
    except CheckpointError:
        raise
    except Exception as error:  # transformers raises anything on a foreign config
        refuse_remote_code(path, error)
        problem = f"{path} has no config.json that can be read ({first_line(error)})."
        raise CheckpointError(problem) from None


def refuse_remote_code(path: str | Path, error: Exception) -> None:
    """Raise CheckpointError if transformers has refused a model because it brings Python code."""
    if "trust_remote_code" in str(error):
        raise CheckpointError(
            f"{path} needs Python code of its own, which r1kit never runs; choose a model of "
            "an architecture that is part of transformers."
        ) from None


def vocab_and_eos(path: str | Path, tokenizer: Any) -> tuple[int, frozenset[int]]:
    """Return a model's vocabulary size and EOS token ids; raises as `text_config` does."""
    config = text_config(path)
    generation = None
    with contextlib.suppress(OSError):  # most folders of new models have none, a GGUF file never
        generation = GenerationConfig.from_pretrained(path)
    return config.vocab_size, declared_eos_ids(generation, config, tokenizer)


def declared_eos_ids(*sources: Any) -> frozenset[int]:
    """Return every `eos_token_id` that any of the sources declares, as a number or a list."""
    stated = [getattr(source, "eos_token_id", None) for source in sources]
    lists = [[ids] if isinstance(ids, int) else list(ids) for ids in stated if ids is not None]
    return frozenset(int(i) for ids in lists for i in ids)


def require_same_tokenizer(path: Path, tokenizer: PreTrainedTokenizerBase) -> None:
    """Raises CheckpointError if an r1kit checkpoint was trained with another tokenizer."""
    marker = _marker(path)
    expected = marker and marker["tokenizer_hash"]
    if expected and expected != tokenizer_hash(tokenizer):
        raise CheckpointError(
            f"The tokenizer in {path} is not the one the model was trained with; restore its "
            "tokenizer files, or use another checkpoint."
        )
