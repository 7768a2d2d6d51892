"""The memory of a process by part, in bytes, in each phase of a stage. Pure functions.

The formulas follow the code they describe; tests compare them with what autograd saves, and
benchmarks/forecast.py with the peak of real runs. Units: T tokens of a micro-batch after shared
prefixes are merged, S scored tokens, R rows, V vocabulary. Sources: the accounting of weights,
gradients and moments is that of ZeRO (Rajbhandari et al. 2020, section 3), the one of activations
follows Korthikanti et al. 2022 (section 4) with r1kit's own layers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from r1kit.config import OptimizerName
from r1kit.forecast.model_shape import ModelShape

FP32 = 4
LOGIT_COPIES, CHUNK_COPIES = 3, 2
"""[S, V] arrays alive at the start of the backward pass: log-probabilities and two gradients; or,
in chunks of tokens, logits and their exponentials"""
MAX_LOGITS = {False: 2**24, True: 2**26}
"""logits of a chunk on a CPU, and on a GPU (model/head.py)"""
SAMPLER_COPIES = 5
"""[R, V] arrays alive while a token is sampled: logits, their gathered copy, scores,
probabilities, and those again in blocks (engines/local/sampling.py)"""
BUCKET = 2**24
"""gradients that are summed over processes at once (model/ranks.py)"""
KEPT_BUFFERS, FRAGMENT_SHARE = 0.12e9, 0.08
"""bytes of buffers that libraries keep once they have worked; share of the memory that the
allocator cannot use again (benchmarks/forecast.py)"""
FLOATS_PER_DOCUMENT_TOKEN = 11
"""a token of a document in Python lists: its id as an object, and two list entries"""

MemoryParts = Mapping[str, float]
"""part of the memory -> bytes"""


@dataclass(frozen=True)
class Precision:
    """Bytes per number."""

    weight: int = FP32
    gradient: int = FP32
    master: int = 0
    """of the fp32 copy of a weight in lower precision, which the optimizer updates"""


@dataclass(frozen=True)
class MicroBatch:
    """The largest forward and backward pass of a stage: `MicroBatch(1144, 1984, 1024)`."""

    tokens: float
    """tokens in the layers, after shared prefixes are merged"""
    cells: float
    """tokens in attention, where every sequence is whole"""
    scored: float
    """tokens with a loss"""


def weights(shape: ModelShape, precision: Precision) -> float:
    return float(shape.n_parameters * precision.weight)


def gradients(n_trained: int, precision: Precision) -> float:
    return float(n_trained * precision.gradient)


def optimizer(n_trained: int, n_matrices: int, name: OptimizerName) -> float:
    """Return the moments: two per trained weight in AdamW, one for each of `n_matrices` in Muon.

    8-bit AdamW has a byte per moment, and a scale per 256 of them, which is neglected.
    """
    n_moments = 2 * n_trained - (n_matrices if name == "muon" else 0)
    return float(n_moments * (1 if name == "adamw8bit" else FP32))


def masters(n_trained: int, precision: Precision) -> float:
    """Return the fp32 copies of the trained weights."""
    return float(n_trained * precision.master)


def activations(
    shape: ModelShape,
    batch: MicroBatch,
    precision: Precision,
    is_checkpointed: bool = False,
    is_gpu: bool = False,
) -> float:
    """Return what the forward pass saves for the backward pass, without the logits.

    A Llama layer of width h, with q query and k key features, a heads and f features inside its
    feed-forward block, saves 4h + 2q + 2k + a + 4f + 2 floats per token: two normed and two scaled
    inputs of width h with their two scales; queries, keys, values and outputs of attention with a
    normaliser per head; and four arrays inside the gated block. Attention saves its own part per
    cell, and a copy of its output per token if cells and tokens differ. With gradient checkpointing
    a layer saves its input, and one layer at a time all of this. In bfloat16 norms save their
    normed input in float32, and on a CPU attention runs in float32.
    """
    width, has_cells = precision.weight, batch.cells != batch.tokens
    token = width * shape.layer_floats + (FP32 - width) * shape.wide_floats
    gathered = (batch.cells - batch.tokens) * shape.cell_floats * (width if is_gpu else FP32)
    copied = batch.tokens * shape.hidden * width if has_cells else 0.0
    layer = batch.tokens * token + gathered + copied
    inputs = shape.n_layers * batch.tokens * shape.hidden * width
    layers = inputs + layer if is_checkpointed else shape.n_layers * layer
    return layers + batch.tokens * shape.outer_floats * width


def logits(shape: ModelShape, batch: MicroBatch, is_gpu: bool = False) -> float:
    """Return the fp32 arrays over scored tokens and vocabulary, and the gradient of the head."""
    n_logits = batch.scored * shape.vocab_size
    is_chunked = n_logits > MAX_LOGITS[is_gpu]
    alive = CHUNK_COPIES * MAX_LOGITS[is_gpu] if is_chunked else LOGIT_COPIES * n_logits
    return float(alive + (shape.hidden * shape.vocab_size if n_logits else 0)) * FP32


def kv_cache(shape: ModelShape, rows: int, length: int, precision: Precision) -> float:
    """Return the rows of the cache, each as long as the longest sequence."""
    return float(rows * length * shape.kv_floats * precision.weight)


def sampler(shape: ModelShape, rows: int) -> float:
    """Return the fp32 arrays over rows and vocabulary in which a token is sampled."""
    return float(SAMPLER_COPIES * rows * shape.vocab_size * FP32)


def documents(n_tokens: float) -> float:
    """Return the documents of a pretraining stage, as Python lists."""
    return n_tokens * FLOATS_PER_DOCUMENT_TOKEN * FP32


def fragments(n_bytes: float, is_gpu: bool = False) -> float:
    """Return what a process holds besides the parts that are alive, `n_bytes` together."""
    return FRAGMENT_SHARE * n_bytes + (0.0 if is_gpu else KEPT_BUFFERS)
