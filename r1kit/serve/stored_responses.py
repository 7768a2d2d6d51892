"""`store`, `previous_response_id` and the routes of a stored response; off without a file."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.requests import Request

from r1kit.serve.api_error import ApiError
from r1kit.serve.response_store import ResponseStore, StoredResponse
from r1kit.serve.responses import InputItem, ResponsesRequest
from r1kit.types import Json

_OFF = "Nothing is stored here, unless the server is started with --store"
_GONE = "There is no such response; it was deleted, is too old, or was never stored"


class StoredResponses:
    """The stored responses, seen from the routes."""

    def __init__(self, store: ResponseStore | None) -> None:
        self._store = store

    def stores(self, request: ResponsesRequest) -> bool:
        """Return True if the response will be stored. Raises ApiError if that is impossible."""
        if self._store is None and request.store:
            raise ApiError(400, f"store: {_OFF}; leave it out or set it to false.", param="store")
        return self._store is not None and request.store is not False

    async def earlier(self, body: ResponsesRequest, request: Request) -> list[InputItem]:
        """Return the conversation that the request continues. Raises ApiError if there is none."""
        param = "previous_response_id"
        if body.previous_response_id is None:
            return []
        if self._store is None:
            raise ApiError(400, f"{param}: {_OFF}; send the whole conversation.", param=param)
        stored = await self._store.get(request.state.owner, body.previous_response_id)
        if stored is None:
            raise ApiError(
                400,
                f"{param}: {_GONE}; send the whole conversation.",
                param=param,
                code="previous_response_not_found",
            )
        return [InputItem.model_validate(item) for item in stored.items]

    async def keep(
        self, request: Request, items: Sequence[InputItem], response: Json | None
    ) -> None:
        """Store a response and the conversation that it ends; its thinking is left out of it."""
        if self._store is None or response is None:
            return
        sent = [item.model_dump(exclude_none=True, by_alias=True) for item in items]
        output = [item for item in response["output"] if item["type"] != "reasoning"]
        stored = StoredResponse(response, [*sent, *output])
        await self._store.put(request.state.owner, response["id"], stored)

    async def get(self, response_id: str, request: Request, stream: bool = False) -> Json:
        """Return a stored response."""
        if stream:
            raise ApiError(400, "stream: A stored response is not streamed; leave it out.",
                           param="stream")  # fmt: skip
        store = self._store_of(response_id)
        stored = await store.get(request.state.owner, response_id)
        if stored is None:
            raise ApiError(404, f"{_GONE}.")
        return stored.response

    async def delete(self, response_id: str, request: Request) -> Json:
        """Delete a stored response; conversations that went on from it stay."""
        store = self._store_of(response_id)
        if not await store.delete(request.state.owner, response_id):
            raise ApiError(404, f"{_GONE}.")
        return {"id": response_id, "object": "response", "deleted": True}

    def _store_of(self, response_id: str) -> ResponseStore:
        if self._store is None or not response_id.isascii():
            raise ApiError(404, f"{_OFF if self._store is None else _GONE}.")
        return self._store
