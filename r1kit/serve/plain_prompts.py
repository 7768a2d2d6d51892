"""The prompts of `/v1/completions`: texts, token ids, lists of both, and gaps to fill.

A text stands in the prompt unchanged. With a suffix the model fills the gap between both. The
log-probabilities of an echoed prompt are the model's own: no sampling parameter changes them.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from r1kit.engines.completion import GenerationRequest
from r1kit.engines.text import Detokenizer
from r1kit.renderers.infill import infill_ends, infill_prompt, infill_tokens
from r1kit.serve.api_error import ApiError
from r1kit.types import Request

if TYPE_CHECKING:
    from r1kit.renderers.base import Renderer
    from r1kit.serve.schema import CompletionParams, CompletionRequest

_LEGACY_MAX_TOKENS = 16
"""OpenAI's default for /v1/completions"""


class PlainPrompts:
    """The conversion of plain completion requests for one model."""

    def __init__(self, name: str, renderer: Renderer, vocab_size: int) -> None:
        self._name = name
        self._renderer = renderer
        self._vocab_size = vocab_size
        self._infill = infill_tokens(renderer)
        self._control = {
            token: str(renderer.tokenizer.convert_ids_to_tokens(token))
            for token in renderer.control_ids
        }

    def hidden_ids(self, request: CompletionParams) -> frozenset[int]:
        """Return the control tokens that are left out of the text.

        A control token in a stop string is text, or it could not end the answer.
        """
        if request.skip_special_tokens is False:
            return frozenset()
        stops = request.stops()
        return frozenset(
            token
            for token, text in self._control.items()
            if not any(text in stop or stop in text for stop in stops)
        )

    def ids(self, request: CompletionRequest, prompt: str | list[int]) -> list[int]:
        """Return the tokens of a prompt. Raises ApiError."""
        ids = self._renderer.encode_prompt(prompt) if isinstance(prompt, str) else prompt
        if not ids or max(ids) >= self._vocab_size:
            raise ApiError(
                400,
                f"prompt: It needs at least one token, and ids below {self._vocab_size}.",
                param="prompt",
            )
        if not request.suffix:
            return ids
        if self._infill is None:
            raise ApiError(
                400,
                f"suffix: The tokenizer of {self._name} has no fill-in-the-middle tokens; leave it "
                "out, or use a model of code.",
                param="suffix",
            )
        return infill_prompt(self._renderer, self._infill, ids, request.suffix)

    def max_tokens(self, request: CompletionRequest) -> int:
        """Return the token limit; 0 only scores or echoes the prompt."""
        return _LEGACY_MAX_TOKENS if request.max_tokens is None else request.max_tokens

    def generation(
        self, request: CompletionRequest, prompt: str | list[int], engine_request: Request
    ) -> GenerationRequest:
        """Return the engine request of one prompt with stop strings, echo and log-probabilities."""
        stop = request.stops()
        if request.suffix and self._infill is not None:
            stop += infill_ends(self._renderer, self._infill)
        is_scored = bool(request.echo) and (request.logprobs is not None or not request.max_tokens)
        hidden_ids = self.hidden_ids(request)
        return GenerationRequest(
            dataclasses.replace(
                engine_request,
                n=request.n_sampled,
                sampling=dataclasses.replace(engine_request.sampling, stop=stop),
                n_prompt_top=(request.logprobs or 0) if is_scored else None,
            ),
            wants_logprobs=request.logprobs is not None or request.n_sampled > (request.n or 1),
            hidden_ids=hidden_ids,
            echo=self._echo(prompt, hidden_ids) if request.echo else None,
        )

    def _echo(self, prompt: str | list[int], hidden_ids: frozenset[int]) -> str:
        if isinstance(prompt, str):
            return prompt
        return Detokenizer(self._renderer.tokenizer, (), hidden_ids).decode(prompt)
