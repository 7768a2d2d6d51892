"""The settings of a recipe that need less memory. Torch-free.

Two readers share them: the forecast tries them before a run (forecast/remedy.py), and a run whose
memory is used up names them (out_of_memory.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from r1kit.config import Recipe

SMALLEST_BATCH, FEWEST_ROWS = 256, 8
"""micro-batches and rows of the sampler below which less saves little"""
LORA_RANK = 16

RecipeChange = dict[str, dict[str, Any]]
"""section -> key -> value: one change"""


def less_memory(recipe: Recipe, n_processes: int) -> Iterator[list[RecipeChange]]:
    """Yield kinds of change, each with its values from mild to strong.

    The first kinds leave the result as it is and only take time; the last two change it.
    """
    compute = recipe.compute
    yield [{"compute": {"micro_batch_tokens": n}}
           for n in _halves(compute.micro_batch_tokens, SMALLEST_BATCH)]  # fmt: skip
    if not compute.gradient_checkpointing:
        yield [{"compute": {"gradient_checkpointing": True}}]
    yield [
        {"sampler": {"max_num_seqs": n}} for n in _halves(recipe.sampler.max_num_seqs, FEWEST_ROWS)
    ]
    if n_processes > 1 and compute.data_parallel_shard_degree == 1:
        yield [{"compute": {"data_parallel_shard_degree": -1}}]
    if n_processes > 1:
        yield [{"compute": {"n_processes": 1}}]
    if compute.dtype == "float32":
        yield [{"compute": {"dtype": "bfloat16"}}]
    if recipe.lora is None:
        yield [{"lora": {"r": LORA_RANK}}]


def setting_of(change: RecipeChange) -> tuple[str, str]:
    """Return key and value as TOML writes them: `("compute.micro_batch_tokens", "1024")`."""
    [(section, values)] = change.items()
    [(key, value)] = values.items()
    return f"{section}.{key}", str(value).lower() if isinstance(value, bool) else str(value)


def _halves(most: int, least: int) -> list[int]:
    return [most >> n for n in range(1, 20) if most >> n >= least]
