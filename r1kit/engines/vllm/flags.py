"""Options of a vLLM that r1kit starts, and the memory that they give it. Imports no torch."""

from __future__ import annotations

import argparse
import os
import shlex
from contextlib import suppress
from dataclasses import dataclass

from r1kit.errors import ConfigError

CPU_CACHE = "VLLM_CPU_KVCACHE_SPACE"
"""environment variable with the GiB of a server's KV cache on a CPU"""
CPU_CACHE_GIB = "2"
"""its value if the user states none"""
GPU_SHARE = 0.92
"""share of a GPU that vLLM 0.32 takes, weights included, if its options state none"""


@dataclass(frozen=True, slots=True)
class VllmFlags:
    """Options that vLLM is started with, besides the model."""

    tensor_parallel_size: int = 1
    max_model_len: int | None = None
    enforce_eager: bool = False
    others: str = ""
    """further vLLM options, written as in a shell"""
    max_lora_rank: int | None = None
    """largest rank of adapters that are loaded while it runs; None: it loads none"""

    def arguments(self) -> list[str]:
        """Return vLLM's command-line arguments. Raises ConfigError for an unclosed quote."""
        try:
            others = shlex.split(self.others)
        except ValueError as error:
            raise ConfigError(f"--vllm-args cannot be read ({error}).") from None
        options = ["--tensor-parallel-size", str(self.tensor_parallel_size)]
        if self.max_model_len is not None:
            options += ["--max-model-len", str(self.max_model_len)]
        if self.max_lora_rank is not None:
            options += ["--enable-lora", "--max-lora-rank", str(self.max_lora_rank)]
        return [*options, *(["--enforce-eager"] if self.enforce_eager else []), *others]


def cpu_cache_bytes() -> int:
    """Return the bytes of a server's KV cache on a CPU."""
    text = os.environ.get(CPU_CACHE, CPU_CACHE_GIB)
    return int(text if text.isdecimal() else CPU_CACHE_GIB) * 2**30


def gpu_share(others: str) -> float:
    """Return the share of a GPU's memory that vLLM takes with these options, written as in a shell.

    Options that cannot be read count as vLLM's default; vLLM itself refuses them when it starts.
    """
    parser = argparse.ArgumentParser(add_help=False, exit_on_error=False)
    parser.add_argument("--gpu-memory-utilization", type=float, default=GPU_SHARE)
    with suppress(argparse.ArgumentError, ValueError):
        return float(parser.parse_known_args(shlex.split(others))[0].gpu_memory_utilization)
    return GPU_SHARE
