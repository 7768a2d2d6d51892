"""Tokens of a prompt from an upstream server that has vLLM's `/tokenize` and `/detokenize`."""

from __future__ import annotations

import httpx

from r1kit.files.untrusted import read_repaired_json, to_bytes
from r1kit.serve.api_error import ApiError
from r1kit.serve.proxy_stream import GONE_MESSAGE, refusal_of
from r1kit.types import Json

_TIMEOUT_S = 60.0
_NAMES = ("count", "max_model_len", "tokens", "token_strs")


async def upstream_tokens(client: httpx.AsyncClient, route: str, body: Json) -> Json:
    """Return the answer of the upstream's route, which is beside its /v1.

    Raises ApiError if it cannot be reached, has no such route or refuses the request.
    """
    body = {name: value for name, value in body.items() if value is not None}
    url = str(client.base_url).rstrip("/").removesuffix("/v1") + route
    try:
        reply = await client.post(url, content=to_bytes(body), timeout=_TIMEOUT_S)
    except httpx.HTTPError:
        raise ApiError(503, GONE_MESSAGE, headers={"Retry-After": "10"}) from None
    if reply.status_code in (404, 405, 501):
        raise ApiError(404, f"The upstream server has no {route}; count tokens elsewhere.")
    if reply.status_code != 200:
        raise refusal_of(reply, reply.content)
    try:
        answer = read_repaired_json(reply.content)
    except ValueError:
        answer = None
    if not isinstance(answer, dict) or not _is_sound(answer, route):
        raise ApiError(502, "The upstream server sent a response that cannot be read.")
    names = ("prompt",) if route == "/detokenize" else _NAMES
    return {name: answer.get(name) for name in names}


def _is_sound(answer: Json, route: str) -> bool:
    if route == "/detokenize":
        return isinstance(answer.get("prompt"), str)
    count, tokens = answer.get("count"), answer.get("tokens")
    return type(count) is int and count >= 0 and isinstance(tokens, list)
