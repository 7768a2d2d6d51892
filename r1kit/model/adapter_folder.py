"""Adapter folders in peft's format: opened on their base, merged into it, and written.

Only the settings in `_SETTINGS` are read from the folder: others of peft's could import
modules, and none of them changes a plain LoRA.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import save_file
from transformers import PreTrainedModel

from r1kit.errors import CheckpointError, first_line, require
from r1kit.model.find import ADAPTER_CONFIG, find_model
from r1kit.model.lora import ADAPTER
from r1kit.runs.validated import read_json

WEIGHTS = "adapter_model.safetensors"
REMEDY = "name a folder that peft has saved, or a whole model"
_SETTINGS = (
    "r", "lora_alpha", "target_modules", "exclude_modules", "rank_pattern", "alpha_pattern", "bias",
    "use_rslora", "use_dora", "fan_in_fan_out", "layers_to_transform", "layers_pattern",
    "modules_to_save",
)  # fmt: skip
_PLAIN_STARTS = ("gaussian", "orthogonal", "eva")
"""initial adapters that leave the base as it is"""


def is_adapter_folder(path: Path | str) -> bool:
    """Return True if a folder holds an adapter, and no whole model."""
    return (Path(path) / ADAPTER_CONFIG).is_file() and not (Path(path) / "config.json").exists()


def base_of(path: Path) -> Path | str:
    """Return the folder or hub id of the base model of an adapter folder.

    Raises CheckpointError if the adapter is no plain LoRA, names no base, or its base is missing.
    """
    config = plain_config(path)
    base = config.get("base_model_name_or_path")
    if not isinstance(base, str) or not base:
        raise CheckpointError(
            f"{path / ADAPTER_CONFIG} does not name the base of the adapter; write its folder or "
            "hub id there, as base_model_name_or_path."
        )
    try:
        return find_model(base)
    except CheckpointError as error:
        raise CheckpointError(
            f"The base of the adapter in {path} cannot be opened: {error} It is named in the "
            f"adapter's {ADAPTER_CONFIG}."
        ) from None


def plain_config(path: Path) -> dict[str, Any]:
    """Return the settings of an adapter. Raises CheckpointError if it is no plain LoRA."""
    config = _config(path)
    kind, start = config.get("peft_type"), config.get("init_lora_weights")
    if kind != "LORA":
        raise CheckpointError(f"The adapter in {path} is of the kind {kind!r}; r1kit opens LORA.")
    if isinstance(start, str) and start not in _PLAIN_STARTS:
        raise CheckpointError(
            f"The adapter in {path} began as {start!r}, which changes the base; merge it into its "
            "base with peft, and name the merged model."
        )
    return config


def merge_into(base: PreTrainedModel, path: Path, remedy: str | None = None) -> None:
    """Merge the adapter in a folder into its base; `remedy` ends the message if it does not fit.

    Raises DependencyError without peft, and CheckpointError if the adapter does not fit the base.
    """
    require("peft", f"merge the adapter in {path} into its base first")
    from peft import LoraConfig, PeftModel, get_peft_model_state_dict

    name = base.name_or_path or type(base).__name__
    remedy = remedy or f"correct base_model_name_or_path in its {ADAPTER_CONFIG}, or {REMEDY}"
    if not (path / WEIGHTS).is_file():
        raise CheckpointError(f"{path} has no {WEIGHTS}; save the adapter as safetensors.")
    try:
        with safe_open(path / WEIGHTS, "pt") as file:
            saved = set(file.keys())
        settings = {key: value for key, value in _config(path).items() if key in _SETTINGS}
        with warnings.catch_warnings(action="ignore"):
            adapted = PeftModel.from_pretrained(base, str(path), config=LoraConfig(**settings))
        differing = saved ^ get_peft_model_state_dict(adapted).keys()
        if differing:
            raise ValueError(f"{min(differing)} is only in one of them")
        adapted.merge_and_unload(safe_merge=True)
    except Exception as error:  # peft raises anything on a foreign adapter
        raise CheckpointError(
            f"The adapter in {path} does not fit its base {name} ({_reason(error)}); {remedy}."
        ) from None
    base.requires_grad_(True)


def write(path: Path, model: PreTrainedModel) -> None:
    """Write the adapter of a model with one; vLLM opens the folder on the model below it.

    The model carries its adapter without peft's wrapper, whose prefix all names get.
    """
    from peft import get_peft_model_state_dict

    state = get_peft_model_state_dict(model, adapter_name=ADAPTER)
    tensors = {
        f"base_model.model.{name}": tensor.detach().cpu().contiguous()
        for name, tensor in state.items()
    }
    path.mkdir(parents=True)
    model.peft_config[ADAPTER].save_pretrained(str(path))
    save_file(tensors, path / WEIGHTS)


def _reason(error: Exception) -> str:
    """Return the first line of the message that is no heading."""
    lines = [line for line in str(error).splitlines() if not line.rstrip().endswith(":")]
    return first_line(ValueError("\n".join(lines)) if lines else error)


def _config(path: Path) -> dict[str, Any]:
    config: dict[str, Any] | None = read_json(
        path / ADAPTER_CONFIG, dict[str, Any], REMEDY, CheckpointError
    )
    return config or {}
