"""Rows of a data set of the Hugging Face hub, or of a folder that holds one, through `datasets`.

A data set that runs code of its own is refused by that library. The hub is asked once, with a short
timeout, before the library retries for half a minute; without the hub its cache is used.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from r1kit.errors import DataError, first_line, require
from r1kit.files.json_lines import JsonRow

HUB_TIMEOUT_S = 5.0
_TRUE = {"1", "ON", "YES", "TRUE"}
REMEDY = "connect once to download it, or set the path to a local copy"


def hub_rows(source: str, revision: str | None = None) -> Iterator[JsonRow]:
    """Yield the rows of `repository[:configuration[:split]]`, whose split is by default "train".

    The configuration `*` means all of them, one after the other; each row then has its name at
    "subject" if it has no other. Raises DataError in one sentence if the hub does not give them, at
    once if it is not reached.
    """
    require("datasets", "name a .jsonl, .json or .csv file as the path")
    import datasets

    repository, _, rest = source.partition(":")
    configuration, _, split = rest.partition(":")
    is_folder = Path(repository).is_dir()
    why = None if is_folder else _why_not_on_hub(repository)
    datasets.disable_progress_bars()
    datasets.logging.set_verbosity_error()
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    try:
        with _offline(datasets, why is not None):
            if configuration == "*":
                yield from _all_configurations(datasets, repository, split or "train", revision)
            else:
                yield from _load(
                    datasets, repository, configuration or None, split or "train", revision
                )
    except (MemoryError, DataError):
        raise
    except Exception as error:  # the library may raise anything, above all offline
        if why is not None:
            raise DataError(f"{source} {why}.") from None
        reason = first_line(error.__cause__ or error)
        raise DataError(
            f"{source} could not be loaded ({reason}); write it as repository:configuration:split, "
            "or name a file."
        ) from None


def is_offline(*names: str) -> bool:
    """True if one of these environment variables is set to a word for true."""
    return any(os.environ.get(name, "").upper() in _TRUE for name in names)


def _all_configurations(
    datasets: Any, repository: str, split: str, revision: str | None
) -> Iterator[JsonRow]:
    for name in datasets.get_dataset_config_names(repository, revision=revision):
        for row in _load(datasets, repository, name, split, revision):
            yield {"subject": name, **row}


def _load(
    datasets: Any, repository: str, configuration: str | None, split: str, revision: str | None
) -> Any:
    folder = Path(repository)
    saved = folder / (configuration or "") / split
    for path in (saved, folder / split, folder):  # as Dataset.save_to_disk writes them
        if (path / "state.json").exists():
            return datasets.load_from_disk(str(path))
    named = {} if revision is None or folder.is_dir() else {"revision": revision}
    return datasets.load_dataset(repository, configuration, split=split, **named)


def _why_not_on_hub(repository: str) -> str | None:
    """Return why the hub does not give a data set, in a phrase; None if it does."""
    if is_offline("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE"):
        return f"is not on this machine, and HF_HUB_OFFLINE is set; {REMEDY}"
    from huggingface_hub import HfApi, errors

    try:
        HfApi().dataset_info(repository, timeout=HUB_TIMEOUT_S)
    except errors.GatedRepoError:
        return "is given only to those who have agreed to its terms on the hub: `hf auth login`"
    except errors.RepositoryNotFoundError:
        return "is no data set of the hub, or a private one, which needs `hf auth login`"
    except Exception as error:  # what the hub's client raises depends on its version
        reason = first_line(error)
        return f"is not on this machine, and the hub cannot be reached ({reason}); {REMEDY}"
    return None


@contextmanager
def _offline(datasets: Any, is_offline: bool) -> Iterator[None]:
    """Let the library use its cache alone, without asking the hub again."""
    before = datasets.config.HF_HUB_OFFLINE
    datasets.config.HF_HUB_OFFLINE = before or is_offline
    try:
        yield
    finally:
        datasets.config.HF_HUB_OFFLINE = before
