"""Samples the completions of a run on one or more vLLM servers, which may die and come back.

Every completion is a request of its own, in token ids, with the seed that the request's seed and
its index give. A server that does not answer loses its open completions to the others, or they wait
for its return; they are asked again from their first token, so that each one comes exactly once. A
server that comes back gets the newest weights before its first request.
"""

from __future__ import annotations

import dataclasses
import time
from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from r1kit.engines.base import Counters, RequestState, check
from r1kit.engines.vllm import weights as published
from r1kit.engines.vllm.admin import LostServerError, VllmAdmin, check_version
from r1kit.engines.vllm.engine import VllmEngine
from r1kit.engines.vllm.weights import PublishedWeights
from r1kit.errors import EngineError
from r1kit.types import Completion, Request

MAX_LOSSES = 5
"""times that a server may be lost without having finished a completion in between"""
_RETRY_S = 1.0
"""pause between two questions whether a lost server is back"""


@dataclass(frozen=True)
class ModelOnServers:
    """The model that servers are expected to have."""

    tokenizer: Any
    vocab_size: int
    eos_ids: Collection[int]
    max_positions: int | None
    fixed_text: str
    """a text by which tokenizers are compared"""


@dataclass(eq=False, slots=True)
class _SentCompletion:
    """A completion that is waiting or being sampled."""

    state: RequestState
    index: int


@dataclass(eq=False)
class _PoolServer:
    admin: VllmAdmin
    model: str = ""
    """name of its whole model"""
    engine: VllmEngine | None = None
    """None while it does not answer"""
    open: dict[RequestState, _SentCompletion] = field(default_factory=dict)
    """its completions by the request that it was sent"""
    n_losses: int = 0
    """times it was lost since it last finished a completion"""
    lost_at: float = 0.0
    asked_at: float = 0.0


class VllmPool:
    """A `Sampler` on vLLM servers."""

    def __init__(
        self,
        urls: Sequence[str],
        key: str,
        model: ModelOnServers,
        *,
        max_num_seqs: int,
        timeout_s: float,
        note: Callable[[str], None],
        check_own: Callable[[], None] = lambda: None,
    ) -> None:
        """`timeout_s` is the longest wait for a server; `check_own` raises if it is given up.

        `note` gets a sentence for the user when a server is lost or comes back.
        """
        self.counters = Counters()
        self._servers = [_PoolServer(VllmAdmin(url, key)) for url in urls]
        self._key = key
        self._model = model
        self._max_num_seqs = max_num_seqs
        self._timeout_s = timeout_s
        self._note = note
        self._check_own = check_own
        self._weights: PublishedWeights | None = None
        self._waiting: deque[_SentCompletion] = deque()
        self._max_positions = model.max_positions
        for server in self._servers:
            server.lost_at = time.monotonic()

    @property
    def n_open(self) -> int:
        """Number of completions that are waiting or being sampled."""
        return len(self._waiting) + sum(len(server.open) for server in self._servers)

    def publish(self, weights: PublishedWeights) -> None:
        """Make all servers use these weights; no completion may be open.

        Servers that do not answer get them when they are back. Raises EngineError if none answers
        in time, or if one has other weights afterwards.
        """
        assert not self.n_open, "weights are published between the steps"
        self._weights = weights
        for server in self._servers:
            if server.engine is not None:
                try:
                    self._load(server, server.engine)
                except LostServerError as error:
                    self._lose(server, str(error))
        while not any(server.engine for server in self._servers):
            self._revive()
            time.sleep(_RETRY_S / 10)

    def submit(self, request: Request, ahead: bool = False) -> RequestState:
        """Implements `Sampler.submit`."""
        check(request, self._model.vocab_size, self._max_positions)
        state = RequestState(request)
        self.counters.prompt_tokens += len(request.prompt_ids)
        opened = [_SentCompletion(state, index) for index in range(request.n)]
        if ahead:
            self._waiting.extendleft(reversed(opened))
        else:
            self._waiting.extend(opened)
        return state

    def step(self) -> list[RequestState]:
        """Implements `Sampler.step`. Raises EngineError if no server answers in time."""
        started, finished = time.perf_counter(), []
        self._revive()
        self._send_waiting()
        for server in self._servers:
            if server.engine is None:
                continue
            try:
                done = server.engine.step()
            except EngineError as error:
                finished += self._lose(server, server.engine.loss or str(error))
            else:
                finished += [state for sent in done if (state := self._finish(server, sent))]
        if not any(server.engine for server in self._servers):
            time.sleep(_RETRY_S / 10)
        self.counters.seconds += time.perf_counter() - started
        return finished

    def abort(self, state: RequestState) -> None:
        """Implements `Sampler.abort`."""
        if not state.n_left:
            return
        self._waiting = deque(one for one in self._waiting if one.state is not state)
        for server in self._servers:
            for sent, one in list(server.open.items()):
                if one.state is state:
                    del server.open[sent]
                    if server.engine is not None:
                        server.engine.abort(sent)
        for index, completion in enumerate(state.completions):
            if completion is None:
                state.finish(index, Completion([], [], "", "abort", self._version))

    def close(self) -> None:
        """End all requests and close the connections."""
        for server in self._servers:
            if server.engine is not None:
                server.engine.close()
            server.admin.close()

    @property
    def _version(self) -> int:
        return self._weights.version if self._weights else 0

    def _send_waiting(self) -> None:
        """Send waiting completions to the servers with the fewest."""
        while self._waiting:
            free = [s for s in self._servers if s.engine and len(s.open) < self._max_num_seqs]
            if not free:
                return
            server = min(free, key=lambda server: len(server.open))
            assert server.engine is not None
            one = self._waiting.popleft()
            request = one.state.request
            sent = server.engine.submit(
                dataclasses.replace(request, n=1, seed=request.seed + one.index)
            )
            server.open[sent] = one

    def _finish(self, server: _PoolServer, sent: RequestState) -> RequestState | None:
        """Store a completion; return its request if that has finished."""
        one = server.open.pop(sent, None)
        if one is None:
            return None
        [completion] = sent.results()
        server.n_losses = 0
        self.counters.completion_tokens += len(completion.token_ids)
        completion = dataclasses.replace(completion, policy_version=self._version)
        one.state.finish(one.index, completion)
        return one.state if not one.state.n_left else None

    def _lose(self, server: _PoolServer, why: str) -> list[RequestState]:
        """Give up a server until it is back; its open completions are asked again.

        Return the requests that the completions finished which it still could send.
        """
        engine, server.engine, server.lost_at = server.engine, None, time.monotonic()
        finished = []
        for sent, one in list(server.open.items()):
            if sent.n_left or sent.errors:
                del server.open[sent]
                self._waiting.append(one)
            elif state := self._finish(server, sent):
                finished.append(state)
        if engine is not None:
            engine.close()
        server.n_losses += 1
        if server.n_losses > MAX_LOSSES:
            raise EngineError(
                f"vLLM at {server.admin.url} was lost {server.n_losses} times without finishing a "
                f"completion ({why.rstrip('.')}); its log says more."
            )
        self._note(
            f"vLLM at {server.admin.url} is lost ({why.rstrip('.')}); {len(self._waiting)} "
            "completions wait or are asked again."
        )
        return finished

    def _revive(self) -> None:
        """Connect to lost servers that answer again. Raises EngineError if none does in time."""
        now = time.monotonic()
        for server in self._servers:
            if server.engine is not None or now - server.asked_at < _RETRY_S:
                continue
            server.asked_at = now
            self._check_own()
            if server.admin.is_up():
                try:
                    self._connect(server)
                except LostServerError:
                    continue
        lost = [server for server in self._servers if server.engine is None]
        if len(lost) == len(self._servers) and all(
            now - server.lost_at > self._timeout_s for server in lost
        ):
            urls = ", ".join(server.admin.url for server in lost)
            raise EngineError(
                f"vLLM at {urls} has not answered for {self._timeout_s:g} s "
                "(sampler.server_timeout_s); start it again, then run the same command again."
            )

    def _connect(self, server: _PoolServer) -> None:
        admin, model = server.admin, self._model
        check_version(admin)
        name, length = admin.model()
        _check_settings(admin, name, model)
        server.model = name
        lengths = [n for n in (length, self._max_positions) if n]
        self._max_positions = min(lengths) if lengths else None
        engine = VllmEngine(
            admin.url, name, self._key, model.tokenizer, vocab_size=model.vocab_size,
            eos_ids=model.eos_ids, max_positions=length, is_streaming=False,
        )  # fmt: skip
        try:
            self._load(server, engine)
        except BaseException:
            engine.close()
            raise
        server.engine = engine
        if server.n_losses:
            self._note(f"vLLM at {admin.url} is back, with the newest weights.")

    def _load(self, server: _PoolServer, engine: VllmEngine) -> None:
        assert self._weights is not None, "nothing was published"
        engine.model = published.load(server.admin, server.model, self._weights)
        engine.cache_salt = self._weights.label


def _check_settings(admin: VllmAdmin, name: str, model: ModelOnServers) -> None:
    """Raises EngineError if a server would sample from another distribution or other tokens."""
    config = admin.model_config()
    for key, option, expected in (
        ("logprobs_mode", "--logprobs-mode", "processed_logprobs"),
        ("generation_config", "--generation-config", "vllm"),
    ):
        if config.get(key) != expected:
            raise EngineError(
                f"vLLM at {admin.url} has {key} {config.get(key)!r}; start it with "
                f"{option} {expected}."
            )
    ours = model.tokenizer.encode(model.fixed_text, add_special_tokens=False)
    if admin.tokenize(name, model.fixed_text) != ours:
        raise EngineError(
            f"vLLM at {admin.url} has another tokenizer than the policy; start it with the model "
            "of the recipe."
        )
