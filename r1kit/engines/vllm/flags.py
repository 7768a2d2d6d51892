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

    def arguments(self) -> list[str]:
        """Return vLLM's command-line arguments. Raises ConfigError for an unclosed quote."""
        try:
            others = shlex.split(self.others)
        except ValueError as error:
            raise ConfigError(f"--vllm-args cannot be read ({error}).") from None
        options = ["--tensor-parallel-size", str(self.tensor_parallel_size)]
        if self.max_model_len is not None:
            options += ["--max-model-len", str(self.max_model_len)]
        return [*options, *(["--enforce-eager"] if self.enforce_eager else []), *others]
