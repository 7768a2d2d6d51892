"""Which model a person means: a folder, a run, or a model on the hub. Torch-free.

The one place that tells a path from a hub id, so that a mistyped path is refused at once and not
after the hub has been asked for it.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from r1kit.errors import CheckpointError
from r1kit.evidence import newest_checkpoint

_PART = r"[A-Za-z0-9][A-Za-z0-9._-]*"
_HUB_ID = re.compile(f"{_PART}/{_PART}")
_TRUE = {"1", "ON", "YES", "TRUE"}


def find_model(name: str | Path) -> Path | str:
    """The folder to open, or a hub id: `runs/tiny` → `runs/tiny/checkpoints/zero-000120`.

    A run stands for its newest checkpoint. Nothing is opened, and the network is not asked. Raises
    CheckpointError for a run without checkpoint, and for a path where nothing is.
    """
    path = Path(name).expanduser()
    if not path.exists():
        _refuse_missing(str(name))
        return str(name)
    if not (path / "manifest.json").exists():
        return path
    newest = newest_checkpoint(path)
    if newest is None:
        raise CheckpointError(
            f"The run {path} has no checkpoint yet; resume it with `r1 run`, then come back."
        )
    return newest


def is_hub_id(name: str) -> bool:
    """Whether this has the form `org/name` and is not about a folder that is here: `runs/tnyi`."""
    return bool(_HUB_ID.fullmatch(name)) and not Path(name).parent.exists()


def _refuse_missing(name: str) -> None:
    if not is_hub_id(name):
        raise CheckpointError(
            f"There is no checkpoint at {name}; name a folder that holds one, the folder of a run, "
            "or a hub id (org/name)."
        )
    if _is_offline() and not _is_downloaded(name):
        raise CheckpointError(
            f"There is no folder {name}, and as a hub id it is not on this machine, which is to "
            "stay offline (HF_HUB_OFFLINE); download it first, or name a folder."
        )


def _is_offline() -> bool:
    names = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
    return any(os.environ.get(name, "").upper() in _TRUE for name in names)


def _is_downloaded(hub_id: str) -> bool:
    from huggingface_hub import try_to_load_from_cache

    return isinstance(try_to_load_from_cache(hub_id, "config.json"), str)
