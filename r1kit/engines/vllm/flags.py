"""Options of `r1 serve` for the vLLM that it starts. Imports no torch."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from r1kit.errors import ConfigError


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
