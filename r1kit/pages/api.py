"""The pages' client of the public API: HTTP, with the reader's own key, and nothing else.

The page is no way around API keys: it has none of its own, and the access middleware checks the
reader's.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx

from r1kit.errors import EngineError
from r1kit.http.sse import EventReader
from r1kit.pages.markup import well_formed
from r1kit.pages.options import AnswerOptions
from r1kit.pages.turns import Turn

_TICK_S = 0.1
"""seconds between screen updates: the timer advances even if no chunk arrives"""
_CONNECT_S = 5.0

JsonObject = dict[str, Any]
_PARSE_ERRORS = (EngineError, ValueError, LookupError, TypeError, AttributeError)
"""errors that a malformed stream raises"""
_ENDS = {"stop": "done", "length": "length"}
"""finish_reason → state of a turn; all others are shown as they are"""


@dataclass
class AnswerControl:
    """The reader's control of the answer that is being written."""

    is_stop: bool = False
    is_answer: bool = False
    """end the thinking and begin the answer"""


class ApiClient:
    """A client of one server. `url` has no path."""

    def __init__(self, url: str) -> None:
        self._client = httpx.AsyncClient(
            base_url=url,
            headers={"Host": "localhost"},  # always allowed, whatever the address
            timeout=httpx.Timeout(None, connect=_CONNECT_S),  # the server has and reports its own
            limits=httpx.Limits(max_connections=None),
            trust_env=False,  # never through a proxy: the server is on this machine
        )
        self._capabilities: dict[str, frozenset[str]] = {}
        """by model, from the latest model list"""

    async def close(self) -> None:
        await self._client.aclose()

    async def models(self, key: str) -> list[str]:
        """Return the models' own names, without aliases; none without a valid key."""
        try:
            response = await self._client.get("/v1/models", headers=_bearer(key), timeout=10)
            models = response.json().get("data", []) if response.is_success else []
        except (httpx.HTTPError, ValueError):
            return []
        capabilities = {model["id"]: frozenset(model.get("capabilities") or ()) for model in models}
        self._capabilities |= capabilities
        return [model["id"] for model in models if model.get("root", model["id"]) == model["id"]]

    def can_switch(self, model: str) -> bool:
        """Return True if the model's thinking can be turned on and off."""
        return "thinking" in self._capabilities.get(model, ())

    def can_cut(self, model: str) -> bool:
        """Return True if the model's thinking can be ended to get the answer."""
        return "thinking_budget" in self._capabilities.get(model, ())

    def can_continue(self, model: str) -> bool:
        """Return True if the model continues with the beginning of an answer."""
        return "prefix" in self._capabilities.get(model, ())

    async def follow(
        self,
        turn: Turn,
        messages: list[JsonObject],
        *,
        key: str,
        thinks: bool,
        options: AnswerOptions,
        control: AnswerControl,
    ) -> AsyncGenerator[None]:
        """Stream the model's answer into `turn`; yield whenever there is something to show.

        A turn that has a text already is continued.
        """
        if turn["model"] not in self._capabilities:  # chosen before this server started
            await self.models(key)
        thinks = thinks and self.can_switch(turn["model"])
        turn["state"] = "thinking" if thinks and not turn["content"] else "answering"
        turn["options"] = options.as_json()
        body = self._body(turn, messages, thinks, options)
        clock = ChunkRecorder(turn)
        try:
            async with contextlib.aclosing(self._stream(body, key, control)) as chunks:
                async for chunk in chunks:
                    clock.write(chunk)
                    yield
            if control.is_answer and not control.is_stop and turn["state"] == "thinking":
                clock.cut()
                async with contextlib.aclosing(
                    self._stream(_answer_request(body, turn), key, control)
                ) as chunks:
                    async for chunk in chunks:
                        clock.write(chunk)
                        yield
            clock.end(control)
        except ApiRefusedError as error:
            turn |= {"state": "error", "error": "unkeyed" if error.status == 401 else str(error)}
        except (httpx.ConnectError, httpx.ConnectTimeout):
            turn |= {"state": "error", "error": "gone"}
        except (httpx.HTTPError, *_PARSE_ERRORS):
            turn |= {"state": "error", "error": "broken"}
        yield

    def _body(
        self, turn: Turn, messages: list[JsonObject], thinks: bool, options: AnswerOptions
    ) -> JsonObject:
        """Return the request for a turn, which is continued if it has a text."""
        if options.system:
            messages = [{"role": "system", "content": options.system}, *messages]
        if turn["content"] or turn["thinking"]:
            messages = [*messages, _beginning(turn)]
        body: JsonObject = {"model": turn["model"], "messages": messages, "stream": True}
        body |= {"stream_options": {"include_usage": True}, **options.fields()}
        if thinks and options.budget is not None and self.can_cut(turn["model"]):
            body["thinking"] = {"type": "enabled", "budget_tokens": options.budget}
        elif self.can_switch(turn["model"]) and not thinks:
            body["thinking"] = {"type": "disabled"}
        return body

    async def _stream(
        self, body: JsonObject, key: str, control: AnswerControl
    ) -> AsyncGenerator[JsonObject]:
        """Yield chunks, and {} if none arrived for `_TICK_S`. Raises ApiRefusedError."""
        chunks: asyncio.Queue[JsonObject | Exception | None] = asyncio.Queue()
        was_answer = control.is_answer

        async def read() -> None:
            try:
                async for chunk in self._chunks(body, key):
                    chunks.put_nowait(chunk)
                chunks.put_nowait(None)
            except Exception as error:  # any error must reach the reader
                chunks.put_nowait(error)

        reading = asyncio.ensure_future(read())
        try:
            while not control.is_stop and control.is_answer == was_answer:
                try:
                    chunk = await asyncio.wait_for(chunks.get(), _TICK_S)
                except TimeoutError:
                    chunk = {}
                if isinstance(chunk, Exception):
                    raise chunk
                if chunk is None:
                    return
                yield chunk
        finally:
            reading.cancel()  # disconnects, which tells the server to stop
            await asyncio.gather(reading, return_exceptions=True)

    async def _chunks(self, body: JsonObject, key: str) -> AsyncIterator[JsonObject]:
        request = self._client.stream("POST", "/v1/chat/completions", json=body,
                                      headers=_bearer(key))  # fmt: skip
        async with request as response:
            if not response.is_success:
                raise ApiRefusedError(response.status_code, _reason(await response.aread()))
            reader = EventReader()
            async for data in response.aiter_bytes():
                for chunk in reader.feed(data):
                    if "error" in chunk:
                        raise ApiRefusedError(500, str(chunk["error"].get("message", "")))
                    yield chunk


class ApiRefusedError(Exception):
    """An error response of the API."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(well_formed(message))
        self.status = status


class ChunkRecorder:
    """A recorder of chunks and elapsed times in a turn, added to those that it has."""

    def __init__(self, turn: Turn) -> None:
        self._turn = turn
        self._before = {name: turn[name] for name in ("total_s", "n_tokens", "n_thinking")}
        self._start = time.monotonic()
        self._finish: str | None = None
        """the API's finish_reason; a stream without one was cut off"""

    def write(self, chunk: JsonObject) -> None:
        """Add a chunk. Tokens are counted as deltas until the usage comes at the end."""
        turn = self._turn
        turn["total_s"] = self._before["total_s"] + time.monotonic() - self._start
        for choice in chunk.get("choices", []):
            delta = choice["delta"]
            if reasoning := delta.get("reasoning_content"):
                turn["thinking"] += well_formed(reasoning)
                turn["n_thinking"] += 1
                if not turn["content"]:
                    turn["state"] = "thinking"
            if content := delta.get("content"):
                turn["content"] += well_formed(content)
                turn["state"] = "answering"
            turn["n_tokens"] += bool(reasoning or content)
            self._finish = choice.get("finish_reason") or self._finish
        if turn["state"] == "thinking":
            turn["seconds"] = turn["total_s"]
        if (usage := chunk.get("usage")) and not turn.get("cut"):
            n_thinking = usage["completion_tokens_details"]["reasoning_tokens"]
            turn["n_tokens"] = self._before["n_tokens"] + usage["completion_tokens"]
            turn["n_thinking"] = self._before["n_thinking"] + n_thinking

    def cut(self) -> None:
        """End the thinking; the next chunks are the answer."""
        self._turn["cut"] = True
        self._finish = None

    def end(self, control: AnswerControl) -> None:
        """Set the final state of the turn, after the stream has ended or been stopped."""
        if control.is_stop:
            self._turn["state"] = "stopped"
        elif self._finish is None:
            self._turn |= {"state": "error", "error": "broken"}
        elif self._finish in _ENDS:
            self._turn["state"] = _ENDS[self._finish]
        else:
            self._turn |= {"state": "filtered", "error": well_formed(self._finish)}


def _beginning(turn: Turn) -> JsonObject:
    """Return the beginning of an answer as the message that the model continues."""
    return {"role": "assistant", "content": turn["content"], "prefix": True,
            "reasoning_content": turn["thinking"]}  # fmt: skip


def _answer_request(body: JsonObject, turn: Turn) -> JsonObject:
    """Return the request with the thinking so far as a prefix and its budget used up."""
    messages = [message for message in body["messages"] if not message.get("prefix")]
    thinking = {"type": "enabled", "budget_tokens": 1}  # the minimum
    return {**body, "messages": [*messages, _beginning(turn)], "thinking": thinking}


def _bearer(key: str) -> dict[str, str]:
    sendable = key.isascii() and key.isprintable() and key.strip()
    return {"Authorization": f"Bearer {key.strip()}"} if sendable else {}


def _reason(body: bytes) -> str:
    try:
        return str(json.loads(body)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return "The server refused, and did not say why."
