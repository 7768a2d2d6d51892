"""The process that a `ProcessEngine` asks: a `LocalEngine`, stepped as fast as it can.

    python -m r1kit.engines.worker DESCRIPTOR

DESCRIPTOR is our end of a pipe; both sides write JSON. We end when the other side has, be it by
kill -9, and not by signals that a terminal or an init system sends to everybody.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import orjson
import torch

from r1kit.engines.base import Job
from r1kit.engines.local import LocalEngine
from r1kit.errors import EngineError, R1Error
from r1kit.model import checkpoint
from r1kit.types import Completion, Request, Sampling

SMALL = 30_000_000
"""parameters; a product of fewer is over before a second thread has woken up, and that thread is
missing where answers are written (docs/serving.md)"""

Json = dict[str, Any]


@dataclass(slots=True)
class _Told:
    """A job, and how many tokens of each of its open completions the other side knows."""

    job: Job
    n_told: dict[int, int] = field(default_factory=dict)


class Worker:
    """Obeys between two steps, and tells after each."""

    def __init__(self, engine: LocalEngine, line: Connection) -> None:
        self._engine = engine
        self._line = line
        self._inbox: SimpleQueue[Json] = SimpleQueue()
        self._told: dict[int, _Told] = {}
        threading.Thread(target=self._listen, name="inbox", daemon=True).start()

    def run(self) -> None:
        """Until the engine fails, which the other side is told."""
        try:
            while True:
                self._obey()
                self._engine.step()
                self._tell()
        except EngineError as error:
            self._line.send_bytes(orjson.dumps({"said": str(error)}))

    def _listen(self) -> None:
        # All the time, so that neither side waits for the other to read.
        try:
            while True:
                self._inbox.put(orjson.loads(self._line.recv_bytes()))
        except (EOFError, OSError):
            os._exit(0)

    def _obey(self) -> None:
        """All that was asked; waits for something when there is nothing else to do."""
        while not self._told or not self._inbox.empty():
            asked = self._inbox.get()
            if "request" in asked:
                job = self._engine.submit(_request(asked["request"]), asked["ahead"])
                places = dict.fromkeys(range(job.request.n), 0)
                self._told[asked["job"]] = _Told(job, places)
            else:
                self._drop(asked["job"], asked["place"])

    def _drop(self, number: int, place: int) -> None:
        told = self._told.get(number)
        if told is None or told.n_told.pop(place, None) is None:
            return  # it has ended meanwhile
        if not told.n_told:
            self._close(number)
        elif place < told.job.n_begun and told.job.completions[place] is None:
            self._engine.cut(told.job, place)

    def _tell(self) -> None:
        news: list[list[Any]] = []
        numbers = {told.job: number for number, told in self._told.items()}
        for job, place, token, logprob in self._engine.newest():
            number = numbers[job]
            if place in self._told[number].n_told:
                self._told[number].n_told[place] += 1
                news.append([number, place, [token], [logprob], None, job.n_cached])
        for number, told in list(self._told.items()):
            for place in list(told.n_told):
                if (done := told.job.completions[place]) is not None:
                    start = told.n_told.pop(place)
                    news.append([number, place, *_rest(done, start), told.job.n_cached])
            if not told.n_told:
                self._close(number)
        if news:
            self._line.send_bytes(orjson.dumps(news))

    def _close(self, number: int) -> None:
        self._engine.abort(self._told.pop(number).job)


def _rest(done: Completion, start: int) -> tuple[list[int], list[float], str]:
    return done.token_ids[start:], done.logprobs[start:], done.finish


def _request(told: Json) -> Request:
    sampling = told["sampling"]
    law = Sampling(**{**sampling, "stop": tuple(sampling["stop"])})
    return Request(told["prompt_ids"], told["n"], law, told["seed"])


def main(line: Connection) -> None:
    """Open what the first message names, say whether that went well, and serve."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    asked = orjson.loads(line.recv_bytes())
    wish = asked["wish"]
    where = Path(wish["model"]) if asked["is_folder"] else wish["model"]
    try:
        model, tokenizer = checkpoint.load(where, wish["device"])
        engine = LocalEngine(
            model, tokenizer, max_rows=wish["max_rows"], prefix_tokens=wish["prefix_tokens"]
        )
    except R1Error as error:
        line.send_bytes(orjson.dumps({"error": type(error).__name__, "said": str(error)}))
        return
    if model.num_parameters() < SMALL:
        torch.set_num_threads(1)
    line.send_bytes(orjson.dumps({"max_positions": engine.max_positions}))
    Worker(engine, line).run()


if __name__ == "__main__":
    main(Connection(int(sys.argv[1])))
