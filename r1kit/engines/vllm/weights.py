"""Weights as a learner has published them, and the check that a server has taken them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from r1kit.engines.vllm.admin import VllmAdmin
from r1kit.errors import EngineError


@dataclass(frozen=True, slots=True)
class PublishedWeights:
    """Weights in a folder, and what the learner computes with them."""

    version: int
    label: str
    """name of these weights on the servers, which no other run uses"""
    folder: Path
    """Hugging Face folder of a whole model"""
    text_ids: list[int]
    """tokens of a fixed text"""
    logprobs: list[float]
    """the learner's log-probabilities of all of them but the first, at temperature 1"""
    tolerance: float
    """largest mean difference from the log-probabilities of a server, in nats"""
    remedy: str
    """what to do if a server has other weights afterwards"""
    adapter: Path | None = None
    """folder of an adapter in peft's format, and then `folder` is its base; None: there is none"""
    checksums: dict[str, str] = field(default_factory=dict)
    """SHA-256 of some of the parameters, by name"""


def load(admin: VllmAdmin, model: str, weights: PublishedWeights) -> str:
    """Make a server use these weights, unless it has them already, and check that it does.

    `model` is the name of the whole model; return the name for requests, which is that of the
    adapter if there is one. Below an adapter a server keeps the base with which it was started;
    the check tells whether it is the right one. Raises LostServerError if it does not answer,
    EngineError if it has other weights afterwards.
    """
    name = model if weights.adapter is None else weights.label
    previous = admin.weight_label()
    if previous == weights.label:
        return name
    if weights.adapter is None:
        admin.reload(weights.folder)
    else:
        admin.load_adapter(name, weights.adapter)
    check(admin, name, weights)
    admin.set_weight_label(weights.label)
    if previous in admin.adapters():
        admin.unload_adapter(previous)
    return name


def check(admin: VllmAdmin, model: str, weights: PublishedWeights) -> None:
    """Compare the weights of a server with the learner's. Raises EngineError if they differ."""
    if weights.checksums:
        theirs = {name.rpartition(":")[2]: value for name, value in admin.checksums().items()}
        for name, checksum in weights.checksums.items():
            if theirs.get(name, checksum) != checksum:
                raise EngineError(
                    f"vLLM at {admin.url} was given new weights, but its {name} is another one; "
                    "start it with the dtype of the recipe (compute.dtype), or restart it."
                )
    pairs = zip(admin.logprobs(model, weights.text_ids), weights.logprobs, strict=True)
    differences = [abs(theirs - ours) for theirs, ours in pairs]
    mean = sum(differences) / len(differences)
    if not mean <= weights.tolerance:  # also if it is not a number
        raise EngineError(
            f"With the same weights vLLM at {admin.url} gives a fixed text log-probabilities that "
            f"differ from the learner's by {mean:.2g} nats on average, and {weights.tolerance:g} "
            f"is allowed. {weights.remedy}"
        )
