"""Ranks in processes of their own, forked from one that has imported torch: one group each.

torch keeps meshes and plans of a process group that has been destroyed, so a process has one.
"""

from __future__ import annotations

import os
import pickle
import traceback
from collections.abc import Callable
from datetime import timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar, cast

import torch
import torch.distributed as dist

from r1kit.model.parallel import keep_to_loopback
from r1kit.model.ranks import Ranks
from tests.forks import CONTEXT

T = TypeVar("T")


def on_ranks(n: int, degree: int, program: Callable[..., T], *arguments: Any) -> T:
    """What `program(ranks, *arguments)` returns on the first of n ranks."""
    with TemporaryDirectory() as folder:
        lines, processes = [], []
        for rank in range(n):
            ours, theirs = CONTEXT.Pipe()
            given = (theirs, rank, n, degree, f"{folder}/meeting", program, arguments)
            processes.append(CONTEXT.Process(target=_rank, args=given, daemon=True))
            processes[-1].start()
            lines.append(ours)
        outcomes = [
            pickle.loads(line.recv_bytes()) if line.poll(300) else "it hangs" for line in lines
        ]
        for process in processes:
            process.join(30)
            process.kill()  # a rank that hangs, in its program or at its end
    assert not any(map(_is_failure, outcomes)), outcomes
    return cast(T, outcomes[0][0])


def _is_failure(outcome: Any) -> bool:
    return isinstance(outcome, str)


def _rank(
    line: Connection, rank: int, n: int, degree: int, meeting: str, program: Any, arguments: Any
) -> None:
    torch.set_num_threads(1)
    keep_to_loopback()
    dist.init_process_group(
        "gloo", f"file://{Path(meeting)}", timedelta(minutes=3), world_size=n, rank=rank
    )
    try:
        result = program(Ranks(rank, n, torch.device("cpu"), degree), *arguments)
        # Bytes, because `send` shares the memory of tensors, which ends with this process.
        line.send_bytes(pickle.dumps((result if rank == 0 else None,)))
    except BaseException:
        line.send_bytes(pickle.dumps(traceback.format_exc()))
        os._exit(1)
    dist.destroy_process_group()
