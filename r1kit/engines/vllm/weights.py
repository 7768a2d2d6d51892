"""Weights as a learner has published them, and the check that a server has taken them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from r1kit.engines.vllm.admin import VllmAdmin
from r1kit.errors import EngineError


@dataclass(frozen=True, slots=True)
class PublishedWeights:
    """A Hugging Face folder with weights, and what the learner computes with them."""

    version: int
    label: str
    """name of these weights on the servers, which no other run uses"""
    folder: Path
    text_ids: list[int]
    """tokens of a fixed text"""
    logprobs: list[float]
    """the learner's log-probabilities of all of them but the first, at temperature 1"""
    tolerance: float
    """largest mean difference from the log-probabilities of a server, in nats"""
    remedy: str
    """what to do if a server has other weights afterwards"""
    checksums: dict[str, str] = field(default_factory=dict)
    """SHA-256 of some of the parameters, by name"""


def load(admin: VllmAdmin, model: str, weights: PublishedWeights) -> None:
    """Make a server use these weights, unless it has them already, and check that it does.

    Raises LostServerError if it does not answer, EngineError if it has other weights afterwards.
    """
    if admin.weight_label() == weights.label:
        return
    admin.reload(weights.folder)
    check(admin, model, weights)
    admin.set_weight_label(weights.label)


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
