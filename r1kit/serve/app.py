"""The routes. They call models.py, engine_loop.py and proxy.py.

request_log.py and access.py run before them.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any, Protocol

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from r1kit.files.untrusted import UnwritableError
from r1kit.serve import deepseek_r1_profile, messages, responses, schema, tokenize
from r1kit.serve.access import LOOPBACK, AccessMiddleware
from r1kit.serve.answer import ApiResponse, EventStream, whole
from r1kit.serve.api_error import PREFIXES, ApiError, error_body, is_anthropic, unexpected
from r1kit.serve.best_of import BestOfWriter
from r1kit.serve.checks import check_filling
from r1kit.serve.hidden_thinking import HidingWriter
from r1kit.serve.ignored import HEADER, fields_without_effect
from r1kit.serve.late import LateErrors, fingerprint
from r1kit.serve.lenient_http import LenientHttpMiddleware
from r1kit.serve.limits import ServeLimits
from r1kit.serve.messages import MessagesRequest
from r1kit.serve.messages_output import MessagesWriter
from r1kit.serve.model_names import Models
from r1kit.serve.models import ServedModel
from r1kit.serve.origins import Origins
from r1kit.serve.prometheus import CONTENT_TYPE, ServerMetrics
from r1kit.serve.refusals import invalid
from r1kit.serve.request_log import RequestLogMiddleware
from r1kit.serve.response_store import ResponseStore
from r1kit.serve.response_stream import ResponseStream
from r1kit.serve.responses import ResponsesRequest
from r1kit.serve.responses_output import ResponsesWriter
from r1kit.serve.stored_responses import StoredResponses
from r1kit.serve.token_routes import TokenRoutes
from r1kit.serve.wire import ChatWriter, ChoicesWriter, JsonResponse, PlainText, Writer
from r1kit.types import Json

_COMPLETING = {
    prefix + path
    for prefix in PREFIXES
    for path in (
        "/chat/completions",
        "/completions",
        "/fim/completions",
        "/responses",
        "/messages",
    )
}
_FIELD_NAMES = schema.field_names(
    (*responses.MODELS, *messages.MODELS, tokenize.TokenizeRequest, tokenize.DetokenizeRequest)
)


class Page(Protocol):
    """The web pages served beside the API (r1kit/pages/page_app.py)."""

    lifespan: AbstractAsyncContextManager[None]

    def has(self, path: str) -> bool:
        """Return True if the path is the page's; it needs no key, since it holds no data."""
        ...

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None: ...


async def _nothing() -> None:
    """Do nothing: most answers are not stored."""


class Routes:
    """The route handlers."""

    def __init__(
        self, models: Models, limits: ServeLimits, is_launch_day: bool, store: ResponseStore | None
    ) -> None:
        self._models = models
        self._stored = StoredResponses(store)
        self._is_launch_day = is_launch_day
        self._limits = limits
        self._late = LateErrors()
        self._metrics = ServerMetrics(models.served)

    def router(self) -> APIRouter:
        """Return the routes that exist under each of `PREFIXES`."""
        router = APIRouter(default_response_class=JsonResponse)
        router.post("/chat/completions", response_model=None)(self.chat)
        router.post("/completions", response_model=None)(self.completions)
        router.post("/fim/completions", response_model=None)(self.fill_in)
        router.post("/responses", response_model=None)(self.responses)
        router.get("/responses/{response_id}")(self._stored.get)
        router.delete("/responses/{response_id}")(self._stored.delete)
        router.post("/messages", response_model=None)(self.messages)
        tokens = TokenRoutes(self._models, self._stored)
        router.post("/responses/input_tokens")(tokens.count_response)
        router.post("/messages/count_tokens")(tokens.count_message)
        router.post("/tokenize")(tokens.tokenize)
        router.post("/detokenize")(tokens.detokenize)
        router.post("/embeddings", include_in_schema=False)(tokens.embeddings)
        router.get("/models")(self.list_models)
        router.get("/models/{name:path}")(self.get_model)
        return router

    def paths(self) -> list[str]:
        """Return the paths of all routes."""
        several = [prefix + str(getattr(route, "path", "")) for prefix in PREFIXES
                   for route in self.router().routes]  # fmt: skip
        return [*several, "/health", "/metrics", "/openapi.json"]

    async def chat(self, body: schema.ChatRequest, request: Request) -> Response:
        """Generate the next turn of a conversation."""
        served, by_name = self._models.find(body.model)
        answer_tokens = None
        if self._is_launch_day:
            body, answer_tokens = deepseek_r1_profile.checked(body, by_name)
        thinks = served.thinks(body, by_name) and not body.hides_thinking
        writer = ChoicesWriter(ChatWriter(thinks, served.decoder), body, served.fingerprint)
        start = partial(served.chat, body, by_name, answer_tokens)
        shown = HidingWriter(writer) if body.hides_thinking else writer
        return await self._answer(start, shown, body, request, served.passed_on)

    async def completions(self, body: schema.CompletionRequest, request: Request) -> Response:
        """Continue a text, or several."""
        served, _ = self._models.find(body.model)
        writer: Writer = ChoicesWriter(PlainText(served.decoder), body, served.fingerprint)
        if body.n_sampled > (body.n or 1):
            writer = BestOfWriter(writer, body)
        start = partial(served.complete, body)
        return await self._answer(start, writer, body, request, served.passed_on)

    async def fill_in(self, body: schema.CompletionRequest, request: Request) -> Response:
        """Fill the gap between `prompt` and `suffix`; the answer has the form of a chat."""
        served, _ = self._models.find(body.model)
        check_filling(body)
        writer = ChoicesWriter(ChatWriter(False, served.decoder), body, served.fingerprint)
        return await self._answer(partial(served.complete, body), writer, body, request)

    async def responses(self, body: ResponsesRequest, request: Request) -> Response:
        """Generate the next turn of a conversation, in OpenAI's Responses API."""
        served, by_name = self._models.find(body.model)
        try:
            is_stored = self._stored.stores(body)
            earlier = await self._stored.earlier(body, request)
            start = partial(served.chat, body.as_chat(earlier), by_name)
            writer = ResponsesWriter(body, served.decoder, is_stored)
            shown = HidingWriter(writer) if body.hides_thinking else writer

            async def keep() -> None:
                if is_stored:
                    await self._stored.keep(request, [*earlier, *body.items()], writer.final)

            return await self._answer(start, shown, body, request, keep=keep)
        except ApiError as error:
            raise responses.renamed(error) from None

    async def messages(self, body: MessagesRequest, request: Request) -> Response:
        """Generate the next message of a conversation, in Anthropic's API."""
        served, by_name = self._models.find(body.model)
        writer = MessagesWriter(body.model)
        shown = HidingWriter(writer) if body.hides_thinking else writer
        try:
            start = partial(served.chat, body.as_chat(), by_name)
            return await self._answer(start, shown, body, request)
        except ApiError as error:
            raise messages.renamed(error) from None

    async def list_models(self) -> Json:
        """List all models under all their names."""
        return self._models.list()

    async def get_model(self, name: str) -> Json:
        """Return one model."""
        return self._models.describe(name)

    async def health(self) -> Response:
        """Report whether every model is served, and no more, since this route needs no key."""
        is_well = all(model.stats.is_healthy for model in self._models.served)
        body = {"status": "ok" if is_well else "the engine has failed; see the server's log"}
        return JsonResponse(body, 200 if is_well else 503)

    async def metrics(self) -> Response:
        """Return the metrics of prometheus.py."""
        return Response(self._metrics.text(), headers={"Content-Type": CONTENT_TYPE})

    async def _answer(
        self,
        start: Callable[[], Awaitable[ResponseStream]],
        writer: Writer,
        body: schema.CompletionParams | ResponsesRequest | MessagesRequest,
        request: Request,
        passed_on: Collection[str] = (),
        keep: Callable[[], Awaitable[None]] = _nothing,
    ) -> Response:
        """Answer; a header names the fields without effect, except those of `passed_on`."""
        response = await self._response(start, writer, bool(body.stream), request, keep)
        names = [name for name in fields_without_effect(body) if name not in passed_on]
        if names:
            response.headers[HEADER] = ", ".join(names)
        return response

    async def _response(
        self,
        start: Callable[[], Awaitable[ResponseStream]],
        writer: Writer,
        is_stream: bool,
        request: Request,
        keep: Callable[[], Awaitable[None]],
    ) -> Response:
        parts = (writer, self._limits, self._measure, keep)
        if is_stream:
            return EventStream(ApiResponse(await start(), *parts))
        digest = await fingerprint(request)
        self._late.raise_kept(digest, request)
        answer = ApiResponse(await start(), *parts)
        return await whole(answer, request, lambda error: self._late.keep(digest, error))

    def count(self, method: str, path: str, status: int) -> None:
        """Count a request for completions, even if no handler has seen it."""
        if method == "POST" and path in _COMPLETING:
            self._metrics.requests.labels(str(status)).inc()

    def _measure(self, flow: ResponseStream) -> None:
        if flow.first_at is not None:
            self._metrics.first_token.observe(flow.first_at - flow.asked_at)
        self._metrics.seconds.observe(time.monotonic() - flow.asked_at)


def build(
    served: Sequence[ServedModel],
    limits: ServeLimits,
    *,
    keys: Collection[str] = (),
    hosts: Collection[str] | None = LOOPBACK,
    origins: Collection[str] = (),
    page: Page | None = None,
    is_launch_day: bool = False,
    store: ResponseStore | None = None,
) -> ASGIApp:
    """Return the whole server as an ASGI app; its lifespan starts and stops the engines.

    `is_launch_day` selects the API profile of deepseek_r1_profile.py.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        for model in served:
            model.start()
        async with AsyncExitStack() as stack:
            if page is not None:
                await stack.enter_async_context(page.lifespan)
            yield
        for model in served:
            await model.stop()
        if store is not None:
            store.close()

    # No documentation pages: they would load scripts from other hosts.
    app = FastAPI(title="r1kit", docs_url=None, redoc_url=None, lifespan=lifespan)
    routes = Routes(Models(served), limits, is_launch_day, store)
    for prefix in PREFIXES:
        app.include_router(routes.router(), prefix=prefix, include_in_schema=prefix == "/v1")
    app.get("/health")(routes.health)
    app.get("/metrics")(routes.metrics)
    for kind, convert in _ERRORS.items():
        app.add_exception_handler(kind, _handler(convert, is_launch_day))
    inner = app if page is None else _with_page(app, page)
    is_open = page.has if page else lambda _: False
    access = AccessMiddleware(inner, limits, keys, hosts, Origins(origins), is_open)
    return LenientHttpMiddleware(RequestLogMiddleware(access, routes.count), routes.paths())


def _with_page(app: ASGIApp, page: Page) -> ASGIApp:
    async def either(scope: Scope, receive: Receive, send: Send) -> None:
        is_page = scope["type"] == "http" and page.has(scope["path"])
        await (page if is_page else app)(scope, receive, send)

    return either


def _handler(convert: Callable[[Any], ApiError], is_launch_day: bool) -> Any:
    """Return an exception handler that responds with an API error."""

    async def handle(request: Request, error: Exception) -> JsonResponse:
        api_error = convert(error)
        status, body = (
            deepseek_r1_profile.body(api_error)
            if is_launch_day and not is_anthropic(request.url.path)
            else (api_error.status, error_body(api_error, request.url.path))
        )
        return JsonResponse(body, status, api_error.headers)

    return handle


def _unwritable(error: UnwritableError) -> ApiError:
    fault = {"loc": ("body", *error.path), "msg": error.why, "type": "unwritable"}
    return invalid([fault], _FIELD_NAMES)


def _unconvertible(error: ValidationError) -> ApiError:
    """Return the error for a request that fits its own route and not the chat it stands for."""
    faults = [{**fault, "loc": ("body", *fault["loc"])} for fault in error.errors()]
    return invalid(faults, _FIELD_NAMES)


def _http_error(error: HTTPException) -> ApiError:
    messages = {404: "There is no such route; docs/serving.md lists those there are.",
            405: "This route is asked in another way; see docs/serving.md."}  # fmt: skip
    message = messages.get(error.status_code, f"{error.detail}.")
    return ApiError(error.status_code, message, headers=error.headers)


_ERRORS: dict[type[Exception], Callable[[Any], ApiError]] = {
    ApiError: lambda error: error,
    UnwritableError: _unwritable,
    RequestValidationError: lambda error: invalid(error.errors(), _FIELD_NAMES, error.body),
    ValidationError: _unconvertible,
    HTTPException: _http_error,
    Exception: unexpected,
}
