"""A local engine in a process of its own (worker.py), so that it shares no GIL with the server.

In one process, the engine and the threads that write its answers would take the GIL from each other
a hundred times per step (docs/log.md). And a crash of the engine leaves the server alive.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path
from typing import Any

import orjson

from r1kit import errors
from r1kit.engines.base import RequestState
from r1kit.engines.remote_engine import CompletionUpdate, RemoteCompletion, RemoteEngine
from r1kit.errors import EngineError, GrammarError
from r1kit.files.outside import read_json, to_bytes
from r1kit.processes.child import Child
from r1kit.types import Completion, Finish

_STEP_S = 0.01
"""maximum time that a step waits for a token before it returns"""


@dataclass(frozen=True)
class EngineConfig:
    """The model that the process loads, and the settings of its `LocalEngine`."""

    model: Path | str
    """a folder (Path) or a hub id (str)"""
    max_rows: int
    prefix_tokens: int


class EngineProcess(Child):
    """A child process that loads a model in the background."""

    def __init__(self, wish: EngineConfig) -> None:
        super().__init__("r1kit.engines.process.worker")
        self.wish = wish
        told = {**asdict(wish), "model": str(wish.model)}
        asked = {"wish": told, "is_folder": isinstance(wish.model, Path)}
        with contextlib.suppress(OSError):  # it has ended: `facts` raises
            self.line.send_bytes(to_bytes(asked))

    def facts(self) -> dict[str, Any]:
        """Wait for the model and return its facts. Raises the R1Error with which loading failed."""
        try:
            told: dict[str, Any] = read_json(self.line.recv_bytes())
        except (EOFError, OSError):
            words = f"The engine's process has ended{self.how()} while it loaded the model."
            raise EngineError(words) from None
        if "error" in told:
            raise getattr(errors, told["error"])(told["said"])
        return told


class ProcessEngine(RemoteEngine):
    """A `base.StreamingSampler` that runs in an `EngineProcess`; `close` ends that process."""

    def __init__(
        self, opening: EngineProcess, tokenizer: Any, *, n_ids: int, eos_ids: Collection[int]
    ) -> None:
        """Wait until the model is loaded. Raises the R1Error with which loading failed."""
        self._opening, self._line = opening, opening.line
        try:
            opened = opening.facts()
        except BaseException:
            self.close()
            raise
        super().__init__(
            tokenizer, n_ids=n_ids, eos_ids=eos_ids, max_positions=opened["max_positions"]
        )
        self._numbers = count()
        self._number_of: dict[RequestState, int] = {}
        """numbers of the jobs that are not done"""
        self._job_of: dict[int, RequestState] = {}

    @property
    def pid(self) -> int:
        """The id of the engine's process."""
        return self._opening.pid

    def step(self) -> list[RequestState]:
        """Receive new tokens; return finished requests. Raises EngineError if the process died."""
        done: list[RequestState] = []
        try:
            if not self._line.poll(_STEP_S):
                return done
            while True:
                done += self._heard(orjson.loads(self._line.recv_bytes()))
                if not self._line.poll(0):
                    return done
        except (EOFError, OSError):
            raise EngineError(
                f"The engine's process has ended{self._opening.how()}; ask again."
            ) from None

    def close(self) -> None:
        """End the process; the engine cannot be used afterwards."""
        self._opening.close()

    def _heard(self, told: list[list[Any]] | dict[str, str]) -> list[RequestState]:
        """Apply a message from the process and return the jobs that it finished."""
        if isinstance(told, dict):
            raise EngineError(told["said"])
        done = []
        for number, place, *rest in told:
            job = self._job_of.get(number)  # None if it was ended on this side meanwhile
            if job is not None and self._take(self._rows[job][place], _news(*rest)):
                done.append(job)
        return done

    def _send(self, job: RequestState, rows: list[RemoteCompletion], ahead: bool) -> None:
        number = next(self._numbers)
        self._number_of[job], self._job_of[number] = number, job
        self._say({"job": number, "request": job.request, "ahead": ahead})

    def _let_go(self, row: RemoteCompletion) -> None:
        self._say({"job": self._number_of[row.job], "place": row.place})

    def _end(self, row: RemoteCompletion, finish: Finish) -> Completion:
        done = super()._end(row, finish)
        if not row.job.n_left:
            del self._job_of[self._number_of.pop(row.job)]
        return done

    def _say(self, asked: dict[str, Any]) -> None:
        with contextlib.suppress(OSError):  # it has ended: `step` raises
            self._line.send_bytes(orjson.dumps(asked))


def _news(told: Any, *rest: Any) -> CompletionUpdate | EngineError:
    """Decode an update: new tokens with their details, or the error that ended the completion."""
    if not rest:
        return GrammarError(told)
    logprobs, finish, n_cached, tops = rest
    pairs = [[(token, logprob) for token, logprob in top] for top in tops]
    return CompletionUpdate(told, logprobs, finish, n_cached, pairs)
