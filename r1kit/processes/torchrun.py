"""The place of this process among those that torchrun has started, from its environment."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass

_POLL_S = 0.5
"""interval at which a rank looks whether torchrun lives"""


@dataclass(frozen=True)
class World:
    """The ranks of a run, on one machine or many."""

    rank: int
    size: int
    local_rank: int
    """index among the ranks of this machine"""
    local_size: int
    address: str
    """host:port where the ranks meet"""

    @property
    def is_first(self) -> bool:
        return self.rank == 0

    @property
    def is_on_one_machine(self) -> bool:
        return self.local_size == self.size


def world() -> World | None:
    """Return the world of this process, or None if torchrun has not started it."""
    stated = os.environ
    if "TORCHELASTIC_RUN_ID" not in stated:
        return None
    return World(
        rank=int(stated["RANK"]),
        size=int(stated["WORLD_SIZE"]),
        local_rank=int(stated["LOCAL_RANK"]),
        local_size=int(stated["LOCAL_WORLD_SIZE"]),
        address=f"{stated['MASTER_ADDR']}:{stated['MASTER_PORT']}",
    )


def end_with_torchrun() -> None:
    """End this rank soon after torchrun itself, which `kill -9` keeps from ending its ranks."""
    threading.Thread(target=_watch, args=(os.getppid(),), name="torchrun", daemon=True).start()


def _watch(agent: int) -> None:
    while os.getppid() == agent:
        time.sleep(_POLL_S)
    os._exit(1)
