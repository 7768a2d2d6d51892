"""A local engine in a process of its own (worker.py), so that it shares no lock with the server.

In one process, the engine and whoever writes its answers would take Python's lock from each other a
hundred times a step (docs/log.md). And whatever kills the engine leaves the server alive.
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
"""how long a step waits for a token before others have a say"""


@dataclass(frozen=True)
class EngineConfig:
    """What the process is to open, and how it is to sample."""

    model: Path | str
    """a folder, or a hub id (a str)"""
    max_rows: int
    prefix_tokens: int


class EngineProcess(Child):
    """A process that opens a model, while we do something else."""

    def __init__(self, wish: EngineConfig) -> None:
        super().__init__("r1kit.engines.worker")
        self.wish = wish
        told = {**asdict(wish), "model": str(wish.model)}
        asked = {"wish": told, "is_folder": isinstance(wish.model, Path)}
        with contextlib.suppress(OSError):  # it has ended: `facts` says so
            self.line.send_bytes(to_bytes(asked))

    def facts(self) -> dict[str, Any]:
        """What it knows of the model, once it is open. Raises the R1Error that it does not with."""
        try:
            told: dict[str, Any] = read_json(self.line.recv_bytes())
        except (EOFError, OSError):
            words = f"The engine's process has ended{self.how()} while it loaded the model."
            raise EngineError(words) from None
        if "error" in told:
            raise getattr(errors, told["error"])(told["said"])
        return told


class ProcessEngine(RemoteEngine):
    """See `base.Stepped`; `close` ends the process."""

    def __init__(
        self, opening: EngineProcess, tokenizer: Any, *, n_ids: int, eos_ids: Collection[int]
    ) -> None:
        """Returns when the model is open. Raises the R1Error that it does not open with."""
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
        """of jobs that are not done"""
        self._job_of: dict[int, RequestState] = {}

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._opening.pid

    def step(self) -> list[RequestState]:
        """Takes all that has been sampled; raises EngineError when the process is gone."""
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
        """End the process; nothing may be asked afterwards."""
        self._opening.close()

    def _heard(self, told: list[list[Any]] | dict[str, str]) -> list[RequestState]:
        """The jobs that are done by it."""
        if isinstance(told, dict):
            raise EngineError(told["said"])
        done = []
        for number, place, *rest in told:
            job = self._job_of.get(number)  # none, if it was ended here meanwhile
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
        with contextlib.suppress(OSError):  # it has ended: `step` says so
            self._line.send_bytes(orjson.dumps(asked))


def _news(told: Any, *rest: Any) -> CompletionUpdate | EngineError:
    """Tokens and all about them, or the sentence why there will be none."""
    if not rest:
        return GrammarError(told)
    logprobs, finish, n_cached, tops = rest
    pairs = [[(token, logprob) for token, logprob in top] for top in tops]
    return CompletionUpdate(told, logprobs, finish, n_cached, pairs)
