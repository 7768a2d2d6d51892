"""Runs a program on this rank of those that torchrun has started: they meet, compare and begin.

    torchrun --nproc-per-node 2 -m r1kit run RECIPE

torchrun starts the processes and ends all of them when one has failed. Before they begin, the ranks
exchange what must be the same on all of them: the code, the recipe and the versions of libraries.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import torch
import torch.distributed as dist
import transformers
from torch.distributed.distributed_c10d import Store
from torch.distributed.rendezvous import rendezvous

import r1kit
from r1kit.config import Recipe
from r1kit.errors import ComputeError, ConfigError, R1Error, first_line
from r1kit.model.devices import resolve_device, shard_degree
from r1kit.model.parallel import COLLECTIVE_TIMEOUT, RankError, backend, is_echo, keep_to_loopback
from r1kit.model.ranks import Ranks
from r1kit.processes.torchrun import World

T = TypeVar("T")

MEETING_TIMEOUT = timedelta(minutes=10)
"""longest wait for the other ranks to load, and for the first to read the recipe's data"""
CAUSE_S = 10.0
"""seconds in which torchrun notices the rank that failed first, and ends this one"""


def join(world: World, recipe: Recipe, program: Callable[..., T], *arguments: Any) -> T:
    """Run `program(ranks, *arguments)` as one rank; all ranks make the same call.

    Raises ComputeError if the ranks do not meet or cannot work together, and R1Errors of the
    program, with the rank unless it is the first.
    """
    try:
        ranks = _meet(world, recipe)
        return program(ranks, *arguments)
    except R1Error as error:
        raise error if world.is_first else type(error)(f"Rank {world.rank}: {error}") from None
    except Exception as error:
        if is_echo(error):
            raise _lost(world, error) from None
        if world.is_first:
            raise
        raise RankError(
            f"rank {world.rank}: {type(error).__name__}: {first_line(error)}"
        ) from error
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()


def _lost(world: World, error: Exception) -> BaseException:
    """Wait for torchrun, which names the rank that failed; return what to raise if it does not."""
    time.sleep(CAUSE_S)
    if not world.is_first:
        return SystemExit(ComputeError.exit_code)
    return ComputeError(
        f"Another rank has ended or cannot be reached ({first_line(error)}); torchrun names it. "
        "The same command resumes the run from its last checkpoint."
    )


def _meet(world: World, recipe: Recipe, timeout: timedelta = MEETING_TIMEOUT) -> Ranks:
    """Return this rank, once all have met."""
    compute = recipe.compute
    if compute.n_processes not in ("auto", world.size):
        raise ConfigError(
            f"torchrun has started {world.size} processes, but compute.n_processes is "
            f'{compute.n_processes}; set it to "auto".'
        )
    kind = resolve_device(compute.device)
    ranks = Ranks(
        world.rank, world.size, _own_device(world, kind), shard_degree(compute, world.size)
    )
    torch.set_num_threads(compute.threads)
    if world.is_on_one_machine:
        keep_to_loopback()
    store = _store(world, timeout)
    _compare(store, world, _facts(recipe), timeout)
    dist.init_process_group(
        backend(kind), store=store, rank=world.rank, world_size=world.size,
        timeout=COLLECTIVE_TIMEOUT,
    )  # fmt: skip
    return ranks


def _own_device(world: World, kind: str) -> torch.device:
    n_gpus = torch.cuda.device_count()
    if kind == "cuda" and world.local_rank >= n_gpus:
        raise ComputeError(
            f"torchrun has started {world.local_size} processes on a machine with {n_gpus} "
            f"GPU{'s' * (n_gpus > 1)}, and each needs its own: give it --nproc-per-node {n_gpus}, "
            'or set compute.device to "cpu".'
        )
    if kind == "cuda":
        torch.cuda.set_device(world.local_rank)
        return torch.device(kind, world.local_rank)
    return torch.device(kind)


def _store(world: World, timeout: timedelta) -> Store:
    try:
        meeting = rendezvous("env://", world.rank, world.size, timeout=timeout)
        store: Store = next(meeting)[0]
        return store
    except (dist.DistError, RuntimeError, ValueError) as error:
        raise ComputeError(
            f"{world.address} does not answer ({first_line(error)}); check that torchrun's "
            "--rdzv-endpoint names a machine and a free port that all machines can reach."
        ) from None


def _compare(store: Store, world: World, facts: dict[str, str], timeout: timedelta) -> None:
    """Raises ComputeError on the first rank if others differ, or on each if some do not come."""
    store.set(f"facts/{world.rank}", json.dumps(facts))
    keys = [f"facts/{rank}" for rank in range(world.size)]
    try:
        store.wait(keys, timeout)
    except (dist.DistError, RuntimeError):
        missing = [str(rank) for rank, key in enumerate(keys) if not store.check([key])]
        raise ComputeError(
            f"Rank {', '.join(missing)} has not come to {world.address} within "
            f"{timeout.total_seconds():.0f} s; look for its error on its machine, or start again "
            "with the right --nnodes."
        ) from None
    all_facts = [json.loads(store.get(key)) for key in keys]
    for name, own in all_facts[0].items():
        others = [str(rank) for rank, theirs in enumerate(all_facts) if theirs[name] != own]
        if others and world.is_first:
            raise ComputeError(
                f"Rank {', '.join(others)} has another {name} than rank 0: give all machines the "
                "same one."
            )


def _facts(recipe: Recipe) -> dict[str, str]:
    """Return what must be the same on all ranks, by the word for it."""
    return {
        "r1kit": _code(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "recipe": hashlib.sha256(recipe.model_dump_json().encode()).hexdigest(),
    }


def _code() -> str:
    root, code = Path(r1kit.__file__).parent, hashlib.sha256()
    for file in sorted(root.rglob("*.py")):
        code.update(os.fsencode(file.relative_to(root)) + file.read_bytes())
    return code.hexdigest()
