"""The contract of everything that samples. Imports no torch.

An engine turns `Request`s into `Completion`s. Which one it is (this process, a vLLM server, a
script) does not change what the caller writes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from r1kit.errors import EngineError
from r1kit.types import Completion, Finish, Request, TopLogprobs

OnGroup = Callable[[int, list[Completion]], None]
"""called with the place of a request and its n completions as soon as all of them are done"""


@dataclass(frozen=True, slots=True)
class Delta:
    """What a stream says next: `Delta([512, 71], "다시")`; the last one carries `finish`.

    A text never ends inside a character, and all texts together are `Completion.text`.
    """

    token_ids: list[int]
    text: str
    finish: Finish | None = None


class TokenLogprobs(NamedTuple):
    """How likely the tokens of a completion were; see `Completion`."""

    logprobs: list[float]
    tops: list[TopLogprobs]


@dataclass(slots=True)
class Counters:
    """What an engine has done since it was made."""

    prompt_tokens: int = 0
    """read; the n completions of a request share one reading"""
    cached_tokens: int = 0
    """of these, known from earlier prompts"""
    completion_tokens: int = 0
    """sampled"""
    seconds: float = 0.0
    """spent reading and sampling"""


class Engine(Protocol):
    """Who samples."""

    counters: Counters

    def generate(
        self, requests: Sequence[Request], on_group: OnGroup | None = None
    ) -> list[list[Completion]]:
        """The n completions of every request, in the order of the requests.

        Raises EngineError for a request that cannot be served, before anything is sampled.
        """
        ...

    def publish(self, version: int) -> None:
        """The weights have changed: forget everything computed with the old ones.

        Completions begun from now on carry `policy_version=version`.
        """
        ...


class RequestState:
    """A submitted request: what has been begun of it and what is done."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.completions: list[Completion | None] = [None] * request.n
        self.n_begun = 0
        self.n_left = request.n
        self.n_cached = 0
        """tokens of the prompt that were known from earlier prompts"""
        self.errors: dict[int, EngineError] = {}
        """why there will be nothing more of a completion, by its place"""

    def results(self) -> list[Completion]:
        """All n completions of a job that is done. Raises EngineError if one of them failed."""
        for error in self.errors.values():
            raise error
        return [completion for completion in self.completions if completion is not None]


class StepEngine(Protocol):
    """An engine that somebody drives, step by step: `while jobs: engine.step()`."""

    counters: Counters
    eos_ids: frozenset[int]

    @property
    def max_positions(self) -> int | None:
        """Longest prompt + completion in tokens; None if nobody states one."""
        ...

    def submit(self, request: Request, ahead: bool = False) -> RequestState:
        """Queue a request, `ahead` of all that wait. Raises EngineError if it cannot be served."""
        ...

    def step(self) -> list[RequestState]:
        """Go on with all jobs; those that are done by it. Raises EngineError when it is over."""
        ...

    def abort(self, job: RequestState) -> None:
        """End a job now: what it has sampled becomes completions that finish by "abort"."""
        ...

    def cut(self, job: RequestState, index: int) -> Completion:
        """End one completion now, by "abort"; the others of the job go on."""
        ...

    def sampled(self, job: RequestState, index: int) -> list[int]:
        """Token ids of completion `index` so far. Raises EngineError if it has failed."""
        ...

    def odds(self, job: RequestState, index: int) -> TokenLogprobs:
        """Of the tokens of completion `index` so far."""
        ...


def as_schema(schema: dict[str, Any]) -> str:
    """The text that stands for a schema: `Sampling.json_schema`."""
    return json.dumps(schema, ensure_ascii=False, separators=(",", ":"))


def check(request: Request, vocab_size: int, max_positions: int | None) -> None:
    """Raises EngineError, a sentence that says what to change, if a request cannot be served."""
    sampling, prompt = request.sampling, len(request.prompt_ids)
    if not prompt:
        raise EngineError("The prompt is empty; it needs at least one token.")
    if min(request.prompt_ids) < 0 or max(request.prompt_ids) >= vocab_size:
        raise EngineError(
            f"The prompt has token ids outside 0..{vocab_size - 1}; "
            "use the tokenizer that belongs to the model."
        )
    if request.n < 1 or sampling.max_tokens < 1:
        raise EngineError("A request needs n >= 1 completions of max_tokens >= 1.")
    if max_positions is not None and prompt + sampling.max_tokens > max_positions:
        raise EngineError(
            f"The prompt has {prompt} tokens and may grow by {sampling.max_tokens}, but the model "
            f"ends at {max_positions}; shorten the prompt or lower max_tokens."
        )
    if not 0 <= sampling.n_top <= vocab_size:
        raise EngineError(f"The model has {vocab_size} tokens, and n_top must be one of 0 to that.")
    if not (sampling.temperature >= 0 and 0 < sampling.top_p <= 1 and sampling.top_k >= 0):
        raise EngineError("Sampling needs temperature >= 0, 0 < top_p <= 1 and top_k >= 0.")
    if not 0 <= sampling.min_tokens <= sampling.max_tokens:
        raise EngineError("A request needs 0 <= min_tokens <= max_tokens.")
    if "" in sampling.stop:
        raise EngineError("A stop string cannot be empty; leave it out instead.")
