"""The engine contract: `Request`s in, `Completion`s out. Imports no torch.

The caller's code is the same for every engine: in this process, on a vLLM server, or scripted.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from r1kit.errors import EngineError
from r1kit.types import Completion, FinishReason, Request, TopLogprobs

OnGroup = Callable[[int, list[Completion]], None]
"""callback(request index, its n completions), called as soon as all n are done"""


@dataclass(frozen=True, slots=True)
class Delta:
    """The next increment of a completion: `Delta([512, 71], "다시")`; the last one has `finish`.

    `text` never ends inside a character, and all texts joined are `Completion.text`.
    """

    token_ids: list[int]
    text: str
    finish: FinishReason | None = None


class TokenLogprobs(NamedTuple):
    """The log-probabilities of a completion's tokens, as in `Completion`, or of a prompt's."""

    logprobs: list[float]
    tops: list[TopLogprobs]


@dataclass(slots=True)
class Counters:
    """Totals since the engine was created."""

    prompt_tokens: int = 0
    """prompt tokens, counted once per request: its n completions share one prefill"""
    cached_tokens: int = 0
    """the share of `prompt_tokens` found in the prefix cache"""
    completion_tokens: int = 0
    """number of sampled tokens"""
    seconds: float = 0.0
    """time spent on prefill and decoding"""


class RequestState:
    """A submitted request and the progress of its completions."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.completions: list[Completion | None] = [None] * request.n
        self.n_begun = 0
        self.n_left = request.n
        self.n_cached = 0
        """number of prompt tokens found in the prefix cache"""
        self.prompt_logprobs: TokenLogprobs | None = None
        """those of the prompt's tokens after the first, at temperature 1; if requested, complete
        before any completion has a token or ends"""
        self.errors: dict[int, EngineError] = {}
        """errors that ended completions, by completion index"""

    def finish(self, index: int, completion: Completion) -> None:
        """Store a completion that has ended."""
        self.completions[index] = completion
        self.n_left -= 1

    def results(self) -> list[Completion]:
        """Return the n completions of a finished request. Raises EngineError if one failed."""
        for error in self.errors.values():
            raise error
        return [completion for completion in self.completions if completion is not None]


class Sampler(Protocol):
    """Samples completions of requests; its caller advances it: `while states: sampler.step()`.

    The opener closes it: the `with` block of `open.open_sampler`, or the server.
    """

    counters: Counters

    def submit(self, request: Request, ahead: bool = False) -> RequestState:
        """Queue a request, at the front if `ahead`. Raises EngineError if it cannot be served."""
        ...

    def step(self) -> list[RequestState]:
        """Advance all requests and return those that finished. Raises EngineError on failure."""
        ...

    def abort(self, state: RequestState) -> None:
        """End a request now: open completions keep their tokens and finish with "abort"."""
        ...


def generate(
    sampler: Sampler, requests: Sequence[Request], on_group: OnGroup | None = None
) -> list[list[Completion]]:
    """Return the n completions of every request, in the order of the requests.

    Raises EngineError for a request that cannot be served, before anything is sampled. An error
    aborts all requests.
    """
    states: list[RequestState] = []
    try:
        for request in requests:
            states.append(sampler.submit(request))
        indices = {id(state): index for index, state in enumerate(states)}
        while any(state.n_left for state in states):
            for state in sampler.step():
                if on_group is not None and id(state) in indices:
                    on_group(indices[id(state)], state.results())
    finally:
        for state in states:
            sampler.abort(state)
    return [state.results() for state in states]


class StreamingSampler(Sampler, Protocol):
    """A sampler whose unfinished completions can be read and ended one by one."""

    eos_ids: frozenset[int]

    @property
    def max_positions(self) -> int | None:
        """Maximum length of prompt + completion in tokens; None if unknown."""
        ...

    def abort_completion(self, state: RequestState, index: int) -> Completion:
        """End one completion now, with "abort"; the other completions of the request continue."""
        ...

    def sampled_ids(self, state: RequestState, index: int) -> list[int]:
        """Return the token ids of completion `index` so far. Raises EngineError if it failed."""
        ...

    def logprobs(self, state: RequestState, index: int) -> TokenLogprobs:
        """Return the log-probabilities of completion `index` so far."""
        ...


def as_schema(schema: dict[str, Any]) -> str:
    """Serialise a JSON schema to the string that `SamplingParams.json_schema` holds."""
    return json.dumps(schema, ensure_ascii=False, separators=(",", ":"))


def check(request: Request, vocab_size: int, max_positions: int | None) -> None:
    """Validate a request. Raises EngineError, saying what to change, if it cannot be served."""
    sampling, prompt = request.sampling, len(request.prompt_ids)
    if not prompt:
        raise EngineError("The prompt is empty; it needs at least one token.")
    if min(request.prompt_ids) < 0 or max(request.prompt_ids) >= vocab_size:
        raise EngineError(
            f"The prompt has token ids outside 0..{vocab_size - 1}; "
            "use the tokenizer that belongs to the model."
        )
    if request.n < 1 or sampling.max_tokens < (request.n_prompt_top is None):
        raise EngineError(
            "A request needs n >= 1 completions of max_tokens >= 1 (0 with prompt "
            "log-probabilities)."
        )
    if max_positions is not None and prompt + sampling.max_tokens > max_positions:
        raise EngineError(
            f"The prompt has {prompt} tokens and may grow by {sampling.max_tokens}, but the model "
            f"ends at {max_positions}; shorten the prompt or lower max_tokens."
        )
    if not 0 <= max(sampling.n_top, request.n_prompt_top or 0) <= vocab_size:
        raise EngineError(f"The model has {vocab_size} tokens, and n_top must be one of 0 to that.")
    if not (sampling.temperature >= 0 and 0 < sampling.top_p <= 1 and sampling.top_k >= 0):
        raise EngineError("Sampling needs temperature >= 0, 0 < top_p <= 1 and top_k >= 0.")
    if not 0 <= sampling.min_tokens <= sampling.max_tokens:
        raise EngineError("A request needs 0 <= min_tokens <= max_tokens.")
    if "" in sampling.stop:
        raise EngineError("A stop string cannot be empty; leave it out instead.")
