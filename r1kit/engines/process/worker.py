"""The child process of a `ProcessEngine`: steps a `LocalEngine` as fast as it can.

Run by `child.py`, which ends it when the parent process has ended; both sides send JSON.
"""

from __future__ import annotations

import contextlib
import gc
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import orjson
import torch

from r1kit.engines.base import RequestState, generate
from r1kit.engines.local import LocalEngine
from r1kit.errors import EngineError, R1Error
from r1kit.files.untrusted import read_json, to_bytes
from r1kit.model import checkpoint
from r1kit.model.devices import resolve_device
from r1kit.types import Completion, Json, Request, SamplingParams

SMALL = 30_000_000
"""parameters; below this one thread is used, because a matrix product ends before a second thread
has woken up, and the server needs that core to write answers (docs/serving.md)"""

EVERY_S = 1 / 30
"""interval between updates of a completion; often enough for text to grow smoothly"""

EVENT_S = 1 / 1000
"""minimum of that interval per open completion: an event costs the server and its client more CPU
time than a token of a small model"""


@dataclass(slots=True)
class _Open:
    """An open completion and the tokens that have not been sent yet."""

    n_sent: int = 0
    token_ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)

    def take(self) -> tuple[list[int], list[float]]:
        """Return the unsent tokens and log-probabilities and count them as sent."""
        token_ids, logprobs = self.token_ids, self.logprobs
        self.n_sent += len(token_ids)
        self.token_ids, self.logprobs = [], []
        return token_ids, logprobs


@dataclass(slots=True)
class _Working:
    """A request and its open completions that the parent still wants, by index."""

    job: RequestState
    number: int
    """number of the request, given by the parent"""
    open: dict[int, _Open]


class EngineWorker:
    """The worker's loop: takes messages between steps, sends updates.

    The first tokens and the end of a completion are sent at once, the rest at intervals.
    """

    def __init__(self, engine: LocalEngine, line: Connection) -> None:
        self._engine = engine
        self._line = line
        self._inbox: SimpleQueue[Json] = SimpleQueue()
        self._working: dict[int, _Working] = {}
        self._tell_at = 0.0
        threading.Thread(target=self._listen, name="inbox", daemon=True).start()

    def run(self) -> None:
        """Step the engine until it fails, then send the error to the parent."""
        try:
            while True:
                self._obey()
                self._engine.step()
                self._tell()
        except EngineError as error:
            self._line.send_bytes(to_bytes({"message": str(error)}))

    def _listen(self) -> None:
        # Read continuously, so that neither side blocks on a full pipe.
        with contextlib.suppress(EOFError, OSError):
            while True:
                self._inbox.put(orjson.loads(self._line.recv_bytes()))

    def _obey(self) -> None:
        """Handle all queued messages; block for one if there are no open requests."""
        while not self._working or not self._inbox.empty():
            message = self._inbox.get()
            number = message["job"]
            if "request" in message:
                self._begin(number, _request(message["request"]), message["ahead"])
            elif number in self._working:
                self._drop(self._working[number], message["index"])

    def _begin(self, number: int, request: Request, ahead: bool) -> None:
        indices = range(request.n)
        try:
            job = self._engine.submit(request, ahead)
        except EngineError as error:
            self._say([[number, index, str(error)] for index in indices])
            return
        self._working[number] = _Working(job, number, {index: _Open() for index in indices})

    def _drop(self, working: _Working, index: int) -> None:
        if working.open.pop(index, None) is None:
            return  # it ended in the meantime
        if not working.open:
            self._close(working)
        elif index < working.job.n_begun and working.job.completions[index] is None:
            self._engine.cut(working.job, index)

    def _tell(self) -> None:
        by_job = {working.job: working for working in self._working.values()}
        for job, index, token, logprob in self._engine.newest():
            if (completion := by_job[job].open.get(index)) is not None:
                completion.token_ids.append(token)
                completion.logprobs.append(logprob)
        now = time.monotonic()
        is_time = now >= self._tell_at
        if is_time:
            n_open = sum(len(working.open) for working in by_job.values())
            self._tell_at = now + max(EVERY_S, EVENT_S * n_open)
        updates = [
            update for working in by_job.values() for update in self._updates(working, is_time)
        ]
        if updates:
            self._say(updates)

    def _updates(self, working: _Working, is_time: bool) -> Iterator[list[Any]]:
        job = working.job
        for index, completion in list(working.open.items()):
            if index in job.errors:
                del working.open[index]
                yield [working.number, index, str(job.errors[index])]
            elif (done := job.completions[index]) is not None:
                del working.open[index]
                rest = _rest(done, completion.n_sent)
                yield [working.number, index, *rest, job.n_cached, done.tops[completion.n_sent :]]
            elif completion.token_ids and (is_time or not completion.n_sent):
                has_tops = job.request.sampling.n_top > 0
                tops = self._engine.logprobs(job, index).tops if has_tops else []
                tops = tops[completion.n_sent :]
                yield [working.number, index, *completion.take(), None, job.n_cached, tops]
        if not working.open:
            self._close(working)

    def _say(self, updates: list[list[Any]]) -> None:
        self._line.send_bytes(orjson.dumps(updates))

    def _close(self, working: _Working) -> None:
        del self._working[working.number]
        self._engine.abort(working.job)


def _rest(done: Completion, start: int) -> tuple[list[int], list[float], str]:
    return done.token_ids[start:], done.logprobs[start:], done.finish


def _request(fields: Json) -> Request:
    sampling = fields["sampling"]
    sampling = SamplingParams(**{**sampling, "stop": tuple(sampling["stop"])})
    return Request(fields["prompt_ids"], fields["n"], sampling, fields["seed"])


def _warm_up(engine: LocalEngine) -> None:
    """Compile the loops and read the weights, so that the first answer need not wait."""
    generate(engine, [Request([0, 0], 1, SamplingParams(max_tokens=2), seed=0)])


def main(line: Connection) -> None:
    """Load the model named in the first message, reply with facts or the error, then serve."""
    message = read_json(line.recv_bytes())
    config = message["config"]
    source = Path(config["model"]) if message["is_folder"] else config["model"]
    try:
        model, tokenizer = checkpoint.load(source, resolve_device())
        if model.num_parameters() < SMALL:
            torch.set_num_threads(1)
        engine = LocalEngine(
            model,
            tokenizer,
            max_rows=config["max_rows"],
            prefix_tokens=config["prefix_tokens"],
            decode_text=False,  # tokens are sent, and the parent decodes them
        )
        _warm_up(engine)
    except R1Error as error:
        line.send_bytes(to_bytes({"error": type(error).__name__, "message": str(error)}))
        return
    gc.freeze()  # these objects stay, so the garbage collector need not scan them
    line.send_bytes(orjson.dumps({"max_positions": engine.max_positions}))
    EngineWorker(engine, line).run()
