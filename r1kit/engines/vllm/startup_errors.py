"""Explanations of why a vLLM did not start, or ended: its last output and what to do."""

from __future__ import annotations

import re
from collections.abc import Sequence

N_LINES = 6
"""number of output lines shown"""
CAUSES = (
    (
        r"No module named '?vllm",
        "This Python has no vLLM: pip install vllm in it, or name one that has, "
        "R1_VLLM=/path/to/python.",
    ),
    (r"unrecognized arguments: (.*)", "This vLLM does not know {0}; see --vllm-args."),
    (
        r"greater than the derived max_model_len",
        "The model reads less than --max-model-len; lower it.",
    ),
    (
        r"heads.*must be divisible by tensor parallel size",
        "--tensor-parallel-size must divide the number of the model's attention heads.",
    ),
    (
        r"(?i)(?:world size|tensor.parallel.size).*(?:larger|greater|exceed|available)",
        "There are fewer GPUs than --tensor-parallel-size; lower it.",
    ),
    (
        r"VLLM_CPU_KVCACHE_SPACE|No available memory for the cache blocks|KV cache is needed"
        r"|larger than the (?:maximum number of tokens|available KV cache)",
        "The cache of keys and values does not fit: lower --max-model-len, give more GPUs "
        "(--tensor-parallel-size), or --vllm-args='--gpu-memory-utilization 0.95' (on a CPU "
        "VLLM_CPU_KVCACHE_SPACE=4, in GB).",
    ),
    (
        r"out of memory|OutOfMemoryError|Free memory on device|Killed|Cannot allocate memory",
        "The memory is not enough: end other programs, give more GPUs (--tensor-parallel-size), "
        "or serve a smaller model.",
    ),
    (
        r"Failed to infer device type|no NVIDIA driver|CUDA driver version|libcuda",
        "vLLM finds no device it was built for; on a machine without GPU it must be vllm-cpu.",
    ),
    (
        r"architectures? .*not supported",
        "This vLLM does not know the model's architecture; a newer one may.",
    ),
    (
        r"Repository Not Found|RepositoryNotFoundError|GatedRepoError|is not a local folder",
        "The hub has no such model, or wants a login (hf auth login).",
    ),
    (
        r"Unsupported CPU attention configuration: head_dim=(\d+)",
        "vLLM on a CPU supports no attention heads of size {0}; serve it with --engine local.",
    ),
    (r"Address already in use", "Its port was taken in the last moment; try again."),
)
"""(pattern in the output, advice); the first match counts"""


def explain(output: Sequence[str]) -> str:
    """Return the likely cause and the last lines of the output."""
    last = "\n".join(f"  {line[:200]}" for line in _error_lines(output))
    cause = likely_cause(output) or "These words should say why."
    return f"{cause} Its last words:\n{last}"


def likely_cause(output: Sequence[str]) -> str | None:
    """Return the advice for this output, None if no pattern matches."""
    text = "\n".join(output)
    for pattern, advice in CAUSES:
        if match := re.search(pattern, text):
            return advice.format(*match.groups())
    return None


def _error_lines(output: Sequence[str]) -> list[str]:
    """Return the last lines, only those that name errors if any do; tracebacks are left out."""
    lines = [line for line in output if not re.search(r'File "|Traceback|\^\^\^', line)]
    errors = [line for line in lines if "rror" in line]
    return (errors or lines)[-N_LINES:]
