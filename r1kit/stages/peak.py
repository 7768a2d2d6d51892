"""The peak FLOP/s of the ranks of a run: stated, known from a data sheet, or measured."""

from __future__ import annotations

import torch

from r1kit.config import ComputeConfig
from r1kit.forecast.hardware import GPUS
from r1kit.model.flops import measured_peak
from r1kit.model.ranks import Ranks

FP32_STAGES = ("base", "preference")
"""families of stages that learn in float32, whatever `compute.dtype` says"""


def peak_flops(config: ComputeConfig, ranks: Ranks, dtype: torch.dtype) -> float:
    """Return the peak of all ranks together; call it on every rank, as they measure at once."""
    if config.peak_tflops != "auto":
        return config.peak_tflops * 1e12 * ranks.size
    known = known_peak(_gpu_name(ranks.device)) if dtype == torch.bfloat16 else None
    ranks.barrier()
    own = measured_peak(ranks.device, dtype) if known is None else known
    return sum(ranks.gather(own))


def known_peak(name: str) -> float | None:
    """Return the bfloat16 peak of a GPU by torch's name for it: `NVIDIA H100 80GB HBM3`."""
    words = name.lower().replace("-", " ").split()
    matching = [key for key in GPUS if set(key.split("-")) <= set(words)]
    return GPUS[max(matching, key=len)].flops if matching else None


def _gpu_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else ""
