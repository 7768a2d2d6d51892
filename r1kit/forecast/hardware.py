"""Hardware to forecast for: GPUs by name, or by number and memory.

Memory, dense bf16 FLOP/s with fp32 sums and bandwidth are those of the vendor's data sheets; prices
are round numbers of rented machines in 2026, used unless the recipe sets `cost.gpu_hour`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from r1kit.errors import ConfigError

GB = 1e9
TERA = 1e12
PER_MACHINE = 8
"""GPUs of a machine that share the link of their data sheet"""
NETWORK = 50 * GB
"""bytes per second of a GPU to other machines: 400 Gbit/s, as clusters for training have"""


@dataclass(frozen=True)
class Hardware:
    """GPUs of one kind: `Hardware("RTX 4090", 24, 165e12, 1008e9, 0.5)`."""

    name: str
    memory: float
    """bytes of one GPU"""
    flops: float
    """peak of one GPU: dense bf16 products with fp32 sums, per second"""
    bandwidth: float
    """bytes per second of its memory"""
    hour: float
    """price of one GPU for an hour, in dollars"""
    link: float = 25 * GB
    """bytes per second between GPUs: PCIe 4 without NVLink"""
    count: int = 1

    @property
    def slowest_link(self) -> float:
        """Bytes per second of a GPU to the others: their link, or the network between machines."""
        return self.link if self.count <= PER_MACHINE else min(self.link, NETWORK)


def _gpu(
    name: str, memory: float, teraflops: float, bandwidth: float, hour: float, link: float = 25
) -> Hardware:
    return Hardware(name, memory * GB, teraflops * TERA, bandwidth * GB, hour, link * GB)


GPUS = {
    gpu.name.lower().replace(" ", "-"): gpu
    for gpu in (
        _gpu("RTX 3060", 12, 51, 360, 0.10),
        _gpu("T4", 16, 65, 320, 0.35),
        _gpu("RTX 4060 Ti", 16, 88, 288, 0.15),
        _gpu("RTX 3090", 24, 71, 936, 0.25),
        _gpu("L4", 24, 121, 300, 0.70),
        _gpu("A10G", 24, 70, 600, 1.00),
        _gpu("RTX 4090", 24, 165, 1008, 0.45),
        _gpu("RTX 5090", 32, 209, 1792, 0.70),
        _gpu("A100 40GB", 40, 312, 1555, 1.20, 300),
        _gpu("RTX A6000", 48, 155, 768, 0.60),
        _gpu("L40S", 48, 362, 864, 0.90),
        _gpu("A100", 80, 312, 2039, 1.50, 300),
        _gpu("H800", 80, 989, 3350, 2.00, 200),
        _gpu("H100", 80, 989, 3350, 2.50, 450),
        _gpu("H200", 141, 989, 4800, 3.50, 450),
        _gpu("B200", 180, 2250, 8000, 5.00, 900),
    )
}
"""GPUs by name; the first of its memory stands for a GPU of which only the memory is stated"""
_STATED = re.compile(r"(?:(\d+)\s*x\s*)?(?:(\d+(?:\.\d+)?)\s*gi?b|(.+))", re.IGNORECASE)


def stated(text: str) -> Hardware:
    """Return the hardware that a user states: `h100`, `2x a100`, `1x24GB`.

    A GPU of which only the memory is stated is as fast as the slowest kind with that memory. Raises
    ConfigError for an unknown name.
    """
    match = _STATED.fullmatch(text.strip())
    count, memory, name = match.groups() if match else (None, None, text)
    if count is not None and int(count) < 1:
        raise ConfigError(f"--gpus {text} has no GPU; state at least one, as in 1x24GB.")
    n = int(count or 1)
    if memory is not None:
        return replace(_with_memory(float(memory) * GB), count=n)
    key = re.sub(r"[\s_]+", "-", name.strip().lower())
    if key not in GPUS:
        raise ConfigError(
            f"--gpus {text} names no GPU that is known here; name one of {', '.join(GPUS)}, or "
            "state number and memory, as in 1x24GB."
        )
    return replace(GPUS[key], count=n)


def _with_memory(memory: float) -> Hardware:
    smaller = [gpu for gpu in GPUS.values() if gpu.memory <= memory] or [*GPUS.values()][:1]
    most = max(gpu.memory for gpu in smaller)
    gpu = next(gpu for gpu in smaller if gpu.memory == most)
    return replace(gpu, name=f"{memory / GB:g} GB, as fast as an {gpu.name}", memory=memory)
