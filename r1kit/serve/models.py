"""The models a server has, by the names clients know: from a request to what the engine is asked.

The first model also answers to the names of DeepSeek's API, which say whether there is thinking.
"""

from __future__ import annotations

import dataclasses
import secrets
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from r1kit import template
from r1kit.engines.local import LocalEngine
from r1kit.errors import ConfigError
from r1kit.serve.api_error import ApiError
from r1kit.serve.completion import Ask
from r1kit.serve.driver import Driver
from r1kit.serve.limits import ANSWER_SHARE, MAX_TOKENS, Limits
from r1kit.serve.schema import ChatRequest, CompletionRequest, Drawn
from r1kit.types import Request, Sampling

ALIASES = {"deepseek-reasoner": True, "deepseek-r1": True, "deepseek-chat": False}
"""name → whether it thinks"""
TEMPERATURE, TOP_P = 0.6, 0.95
"""as recommended for DeepSeek-R1"""
_GREEDY_BELOW = 1e-4
"""temperature; dividing by less overflows float32"""
_LEAST_TOP_P = 1e-6
"""less is 0 in float32; either leaves the likeliest token alone"""
_LEGACY_MAX_TOKENS = 16
"""OpenAI's default of the older route"""


class Served:
    """One model: its tokenizer, its driver, its name."""

    def __init__(
        self, name: str, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, limits: Limits
    ) -> None:
        self.name = name
        self.tokenizer = tokenizer
        self.created = int(time.time())
        self.driver = Driver(
            lambda: LocalEngine(model, tokenizer, max_rows=limits.max_rows), tokenizer, limits
        )
        self.max_positions = self.driver.engine.max_positions
        self.has_thinking = template.has_thinking(tokenizer)
        self._n_ids = self.driver.engine.model.get_input_embeddings().num_embeddings
        self.pen = ThreadPoolExecutor(1, "tokenizer")
        """encodes prompts, one at a time and off the event loop"""

    def chat(self, request: ChatRequest, by_name: bool) -> Ask:
        """What a chat asks of the engine. Raises ApiError."""
        thinks = self._thinks(request, by_name)
        turns, begun = request.conversation()
        try:
            opening = template.open_turn(self.tokenizer, turns, thinks, begun)
        except Exception as error:  # templates raise what they like on turns they do not know
            raise ApiError(
                400,
                f"messages: The model's chat template refuses them ({type(error).__name__}).",
                param="messages",
            ) from error
        most = request.max_completion_tokens or request.max_tokens or MAX_TOKENS
        ask = Ask(
            self._request(request, opening.ids, most, "messages"),
            opening,
            wants_logprobs=bool(request.logprobs),
        )
        budget = request.thinking.budget_tokens if request.thinking else None
        if budget is None or opening.part != "thinking":
            return ask
        return self._with_budget(ask, budget)

    def completion(self, request: CompletionRequest, prompt: str | list[int]) -> Ask:
        """What a plain text, or token ids, ask of the engine. Raises ApiError."""
        if isinstance(prompt, str):
            ids = template.encode_prompt(self.tokenizer, prompt)
        else:
            ids = prompt
        if not ids or max(ids) >= self._n_ids:
            raise ApiError(
                400,
                f"prompt: It needs at least one token, and ids below {self._n_ids}.",
                param="prompt",
            )
        most = request.max_tokens or _LEGACY_MAX_TOKENS
        wanted = self._request(request, ids, most, "prompt")
        return Ask(wanted, wants_logprobs=request.logprobs is not None)

    def describe(self, name: str) -> dict[str, Any]:
        """The model object of OpenAI's API, for one of its names."""
        facts = {"id": name, "object": "model", "created": self.created, "owned_by": "r1kit"}
        return {**facts, "root": self.name, "max_model_len": self.max_positions}

    def _thinks(self, request: ChatRequest, by_name: bool) -> bool:
        thinks = request.thinks(by_name)
        if request.thinking is not None and thinks and not self.has_thinking:
            raise ApiError(
                400,
                f"thinking: The chat template of {self.name} knows no thinking; leave it out.",
                param="thinking",
            )
        return thinks

    def _request(self, request: Drawn, ids: list[int], most: int, param: str) -> Request:
        room = most if self.max_positions is None else self.max_positions - len(ids)
        if room < 1:
            raise ApiError(
                400,
                f"{param}: The prompt has {len(ids)} tokens, and the model's context ends at "
                f"{self.max_positions}; shorten it.",
                param=param,
                code="context_length_exceeded",
            )
        temperature = TEMPERATURE if request.temperature is None else request.temperature
        sampling = Sampling(
            max_tokens=min(most, room),
            temperature=temperature if temperature >= _GREEDY_BELOW else 0.0,
            top_p=TOP_P if request.top_p is None else max(request.top_p, _LEAST_TOP_P),
            top_k=min(max(request.top_k or 0, 0), self._n_ids),
            stop=request.stops(),
        )
        seed = secrets.randbits(63) if request.seed is None else request.seed
        return Request(ids, request.n or 1, sampling, seed)

    def _with_budget(self, ask: Ask, budget: int) -> Ask:
        """As much of the budget as leaves a share of max_tokens to the answer."""
        close_ids = tuple(template.close_thinking(self.tokenizer))
        most = ask.request.sampling.max_tokens
        room = most - len(close_ids) - max(1, most // ANSWER_SHARE)
        if room < 1:
            raise ApiError(
                400,
                f"thinking.budget_tokens: {most} tokens are too few to think and to answer; "
                "raise max_tokens or shorten the prompt.",
                param="thinking.budget_tokens",
            )
        return dataclasses.replace(ask, budget=min(budget, room), close_ids=close_ids)


class Models:
    """All that are served; the first also answers to `ALIASES`."""

    def __init__(self, served: Iterable[Served]) -> None:
        self.served = list(served)
        self._by_name: dict[str, tuple[Served, bool]] = {
            alias: (first, thinks) for first in self.served[:1] for alias, thinks in ALIASES.items()
        }
        for one in self.served:
            if one.name in self._by_name:
                raise ConfigError(
                    f"Two models would be called {one.name}; rename a folder, or serve one of them."
                )
            self._by_name[one.name] = (one, True)

    def find(self, name: str) -> tuple[Served, bool]:
        """The model of a name, and whether the name says that it thinks. Raises ApiError (404)."""
        if name not in self._by_name:
            raise ApiError(
                404,
                f"model: There is no such model here; /v1/models lists {', '.join(self._by_name)}.",
                param="model",
                code="model_not_found",
            )
        return self._by_name[name]

    def list(self) -> list[dict[str, Any]]:
        """A model object for every name, the models' own before the aliases."""
        names = sorted(self._by_name, key=lambda name: name in ALIASES)
        return [self._by_name[name][0].describe(name) for name in names]
