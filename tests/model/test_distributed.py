"""Ranks that torchrun has started meet, compare what they are, and say what is wrong."""

from __future__ import annotations

import os
import socket
from datetime import timedelta
from multiprocessing.connection import Connection
from typing import Any

import pytest
import torch

from r1kit import config
from r1kit.config import Recipe, TaskConfig
from r1kit.errors import ComputeError, ConfigError, EngineError
from r1kit.model import distributed
from r1kit.model.ranks import Ranks
from r1kit.processes import torchrun
from r1kit.processes.torchrun import World
from tests.forks import CONTEXT

SOON = timedelta(seconds=5)


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("localhost", 0))
        port: int = listening.getsockname()[1]
        return port


def recipe(**compute: Any) -> Recipe:
    return Recipe(
        name="r", tasks=(TaskConfig(name="arithmetic"),),
        compute=config.ComputeConfig.model_validate({"device": "cpu", **compute}),
    )  # fmt: skip


def talk(ranks: Ranks) -> tuple[int, list[int]]:
    return ranks.shard_degree, ranks.gather(ranks.rank)


def complain(ranks: Ranks) -> None:
    if ranks.rank == 1:
        raise EngineError("The weights are damaged.")
    ranks.gather(None)


def rank_main(
    line: Connection, rank: int, port: int, stated: Recipe, program: Any, code: str
) -> None:
    """As torchrun starts a rank: its place is in the environment."""
    os.environ.update(
        TORCHELASTIC_RUN_ID="x", RANK=f"{rank}", WORLD_SIZE="2", LOCAL_RANK=f"{rank}",
        LOCAL_WORLD_SIZE="2", MASTER_ADDR="localhost", MASTER_PORT=f"{port}",
    )  # fmt: skip
    world = torchrun.world()
    assert world == World(rank, 2, rank, 2, f"localhost:{port}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(distributed, "CAUSE_S", 0.5)
        patch.setattr(distributed, "_code", lambda: code)
        try:
            line.send(distributed.join(world, stated, program))
        except BaseException as error:
            line.send((type(error).__name__, str(error)))


def start(
    recipes: list[Recipe], program: Any = talk, codes: tuple[str, str] = ("same", "same")
) -> list[Any]:
    """What each rank returns, or the name and text of its error."""
    port, lines = free_port(), []
    for rank, stated in enumerate(recipes):
        ours, theirs = CONTEXT.Pipe()
        arguments = (theirs, rank, port, stated, program, codes[rank])
        CONTEXT.Process(target=rank_main, args=arguments, daemon=True).start()
        lines.append(ours)
    return [line.recv() if line.poll(60) else None for line in lines]


def test_two_ranks_meet() -> None:
    stated = recipe(data_parallel_shard_degree=-1)
    assert start([stated, stated]) == [(2, [0, 1]), (2, [0, 1])]


def test_other_code_and_another_recipe_are_refused() -> None:
    first, second = start([recipe(), recipe()], codes=("ours", "theirs"))
    assert first == ("ComputeError", "Rank 1 has another r1kit than rank 0: give all machines "
                     "the same one.")  # fmt: skip
    assert second[0] == "SystemExit"
    first, _ = start([recipe(), recipe(micro_batch_tokens=128)])
    assert "Rank 1 has another recipe than rank 0" in first[1]


def test_the_rank_that_failed_names_itself() -> None:
    first, second = start([recipe(), recipe()], complain)
    assert second == ("EngineError", "Rank 1: The weights are damaged.")
    assert first[0] == "ComputeError"
    assert "Another rank has ended" in first[1]


def test_a_rank_that_does_not_come_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    store = vars(torch.distributed)["HashStore"]()
    monkeypatch.setattr(distributed, "_store", lambda world, timeout: store)
    world = World(0, 2, 0, 2, "first:29500")
    with pytest.raises(ComputeError, match="Rank 1 has not come to first:29500 within 1 s"):
        distributed._meet(world, recipe(), timedelta(seconds=1))


def test_an_address_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    monkeypatch.setenv("MASTER_ADDR", "localhost")
    monkeypatch.setenv("MASTER_PORT", f"{port}")
    world = World(1, 2, 0, 1, f"localhost:{port}")
    with pytest.raises(ComputeError, match=rf"localhost:{port} does not answer .*--rdzv-endpoint"):
        distributed._meet(world, recipe(), timedelta(seconds=1))


def test_numbers_of_processes_that_do_not_fit_are_refused() -> None:
    world = World(0, 2, 0, 2, "localhost:1")
    with pytest.raises(ConfigError, match="torchrun has started 2 processes, but compute.n_proc"):
        distributed._meet(world, recipe(n_processes=4))
    with pytest.raises(ComputeError, match="is 3, which does not divide the 2 processes"):
        distributed._meet(world, recipe(data_parallel_shard_degree=3))


def test_more_ranks_than_gpus_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(ComputeError, match="started 2 processes on a machine with 1 GPU, and"):
        distributed._own_device(World(1, 2, 1, 2, ""), "cuda")


def test_no_world_without_torchrun(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    assert torchrun.world() is None
