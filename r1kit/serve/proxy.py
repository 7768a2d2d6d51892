"""`r1 serve --engine URL`: a proxy for any OpenAI-compatible server that normalises its thinking.

Only the upstream server has the tokenizer, so conversations are passed on as messages. Thinking in
a separate field, in typed content parts or in tags becomes `reasoning_content`. Thinking
is turned on, off and limited as far as the server can do it (thinking.py). All other fields are
passed on (passed_on.py), and that server's refusals come back with their reasons and codes.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from typing import Any

import httpx

from r1kit.engines.openai.endpoint import Endpoint
from r1kit.errors import EngineError
from r1kit.files.untrusted import to_bytes
from r1kit.serve.api_error import ApiError, busy
from r1kit.serve.checks import check_chat, check_completion, check_number
from r1kit.serve.limits import ServeLimits
from r1kit.serve.models import CAPABILITIES, MIN_TOP_P, PREFIX, ServedModel
from r1kit.serve.passed_on import PASSED_ON, chat_fields, completion_fields, message
from r1kit.serve.proxy_stream import ProxyStream, ResponseForm, UpstreamStats
from r1kit.serve.proxy_tokens import upstream_tokens
from r1kit.serve.response_stream import ResponseStream
from r1kit.serve.schema import ChatRequest, CompletionParams, CompletionRequest
from r1kit.serve.tokenize import DetokenizeRequest, TokenizeRequest
from r1kit.serve.upstream_calls import tool_fields
from r1kit.types import Json

_CONNECT_S = 10.0
_ASK_S = 30.0
"""seconds for the list of models at startup"""


class ProxyModel:
    """A model of an upstream server."""

    decoder = None
    passed_on: Collection[str] = PASSED_ON
    fingerprint: str | None = None

    def __init__(
        self,
        name: str,
        client: httpx.AsyncClient,
        limits: ServeLimits,
        capabilities: Sequence[str] = (),
        max_positions: int | None = None,
    ) -> None:
        self.name = name
        self._max_positions = max_positions
        self._capabilities = list(capabilities)
        self._client = client
        self._limits = limits
        self._created = int(time.time())
        self.stats = UpstreamStats()

    def thinks(self, request: ChatRequest, by_name: bool) -> bool:
        return request.thinks(by_name)

    async def chat(
        self, request: ChatRequest, by_name: bool, answer_tokens: int | None = None
    ) -> ResponseStream:
        check_chat(request)
        _refuse_budget(request, self._capabilities)
        messages = [message(turn) for turn in request.messages]
        max_tokens = answer_tokens or request.max_completion_tokens or request.max_tokens
        body = {"messages": messages, "max_tokens": max_tokens, **_sampling_params(request)}
        body |= chat_fields(request)
        if request.response_format is not None:
            body["response_format"] = request.response_format.model_dump(
                by_alias=True, exclude_none=True
            )
        body |= self._thinking(request, by_name) | tool_fields(request)
        form: ResponseForm = "stream" if request.stream else "whole"
        return await self._begin("/chat/completions", body, request.n or 1, form)

    async def complete(self, request: CompletionRequest) -> ResponseStream:
        check_number(request)
        prompts = check_completion(request)
        if request.n_sampled > (request.n or 1):
            raise _unknown("best_of", "is read as a stream, which has no best; leave it out")
        prompt = prompts[0] if request.n_prompts == 1 else prompts
        body = {"prompt": prompt, "max_tokens": request.max_tokens, **_sampling_params(request)}
        body |= completion_fields(request)
        n, n_prompts = request.n or 1, request.n_prompts
        return await self._begin("/completions", body, n, "text", n_prompts)

    async def tokenize(self, request: TokenizeRequest, by_name: bool) -> Json:
        chat = request.as_chat(self.name)
        names = {"prompt", "add_special_tokens", "return_token_strs"}
        body = request.model_dump(include=names, exclude_none=True)
        if chat is not None:
            check_chat(chat)
            body["messages"] = [message(turn) for turn in chat.messages]
            body |= self._thinking(chat, by_name)
            body["tools"] = tool_fields(chat).get("tools")
        return await upstream_tokens(self._client, "/tokenize", {"model": self.name, **body})

    async def detokenize(self, request: DetokenizeRequest) -> Json:
        body = {"model": self.name, "tokens": request.tokens}
        return await upstream_tokens(self._client, "/detokenize", body)

    def describe(self, name: str) -> Json:
        facts = {"id": name, "object": "model", "created": self._created, "owned_by": "r1kit"}
        if self._max_positions is not None:
            facts["max_model_len"] = self._max_positions
        return {**facts, "root": self.name, "capabilities": self._capabilities}

    def start(self) -> None:
        """Do nothing: the upstream server already runs."""

    async def stop(self) -> None:
        for relay in list(self.stats.live):
            relay.fail(ApiError(503, "The server is shutting down."))
        await self._client.aclose()

    def _thinking(self, request: ChatRequest, by_name: bool) -> Json:
        """Return the fields about thinking: in one spelling to a server that is known to read it.

        Any other server gets what the client wrote, DeepSeek's field if only the model's name
        turned thinking off, and beside a switch of any kind the one of vLLM and SGLang.
        """
        choice, fields = request.thinking_choice(by_name), request.thinking_fields()
        if "thinking" in self._capabilities and fields:
            thinking = {"type": "enabled" if choice.is_on else "disabled"}
            budget = {} if choice.budget is None else {"budget_tokens": choice.budget}
            return {"thinking": thinking | budget, "reasoning_effort": choice.effort}
        if not choice.is_on and choice.param is None and choice.effort is None:
            fields["thinking"] = {"type": "disabled"}
        if fields.keys() & {"thinking", "enable_thinking"}:
            kwargs = {"enable_thinking": choice.is_on, "thinking": choice.is_on}
            fields.setdefault("chat_template_kwargs", kwargs)
        return fields

    async def _begin(
        self, path: str, body: Json, n: int, form: ResponseForm, n_prompts: int = 1
    ) -> ResponseStream:
        limits, live = self._limits, self.stats.live
        if (
            sum(relay.n for relay in live) + n * n_prompts
            > limits.max_num_seqs + limits.max_waiting
        ):
            raise busy("The server has as many requests as it can hold; ask again later.")
        fields = {key: value for key, value in body.items() if value is not None}
        streamed = {"stream": True, "stream_options": {"include_usage": True}}
        relay = ProxyStream(n * n_prompts, self.stats, form, has_tools="tools" in fields)
        body = {"model": self.name, **fields, **({"n": n} if n > 1 else {}), **streamed}
        request = self._client.build_request("POST", path, content=to_bytes(body))
        await relay.open(self._client, request)
        return relay


def open_front(url: str, key: str | None, limits: ServeLimits) -> list[ServedModel]:
    """Return all models of a running upstream server.

    Raises an R1Error if it cannot be reached or is not OpenAI-compatible.
    """
    with Endpoint(url, None, key, _ASK_S, retries=1) as endpoint:
        models, address = endpoint.listed(), endpoint.address
    if not models:
        raise EngineError(f"The server at {address} has no model; see what it was started with.")
    timeout = httpx.Timeout(limits.total_timeout_s, connect=_CONNECT_S, pool=None)
    headers = {"Content-Type": "application/json"}
    if key:
        headers["Authorization"] = f"Bearer {key}"
    return [
        ProxyModel(
            model["id"],
            httpx.AsyncClient(
                base_url=address,
                headers=headers,
                timeout=timeout,
                limits=httpx.Limits(max_connections=None),
            ),
            limits,
            _capabilities(model),
            _max_positions(model),
        )
        for model in models
    ]


def _capabilities(model: Json) -> list[str]:
    """Return the capabilities that the server declares, of those that this server has."""
    lists = [model.get("capabilities"), model.get("supported_parameters")]
    declared = [name for names in lists if isinstance(names, list) for name in names]
    return [name for name in (*CAPABILITIES, PREFIX) if name in declared]


def _max_positions(model: Json) -> int | None:
    """Return the length of the model's context, under any of the names that servers use."""
    meta: Any = model.get("meta")
    places = [model, meta if isinstance(meta, dict) else {}]
    names = ("max_model_len", "max_context_length", "context_length", "context_window", "n_ctx")
    lengths = [place.get(name) for place in places for name in names]
    return next((n for n in lengths if type(n) is int and n > 0), None)


def _sampling_params(request: CompletionParams) -> Json:
    """Return the parameters that both routes share; the upstream has defaults for unset ones."""
    return {
        "temperature": request.temperature,
        "top_p": None if request.top_p is None else max(request.top_p, MIN_TOP_P),
        "top_k": request.top_k,
        "seed": request.seed,
        "stop": list(request.stops()) or None,
        "min_tokens": request.min_tokens or None,
        "ignore_eos": request.ignore_eos or None,
        **request.adjustments(),
    }


def _refuse_budget(request: ChatRequest, capabilities: Collection[str]) -> None:
    has_budget = request.thinking is not None and request.thinking.budget_tokens is not None
    if has_budget and "thinking_budget" not in capabilities:
        raise _unknown("thinking.budget_tokens", "has no budgets that we know of")


def _unknown(param: str, reason: str) -> ApiError:
    return ApiError(400, f"{param}: The upstream server {reason}.", param=param)
