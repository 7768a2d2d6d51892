"""However a command ends, at whatever moment: soon, with one sentence, and with all it has started.

    R1_MOMENTS=20 python -m pytest tests/e2e/test_endings.py -k moment

tries so many moments of the first ten seconds, one after the other.
"""

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from tests.terminals import CTRL_C, R1, Ended, Terminal

pytestmark = pytest.mark.xdist_group("endings")
SMOKE = Path(__file__).parents[2] / "recipes" / "smoke.toml"
BY_HAND = int(os.environ.get("R1_MOMENTS", "0"))
MOMENTS = [10 * (i + 1) / BY_HAND for i in range(BY_HAND)] or [0.7, 1.2, 2, 3, 4.5, 6]
SOON_S = 3.0


def run_command(out: Path) -> list[str]:
    sets = ("compute.n_processes=2", "zero.n_steps=500")
    return [*R1, "run", str(SMOKE), "--out", str(out), *(w for s in sets for w in ("--set", s))]


def serve_command(folder: Path) -> list[str]:
    return [*R1, "serve", str(folder), "--port", "0"]


def interrupted(command: list[str], moment: float) -> Ended:
    with Terminal(*command) as terminal:
        end = time.monotonic() + moment
        terminal.wait_until(lambda: time.monotonic() > end)
        terminal.type(CTRL_C)
        return terminal.ends()


def check(ended: Ended, code: int = 130) -> None:
    assert ended.code == code, ended
    assert ended.said.count("Stopped.") == 1, ended
    assert "Traceback" not in ended.said
    assert not ended.left
    assert ended.seconds < SOON_S, ended


@pytest.mark.parametrize("what", ["run", "serve"])
def test_ctrl_c_at_any_moment_ends_it(what: str, folder: Path, tmp_path: Path) -> None:
    def at(moment: float) -> Ended:
        command = run_command(tmp_path / f"{moment}") if what == "run" else serve_command(folder)
        return interrupted(command, moment)

    moments = MOMENTS if what == "run" or BY_HAND else MOMENTS[::2]
    with ThreadPoolExecutor(1 if BY_HAND else 3) as terminals:
        for moment, ended in zip(moments, terminals.map(at, moments), strict=True):
            print(f"{what} {moment:.1f} s: {ended.code} after {ended.seconds:.2f} s")
            check(ended)


def test_a_rank_that_is_killed_while_it_loads_is_named(tmp_path: Path) -> None:
    with Terminal(*run_command(tmp_path / "run")) as terminal:
        terminal.wait_until(lambda: terminal.started("r1kit.model.parallel"))
        [rank] = terminal.started("r1kit.model.parallel")
        rank.kill()
        ended = terminal.ends()
    assert ended.code == 6, ended
    assert "Rank 1 has ended (signal 9)" in " ".join(ended.said.split())
    assert not ended.left
    assert ended.seconds < SOON_S, ended


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_signals_to_the_first_process_end_all(
    number: signal.Signals, folder: Path, tmp_path: Path
) -> None:
    """While the others load; SIGHUP is what a window sends that is closed."""
    for command, other in (
        (run_command(tmp_path / "run"), "r1kit.model.parallel"),
        (serve_command(folder), "r1kit.engines.process.worker"),
    ):
        with Terminal(*command) as terminal:
            terminal.wait_until(partial(terminal.started, other))
            if number == signal.SIGHUP:
                terminal.close()
            else:
                os.kill(terminal.pid, number)
            ended = terminal.ends()
        assert ended.code == (-9 if number == signal.SIGKILL else 128 + number), ended
        assert not ended.left
        assert ended.seconds < SOON_S, ended
        if number == signal.SIGTERM:
            check(ended, 143)


HANGING = """
import os, signal
from r1kit.config import ComputeConfig
from r1kit.model import parallel

def hang(ranks):
    if ranks.rank == 1:
        os.kill(os.getpid(), signal.SIGSTOP)
    print("waiting", flush=True)
    ranks.gather(None)

def main():
    parallel.launch(2, ComputeConfig(device="cpu"), hang)
"""


@pytest.mark.parametrize("n", [1, 2])
def test_ctrl_c_is_heard_while_a_rank_hangs(n: int, tmp_path: Path) -> None:
    """The first process waits in native code then, for an hour if it must."""
    (tmp_path / "hanging.py").write_text(HANGING, encoding="utf-8")
    command = "import hanging; from r1kit.processes import signals; signals.run(hanging.main)"
    with Terminal("-c", command, cwd=tmp_path) as terminal:
        terminal.wait_until(lambda: b"waiting" in terminal.said)
        time.sleep(0.3)
        for _ in range(n):
            terminal.type(CTRL_C)
            time.sleep(0.4)
        check(terminal.ends())
