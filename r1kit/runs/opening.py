"""Opens a run folder for writing: refuses foreign folders, takes the lock, writes the manifest."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from r1kit.config import Recipe
from r1kit.errors import RunError
from r1kit.files.atomic import (
    TEMPORARY,
    lock,
    replace_file,
    seal,
    to_json,
)
from r1kit.files.checksums import Checksum
from r1kit.runs.provenance import new_manifest, session
from r1kit.runs.run_reader import (
    read_manifest,
)
from r1kit.runs.stage_specs import stage_order


def refuse_foreign(path: Path) -> None:
    if path.exists() and not path.is_dir():
        raise RunError(f"{path} is a file; name a folder with --out.")
    if not path.exists() or (path / "manifest.json").exists():
        return
    # A process killed while creating the run may have left these files.
    ours = {"lock", "recipe.json", "checkpoints"}
    foreign = [
        entry.name
        for entry in path.iterdir()
        if entry.name not in ours and not entry.name.startswith(TEMPORARY)
    ]
    if foreign or any(path.glob("checkpoints/*")):
        example = foreign[0] if foreign else "checkpoints"
        raise RunError(
            f"{path} is not empty and not a run (it holds {example!r}, but no manifest.json); "
            "use another --out."
        )


def take_lock(path: Path) -> int:
    file = path / "lock"
    descriptor = lock(file)
    if descriptor is None:
        holder = file.read_bytes()[:32].decode(errors="replace").strip() or "unknown"
        raise RunError(
            f"{path} is in use by process {holder}; wait for it, stop it with `kill {holder}`, "
            "or use another --out."
        )
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, str(os.getpid()).encode(), 0)
    return descriptor


def chosen(items: Mapping[str, Any], is_chosen: Callable[[str], bool]) -> dict[str, Any]:
    return {key: value for key, value in items.items() if is_chosen(key)}


def write_manifest(path: Path, recipe: Recipe, again: str | None) -> None:
    """Write manifest.json and recipe.json.

    For a new run the manifest is written last, since it makes the folder a run. For an existing run
    it is written first: it marks the stages to delete, so that a kill cannot leave the deletion
    half done.
    """
    file, recipe_file = path / "manifest.json", path / "recipe.json"
    this = session()
    is_new = not file.exists()
    manifest = (
        new_manifest(recipe.name, recipe.hash(), recipe.seed, this)
        if is_new
        else read_manifest(path)
    )
    manifest["sessions"].append(this)
    # Settings that may differ are taken from the resuming recipe.
    manifest["recipe_hash"] = recipe.hash()
    if again is not None:
        first = min((again, manifest.get("forgetting", again)), key=stage_order)
        manifest["forgetting"] = first
        manifest["finished"] = chosen(
            manifest["finished"], lambda name: stage_order(name) < stage_order(first)
        )
        lineage = [entry for entry in manifest["lineage"] if entry["stage"] in manifest["finished"]]
        manifest["lineage"] = lineage
    resolved = to_json(recipe.model_dump(mode="json"), indent=2) + "\n"
    manifest["recipe_file"] = str(Checksum(resolved.encode()))
    texts = {file: to_json(seal(manifest), indent=2) + "\n", recipe_file: resolved}
    for target in (recipe_file, file) if is_new else (file, recipe_file):
        replace_file(target, texts[target])
