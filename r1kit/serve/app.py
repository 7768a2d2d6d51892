"""The routes. What is behind them: models.py, driver.py; what is in front of them: gate.py."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp

from r1kit.serve import schema
from r1kit.serve.answer import Answer, EventStream
from r1kit.serve.api_error import ApiError, invalid
from r1kit.serve.completion import Ask
from r1kit.serve.driver import Generation
from r1kit.serve.gate import LOOPBACK, Gate
from r1kit.serve.limits import Limits
from r1kit.serve.metrics import CONTENT_TYPE, Metrics
from r1kit.serve.models import Models, Served
from r1kit.serve.wire import Chat, Form, Json, PlainText

PREFIXES = ("/v1", "", "/beta")
"""the same routes under each; /beta is where DeepSeek has prefix completion"""
_KNOWN = schema.field_names()


class Routes:
    """The handlers."""

    def __init__(self, models: Models, limits: Limits) -> None:
        self._models = models
        self._limits = limits
        self._metrics = Metrics(models.served)

    def router(self) -> APIRouter:
        """Those that exist under each of `PREFIXES`."""
        router = APIRouter()
        router.post("/chat/completions", response_model=None)(self.chat)
        router.post("/completions", response_model=None)(self.completions)
        router.get("/models")(self.list_models)
        router.get("/models/{name:path}")(self.get_model)
        return router

    async def chat(self, body: schema.ChatRequest, request: Request) -> Response:
        """A turn of a conversation."""
        served, by_name = self._models.find(body.model)

        def prepare() -> Ask:
            schema.check_chat(body)
            return served.chat(body, by_name)

        thinks = served.has_thinking and body.thinks(by_name)
        return await self._answer(served, prepare, Chat(thinks, served.tokenizer), body, request)

    async def completions(self, body: schema.CompletionRequest, request: Request) -> Response:
        """A text, continued."""
        served, _ = self._models.find(body.model)

        def prepare() -> Ask:
            return served.completion(body, schema.check_completion(body))

        return await self._answer(served, prepare, PlainText(served.tokenizer), body, request)

    async def list_models(self) -> Json:
        """All models by all their names."""
        return {"object": "list", "data": self._models.list()}

    async def get_model(self, name: str) -> Json:
        """One model."""
        return self._models.find(name)[0].describe(name)

    async def health(self) -> JSONResponse:
        """Whether every model is served; says no more, since everybody may ask."""
        is_well = all(one.driver.is_healthy for one in self._models.served)
        body = {"status": "ok" if is_well else "the engine has failed; see the server's log"}
        return JSONResponse(body, 200 if is_well else 503)

    async def metrics(self) -> Response:
        """The numbers of metrics.py."""
        return Response(self._metrics.text(), headers={"Content-Type": CONTENT_TYPE})

    async def _answer(
        self,
        served: Served,
        prepare: Callable[[], Ask],
        form: Form,
        body: schema.Drawn,
        request: Request,
    ) -> Response:
        status = 500
        try:
            with served.driver.room(body.n or 1):
                ask = await asyncio.get_running_loop().run_in_executor(served.pen, prepare)
                generation = served.driver.ask(ask)
            answer = Answer(generation, form, body.model, self._limits, self._measure)
            status = 200
            if body.stream:
                return EventStream(answer, body.wants_usage())
            return JSONResponse(await answer.whole(request))
        except ApiError as error:
            status = error.status
            raise
        finally:
            self._metrics.requests.labels(str(status)).inc()

    def _measure(self, generation: Generation) -> None:
        if generation.first_at is not None:
            self._metrics.first_token.observe(generation.first_at - generation.asked_at)
        self._metrics.seconds.observe(time.monotonic() - generation.asked_at)


def build(
    served: list[Served],
    limits: Limits,
    *,
    keys: Collection[str] = (),
    hosts: Collection[str] | None = LOOPBACK,
    origins: Collection[str] = (),
) -> ASGIApp:
    """The whole server as an ASGI app; its lifespan starts and stops the engines."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        for one in served:
            one.driver.start()
        yield
        for one in served:
            await asyncio.to_thread(one.driver.stop)
            one.pen.shutdown()

    # No pages of documentation: they would load scripts from elsewhere.
    app = FastAPI(title="r1kit", docs_url=None, redoc_url=None, lifespan=lifespan)
    routes = Routes(Models(served), limits)
    for prefix in PREFIXES:
        app.include_router(routes.router(), prefix=prefix, include_in_schema=prefix == "/v1")
    app.get("/health")(routes.health)
    app.get("/metrics")(routes.metrics)
    app.add_exception_handler(ApiError, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Exception, _unexpected)
    return Gate(app, limits, keys, hosts, origins)


def _say(error: ApiError) -> JSONResponse:
    return JSONResponse(error.body(), error.status, error.headers)


async def _refused(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ApiError)
    return _say(error)


async def _invalid(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    return _say(invalid(error.errors(), _KNOWN))


async def _http_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    told = {404: "There is no such route; docs/serving.md lists those there are.",
            405: "This route is asked in another way; see docs/serving.md."}  # fmt: skip
    message = told.get(error.status_code, f"{error.detail}.")
    return _say(ApiError(error.status_code, message, headers=error.headers))


async def _unexpected(_: Request, error: Exception) -> JSONResponse:
    return _say(ApiError(500, f"Something unexpected happened ({type(error).__name__})."))
