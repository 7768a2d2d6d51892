"""Sections `[compute]` and `[cost]`: the machine, and its prices."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from r1kit.config.strict import StrictModel

KeepRule = Literal["newest", "last_and_best", "all"]


class ComputeConfig(StrictModel):
    """Hardware settings. The result depends on n_processes only through float rounding."""

    n_processes: Annotated[int, Field(ge=1)] | Literal["auto"] = "auto"
    """data-parallel processes; auto: one per physical core on a CPU, else one per GPU"""
    data_parallel_shard_degree: Annotated[int, Field(ge=-1)] = 1
    """processes that weights, gradients and optimizer state in training are sharded over (FSDP2);
    1: every process holds all of them; -1: over all processes"""
    threads: int = Field(1, ge=1)
    """torch threads per process"""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """auto: CUDA if available, else the CPU"""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """precision of the model in RL, fine-tuning and sampling; optimizers update float32 copies of
    the weights, and a new base is pretrained in float32"""
    micro_batch_tokens: int = Field(2048, ge=64)
    """tokens per forward and backward pass of the learner; affects only speed and memory"""
    gradient_checkpointing: bool = False
    """true: a backward pass computes the activations of each layer again instead of storing those
    of all layers; about a third slower"""
    peak_tflops: Annotated[float, Field(gt=0)] | Literal["auto"] = "auto"
    """peak TFLOP/s of a process, relative to which `time/mfu` is reported; auto: that of the data
    sheet for a known GPU in bfloat16, else the speed of a product of matrices, measured"""
    keep_checkpoints: KeepRule = "newest"
    """checkpoints of a stage that are kept: the newest two; the last one and the one with the best
    mean reward (loss without RL) in the ten steps before it, without optimizer state once the stage
    is finished; or all"""


class CostConfig(StrictModel):
    """Prices of the machine, for the report."""

    core_hour: float = Field(0.04, ge=0)
    """price of one CPU core per hour, in `currency`"""
    gpu_hour: float = Field(2.0, ge=0)
    """price of one GPU per hour, in `currency` (the R1 paper assumes 2 dollars per H800 hour)"""
    currency: str = "USD"
    """currency of both prices"""
