"""Seconds of the elementary operations of a run, and of the phases made of them. Pure functions.

The elementary seconds are measured on this machine (probe.py) or estimated for stated hardware
(`estimated`). Sources: 6 FLOPs per weight and trained token, 2 per weight and sampled one (Kaplan
et al. 2020, section 2.1), and the roofline of decoding, which reads all weights and keys for every
step (Pope et al. 2022, section 2).
"""

from __future__ import annotations

from dataclasses import dataclass

from r1kit.forecast.hardware import Hardware
from r1kit.forecast.memory import FP32, Precision
from r1kit.forecast.model_shape import ModelShape
from r1kit.model.flops import flops_of_shape

LEARN_EFFICIENCY = 0.35
"""share of the peak FLOP/s that training reaches on a GPU; 0.3 to 0.45 are usual"""
DECODE_EFFICIENCY = 0.5
"""share of the memory bandwidth that a decoding step reaches on a GPU"""
WEIGHTS_SHARE = 0.7
"""most of a GPU's memory that vLLM gives to weights, so that there is room for its cache"""
LAUNCH_S = 8e-6
"""time a GPU needs at least for an operation"""
DECODE_OPERATIONS, LEARN_OPERATIONS = 16, 150
"""operations of a layer in a decoding step (model/fused.py), and in a forward and backward pass"""
OPTIMIZER_PASSES = 7
"""reads and writes of an array as large as the weights, in clipping and AdamW"""


@dataclass(frozen=True)
class Timings:
    """Seconds of elementary operations, of one process while all of them work."""

    prefill_token: float
    """per prompt token"""
    decode_step: float
    """per decoding step, whatever the number of rows"""
    decode_row: float
    """per row and decoding step"""
    decode_key: float
    """per row, decoding step and token in its cache"""
    learn_token: float
    """forward and backward pass, per token in the layers"""
    update: float
    """optimizer step, with the sum of the gradients over all processes"""
    learn_batch: float = 0.0
    """per forward and backward pass, whatever its size; measured ones have it in `learn_token`"""
    learn_length: float = 0.0
    """tokens per sequence at which `learn_token` was measured; 0 if at the recipe's own"""
    publish: float = 0.0
    """moving new weights to the sampler"""


def sampling_seconds(
    timings: Timings, n_completions: int, length: float, longest: float, rows: int, prompt: float
) -> float:
    """Return the seconds in which a process samples completions, after prompts of `prompt` tokens.

    They have `length` tokens on average, and the longest as many as they may. With `rows` of them
    in flight there are n_completions / rows x length decoding steps, but at least as many as the
    longest has tokens. A row has read its prompt and, on average, half of its completion.
    """
    rows = min(rows, n_completions)
    if not rows:
        return 0.0
    n_tokens = n_completions * length
    row = timings.decode_row + timings.decode_key * (prompt + length / 2)
    return max(n_tokens / rows, longest) * timings.decode_step + n_tokens * row


def learning_seconds(timings: Timings, n_tokens: float, n_batches: float, n_updates: int) -> float:
    """Return the seconds in which a process trains on tokens in micro-batches and updates."""
    passes = n_tokens * timings.learn_token + n_batches * timings.learn_batch
    return passes + n_updates * timings.update


def learn_flops(shape: ModelShape, length: float) -> float:
    """Return the FLOPs per token of a forward and backward pass over sequences of `length`."""
    width = shape.attention_width or shape.hidden
    flops = flops_of_shape(shape.n_active, shape.n_layers, width)
    return flops.per_token + flops.per_pair * length


def n_vllm_gpus(weights: float, hardware: Hardware) -> int:
    """Return the GPUs of a server: the smallest power of two that leaves room for a cache."""
    n = 1
    while n < hardware.count and weights > n * WEIGHTS_SHARE * hardware.memory:
        n *= 2
    return n


def estimated(
    shape: ModelShape,
    hardware: Hardware,
    precision: Precision,
    rows: int,
    length: float,
    n_shards: int = 1,
    is_vllm: bool = False,
) -> Timings:
    """Return timings by formula for a GPU, from its peaks and stated efficiencies.

    A decoding step takes the longer of reading all weights and computing 2 FLOPs per weight and
    row; and no less than the launches of its operations. Communication is not hidden behind
    computation: gradients are summed over all copies of a weight; a sharded model is gathered for
    every forward and every backward pass, its gradients are summed after each of these, and it is
    gathered whole for the sampler. vLLM splits weights that one GPU does not hold.
    """
    flops = hardware.flops * LEARN_EFFICIENCY
    bandwidth = hardware.bandwidth * DECODE_EFFICIENCY
    weights = shape.n_parameters * precision.weight
    read = weights / (n_vllm_gpus(weights, hardware) if is_vllm else 1) / bandwidth
    launches = shape.n_layers * DECODE_OPERATIONS * LAUNCH_S
    per_row = 2 * shape.n_active / flops
    held = shape.n_parameters / n_shards
    update = OPTIMIZER_PASSES * held * FP32 / bandwidth
    if hardware.count > n_shards:
        update += 2 * held * precision.gradient / hardware.slowest_link
    moved = shape.n_parameters * (1 - 1 / n_shards) / hardware.slowest_link
    return Timings(
        prefill_token=2 * shape.n_active / flops,
        decode_step=max(read, launches),
        decode_row=0.0 if rows * per_row < read else per_row,
        decode_key=shape.kv_floats * precision.weight / bandwidth,
        learn_token=learn_flops(shape, length) / flops,
        update=update + shape.n_layers * DECODE_OPERATIONS * LAUNCH_S,
        learn_batch=shape.n_layers * LEARN_OPERATIONS * LAUNCH_S
        + moved * (2 * precision.weight + precision.gradient),
        publish=moved * precision.weight,
    )
