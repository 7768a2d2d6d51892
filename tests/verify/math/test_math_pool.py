"""Workers that are killed when late, are replaced, and leave nothing behind."""

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from r1kit.verify.math import Pool
from tests.children import python_children

SLOW_WORKER = """
import importlib.util, sys, time
spec = importlib.util.spec_from_file_location("worker", {worker!r})
worker = importlib.util.module_from_spec(spec)
spec.loader.exec_module(worker)
def compare(gold, answer):
    if answer == "late":
        while True:
            pass
    if answer == "slow":
        time.sleep(0.005)
    if answer == "gone":
        sys.exit(1)
    if answer == "large":
        bytearray(1 << 40)
    print("noise on stdout")
    return {{"same": gold == answer, "why": "by hand"}}
worker.compare = compare
worker.main()
"""


@pytest.fixture
def slow_worker(tmp_path: Path) -> Path:
    """A worker that can be told to be late, to end or to take too much memory."""
    import r1kit.verify.math.pool as module

    file = tmp_path / "worker.py"
    file.write_text(SLOW_WORKER.format(worker=str(module._WORKER)))
    return file


def test_math_verify_answers(pool: Pool) -> None:
    assert pool.ask("\\cot x", "\\frac{\\cos x}{\\sin x}").same is True
    assert pool.ask("\\cot x", "\\tan x").same is False
    assert pool.ask("}{", "5").same is None
    assert pool.ask("5", "}{").same is False


def test_a_late_worker_is_killed_and_replaced(slow_worker: Path) -> None:
    before = python_children()
    with Pool(budget_s=0.2, worker=slow_worker) as pool:
        pool.warm_up()
        workers = python_children() - before
        start = time.perf_counter()
        late = pool.ask("5", "late")
        assert time.perf_counter() - start >= 0.15  # processor time is told in hundredths
        assert late.same is None
        assert late.why.startswith("limit: ")
        assert len(workers & python_children()) == len(workers) - 1
        assert pool.ask("5", "5").same is True
        assert pool.ask("5", "gone").why.startswith("limit: the worker ended")
        assert pool.ask("5", "large").why == "limit: memory"
        assert pool.ask("5", "6").same is False
    assert python_children() == before
    with pytest.raises(RuntimeError, match="closed"):
        pool.ask("5", "5")


def test_many_threads_share_a_pool(slow_worker: Path) -> None:
    before = python_children()
    n_threads = threading.active_count()
    with Pool(size=2, budget_s=0.3, worker=slow_worker) as pool:
        answers = [str(i % 3) if i % 8 else "late" for i in range(32)]
        with ThreadPoolExecutor(8) as threads:
            result = list(threads.map(lambda answer: pool.ask("1", answer).same, answers))
        assert len(python_children() - before) <= 4
    assert result == [None if answer == "late" else answer == "1" for answer in answers]
    assert python_children() == before
    assert threading.active_count() == n_threads


def test_no_thread_starves(slow_worker: Path) -> None:
    waits: list[float] = []

    def ask(pool: Pool) -> None:
        for _ in range(40):
            start = time.perf_counter()
            pool.ask("5", "slow")
            waits.append(time.perf_counter() - start)

    with Pool(worker=slow_worker) as pool:
        pool.warm_up()
        threads = [threading.Thread(target=ask, args=(pool,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    total = sum(waits) / len(threads)
    assert max(waits) < total / 4  # a thread that starves waits for nearly all of it


SCRIPT = """
import os, sys
import psutil
from r1kit.verify.math import check_math
def ask():
    return check_math("\\\\boxed{2\\\\sin x\\\\cos x}", "\\\\sin 2x").correct
assert ask() is True
print(*[child.pid for child in psutil.Process().children()], flush=True)
"""


def workers_of(ending: str, beginning: str = SCRIPT) -> list[int]:
    """The workers of a process that has ended this way."""
    with subprocess.Popen(
        [sys.executable, "-c", beginning + ending], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        workers = list(map(int, process.stdout.readline().split()))
        if "sleep(60)" in ending:
            process.send_signal(signal.SIGKILL)
        assert process.wait() in (0, -signal.SIGKILL)
    return workers


@pytest.mark.parametrize("ending", ["", "os._exit(0)", "import time; time.sleep(60)"])
def test_workers_end_with_their_parent(ending: str, slow_worker: Path) -> None:
    workers = workers_of(ending, with_pool(slow_worker))
    assert len(workers) == 2  # one and a spare
    assert_gone(workers)


def with_pool(worker: Path) -> str:
    """A script whose workers are those of `slow_worker`."""
    return SCRIPT.replace(
        "def ask",
        f"""
import pathlib
import r1kit.verify.math.pool as module
module._default = module.Pool(budget_s=0.9, worker=pathlib.Path({str(worker)!r}))
def ask""",
    ).replace("assert ask() is True", "assert ask() is False")


def assert_gone(workers: list[int]) -> None:
    deadline = time.monotonic() + 5
    while any(map(is_alive, workers)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not any(map(is_alive, workers))


def is_alive(process_id: int) -> bool:
    """Orphans that have ended stay until the first process of the machine looks after them."""
    try:
        return bool(psutil.Process(process_id).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def test_a_busy_worker_ends_by_its_alarm_when_its_parent_is_killed(slow_worker: Path) -> None:
    busy = """
import signal, threading, time
threading.Thread(target=module._default.ask, args=("5", "late")).start()
time.sleep(0.3)
os.kill(os.getpid(), signal.SIGKILL)
"""
    assert_gone(workers_of(busy, with_pool(slow_worker)))


def test_a_fork_gets_workers_of_its_own(slow_worker: Path) -> None:
    forked = """
child = os.fork()
if child == 0:
    os._exit(0 if ask() is True else 1)  # by a real worker
_, status = os.waitpid(child, 0)
assert os.waitstatus_to_exitcode(status) == 0
assert ask() is False
"""
    assert_gone(workers_of(forked, with_pool(slow_worker)))


def test_a_worker_sees_nothing_of_the_environment(pool: Pool) -> None:
    [worker, *_] = [child for child in psutil.Process().children() if "-I" in child.cmdline()]
    assert set(worker.environ()) <= {"PATH", "LD_LIBRARY_PATH", "SYSTEMROOT", "TMPDIR", "LC_CTYPE"}
    assert os.environ.keys() - worker.environ().keys()
