"""Out of memory in a stage: a sentence with the settings that need less, from the recipe.

A process that the kernel kills for its memory leaves nothing to catch; `parallel.launch` reports
it if it is not the first one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from r1kit.config import Recipe
from r1kit.errors import ComputeError
from r1kit.stages.less_memory import less_memory, setting_of

LEARNER_KEYS = ("compute.micro_batch_tokens", "compute.gradient_checkpointing")
SAMPLER_KEYS = ("sampler.max_num_seqs",)
NEW_RUN = {
    "compute.dtype": " (in a new run)",
    "lora.r": " (in a new run, which trains adapters)",
}
"""what to add to a setting that a run cannot change while it runs"""
_CPU_MESSAGE = "can't allocate memory"
"""part of the message of torch's RuntimeError on a CPU"""
_ENGINES = str(Path("r1kit") / "engines")


@contextmanager
def explaining_out_of_memory(recipe: Recipe, stage: str, n_processes: int) -> Iterator[None]:
    """Turn a failed allocation in the block into a ComputeError that says what needs less."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        changes = smaller_settings(recipe, n_processes, while_sampling=_is_sampling(error))
        remedy = f"set {', or '.join(changes)}" if changes else "use a smaller model"
        raise ComputeError(
            f"The memory is used up in stage {stage}; {remedy}. The same command then resumes the "
            "run from its last checkpoint."
        ) from error


def smaller_settings(recipe: Recipe, n_processes: int, while_sampling: bool) -> list[str]:
    """Return settings that need less memory than those of the recipe, the mildest first."""
    useless = LEARNER_KEYS if while_sampling else SAMPLER_KEYS
    n = 1 if torch.cuda.is_available() else n_processes
    mildest = [setting_of(kind[0]) for kind in less_memory(recipe, n) if kind]
    return [
        f"{key} = {value}{NEW_RUN.get(key, '')}" for key, value in mildest if key not in useless
    ]


def is_out_of_memory(error: BaseException) -> bool:
    """Return True if an allocation failed, of Python or of torch on any device."""
    is_torch = isinstance(error, torch.OutOfMemoryError) or _CPU_MESSAGE in str(error)
    return is_torch or isinstance(error, MemoryError)


def _is_sampling(error: BaseException) -> bool:
    """Return True if the failed call was below an engine."""
    trace = error.__traceback__
    while trace is not None:
        if _ENGINES in trace.tb_frame.f_code.co_filename:
            return True
        trace = trace.tb_next
    return False
