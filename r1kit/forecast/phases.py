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
    "weights", "fp32 weights", "whole weights", "reference", "judges", "gradients", "optimizer",
    "activations", "logits", "packed weights", "KV cache", "sampler", "data", "copies", "program",
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
    n_shards: int = 1
    """processes that hold a model in training together (model/sharding.py)"""
    is_sampled_by_vllm: bool = False
    """True if the sampler's memory is that of servers, which is not counted"""

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
        if self.is_sampled_by_vllm:
            return {}
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
        is_packed = is_packed and not self.is_sampled_by_vllm
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
    """Return the phases of a training stage; `others` are held in all of them, sharded or not.

    Gradients are freed after each update. With several processes they are summed in buckets;
    saving copies the moments, and fp32 weights and reference if there are any; adapters are merged
    in a copy of the weights.
    """
    if model.n_shards > 1:
        return _sharded_training(model, batch, optimizer, others)
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


def _sharded_training(
    model: LoadedModel, batch: MicroBatch, optimizer: OptimizerName, others: MemoryParts
) -> Phases:
    """Return the phases of one of the processes that hold a model together.

    Weights are in fp32, or frozen in their own precision. Embedding and head, and two layers, are
    gathered at a time; the gradients of the first and of one layer are whole before they are
    summed. Saving copies the parts that a process writes.
    """
    shape, own, n = model.shape, model.precision, model.n_shards
    n_muon = shape.n_matrices if optimizer == "muon" else 0
    is_adapted = model.n_adapters is not None
    outer = shape.hidden * shape.vocab_size
    layer = max(0, shape.n_parameters - outer) / shape.n_layers
    gathered = (outer + 2 * layer) * own.weight
    weights = shape.n_parameters * (own.weight if is_adapted else memory.FP32) / n
    share = 1 if is_adapted else n  # adapters are whole
    moments = model.moments(optimizer) / share
    gradients = memory.gradients(model.n_trained, own) / share
    whole = 0.0 if is_adapted else (outer + layer) * memory.FP32
    held = {"program": model.program, **others, "optimizer": moments}
    muon = MUON_COPIES * n_muon * memory.FP32
    return {
        "learn": {
            **held, "weights": weights + gathered, "gradients": gradients + whole,
            **model.batch(batch),
        },
        "update": {**held, "weights": weights, "gradients": gradients, "copies": muon},
        "save": {
            **held, "weights": weights,
            "copies": moments + weights + others.get("reference", 0.0),
        },
    }  # fmt: skip


def peak(phases: Phases) -> tuple[str, float]:
    """Return the phase with the most memory, and its bytes."""
    return max(((name, sum(parts.values())) for name, parts in phases.items()), key=lambda x: x[1])
