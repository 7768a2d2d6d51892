"""What a model's folder tells without its weights: manifest, tokenizer, what ends a text.

Loads no model class of transformers, which takes seconds.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
from pathlib import Path
from typing import Any

from transformers import AutoConfig, GenerationConfig, PreTrainedTokenizerBase

from r1kit.durable import MARKER
from r1kit.errors import CheckpointError
from r1kit.model.find import refuse_missing as refuse_missing
from r1kit.model.tokenizer import load as load_tokenizer
from r1kit.model.tokenizer import tokenizer_hash
from r1kit.types import Checkpoint


def load_manifest(path: Path) -> Checkpoint:
    """The manifest of a checkpoint. Raises CheckpointError when it is missing or damaged."""
    refuse_missing(path)
    file = path / MARKER
    if not file.exists():
        raise CheckpointError(
            f"{path} was not written by r1kit, or only in part: it has no {MARKER}. "
            "Name one of the folders in the run's checkpoints/."
        )
    try:
        told = json.loads(file.read_text(encoding="utf-8"))
        return dataclasses.replace(Checkpoint(**told), path=str(path))
    except (ValueError, TypeError, OSError) as error:
        raise CheckpointError(
            f"{file} is damaged ({first_line(error)}); use another checkpoint."
        ) from None


def load_words(path: Path | str) -> PreTrainedTokenizerBase:
    """The tokenizer of a folder, or of a hub id (a str); raises as `checkpoint.load` does."""
    if isinstance(path, Path):
        refuse_missing(path)
    words = load_tokenizer(path)
    if isinstance(path, Path):
        refuse_other_tokenizer(path, words)
    return words


def facts(path: str | Path, tokenizer: Any) -> tuple[int, frozenset[int]]:
    """The size of a model's vocabulary, and what ends a text, without its weights.

    Raises CheckpointError if its config cannot be read.
    """
    try:
        config = AutoConfig.from_pretrained(path).get_text_config()
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} has no config.json that can be read ({error}).") from None
    generation = None
    with contextlib.suppress(OSError):  # most folders of our own have none
        generation = GenerationConfig.from_pretrained(path)
    return config.vocab_size, stated_eos_ids(generation, config, tokenizer)


def stated_eos_ids(*sources: Any) -> frozenset[int]:
    """Every `eos_token_id` that one of these states, be it a number or a list."""
    stated = [getattr(source, "eos_token_id", None) for source in sources]
    lists = [[ids] if isinstance(ids, int) else list(ids) for ids in stated if ids is not None]
    return frozenset(int(i) for ids in lists for i in ids)


def refuse_other_tokenizer(path: Path, tokenizer: PreTrainedTokenizerBase) -> None:
    """Raises CheckpointError for one that a checkpoint of ours was not trained with."""
    if not (path / MARKER).exists():
        return
    expected = load_manifest(path).tokenizer_hash
    if expected and expected != tokenizer_hash(tokenizer):
        raise CheckpointError(
            f"The tokenizer in {path} is not the one the model was trained with; restore its "
            "tokenizer files, or use another checkpoint."
        )


def first_line(error: BaseException) -> str:
    """What it says, short."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200].rstrip(".")
