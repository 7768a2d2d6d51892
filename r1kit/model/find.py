"""Resolve a model name to a folder, a run's newest checkpoint, a file, or a hub id. Torch-free.

The only place that tells paths from hub ids, so that a mistyped path is refused at once.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from r1kit.errors import CheckpointError, first_line, require
from r1kit.files.hub import HUB_TIMEOUT_S, is_offline
from r1kit.files.text_files import did_you_mean
from r1kit.runs.run_reader import newest_checkpoint

_PART = r"[A-Za-z0-9][A-Za-z0-9._-]*"
HUB_ID = re.compile(f"{_PART}/{_PART}")
_GGUF_PART = re.compile(r"-\d{5}-of-(?!00001$)\d{5}$")
ADAPTER_CONFIG = "adapter_config.json"
"""file in which peft describes an adapter"""


def find_model(name: str | Path) -> Path | str:
    """Return the folder or GGUF file to open, or a hub id.

    A run resolves to its newest checkpoint: `runs/tiny` → `runs/tiny/checkpoints/zero-000120`.
    Nothing is opened; the hub is queried once, with a short timeout, for an id that is not cached
    on this machine. Raises CheckpointError for a run without a checkpoint, a path that does not
    exist, and an id that is not on the hub or cannot be looked up; DependencyError for a GGUF file
    if the packages that read it are not installed.
    """
    path = Path(name).expanduser()
    if not os.path.lexists(path):
        _refuse_missing(str(name))
        return str(name)
    if not os.path.exists(path / "manifest.json"):
        require_existing(path)
        return path
    newest = newest_checkpoint(path)
    if newest is None:
        raise CheckpointError(
            f"The run {path} has no checkpoint yet; resume it with `r1 run` first."
        )
    return newest


def require_existing(path: Path) -> None:
    """Raise an R1Error, as `find_model` does, if there is no model at `path`."""
    if is_gguf(path) and os.path.isfile(path):
        _require_gguf(path)
        return
    if not os.path.isdir(path):
        raise CheckpointError(f"There is no checkpoint at {path}; name a folder that holds one.")
    if not os.access(path, os.R_OK | os.X_OK):
        raise CheckpointError(f"{path} cannot be read; change its permissions.")
    if not any(os.path.exists(path / name) for name in ("config.json", ADAPTER_CONFIG)):
        ggufs = sorted(filter(is_gguf, path.iterdir()))
        advice = f"the file {ggufs[0]}" if ggufs else "one in the run's checkpoints/"
        raise CheckpointError(
            f"{path} holds no model (no config.json); name a checkpoint, for example {advice}."
        )


def is_gguf(path: Path | str) -> bool:
    """True if `path` names a GGUF file: a whole model in one file, as llama.cpp writes it."""
    return str(path).lower().endswith(".gguf")


def _require_gguf(path: Path) -> None:
    if _GGUF_PART.search(path.stem):
        raise CheckpointError(
            f"{path} is one part of a split model; join the parts with llama.cpp's "
            "`llama-gguf-split --merge`, and name the result."
        )
    try:
        with path.open("rb") as file:
            magic = file.read(4)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read ({error.strerror}).") from None
    if magic != b"GGUF":
        raise CheckpointError(
            f"{path} is no GGUF file: it does not begin with the letters GGUF; download it again."
        )
    for package in ("gguf", "accelerate"):
        require(package)


def is_hub_id(name: str) -> bool:
    """True if `name` looks like `org/name` and `org` is no local folder (unlike `runs/tnyi`)."""
    return bool(HUB_ID.fullmatch(name)) and not Path(name).parent.exists()


def _refuse_missing(name: str) -> None:
    if not is_hub_id(name):
        raise CheckpointError(
            f"There is no checkpoint at {name}{did_you_mean(Path(name))} Name a folder that holds "
            "one, the folder of a run, a .gguf file, or a hub id (org/name)."
        )
    if _is_downloaded(name):
        return
    if is_offline("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        raise CheckpointError(
            f"There is no folder {name}, and the hub model of that name is not on this machine; "
            "allow the download (HF_HUB_OFFLINE is set), copy it here, or name a folder."
        )
    if why := why_not_on_hub(name):
        raise CheckpointError(f"There is no folder {name} here, and {why}")


def why_not_on_hub(hub_id: str) -> str | None:
    """Query the hub before transformers does, which retries for half a minute and logs each try."""
    from huggingface_hub import errors, get_hf_file_metadata, hf_hub_url

    try:
        get_hf_file_metadata(hf_hub_url(hub_id, "config.json"), timeout=HUB_TIMEOUT_S)
    except errors.GatedRepoError:
        return "the hub gives it only to those who have agreed to its terms: `hf auth login`."
    except errors.RepositoryNotFoundError:
        return "the hub has no model of that name (a private one needs `hf auth login`)."
    except errors.EntryNotFoundError:
        return "on the hub it holds no model (no config.json); download a .gguf file to open one."
    except Exception as error:  # what the hub's client raises depends on its version
        reason = first_line(error)
        return f"the hub cannot be asked ({reason}); see whether path and network are right."
    return None


def _is_downloaded(hub_id: str) -> bool:
    from huggingface_hub import try_to_load_from_cache

    return isinstance(try_to_load_from_cache(hub_id, "config.json"), str)
