"""Changed settings of an existing run: which ones differ, and whether they may."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from r1kit.config import FREE_SECTIONS, Recipe, without_later_keys
from r1kit.errors import RunError
from r1kit.runs.run_reader import read_manifest, read_recipe, stage_and_step
from r1kit.runs.stage_specs import STAGES, stage_order

FIRST = next(iter(STAGES))
"""stage that every setting outside the sections of stages affects"""
MAX_CHANGES = 5
"""maximum number of changed settings listed one by one"""


def refuse_other_recipe(path: Path, recipe: Recipe, again: str | None) -> None:
    """Raise RunError if a changed setting affects a stage that has begun and is not made again."""
    if not (path / "manifest.json").exists():
        return
    manifest = read_manifest(path)
    if manifest["recipe_hash"] == recipe.hash():
        return
    changes = _changes(read_recipe(path, manifest), recipe)
    first = min(map(_stage_of, changes), key=stage_order, default=FIRST)
    started = {stage_and_step(folder)[0] for folder in path.glob("checkpoints/*-*")}
    affected = [
        stage
        for stage in (*manifest["finished"], *started)
        if stage_order(stage) >= stage_order(first)
    ]
    if not affected or (again is not None and stage_order(again) <= stage_order(first)):
        return
    if manifest.get("name", recipe.name) != recipe.name:
        raise RunError(
            f"{path} holds a run of the recipe {manifest['name']!r}, not of {recipe.name!r}; use "
            f"another --out, for example runs/{recipe.name}."
        )
    listed = "; ".join([f"{key} {change}" for key, change in changes.items()][:MAX_CHANGES])
    listed = listed or "the recipe's defaults changed with the version of r1kit"
    rest = sorted({key.split(".")[0] for key in list(changes)[MAX_CHANGES:]}, key=stage_order)
    n_more = len(changes) - MAX_CHANGES
    others = f"; and {n_more} more settings of {', '.join(rest)}" if n_more > 0 else ""
    raise RunError(
        f"{path} holds a run of another recipe: {listed}{others}. Use another --out, or the same "
        f"settings to resume, or --from {first} to repeat that stage and all later ones."
    )


def _changes(old: dict[str, Any], recipe: Recipe) -> dict[str, str]:
    """Map each changed setting that affects the result to its old and new value."""
    settings = (old, recipe.model_dump(mode="json"))
    before, after = (_flat(without_later_keys(recipe_settings)) for recipe_settings in settings)
    return {
        key: f"was {before.get(key, 'not there')}, now {after.get(key, 'not there')}"
        for key in sorted(before.keys() | after.keys())
        if before.get(key) != after.get(key) and key.split(".")[0] not in FREE_SECTIONS
    }


def _stage_of(key: str) -> str:
    """Return the first stage a setting affects; one outside all sections affects every stage."""
    section = key.split(".")[0]
    named = (spec.name for spec in STAGES.values() if spec.section.split(".")[0] == section)
    return next(named, FIRST)


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    """Flatten `{"zero": {"n_steps": 5}}` to `{"zero.n_steps": 5}`; plain lists stay whole."""
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
        items = list(enumerate(value))
    else:
        return {prefix.rstrip("."): value}
    return {k: v for key, item in items for k, v in _flat(item, f"{prefix}{key}.").items()}
