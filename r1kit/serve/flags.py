"""What a vLLM of our own is started with, as the command takes it. Imports no torch."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from r1kit.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Flags:
    """What vLLM is started with, besides the model."""

    tensor_parallel_size: int = 1
    max_model_len: int | None = None
    enforce_eager: bool = False
    others: str = ""
    """as one would write them in a shell"""

    def arguments(self) -> list[str]:
        """As vLLM takes them. Raises ConfigError for a quote that is never closed."""
        try:
            others = shlex.split(self.others)
        except ValueError as error:
            raise ConfigError(f"--vllm-args cannot be read ({error}).") from None
        told = ["--tensor-parallel-size", str(self.tensor_parallel_size)]
        if self.max_model_len is not None:
            told += ["--max-model-len", str(self.max_model_len)]
        return [*told, *(["--enforce-eager"] if self.enforce_eager else []), *others]
