"""The machine a forecast is for: this one, or one of stated hardware."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import psutil

from r1kit.config import CostConfig
from r1kit.forecast.hardware import Hardware

_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
"""files with the memory limit of a container"""


@dataclass(frozen=True)
class Machine:
    """Memory and price of the machine that a recipe is to run on."""

    name: str
    n_processes: int
    memory: float
    """bytes: of one GPU, or of all processes together on a CPU"""
    is_shared: bool
    """True if all processes share this memory"""
    hour: float
    """price of an hour of the whole machine, in `currency`"""
    currency: str
    is_measured: bool
    """True if seconds are measured on it, False if they are estimated"""
    load: float = 0.0
    """runnable processes while it was measured"""

    def needs(self, per_process: float) -> float:
        """Return the bytes that count against `memory`."""
        return per_process * (self.n_processes if self.is_shared else 1)


def stated_machine(hardware: Hardware, n_processes: int, cost: CostConfig) -> Machine:
    """Return a machine of stated GPUs, at the recipe's price if it has one."""
    is_priced = "gpu_hour" in cost.model_fields_set
    hour = cost.gpu_hour if is_priced else hardware.hour
    currency = cost.currency if is_priced else "USD"
    return Machine(
        f"{hardware.count}x {hardware.name}", n_processes, hardware.memory,
        is_shared=False, hour=hour * hardware.count, currency=currency, is_measured=False,
    )  # fmt: skip


def this_machine(
    device: str, device_memory: float | None, n_processes: int, threads: int,
    cost: CostConfig, load: float,
) -> Machine:  # fmt: skip
    """Return this machine: its GPUs, or its cores with the memory that is free now."""
    if device_memory is not None:
        return Machine(
            f"{n_processes} GPU{'s' * (n_processes > 1)} of this machine", n_processes,
            device_memory, is_shared=False, hour=cost.gpu_hour * n_processes,
            currency=cost.currency, is_measured=True, load=load,
        )  # fmt: skip
    n_cores = n_processes * threads
    return Machine(
        f"{n_cores} core{'s' * (n_cores > 1)} of this machine", n_processes, free_memory(),
        is_shared=True, hour=cost.core_hour * n_cores, currency=cost.currency, is_measured=True,
        load=load,
    )  # fmt: skip


def free_memory() -> float:
    """Return the bytes that new processes can use here, within the limit of a container."""
    memory = psutil.virtual_memory()
    limits = [_limit(Path(file)) for file in _LIMITS]
    return float(min(memory.available, *(limit for limit in limits if limit), memory.total))


def _limit(file: Path) -> int | None:
    try:
        text = file.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None
