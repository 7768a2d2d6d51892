"""A running vLLM server used as an engine by token ids.

Template, parser, thinking budgets and stop strings of answers are r1kit's. Every completion is one
stream of `/v1/completions`; vLLM batches them and caches common prefixes. A separate thread reads
the streams; `step` takes the tokens received since the last one. Source: vLLM's `return_token_ids`
(0.10.2 and later), without which text would have to be tokenised again.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import re
import threading
from collections.abc import Collection
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from typing import Any

import httpx

from r1kit.engines.base import RequestState, TokenLogprobs
from r1kit.engines.openai.choices import FINISH_REASONS
from r1kit.engines.remote_engine import CompletionUpdate, RemoteCompletion, RemoteEngine
from r1kit.errors import EngineError
from r1kit.http.client import reason
from r1kit.http.sse import EventReader
from r1kit.types import (
    LOGIT_PARAMS,
    Completion,
    FinishReason,
    Json,
    Request,
    SamplingParams,
    TopLogprobs,
)

_STEP_S = 0.01
"""maximum time that a step waits for a token before it returns"""
_READ_TIMEOUT_S = 600.0
"""timeout after which a stream without data counts as lost"""
_IMPOSSIBLE_LOGPROB = -9999.0
"""vLLM's log-probability of tokens that cannot be sampled"""
_DEAD_ENGINE = r"EngineCore|EngineDead"
"""pattern in the errors of vLLM's API server after its engine process has died"""


_UNAVAILABLE = frozenset({502, 503, 504})
"""statuses of a server that starts or ends, or of the proxy before it"""


class VllmEngine(RemoteEngine):
    """A `StreamingSampler` on a vLLM server, used from one thread, except for `mark_lost`."""

    def __init__(
        self,
        url: str,
        model: str,
        key: str,
        tokenizer: Any,
        *,
        vocab_size: int,
        eos_ids: Collection[int],
        max_positions: int,
        is_streaming: bool = True,
    ) -> None:
        """`url` is the server's root, `vocab_size` the vocabulary size of the model.

        Without streaming, tokens arrive when their completion is done, which costs less.
        """
        super().__init__(
            tokenizer, vocab_size=vocab_size, eos_ids=eos_ids, max_positions=max_positions
        )
        self.model = model
        """name of the model, or of its adapter, for the requests from now on"""
        self.cache_salt = ""
        """name of the weights: only requests of the same name share cached keys and values"""
        self._is_streaming = is_streaming
        self._updates: SimpleQueue[tuple[RemoteCompletion, CompletionUpdate | EngineError]] = (
            SimpleQueue()
        )
        self._streams: dict[RemoteCompletion, Future[None]] = {}
        """streams of the open completions"""
        self._loss: str | None = None
        """reason that the server is gone; None while it works"""
        self._loop = asyncio.new_event_loop()
        self._client = httpx.AsyncClient(
            base_url=url,
            headers={"Authorization": f"Bearer {key}"} if key else {},
            timeout=httpx.Timeout(10.0, read=_READ_TIMEOUT_S, pool=None),
            limits=httpx.Limits(max_connections=None),
        )
        self._thread = threading.Thread(target=self._loop.run_forever, name="vllm", daemon=True)
        self._thread.start()

    def step(self) -> list[RequestState]:
        """Receive new tokens; return finished requests. Raises EngineError if the server died."""
        finished: list[RequestState] = []
        try:
            completion, update = self._updates.get(timeout=_STEP_S)
            while True:
                if self._apply(completion, update):
                    finished.append(completion.state)
                completion, update = self._updates.get_nowait()
        except Empty:
            pass
        if self._loss is not None:
            raise EngineError(f"vLLM is gone ({self._loss}); ask again in a minute.")
        return finished

    @property
    def loss(self) -> str | None:
        """Reason that the server is gone; None while it works."""
        return self._loss

    def mark_lost(self, why: str) -> None:
        """Report from any thread that the server is gone; the next `step` raises."""
        self._loss = why

    def close(self) -> None:
        """Abort all requests and close the connections; the engine cannot be used afterwards."""
        for state in list(self._remote_completions):
            self.abort(state)
        asyncio.run_coroutine_threadsafe(self._client.aclose(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def _send(self, state: RequestState, completions: list[RemoteCompletion], ahead: bool) -> None:
        """Open a stream per completion; `ahead` is ignored because vLLM schedules all requests."""
        for completion in completions:
            self._streams[completion] = asyncio.run_coroutine_threadsafe(
                self._read(completion), self._loop
            )

    def _cancel(self, completion: RemoteCompletion) -> None:
        self._streams[completion].cancel()

    def _end(self, completion: RemoteCompletion, finish: FinishReason) -> Completion:
        del self._streams[completion]
        return super()._end(completion, finish)

    def _body(self, completion: RemoteCompletion) -> dict[str, Any]:
        request, sampling = completion.state.request, completion.state.request.sampling
        scored = {"prompt_logprobs": request.n_prompt_top} if _scores_prompt(completion) else {}
        guided: dict[str, Any] = {}
        if sampling.json_schema is not None:
            guided = {"structured_outputs": {"json": json.loads(sampling.json_schema)}}
        elif sampling.lark is not None:
            guided = {"structured_outputs": {"grammar": sampling.lark}}
        salted = {"cache_salt": self.cache_salt} if self.cache_salt else {}
        streamed = {"stream": True, "stream_options": {"include_usage": True}}
        return (
            guided
            | _adjustments(sampling)
            | salted
            | scored
            | (streamed if self._streams_completion(completion) else {})
            | {
                "model": self.model,
                "prompt": request.prompt_ids,
                "max_tokens": max(1, sampling.max_tokens),
                "temperature": sampling.temperature,
                "top_p": sampling.top_p,
                "top_k": sampling.top_k,
                "seed": (request.seed + completion.index) % 2**63,
                "stop": list(sampling.stop),
                "stop_token_ids": sorted(self.eos_ids),
                "min_tokens": sampling.min_tokens,
                "logprobs": sampling.n_top,
                "return_token_ids": True,
                "return_tokens_as_token_ids": True,
                "skip_special_tokens": False,
            }
        )

    async def _read(self, completion: RemoteCompletion) -> None:
        """Read one answer until it ends, in the event loop's thread."""
        is_streamed = self._streams_completion(completion)
        read = self._read_stream if is_streamed else self._read_whole
        try:
            await read(completion, self._body(completion))
        except EngineError as error:
            if re.search(_DEAD_ENGINE, str(error)):
                self._loss = "its engine has ended"
            self._updates.put((completion, error))
        except httpx.HTTPError as error:
            self._loss = str(error) or type(error).__name__
            self._updates.put(
                (completion, EngineError("vLLM ended while it was answering; ask again."))
            )
        except Exception as error:  # raised in the caller, not lost in a thread
            self._updates.put(
                (completion, EngineError(f"vLLM's answer cannot be read ({error!r})."))
            )

    def _streams_completion(self, completion: RemoteCompletion) -> bool:
        """True if a completion is streamed; vLLM scores no prompt in a stream."""
        return self._is_streaming and not _scores_prompt(completion)

    async def _read_stream(self, completion: RemoteCompletion, body: dict[str, Any]) -> None:
        finish, n_cached = None, 0
        async with self._client.stream("POST", "/v1/completions", json=body) as reply:
            if reply.status_code != 200:
                raise EngineError(_refusal(reply.status_code, await reply.aread()))
            reader = EventReader()
            async for part in reply.aiter_bytes():
                for event in reader.feed(part):
                    update = _update(event, completion.state.request.sampling.n_top)
                    finish = update.finish or finish
                    n_cached = max(n_cached, update.n_cached)
                    if update.token_ids:
                        self._updates.put((completion, dataclasses.replace(update, finish=None)))
        if not reader.is_done or finish is None:
            raise httpx.ReadError("its stream ended in the middle")
        self._updates.put((completion, CompletionUpdate(finish=finish, n_cached=n_cached)))

    async def _read_whole(self, completion: RemoteCompletion, body: dict[str, Any]) -> None:
        reply = await self._client.post("/v1/completions", json=body)
        if reply.status_code in _UNAVAILABLE:
            raise httpx.ReadError(f"HTTP {reply.status_code}")
        if reply.status_code != 200:
            raise EngineError(_refusal(reply.status_code, reply.content))
        request = completion.state.request
        update = _update(reply.json(), request.sampling.n_top)
        if update.finish is None:
            raise httpx.ReadError("its answer ended in the middle")
        if _scores_prompt(completion):
            scored = _prompt_logprobs(reply.json(), request)
            update = dataclasses.replace(update, prompt_logprobs=scored)
        if not request.sampling.max_tokens:  # vLLM samples at least one
            update = CompletionUpdate(finish="length", prompt_logprobs=update.prompt_logprobs)
        self._updates.put((completion, update))


def _scores_prompt(completion: RemoteCompletion) -> bool:
    """True for the completion of a request whose answer has the prompt's log-probabilities."""
    return completion.index == 0 and completion.state.request.n_prompt_top is not None


def _prompt_logprobs(answer: Json, request: Request) -> TokenLogprobs:
    """Parse a list of None and, for every further token, `{"5": {"logprob": -0.1, ...}, ...}`."""
    [choice] = answer["choices"]
    by_position = [
        {int(token): entry["logprob"] for token, entry in entries.items()}
        for entries in (choice.get("prompt_logprobs") or [])[1:]
    ]
    scored = [by[token] for by, token in zip(by_position, request.prompt_ids[1:], strict=True)]
    n_top = request.n_prompt_top or 0
    likeliest = [sorted(by.items(), key=lambda pair: -pair[1])[:n_top] for by in by_position]
    return TokenLogprobs(scored, likeliest if n_top else [])


def _update(event: dict[str, Any], n_top: int) -> CompletionUpdate:
    """Decode an event. Raises EngineError for an error event, or text without token ids."""
    if "error" in event:
        raise EngineError(_refusal(500, event))
    usage = event.get("usage") or {}
    details = usage.get("prompt_tokens_details") or {}
    n_cached = details.get("cached_tokens") or 0
    if not event.get("choices"):
        return CompletionUpdate(n_cached=n_cached)
    [choice] = event["choices"]
    ids = choice.get("token_ids")
    if ids is None and choice.get("text"):
        raise EngineError("This vLLM says no token ids; 0.10.2 is the first that does.")
    logprobs = choice.get("logprobs") or {}
    reason_ = choice.get("finish_reason")
    finish = FINISH_REASONS.get(reason_) if reason_ else None
    if reason_ and finish is None:
        raise EngineError(f"vLLM ended the answer ({reason_}); ask again.")
    tops = [_top(top, n_top) for top in logprobs.get("top_logprobs") or []] if n_top else []
    return CompletionUpdate(
        list(ids or []), logprobs.get("token_logprobs") or [], finish, n_cached, tops
    )


def _top(logprobs: dict[str, float] | None, n: int) -> TopLogprobs:
    """Parse `{"token_id:5": -0.1}`, which may hold the sampled token as an extra entry."""
    pairs = [(int(name.partition(":")[2]), logprob) for name, logprob in (logprobs or {}).items()]
    likeliest = sorted(pairs, key=lambda pair: -pair[1])[:n]
    return [(token, logprob) for token, logprob in likeliest if logprob > _IMPOSSIBLE_LOGPROB]


def _refusal(status: int, body: bytes | dict[str, Any]) -> str:
    """Return an error message with the server's reason, which does not contain the prompt."""
    if isinstance(body, bytes):
        try:
            body = dict(json.loads(body))
        except (ValueError, TypeError):
            body = {}
    return f"vLLM refuses (HTTP {status}): {reason(body) or 'no reason given'}."


def _adjustments(sampling: SamplingParams) -> Json:
    """Return the parameters that change logits, without those that change nothing."""
    if not sampling.adjusts_logits:
        return {}
    params = {name: getattr(sampling, name) for name in LOGIT_PARAMS}
    return {**params, "logit_bias": {str(token): bias for token, bias in sampling.logit_bias}}
