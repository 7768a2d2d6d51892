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
from r1kit.engines.base import RequestState, TokenLogprobs
from r1kit.engines.remote_engine import CompletionUpdate, RemoteCompletion, RemoteEngine
from r1kit.errors import EngineError, GrammarError
from r1kit.files.untrusted import read_json, to_bytes
from r1kit.processes.child import Child
from r1kit.types import Completion, FinishReason, TopLogprobs

_STEP_S = 0.01
"""maximum time that a step waits for a token before it returns"""


@dataclass(frozen=True)
class EngineConfig:
    """The model that the process loads, and the settings of its `LocalEngine`."""

    model: Path | str
    """a folder or GGUF file (Path), or a hub id (str)"""
    max_num_seqs: int
    prefix_tokens: int
    adapter: Path | None = None
    """folder of a LoRA adapter that is merged into the model"""


class EngineProcess(Child):
    """A child process that loads a model in the background."""

    def __init__(self, config: EngineConfig) -> None:
        super().__init__("r1kit.engines.process.worker")
        self.config = config
        adapter = config.adapter and str(config.adapter)
        settings = {**asdict(config), "model": str(config.model), "adapter": adapter}
        message = {"config": settings, "is_folder": isinstance(config.model, Path)}
        with contextlib.suppress(OSError):  # it has ended: `wait_until_loaded` raises
            self.line.send_bytes(to_bytes(message))

    def wait_until_loaded(self) -> dict[str, Any]:
        """Wait for the model and return its properties. Raises the R1Error of a failed load."""
        try:
            reply: dict[str, Any] = read_json(self.line.recv_bytes())
        except (EOFError, OSError):
            message = f"The engine's process has ended{self.how()} while it loaded the model."
            raise EngineError(message) from None
        if "error" in reply:
            raise getattr(errors, reply["error"])(reply["message"])
        return reply


class ProcessEngine(RemoteEngine):
    """A `base.StreamingSampler` that runs in an `EngineProcess`; `close` ends that process."""

    def __init__(
        self, process: EngineProcess, tokenizer: Any, *, vocab_size: int, eos_ids: Collection[int]
    ) -> None:
        """Wait until the model is loaded. Raises the R1Error with which loading failed."""
        self._process, self._line = process, process.line
        try:
            properties = process.wait_until_loaded()
        except BaseException:
            self.close()
            raise
        super().__init__(
            tokenizer,
            vocab_size=vocab_size,
            eos_ids=eos_ids,
            max_positions=properties["max_positions"],
        )
        self.n_bytes: int = properties["n_bytes"]
        """size of the weights"""
        self._next_ids = count()
        self._id_of: dict[RequestState, int] = {}
        """ids of the requests that are not finished"""
        self._state_of: dict[int, RequestState] = {}

    @property
    def pid(self) -> int:
        """The id of the engine's process."""
        return self._process.pid

    def step(self) -> list[RequestState]:
        """Receive new tokens; return finished requests. Raises EngineError if the process died."""
        finished: list[RequestState] = []
        try:
            if not self._line.poll(_STEP_S):
                return finished
            while True:
                finished += self._receive(orjson.loads(self._line.recv_bytes()))
                if not self._line.poll(0):
                    return finished
        except (EOFError, OSError):
            raise EngineError(
                f"The engine's process has ended{self._process.how()}; ask again."
            ) from None

    def close(self) -> None:
        """End the process; the engine cannot be used afterwards."""
        self._process.close()

    def _receive(self, message: list[list[Any]] | dict[str, str]) -> list[RequestState]:
        """Apply a message from the process and return the requests that it finished."""
        if isinstance(message, dict):
            raise EngineError(message["message"])
        finished = []
        for request_id, index, *rest in message:
            state = self._state_of.get(request_id)  # None if it was ended on this side meanwhile
            if state is None:
                continue
            if index is None:
                logprobs, tops = rest
                state.prompt_logprobs = TokenLogprobs(logprobs, _pairs(tops))
            elif self._apply(self._remote_completions[state][index], _update(*rest)):
                finished.append(state)
        return finished

    def _send(self, state: RequestState, completions: list[RemoteCompletion], ahead: bool) -> None:
        request_id = next(self._next_ids)
        self._id_of[state], self._state_of[request_id] = request_id, state
        self._send_message({"request_id": request_id, "request": state.request, "ahead": ahead})

    def _cancel(self, completion: RemoteCompletion) -> None:
        self._send_message({"request_id": self._id_of[completion.state], "index": completion.index})

    def _end(self, completion: RemoteCompletion, finish: FinishReason) -> Completion:
        result = super()._end(completion, finish)
        if not completion.state.n_left:
            del self._state_of[self._id_of.pop(completion.state)]
        return result

    def _send_message(self, message: dict[str, Any]) -> None:
        with contextlib.suppress(OSError):  # it has ended: `step` raises
            self._line.send_bytes(orjson.dumps(message))


def _update(first: Any, *rest: Any) -> CompletionUpdate | EngineError:
    """Decode an update: new tokens with their details, or the error that ended the completion."""
    if not rest:
        return GrammarError(first)
    logprobs, finish, n_cached, tops = rest
    return CompletionUpdate(first, logprobs, finish, n_cached, _pairs(tops))


def _pairs(tops: list[list[list[Any]]]) -> list[TopLogprobs]:
    return [[(token, logprob) for token, logprob in top] for top in tops]
