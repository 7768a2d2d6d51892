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
from r1kit.model.adapter_folder import merge_into
from r1kit.model.devices import resolve_device
from r1kit.types import Completion, Json, Request, SamplingParams

SINGLE_THREAD_PARAMETERS = 30_000_000
"""parameters of a model below which one thread is used: a matrix product ends before a second
thread has woken up, and the server needs that core to write answers (docs/serving.md)"""

UPDATE_S = 1 / 30
"""interval between updates of a completion; often enough for text to grow smoothly"""

UPDATE_PER_COMPLETION_S = 1 / 1000
"""minimum of that interval per open completion: an event costs the server and its client more CPU
time than a token of a small model"""


@dataclass(slots=True)
class _OpenCompletion:
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
class _OpenRequest:
    """A request and its open completions that the parent has not cancelled, by index."""

    state: RequestState
    id: int
    """number of the request, given by the parent"""
    completions: dict[int, _OpenCompletion]
    is_prompt_sent: bool = False
    """True once the log-probabilities of the prompt were sent, if they were requested"""


class EngineWorker:
    """The worker's loop: takes messages between steps, sends updates.

    The first tokens and the end of a completion are sent at once, the rest at intervals.
    """

    def __init__(self, engine: LocalEngine, line: Connection) -> None:
        self._engine = engine
        self._line = line
        self._inbox: SimpleQueue[Json] = SimpleQueue()
        self._open_requests: dict[int, _OpenRequest] = {}
        self._next_updates_at = 0.0
        threading.Thread(target=self._listen, name="inbox", daemon=True).start()

    def run(self) -> None:
        """Step the engine until it fails, then send the error to the parent."""
        try:
            while True:
                self._handle_messages()
                self._engine.step()
                self._send_updates()
        except EngineError as error:
            self._line.send_bytes(to_bytes({"message": str(error)}))

    def _listen(self) -> None:
        # Read continuously, so that neither side blocks on a full pipe.
        with contextlib.suppress(EOFError, OSError):
            while True:
                self._inbox.put(orjson.loads(self._line.recv_bytes()))

    def _handle_messages(self) -> None:
        """Handle all queued messages; block for one if there are no open requests."""
        while not self._open_requests or not self._inbox.empty():
            message = self._inbox.get()
            request_id = message["request_id"]
            if "request" in message:
                self._begin(request_id, _request(message["request"]), message["ahead"])
            elif request_id in self._open_requests:
                self._drop(self._open_requests[request_id], message["index"])

    def _begin(self, request_id: int, request: Request, ahead: bool) -> None:
        indices = range(request.n)
        try:
            state = self._engine.submit(request, ahead)
        except EngineError as error:
            self._send([[request_id, index, str(error)] for index in indices])
            return
        self._open_requests[request_id] = _OpenRequest(
            state, request_id, {index: _OpenCompletion() for index in indices}
        )

    def _drop(self, request: _OpenRequest, index: int) -> None:
        if request.completions.pop(index, None) is None:
            return  # it ended in the meantime
        if not request.completions:
            self._close(request)
        elif index < request.state.n_begun and request.state.completions[index] is None:
            self._engine.abort_completion(request.state, index)

    def _send_updates(self) -> None:
        by_state = {request.state: request for request in self._open_requests.values()}
        for state, index, token, logprob in self._engine.newest_tokens():
            if (completion := by_state[state].completions.get(index)) is not None:
                completion.token_ids.append(token)
                completion.logprobs.append(logprob)
        now = time.monotonic()
        is_time = now >= self._next_updates_at
        if is_time:
            n_open = sum(len(request.completions) for request in by_state.values())
            self._next_updates_at = now + max(UPDATE_S, UPDATE_PER_COMPLETION_S * n_open)
        updates = [
            update for request in by_state.values() for update in self._updates(request, is_time)
        ]
        if updates:
            self._send(updates)

    def _updates(self, request: _OpenRequest, is_time: bool) -> Iterator[list[Any]]:
        state = request.state
        if state.prompt_logprobs is not None and state.n_begun and not request.is_prompt_sent:
            request.is_prompt_sent = True
            yield [request.id, None, *state.prompt_logprobs]
        for index, completion in list(request.completions.items()):
            if index in state.errors:
                del request.completions[index]
                yield [request.id, index, str(state.errors[index])]
            elif (finished := state.completions[index]) is not None:
                del request.completions[index]
                rest = _rest(finished, completion.n_sent)
                yield [
                    request.id,
                    index,
                    *rest,
                    state.n_cached,
                    finished.tops[completion.n_sent :],
                ]
            elif completion.token_ids and (is_time or not completion.n_sent):
                has_tops = state.request.sampling.n_top > 0
                tops = self._engine.logprobs(state, index).tops if has_tops else []
                tops = tops[completion.n_sent :]
                yield [
                    request.id,
                    index,
                    *completion.take(),
                    None,
                    state.n_cached,
                    tops,
                ]
        if not request.completions:
            self._close(request)

    def _send(self, updates: list[list[Any]]) -> None:
        self._line.send_bytes(orjson.dumps(updates))

    def _close(self, request: _OpenRequest) -> None:
        del self._open_requests[request.id]
        self._engine.abort(request.state)


def _rest(finished: Completion, start: int) -> tuple[list[int], list[float], str]:
    return finished.token_ids[start:], finished.logprobs[start:], finished.finish


def _request(fields: Json) -> Request:
    sampling = fields["sampling"]
    biases = tuple((token, bias) for token, bias in sampling["logit_bias"])
    tuples = {"stop": tuple(sampling["stop"]), "logit_bias": biases}
    sampling = SamplingParams(**{**sampling, **tuples})
    return Request(
        fields["prompt_ids"], fields["n"], sampling, fields["seed"], fields["n_prompt_top"]
    )


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
        if config["adapter"] is not None:
            merge_into(model, Path(config["adapter"]), "name its own base, or another adapter")
        if model.num_parameters() < SINGLE_THREAD_PARAMETERS:
            torch.set_num_threads(1)
        engine = LocalEngine(
            model,
            tokenizer,
            max_num_seqs=config["max_num_seqs"],
            prefix_tokens=config["prefix_tokens"],
            decode_text=False,  # tokens are sent, and the parent decodes them
        )
        _warm_up(engine)
    except R1Error as error:
        line.send_bytes(to_bytes({"error": type(error).__name__, "message": str(error)}))
        return
    gc.freeze()  # these objects stay, so the garbage collector need not scan them
    n_bytes = sum(p.nbytes for p in model.parameters())
    line.send_bytes(orjson.dumps({"max_positions": engine.max_positions, "n_bytes": n_bytes}))
    EngineWorker(engine, line).run()
