"""A client for any OpenAI-compatible server: DeepSeek's API, vLLM, llama.cpp, r1kit's. No torch.

Unlike the engines of `base.py` it takes messages, because only the server has the tokenizer: a
`Completion` from here has its text, in r1kit's format, and its finish reason, but no token ids.

Servers return thinking in fields, typed parts or tags (choices.py); each is converted to the text
format that `thinking.parse` reads.
"""

from __future__ import annotations

import copy
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from r1kit.engines.base import Counters
from r1kit.engines.openai.choices import FINISH_REASONS, count, pieces, thinking_and_answer
from r1kit.errors import EngineError
from r1kit.files.untrusted import replace_surrogates
from r1kit.http.client import HttpClient, RefusedError
from r1kit.renderers.stream_parser import Piece
from r1kit.renderers.thinking import server_text
from r1kit.types import Completion, FinishReason, Json, Message, SamplingParams

TIMEOUT_S = 600.0
"""timeout of one attempt; a reasoning model may think for minutes"""
RETRIES = 4
CONCURRENCY = 8
MIN_FAILURES = 4
"""minimum number of failures in a row after which a server counts as down"""


@dataclass(frozen=True, slots=True)
class EndpointRequest:
    """`EndpointRequest((Message("user", "7x + 3 = 38"),), SamplingParams(256), seed=7, n=4)`."""

    messages: tuple[Message, ...]
    sampling: SamplingParams
    seed: int
    n: int = 1


class CountedCompletion(NamedTuple):
    """A completion with the token counts that the server states; None if it states none."""

    completion: Completion
    n_prompt_tokens: int | None
    n_tokens: int | None


CompletionsOrError = list[Completion] | EngineError
"""n completions, or the error that prevented them"""


class Endpoint:
    """A model on a server. Safe to use from several threads; the API key is never shown."""

    def __init__(
        self,
        url: str,
        model: str | None = None,
        api_key: str | None = None,
        timeout_s: float = TIMEOUT_S,
        retries: int = RETRIES,
        concurrency: int = CONCURRENCY,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`url` is the base URL before `/chat/completions`; `model` may be None for a single model.

        Raises ConfigError for an invalid address or key; no request is sent.
        """
        self.counters = Counters()
        self._client = HttpClient(url, api_key, timeout_s, retries, sleep)
        self._concurrency = concurrency
        self._model = model
        self._one_by_one = False
        """True if the server does not support n > 1"""
        self._lock = threading.Lock()

    @property
    def address(self) -> str:
        """The base URL, without API key and trailing slash."""
        return self._client.address

    @property
    def model(self) -> str:
        """The model's name. Raises EngineError if none was given and the server has several."""
        with self._lock:
            if self._model is None:
                self._model = self._client.call("GET", "/models", None, self._only)
            return self._model

    def complete(
        self, messages: Sequence[Message], sampling: SamplingParams, seed: int, n: int = 1
    ) -> list[Completion]:
        """Return n completions of a conversation, one by one with seed + i if n > 1 is unsupported.

        Raises RefusedError if the server refuses this request, EngineError for all other failures.
        """
        completions: list[Completion] = []
        if n > 1 and not self._one_by_one:
            try:
                completions = self._ask(messages, sampling, seed, n)[:n]
            except RefusedError:
                completions = []  # refuses n, or the request itself: the next attempt shows which
        was_short = n > 1 and len(completions) < n
        while len(completions) < n:
            completions += self._ask(messages, sampling, seed + len(completions), 1)[:1]
        self._one_by_one |= was_short
        return completions

    def complete_one(
        self, messages: Sequence[Message], sampling: SamplingParams, seed: int
    ) -> CountedCompletion:
        """Return one completion with its token counts; raises as `complete` does."""
        [completion, *_], usage = self._counted(messages, sampling, seed, 1)
        sizes = (count(usage, "prompt_tokens"), count(usage, "completion_tokens"))
        return CountedCompletion(completion, *(size or None for size in sizes))

    def complete_many(
        self,
        requests: Sequence[EndpointRequest],
        on_done: Callable[[int, CompletionsOrError], None] | None = None,
    ) -> list[CompletionsOrError]:
        """Return completions or an error for every request, in order; failures are not raised.

        `on_done(index, result)` is called in this thread as results arrive. After
        max(concurrency, 4) failures in a row the server counts as down, and the remaining requests
        fail without being sent.
        """
        answers: list[CompletionsOrError | None] = [None] * len(requests)
        try:
            _ = self.model  # once, not in every thread
        except EngineError as error:
            if on_done is not None:
                for index in range(len(requests)):
                    on_done(index, error)
            return [error for _ in requests]
        results: queue.SimpleQueue[tuple[int, CompletionsOrError | BaseException]] = (
            queue.SimpleQueue()
        )
        pool = _WorkerPool(self, requests, results, max(self._concurrency, MIN_FAILURES))
        try:
            pool.start(min(self._concurrency, len(requests)))
            for _ in requests:
                index, answer = results.get()
                if not isinstance(answer, (list, EngineError)):
                    raise answer
                answers[index] = answer
                if on_done is not None:
                    on_done(index, answer)
        finally:
            pool.is_over = True
        return [answer for answer in answers if answer is not None]

    def stream(
        self, messages: Sequence[Message], sampling: SamplingParams, seed: int, thinks: bool = True
    ) -> Iterator[Piece | FinishReason]:
        """Stream one completion, then yield its finish reason. Raises EngineError, also midway.

        DeepSeek's field `thinking` is sent only if thinking is off; other servers may not know it.
        """
        body = self._body(messages, sampling, seed, 1) | {"stream": True}
        if not thinks:
            body["thinking"] = {"type": "disabled"}
        yield from pieces(self._client.events("/chat/completions", body))

    def for_model(self, name: str) -> Endpoint:
        """Return a copy of this endpoint for another model of the same server."""
        other = copy.copy(self)
        other._model = name
        return other

    def models(self) -> list[str]:
        """Return the names of the server's models. Raises EngineError."""
        return [str(model["id"]) for model in self.listed()]

    def listed(self) -> list[Json]:
        """Return the model objects of `/models`. Raises EngineError."""
        return self._client.call("GET", "/models", None, _listed)

    def close(self) -> None:
        """Close all connections."""
        self._client.close()

    def __enter__(self) -> Endpoint:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(
        self, messages: Sequence[Message], sampling: SamplingParams, seed: int, n: int
    ) -> list[Completion]:
        return self._counted(messages, sampling, seed, n)[0]

    def _counted(
        self, messages: Sequence[Message], sampling: SamplingParams, seed: int, n: int
    ) -> tuple[list[Completion], Json]:
        body = self._body(messages, sampling, seed, n)
        started = time.perf_counter()
        completions, usage = self._client.call("POST", "/chat/completions", body, _read)
        with self._lock:
            self.counters.prompt_tokens += count(usage, "prompt_tokens")
            self.counters.completion_tokens += count(usage, "completion_tokens")
            self.counters.seconds += time.perf_counter() - started
        return completions, usage

    def _body(
        self, messages: Sequence[Message], sampling: SamplingParams, seed: int, n: int
    ) -> Json:
        body: Json = {
            "model": self.model,
            "messages": [
                {"role": message.role, "content": replace_surrogates(message.content)}
                for message in messages
            ],
            "max_tokens": sampling.max_tokens,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "seed": seed,
        }
        # Not every server supports these fields: they are sent only if they have an effect.
        extra = {"n": n if n > 1 else None, "top_k": sampling.top_k, "stop": list(sampling.stop)}
        return body | {key: value for key, value in extra.items() if value}

    def _only(self, listed: Json) -> str:
        """Return the only model of /models; several names of one model (`root`) count as one."""
        models = _listed(listed)
        names = [str(model["id"]) for model in models]
        if not names:
            raise ValueError("no model in /models")
        if len({str(model.get("root") or model["id"]) for model in models}) > 1:
            raise EngineError(
                f"The server at {self.address} has several models ({', '.join(names[:8])}"
                f"{', …' if len(names) > 8 else ''}); name one of them."
            )
        return names[0]


class _WorkerPool:
    """Threads that send requests; daemons, so that Ctrl-C need not wait for a hung server."""

    def __init__(
        self,
        endpoint: Endpoint,
        requests: Sequence[EndpointRequest],
        results: queue.SimpleQueue[tuple[int, CompletionsOrError | BaseException]],
        patience: int,
    ) -> None:
        self.is_over = False
        self._endpoint = endpoint
        self._requests = requests
        self._results = results
        self._patience = patience
        self._next = iter(range(len(requests)))
        self._failed = 0
        """number of failures in a row"""
        self._failure = EngineError("nothing failed")
        self._lock = threading.Lock()

    def start(self, n: int) -> None:
        for _ in range(n):
            threading.Thread(target=self._work, name="remote", daemon=True).start()

    def _work(self) -> None:
        while not self.is_over:
            with self._lock:
                index = next(self._next, None)
                failure = self._failure if self._failed >= self._patience else None
            if index is None:
                return
            self._results.put((index, failure or self._ask(self._requests[index])))

    def _ask(self, request: EndpointRequest) -> CompletionsOrError | BaseException:
        answer: CompletionsOrError | BaseException
        try:
            answer = self._endpoint.complete(
                request.messages, request.sampling, request.seed, request.n
            )
        except EngineError as error:
            answer = error
        except BaseException as error:  # a bug: raised in the caller, not lost in a thread
            answer = error
        with self._lock:
            if isinstance(answer, EngineError) and not isinstance(answer, RefusedError):
                self._failed, self._failure = self._failed + 1, answer
            else:
                self._failed = 0
        return answer


def _listed(answer: Json) -> list[Json]:
    """Return the model objects of /models that have a name."""
    data = answer.get("data")
    models = [model for model in data if isinstance(model, dict)] if isinstance(data, list) else []
    return [model for model in models if isinstance(model.get("id"), str)]


def _read(answer: Json) -> tuple[list[Completion], Json]:
    """Return the choices and the usage. Raises ValueError for an invalid response."""
    choices = answer.get("choices")
    if not isinstance(choices, list) or not choices:
        error = answer.get("error")
        message = error.get("message") if isinstance(error, dict) else error
        raise ValueError(
            message if isinstance(message, str) and message else "an answer without choices"
        )
    usage = answer.get("usage")
    return [_completion(choice) for choice in choices], usage if isinstance(usage, dict) else {}


def _completion(choice: Any) -> Completion:
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(message, dict):
        raise ValueError("a choice without a message")
    finish = FINISH_REASONS.get(str(choice.get("finish_reason")), "abort")
    return Completion([], [], server_text(*thinking_and_answer(message), finish), finish, 0)
