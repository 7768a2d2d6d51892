"""Killable worker processes: run Math-Verify with a time budget per answer.

A worker is a fresh interpreter (never a fork of this process) that runs worker.py and handles one
question at a time. If it exceeds its budget it is killed and replaced, and the verdict is
undecided. The budget is CPU time, so that a busy machine decides as an idle one does. The slow
start of a worker does not count against any budget; a spare worker makes waiting for it rare.

Thread-safe. A fork of this process gets a pool of its own. A worker ends with the pool, at the end
of its stdin, or by its own alarm.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import select
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import psutil

from r1kit.errors import DependencyError, require

BUDGET_S = 0.8
"""CPU time of a worker per answer, in seconds"""
PATIENCE = 30
"""wall-clock limit per answer, as a multiple of the budget: on a machine that is so busy that a
worker gets a thirtieth of a core, its answers are undecided"""
START_S = 60.0
"""seconds allowed for a worker to load on a busy machine"""
MAX_QUESTIONS = 5_000
"""number of questions after which a worker is replaced, because its caches grow"""
MAX_REPLY_BYTES = 1 << 20

_WORKER = Path(__file__).with_name("worker.py")
_KEPT_VARIABLES = ("PATH", "LD_LIBRARY_PATH", "SYSTEMROOT", "TMPDIR")


@dataclass(frozen=True, slots=True)
class Decision:
    """A comparison of two answers: the same, not the same, or undecided (None), with the reason."""

    same: bool | None
    why: str


class Pool:
    """A pool that runs at most `size` questions at a time, each for at most `budget_s` seconds.

    `worker` is the script that its processes run.
    """

    def __init__(self, size: int = 1, budget_s: float = BUDGET_S, worker: Path = _WORKER) -> None:
        self.budget_s = budget_s
        self._worker = worker
        self.process_id = os.getpid()
        self._size = size
        self._turns = _FairSemaphore(size)
        self._lock = threading.Lock()
        self._idle: list[_Worker] = []
        self._n_busy = 0
        self._is_closed = False

    def __enter__(self) -> Pool:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def start(self) -> None:
        """Start processes up to `size` workers (busy ones included) and a spare; do not wait.

        Raises DependencyError if Math-Verify is not installed.
        """
        require("math_verify")
        with self._lock:
            while not self._is_closed and len(self._idle) + self._n_busy <= self._size:
                self._idle.append(_Worker(self._worker))

    def warm_up(self) -> None:
        """Start the workers and wait until every one is ready."""
        self.start()
        for worker in list(self._idle):
            worker.await_ready()

    def ask(self, gold: str, answer: str) -> Decision:
        """Return Math-Verify's decision; waiting threads are served in first-come order."""
        with self._turns:
            worker = self._take()
            reply = None
            try:
                worker.await_ready()
                reply = worker.ask(gold, answer, self.budget_s)
            except TimeoutError:
                return Decision(None, f"limit: more than {self.budget_s:g} s")
            except (OSError, ValueError) as error:
                return Decision(None, f"limit: the worker ended ({error})")
            finally:
                self._give_back(worker, is_sound=reply is not None)
            return reply

    def close(self) -> None:
        """Kill every worker; a later `ask` raises RuntimeError. Does nothing in a fork."""
        if self.process_id != os.getpid():
            return
        with self._lock:
            self._is_closed = True
            workers, self._idle = self._idle, []
        for worker in workers:
            worker.kill()

    def _take(self) -> _Worker:
        self.start()
        with self._lock:
            if self._is_closed:
                raise RuntimeError("the pool is closed")
            worker = next((idle for idle in self._idle if idle.is_ready), self._idle[0])
            self._idle.remove(worker)
            self._n_busy += 1
            return worker

    def _give_back(self, worker: _Worker, is_sound: bool) -> None:
        with self._lock:
            self._n_busy -= 1
            is_kept = is_sound and not self._is_closed and worker.n_questions < MAX_QUESTIONS
            if is_kept:
                self._idle.append(worker)
        if not is_kept:
            worker.kill()
            self.start()


class _FairSemaphore:
    """A fair (first-come, first-served) semaphore, so that no thread starves."""

    def __init__(self, n_free: int) -> None:
        self._n_free = n_free
        self._queue: deque[threading.Event] = deque()
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        with self._lock:
            if self._n_free > 0:
                self._n_free -= 1
                return
            turn = threading.Event()
            self._queue.append(turn)
        try:
            turn.wait()
        except BaseException:
            with self._lock:
                is_still_waiting = turn in self._queue
                if is_still_waiting:
                    self._queue.remove(turn)
            if not is_still_waiting:
                self.__exit__()
            raise

    def __exit__(self, *_: object) -> None:
        with self._lock:
            if self._queue:
                self._queue.popleft().set()
            else:
                self._n_free += 1


class _Worker:
    """A worker process and its two pipes."""

    def __init__(self, file: Path) -> None:
        environment = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
        self._process = subprocess.Popen(
            [sys.executable, "-I", str(file)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            env=environment,
            process_group=0,  # Ctrl-C must reach only this process
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._input, self._output = self._process.stdin.fileno(), self._process.stdout.fileno()
        self._times = psutil.Process(self._process.pid).cpu_times
        self._is_ready = False
        self.n_questions = 0

    @property
    def is_ready(self) -> bool:
        return self._is_ready or bool(_poll(self._output, 0))

    def await_ready(self) -> None:
        """Wait until the worker has loaded. Raises OSError or TimeoutError if it does not."""
        if not self._is_ready:
            end = time.monotonic() + START_S
            self._receive(lambda: end - time.monotonic())
            self._is_ready = True

    def ask(self, gold: str, answer: str, budget_s: float) -> Decision:
        """Ask one question. Raises TimeoutError for a late reply, OSError if the process ended."""
        self.n_questions += 1
        question = {"gold": gold, "answer": answer, "limit_s": int(budget_s) + 2}
        body = json.dumps(question).encode()
        remaining_s = self._budget(budget_s)
        _write(self._input, len(body).to_bytes(4, "big") + body)
        reply = self._receive(remaining_s)
        return Decision(reply["same"], str(reply["why"]))

    def _budget(self, budget_s: float) -> Callable[[], float]:
        """Return a function that gives the seconds left of a budget that starts now."""
        end, cpu_end = time.monotonic() + PATIENCE * budget_s, self._processor_s() + budget_s
        return lambda: min(cpu_end - self._processor_s(), end - time.monotonic())

    def _processor_s(self) -> float:
        """Return the CPU time used by the process. Raises OSError if it has ended."""
        try:
            times = self._times()
        except psutil.Error as error:
            raise OSError("end of its process") from error
        return float(times.user + times.system)

    def kill(self) -> None:
        """Kill the process and reap it."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()

    def _receive(self, remaining_s: Callable[[], float]) -> dict[str, bool | None]:
        n_bytes = int.from_bytes(self._read(4, remaining_s), "big")
        if n_bytes > MAX_REPLY_BYTES:
            raise OSError("a reply of no sensible length")
        return dict(json.loads(self._read(n_bytes, remaining_s)))

    def _read(self, n_bytes: int, remaining_s: Callable[[], float]) -> bytes:
        """Read `n_bytes`. Raises TimeoutError if no time is left, OSError at the end of output."""
        data = b""
        while len(data) < n_bytes:
            seconds = remaining_s()
            if seconds <= 0:
                raise TimeoutError
            if not _poll(self._output, max(seconds, 0.01)):  # the resolution of CPU time
                continue
            chunk = os.read(self._output, n_bytes - len(data))
            if not chunk:
                raise OSError("end of its output")
            data += chunk
        return data


def _poll(descriptor: int, seconds: float) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(max(0, seconds) * 1000))


def _write(descriptor: int, data: bytes) -> None:
    """Write all bytes; never blocks, because a question is far smaller than the pipe buffer."""
    while data:
        data = data[os.write(descriptor, data) :]


_default: Pool | None = None
_default_lock = threading.Lock()


def default_pool() -> Pool:
    """Return the pool of this process, created on first use and closed when the process ends.

    Its workers start at once, in the background, so that they have loaded when the first answer
    needs one. Without Math-Verify none starts until then.
    """
    global _default
    with _default_lock:
        if _default is None or _default.process_id != os.getpid():
            _default = Pool()
            atexit.register(_default.close)
            with contextlib.suppress(DependencyError):
                _default.start()
        return _default
