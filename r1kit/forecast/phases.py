"""The memory of a process in the phases of a stage: sample, learn, update, save, evaluate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from r1kit.config import OptimizerName
from r1kit.forecast import memory
from r1kit.forecast.memory import MemoryParts, MicroBatch, Precision
from r1kit.forecast.model_shape import ModelShape

PHASES = ("sample", "learn", "update", "save", "evaluate")
PARTS = (
    "weights", "fp32 weights", "reference", "judges", "gradients", "optimizer", "activations",
    "logits", "packed weights", "KV cache", "sampler", "data", "copies", "program",
    "fragments",
)  # fmt: skip
MUON_COPIES = 3
"""arrays as large as the matrices during Muon's step: updates, their batch, and a product"""

Phases = Mapping[str, MemoryParts]
"""phase -> parts of the memory in bytes"""


@dataclass(frozen=True)
class LoadedModel:
    """A model in memory."""

    shape: ModelShape
    precision: Precision
    program: float
    """bytes of the process without a model"""
    is_gpu: bool = False
    is_checkpointed: bool = False
    """True with gradient checkpointing"""
    n_adapters: int | None = None
    """weights of LoRA adapters; None if all weights are trained"""

    @property
    def n_trained(self) -> int:
        return self.shape.n_parameters if self.n_adapters is None else self.n_adapters

    @property
    def weights(self) -> MemoryParts:
        return {"weights": memory.weights(self.shape, self.precision), "program": self.program}

    def moments(self, optimizer: OptimizerName) -> float:
        return memory.optimizer(self.n_trained, self.shape.n_matrices, optimizer)

    def sampler(self, rows: int, length: int) -> MemoryParts:
        """Return the parts of an engine with `rows` rows of at most `length` tokens."""
        cache = memory.kv_cache(self.shape, rows, length, self.precision)
        return {
            **self.packed_weights,
            "KV cache": cache,
            "sampler": memory.sampler(self.shape, rows),
        }

    @property
    def packed_weights(self) -> MemoryParts:
        """The copy of bfloat16 weights with which an engine on a CPU decodes (bf16_model.py)."""
        is_packed = self.precision.weight < memory.FP32 and not self.is_gpu
        return {"packed weights": self.weights["weights"]} if is_packed else {}

    def batch(self, batch: MicroBatch) -> MemoryParts:
        """Return the parts of a forward and backward pass."""
        return {
            "activations": memory.activations(
                self.shape, batch, self.precision, self.is_checkpointed, self.is_gpu
            ),
            "logits": memory.logits(self.shape, batch, self.is_gpu),
        }


def with_fragments(phases: Phases, is_gpu: bool) -> Phases:
    """Add to each phase what the allocator cannot use again."""
    made = {}
    for name, parts in phases.items():
        alive = sum(parts.values()) - parts.get("program", 0.0)
        made[name] = {**parts, "fragments": memory.fragments(alive, is_gpu)}
    return made


def sampling(model: LoadedModel, rows: int, length: int) -> MemoryParts:
    """Return the memory of a model that only samples."""
    return {**model.weights, **model.sampler(rows, length)}


def training(
    model: LoadedModel, batch: MicroBatch, optimizer: OptimizerName, n_processes: int,
    others: MemoryParts,
) -> Phases:  # fmt: skip
    """Return the phases of a training stage; `others` are held in all of them.

    Gradients are freed after each update. With several processes they are summed in buckets;
    saving copies the moments, and fp32 weights and reference if there are any; adapters are merged
    in a copy of the weights.
    """
    precision, moments = model.precision, model.moments(optimizer)
    masters = memory.masters(model.n_trained, precision)
    held = {**model.weights, **others, "fp32 weights": masters, "optimizer": moments}
    gradients = memory.gradients(model.n_trained, precision)
    muon = MUON_COPIES * model.shape.n_matrices * memory.FP32 if optimizer == "muon" else 0.0
    summed = min(gradients, memory.BUCKET * memory.FP32) if n_processes > 1 else 0.0
    merged = 0.0 if model.n_adapters is None else model.weights["weights"]
    return {
        "learn": {**held, "gradients": gradients, **model.batch(batch)},
        "update": {**held, "gradients": gradients, "copies": max(summed, muon)},
        "save": {
            **held,
            "copies": moments + masters + others.get("reference", 0.0) + merged,
        },
    }


def peak(phases: Phases) -> tuple[str, float]:
    """Return the phase with the most memory, and its bytes."""
    return max(((name, sum(parts.values())) for name, parts in phases.items()), key=lambda x: x[1])
