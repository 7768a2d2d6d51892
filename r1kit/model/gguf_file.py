"""GGUF files: a whole model in one file, as llama.cpp writes it.

transformers maps the file's names and shapes to its own and dequantises the weights; what r1kit
saves is an ordinary folder.
"""

from __future__ import annotations

import contextlib
import io
import json
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

from r1kit.errors import CheckpointError, first_line
from r1kit.model.find import is_gguf


@contextlib.contextmanager
def opening(path: Path | str) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the name and the settings with which transformers' `from_pretrained` opens `path`.

    Any exception of the block becomes a CheckpointError if `path` is a GGUF file.
    """
    if not is_gguf(path):
        yield str(path), {}
        return
    # Alone in a folder, because transformers would also read tokenizers and adapters beside it.
    with tempfile.TemporaryDirectory(prefix="r1kit-") as folder:
        link = Path(folder) / "model.gguf"
        link.symlink_to(Path(path).resolve())
        try:
            # Silent, because a progress bar breaks the live view.
            with contextlib.redirect_stderr(io.StringIO()), _parsing_once():
                yield folder, {"gguf_file": link.name}
        except Exception as error:  # transformers and gguf raise anything on foreign files
            reason = first_line(error)
            raise CheckpointError(
                f"The GGUF file {path} does not open ({reason.replace(str(link), 'it')}); "
                "download it again if it is incomplete, or name a Hugging Face folder or hub id of "
                "the model instead."
            ) from None


@contextlib.contextmanager
def _parsing_once() -> Iterator[None]:
    """Cache what transformers computes several times over while it opens one file.

    It parses a vocabulary of 50,000 tokens in seconds, and builds a table of names for each module.
    """
    import gguf

    names = ("GGUFReader", "get_tensor_name_map")
    originals = {name: getattr(gguf, name) for name in names}
    for name, original in originals.items():
        setattr(gguf, name, cache(original))
    try:
        yield
    finally:
        for name, original in originals.items():
            setattr(gguf, name, original)


def open_tokenizer_in(folder: str, gguf_file: str) -> PreTrainedTokenizerFast:
    """Open the tokenizer of a file in a folder (`opening`), without tokens that the file lacks.

    transformers adds `<|endoftext|>` to every byte-level vocabulary, even to Llama 3's, whose model
    has no embedding for it.
    """
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder, gguf_file=gguf_file)
    rules = json.loads(tokenizer.backend_tokenizer.to_str())
    vocab = rules["model"]["vocab"]  # a dict, or pairs of token and score
    known = set(vocab) if isinstance(vocab, dict) else {token for token, _ in vocab}
    added = [token for token in rules["added_tokens"] if token["content"] in known]
    if len(added) < len(rules["added_tokens"]):
        tokenizer._tokenizer = Tokenizer.from_str(json.dumps({**rules, "added_tokens": added}))
    return tokenizer


def as_ordinary(model: Any) -> None:
    """Make transformers forget that the weights were quantised, which it would not save."""
    model.hf_quantizer = None
    model.is_quantized = False
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
