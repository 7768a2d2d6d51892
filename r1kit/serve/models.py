"""A model of a server: the conversion of API requests to engine requests."""

from __future__ import annotations

import asyncio
import dataclasses
import secrets
import time
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Protocol

from r1kit.engines.base import StreamingSampler, as_schema
from r1kit.engines.completion import GenerationRequest
from r1kit.errors import GrammarError
from r1kit.renderers import renderer_of
from r1kit.renderers.base import RenderedPrompt
from r1kit.renderers.thinking import END_THINK
from r1kit.serve import deepseek_r1_profile
from r1kit.serve.api_error import SCHEMA_PARAM, TOO_LONG, ApiError, schema_refused
from r1kit.serve.checks import check_chat, check_completion, check_number, refuse_media
from r1kit.serve.engine_loop import EngineLoop
from r1kit.serve.limits import ANSWER_SHARE, MAX_TOKENS, ServeLimits
from r1kit.serve.plain_prompts import PlainPrompts
from r1kit.serve.response_stream import EngineStats, ResponseStream
from r1kit.serve.schema import ChatRequest, CompletionParams, CompletionRequest
from r1kit.serve.thinking import ThinkingChoice
from r1kit.serve.tokenize import DetokenizeRequest, TokenizeRequest, counted, text_of
from r1kit.serve.tool_stream import ToolCallStream, ToolPlan, tool_plan
from r1kit.serve.wire_logprobs import Decoder
from r1kit.types import Json, Request, SamplingParams

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from r1kit.engines.grammar import Grammars

CAPABILITIES = ("thinking", "thinking_budget")
"""capabilities of a model whose thinking can be turned on and off, and ended"""
PREFIX = "prefix"
"""the capability of continuing the beginning of an answer, with DeepSeek's field of that name"""
TEMPERATURE, TOP_P = 0.6, 0.95
"""defaults, as recommended for DeepSeek-R1"""
_MIN_TEMPERATURE = 1e-4
"""lower temperatures are greedy, since dividing by them overflows float32"""
MIN_TOP_P = 1e-6
"""smaller values are 0 in float32; both keep only the likeliest token"""


class ServedModel(Protocol):
    """A model that clients can request."""

    name: str
    passed_on: Collection[str]
    """fields without effect here that another server gets"""
    fingerprint: str | None
    """name of its weights"""

    @property
    def stats(self) -> EngineStats:
        """Health and counters of the model."""
        ...

    @property
    def decoder(self) -> Decoder | None:
        """Decoder of tokens that have log-probabilities; None if the model has none."""
        ...

    def thinks(self, request: ChatRequest, by_name: bool) -> bool:
        """Return True if the answer is in the format with thinking."""
        ...

    async def chat(
        self, request: ChatRequest, by_name: bool, answer_tokens: int | None = None
    ) -> ResponseStream:
        """Start the next turn; `answer_tokens` limits the answer alone. Raises ApiError."""
        ...

    async def complete(self, request: CompletionRequest) -> ResponseStream:
        """Start the continuation of a text. Raises ApiError."""
        ...

    async def tokenize(self, request: TokenizeRequest, by_name: bool) -> Json:
        """Return the tokens of a prompt. Raises ApiError."""
        ...

    async def detokenize(self, request: DetokenizeRequest) -> Json:
        """Return the text of tokens. Raises ApiError."""
        ...

    def describe(self, name: str) -> Json:
        """Return the model object of OpenAI's API, for one of the model's names."""
        ...

    def start(self) -> None:
        """Start the model in the running event loop."""
        ...

    async def stop(self) -> None:
        """Stop the model; requests in flight end with an error."""
        ...


class EngineModel:
    """A model that is prompted with token ids: its name, tokenizer and engine loop."""

    passed_on: Collection[str] = ()

    def __init__(
        self,
        name: str,
        make_engine: Callable[[], StreamingSampler],
        tokenizer: PreTrainedTokenizerBase,
        grammars: Grammars,
        limits: ServeLimits,
        on_stop: Callable[[], None] = lambda: None,
        fingerprint: str | None = None,
    ) -> None:
        self.name = name
        self.fingerprint = fingerprint
        self.decoder = tokenizer
        self.stats = self.engine_loop = EngineLoop(make_engine, tokenizer, limits)
        self.max_positions = self.engine_loop.engine.max_positions
        self._renderer = renderer_of(tokenizer)
        self.has_thinking = self._renderer.has_thinking
        self._close_ids = tuple(self._renderer.end_thinking_ids())
        self._created = int(time.time())
        self._grammars = grammars
        self._vocab_size = grammars.vocab_size
        self._plain = PlainPrompts(name, self._renderer, self._vocab_size)
        self._on_stop = on_stop
        self._executor = ThreadPoolExecutor(1, "tokenizer")
        """thread that encodes prompts one at a time, off the event loop"""

    def thinks(self, request: ChatRequest, by_name: bool) -> bool:
        return self.has_thinking and request.thinks(by_name)

    async def chat(
        self, request: ChatRequest, by_name: bool, answer_tokens: int | None = None
    ) -> ResponseStream:
        plan: ToolPlan | None = None

        def prepare() -> list[GenerationRequest]:
            nonlocal plan
            check_chat(request)
            refuse_media(request)
            schema = request.schema_to_follow()
            plan = tool_plan(
                request.tool_use(), self._renderer.tool_format, schema, self._grammars.special_ids
            )
            return [self._chat(request, by_name, answer_tokens, plan)]

        stream = await self._begin(prepare, request.n or 1)
        return stream if plan is None else ToolCallStream(stream, plan)

    async def complete(self, request: CompletionRequest) -> ResponseStream:
        def prepare() -> list[GenerationRequest]:
            return [self._completion(request, prompt) for prompt in check_completion(request)]

        check_number(request)
        return await self._begin(prepare, request.n_prompts * request.n_sampled)

    async def tokenize(self, request: TokenizeRequest, by_name: bool) -> Json:
        def encode() -> Json:
            chat = request.as_chat(self.name)
            if chat is None:
                ids = self._renderer.encode_prompt(request.prompt or "")
            else:
                check_chat(chat)
                ids = self._render(chat, self._thinking(chat, by_name)).ids
            return counted(ids, request, self._renderer.tokenizer, self.max_positions)

        return await self._with_tokenizer(encode)

    async def detokenize(self, request: DetokenizeRequest) -> Json:
        tokenizer, vocab_size = self._renderer.tokenizer, self._vocab_size
        return await self._with_tokenizer(partial(text_of, request.tokens, tokenizer, vocab_size))

    def start(self) -> None:
        self.engine_loop.start()

    async def stop(self) -> None:
        await asyncio.to_thread(self.engine_loop.stop)
        self._executor.shutdown()
        await asyncio.to_thread(self._on_stop)

    async def _begin(
        self, prepare: Callable[[], list[GenerationRequest]], n: int
    ) -> ResponseStream:
        """Reserve capacity before any work is done for the request."""
        with self.engine_loop.reserve(n):
            requests = await asyncio.get_running_loop().run_in_executor(self._executor, prepare)
            return self.engine_loop.submit(requests)

    async def _with_tokenizer(self, work: Callable[[], Json]) -> Json:
        """Run in the tokenizer's thread, which a full server has no room for."""
        with self.engine_loop.reserve(1):
            return await asyncio.get_running_loop().run_in_executor(self._executor, work)

    def _render(
        self, request: ChatRequest, thinking: ThinkingChoice, plan: ToolPlan | None = None
    ) -> RenderedPrompt:
        turns, prefix = request.conversation()
        tools, opening = request.tool_use().described(), plan.opening if plan else ""
        try:
            return self._renderer.continuation_prompt(turns, thinking.is_on, prefix, tools, opening)
        except Exception as error:  # templates raise anything for turns they do not support
            raise ApiError(
                400,
                f"messages: The model's chat template refuses them ({type(error).__name__}).",
                param="messages",
            ) from error

    def _chat(
        self,
        request: ChatRequest,
        by_name: bool,
        answer_tokens: int | None,
        plan: ToolPlan | None,
    ) -> GenerationRequest:
        """Convert a chat request for the engine. Raises ApiError."""
        thinking = self._thinking(request, by_name)
        rendered_prompt = self._render(request, thinking, plan)
        max_tokens = request.max_completion_tokens or request.max_tokens or MAX_TOKENS
        is_thinking = rendered_prompt.part == "thinking"
        if answer_tokens is not None:
            max_tokens = answer_tokens + (deepseek_r1_profile.THINKING_TOKENS if is_thinking else 0)
        engine_request = self._request(
            request, rendered_prompt.ids, max_tokens, "messages", request.top_logprobs
        )
        schema, opening = self._schema(request, plan), plan.opening if plan else ""
        generation = GenerationRequest(
            engine_request,
            rendered_prompt,
            close_ids=(*self._close_ids, *self._renderer.encode_opening(opening)),
            stop=request.stops() if schema is None else (),  # none may cut JSON off
            wants_logprobs=bool(request.logprobs),
            # Some formats of tool calls begin and end with control tokens.
            hidden_ids=frozenset() if plan else self._plain.hidden_ids(request),
        )
        lark = plan.lark if plan else None
        if schema is not None or lark is not None or answer_tokens is not None:
            generation = self._with_answer(generation, schema, lark, answer_tokens or max_tokens)
        limit = engine_request.sampling.max_tokens
        budget = thinking.limit(limit) if answer_tokens is None else limit
        if budget is None or not is_thinking:
            return generation
        return self._with_budget(generation, budget, thinking.budget_param)

    def _completion(self, request: CompletionRequest, prompt: str | list[int]) -> GenerationRequest:
        """Convert a prompt of a completion request for the engine. Raises ApiError."""
        ids, limit = self._plain.ids(request, prompt), self._plain.max_tokens(request)
        engine_request = self._request(request, ids, limit, "prompt", request.logprobs)
        return self._plain.generation(request, prompt, engine_request)

    def describe(self, name: str) -> Json:
        facts = {"id": name, "object": "model", "created": self._created, "owned_by": "r1kit"}
        facts |= {"root": self.name, "max_model_len": self.max_positions}
        thinking = CAPABILITIES if self.has_thinking else ()
        return {**facts, "capabilities": [*thinking, PREFIX]}

    def _thinking(self, request: ChatRequest, by_name: bool) -> ThinkingChoice:
        thinking = request.thinking_choice(by_name)
        if thinking.param is not None and thinking.is_on and not self.has_thinking:
            raise ApiError(
                400,
                f"{thinking.param}: The chat template of {self.name} does not support thinking; "
                "leave the field out.",
                param=thinking.param,
            )
        return thinking

    def _request(
        self, request: CompletionParams, ids: list[int], limit: int, param: str, n_top: int | None
    ) -> Request:
        n_available = limit if self.max_positions is None else self.max_positions - len(ids)
        if n_available < min(1, limit):
            raise ApiError(
                400,
                f"{param}: This model's maximum context length is {self.max_positions} tokens, "
                f"and the prompt has {len(ids)}; shorten it ({TOO_LONG}).",
                param=param,
                code=TOO_LONG,
            )
        if (request.min_tokens or 0) > limit:
            raise ApiError(400, "min_tokens: It is more than max_tokens.", param="min_tokens")
        max_tokens = min(limit, n_available)
        temperature = TEMPERATURE if request.temperature is None else request.temperature
        sampling = SamplingParams(
            max_tokens=max_tokens,
            min_tokens=max_tokens
            if request.ignore_eos
            else min(request.min_tokens or 0, max_tokens),
            temperature=temperature if temperature >= _MIN_TEMPERATURE else 0.0,
            top_p=TOP_P if request.top_p is None else max(request.top_p, MIN_TOP_P),
            top_k=min(max(request.top_k or 0, 0), self._vocab_size),
            n_top=min(n_top or 0, self._vocab_size),
            **self._adjustments(request),
        )
        seed = secrets.randbits(63) if request.seed is None else request.seed
        return Request(ids, request.n or 1, sampling, seed)

    def _adjustments(self, request: CompletionParams) -> Json:
        fields = request.adjustments()
        biases = sorted((int(token), bias) for token, bias in fields.get("logit_bias", {}).items())
        if biases and biases[-1][0] >= self._vocab_size:
            raise ApiError(
                400,
                f"logit_bias: The model has no token ids above {self._vocab_size - 1}.",
                param="logit_bias",
            )
        return {**fields, "logit_bias": tuple(biases)}

    def _schema(self, request: ChatRequest, plan: ToolPlan | None) -> str | None:
        """Return the answer's JSON schema, if any.

        Raises ApiError if it or the grammar of strict tools cannot be followed.
        """
        json_schema = plan.schema if plan else request.schema_to_follow()
        schema = as_schema(json_schema) if json_schema else None
        grammar = plan.lark if plan and plan.lark else schema
        if grammar is None:
            return None
        try:
            self._grammars.start(grammar)
        except GrammarError as error:
            raise schema_refused(error, plan.param if plan else SCHEMA_PARAM) from None
        return schema

    def _with_answer(
        self, request: GenerationRequest, schema: str | None, lark: str | None, limit: int
    ) -> GenerationRequest:
        """Apply schema or grammar and token limit to the answer alone, after any thinking."""
        sampling = request.request.sampling
        answer = dataclasses.replace(sampling, json_schema=schema, lark=lark, max_tokens=limit)
        assert request.rendered_prompt is not None
        if request.rendered_prompt.part != "thinking":
            answer = dataclasses.replace(answer, max_tokens=min(limit, sampling.max_tokens))
            rendered_prompt = request.rendered_prompt
            if schema is not None:  # a tag in a JSON string is plain text
                rendered_prompt = dataclasses.replace(rendered_prompt, part="answer")
            return dataclasses.replace(
                request,
                request=_with_sampling(request.request, answer),
                rendered_prompt=rendered_prompt,
            )
        thinking = dataclasses.replace(sampling, stop=(END_THINK,))
        return dataclasses.replace(
            request, request=_with_sampling(request.request, thinking), answer=answer
        )

    def _with_budget(
        self, request: GenerationRequest, budget: int, param: str | None
    ) -> GenerationRequest:
        """Set the thinking budget, reduced if the answer would have too few tokens.

        The answer keeps 1/ANSWER_SHARE of max_tokens, or its own limit if that is less. `param` is
        the field of the budget, None if no client asked for it: it is then left out if it is too
        small.
        """
        limit = request.request.sampling.max_tokens
        share = max(1, limit // ANSWER_SHARE)
        n_available = (
            limit
            - len(request.close_ids)
            - min(share, request.answer.max_tokens if request.answer else share)
        )
        if n_available < 1 and param is None:
            return request
        if n_available < 1:
            raise ApiError(
                400,
                f"{param}: {limit} tokens are too few to think and to answer; "
                "raise max_tokens or shorten the prompt.",
                param=param,
            )
        return dataclasses.replace(request, budget=min(budget, n_available))


def _with_sampling(request: Request, sampling: SamplingParams) -> Request:
    return dataclasses.replace(request, sampling=sampling)
