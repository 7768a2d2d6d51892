"""Causal LMs: any of Hugging Face, new or loaded, that uses r1kit's attention.

Architecture and folder format are those of transformers; a saved checkpoint opens in
`AutoModelForCausalLM` anywhere.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import nn
from transformers import (
    AutoModelForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    Qwen3Config,
    Qwen3ForCausalLM,
)
from transformers.utils import logging as transformers_logging

from r1kit.config import DeepseekV3Config, ModelConfig
from r1kit.errors import CheckpointError, R1Error, first_line
from r1kit.model import attention, folder, gguf_file
from r1kit.model.folder import declared_eos_ids
from r1kit.model.norm import replace_norms

_ALIGNED = 64
"""alignment of newly allocated tensors, in bytes"""
_LAYERS = {"full_attention", "sliding_attention"}
"""types of layers that a layout (attention.py) can keep within a sequence"""
_FAMILIES: dict[str, tuple[Any, Any]] = {
    "qwen3": (Qwen3Config, Qwen3ForCausalLM),
    "llama": (LlamaConfig, LlamaForCausalLM),
    "deepseek_v3": (transformers.DeepseekV3Config, transformers.DeepseekV3ForCausalLM),
}


def build(
    config: ModelConfig, vocab_size: int, eos_id: int, pad_id: int, bos_id: int, seed: int
) -> PreTrainedModel:
    """Build a new fp32 model of the given shape; the same seed gives the same weights."""
    config_class, model_class = _FAMILIES[config.family]
    heads = {
        "num_key_value_heads": config.n_kv_heads,
        "head_dim": config.hidden // config.n_heads,
    }
    if config.family == "deepseek_v3":
        latent = config.deepseek_v3 or DeepseekV3Config()
        heads = {"num_key_value_heads": config.n_heads, "num_mtp_layers": 0, **latent.model_dump()}
    shape = config_class(
        vocab_size=vocab_size,
        hidden_size=config.hidden,
        intermediate_size=config.intermediate,
        num_hidden_layers=config.n_layers,
        num_attention_heads=config.n_heads,
        **heads,
        max_position_embeddings=config.max_positions,
        tie_word_embeddings=True,
        attention_dropout=0.0,
        eos_token_id=eos_id,
        pad_token_id=pad_id,
        bos_token_id=bos_id,
        dtype="float32",
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = model_class(shape)
    return prepare(model.to(torch.float32), f"A new {config.family}")


def load(path: str | Path, device: torch.device | str, dtype: torch.dtype) -> PreTrainedModel:
    """Load the causal LM from a folder, a GGUF file or a hub id, on `device` in `dtype`.

    Runs no code from the folder and reads safetensors only. Raises CheckpointError if the folder is
    missing, foreign or half-written, or if its architecture cannot use r1kit's attention.
    """
    model, missing = open_model(AutoModelForCausalLM, path, dtype)
    require_weights(path, missing)
    return prepare(model.to(device), str(path))


def open_model(
    kind: Any, path: str | Path, dtype: torch.dtype, **settings: Any
) -> tuple[Any, list[str]]:
    """Open a model with one of transformers' auto classes; also return the missing weights.

    Runs no code from the folder and reads safetensors only. Raises CheckpointError if opening
    fails.
    """
    try:
        with folder.verifying_checksums(path), quiet(), gguf_file.opening(path) as (name, extra):
            model, report = kind.from_pretrained(
                name,
                **extra,
                dtype=dtype,
                local_files_only=Path(name).is_dir(),
                use_safetensors=True,
                trust_remote_code=False,
                output_loading_info=True,
                **settings,
            )
    except R1Error:
        raise
    except Exception as error:  # transformers raises anything on foreign files
        folder.refuse_remote_code(path, error)
        raise CheckpointError(
            f"{path} does not open as a Hugging Face language model ({first_line(error)}); "
            "name a folder with config.json and model.safetensors, a .gguf file, or a hub id."
        ) from None
    if extra:
        gguf_file.as_ordinary(model)
    for parameter in model.parameters():
        # Copy weights out of the memory-mapped file, where they may be unaligned: on a CPU the last
        # digits of a product depend on alignment, so a resumed run would differ from an unbroken
        # one.
        if parameter.data_ptr() % _ALIGNED:
            parameter.data = parameter.data.clone()
    missing = (*report["missing_keys"], *report["mismatched_keys"])
    return model, sorted(map(str, missing))


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence transformers' progress bars and logs, which would break the live view.

    Errors are still raised.
    """
    is_enabled = transformers_logging.is_progress_bar_enabled()
    verbosity = transformers_logging.get_verbosity()
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        if is_enabled:
            transformers_logging.enable_progress_bar()


def require_weights(path: str | Path, missing: Sequence[str]) -> None:
    """Raises CheckpointError if weights are lacking."""
    if missing:
        raise CheckpointError(
            f"{path} lacks {len(missing)} of the model's weights, for example {missing[0]}; "
            "it is half-written or of another architecture: save or download it again."
        )


def eos_ids(model: PreTrainedModel, tokenizer: Any) -> frozenset[int]:
    """Return the EOS token ids declared by the generation config, the config or the tokenizer."""
    return declared_eos_ids(getattr(model, "generation_config", None), model.config, tokenizer)


def max_positions(model: PreTrainedModel) -> int | None:
    """Return the maximum length of a sequence in tokens; None if the model states none."""
    return getattr(model.config, "max_position_embeddings", None)


def prepare(model: Any, name: str) -> PreTrainedModel:
    """Give a model r1kit's attention and norms, and remove dropout; `name` is for the error.

    Raises CheckpointError if its attention cannot be replaced.
    """
    layers = set(getattr(model.config.get_text_config(), "layer_types", None) or ())
    if getattr(model, "_is_stateful", False) or layers - _LAYERS:
        others = f" ({', '.join(sorted(layers - _LAYERS))})" if layers - _LAYERS else ""
        raise CheckpointError(
            f"{name} is a {type(model).__name__}, in which not all layers are attention{others}: "
            "their state would run on from one packed sequence into the next; choose a model of "
            "attention alone (Llama, Qwen, Gemma, ...)."
        )
    if not getattr(model, "_supports_attention_backend", False):
        raise CheckpointError(
            f"{name} is a {type(model).__name__}, whose attention cannot be replaced in "
            "transformers; choose a model of a newer architecture (Llama, Qwen, Gemma, ...)."
        )
    model.set_attn_implementation(attention.NAME)
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    replace_norms(model)
    ready: PreTrainedModel = model.eval()
    return ready
