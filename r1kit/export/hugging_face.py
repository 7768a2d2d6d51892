"""A model as an ordinary Hugging Face folder: merged weights, a chosen dtype, a card."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from r1kit.export import card
from r1kit.export.ollama import TEMPERATURE, TOP_P
from r1kit.files.atomic import CARD, MARKER
from r1kit.model import causal_lm, checkpoint, folder
from r1kit.model.policy import Policy
from r1kit.runs.run_reader import read


def write(model: Path | str, out: Path, dtype: str) -> Policy:
    """Write the model to the new folder `out`, and return it; `dtype` "auto" is that of the model.

    The folder holds no code and names none: `auto_map`, with which a folder can make other programs
    run code from the hub, is left out. Raises CheckpointError if the model does not open.
    """
    policy = Policy.load(model, "cpu", "auto" if dtype == "auto" else getattr(torch, dtype))  # type: ignore[arg-type]
    out.mkdir(parents=True)
    _forget_code(policy)
    generation = policy.module.generation_config
    if generation is not None:
        generation.update(do_sample=True, temperature=TEMPERATURE, top_p=TOP_P)
    with causal_lm.quiet():
        checkpoint.write_model(out, policy.module, policy.tokenizer)
    if text := card_of(model):
        (out / CARD).write_text(text, encoding="utf-8")
    return policy


def card_of(model: Path | str) -> str:
    """Return the card of a model: that of its run with the newest scores, else the one it has."""
    if isinstance(model, str):
        return ""
    run = model.resolve().parent.parent
    if (model / MARKER).exists() and (run / "manifest.json").exists():
        contents = read(run)
        manifest = folder.load_manifest(model)
        result = contents.results.get("stages", {}).get(manifest.stage, {})
        if result.get("checkpoint") == model.name:
            facts = card.gather(
                run, contents.manifest, contents.recipe, contents.results, manifest,
                result.get("prompt", ""),
            )  # fmt: skip
            return card.render(facts)
    own = model / CARD
    return own.read_text(encoding="utf-8") if own.is_file() else ""


def _forget_code(policy: Policy) -> None:
    settings: list[dict[str, Any]] = [vars(policy.module.config), policy.tokenizer.init_kwargs]
    for values in settings:
        values.pop("auto_map", None)
