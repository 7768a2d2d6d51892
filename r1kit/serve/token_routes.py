"""The routes that count or return the tokens of a prompt, and the refusal of embeddings."""

from __future__ import annotations

from starlette.requests import Request

from r1kit.serve import messages
from r1kit.serve.api_error import ApiError
from r1kit.serve.messages import CountTokensRequest
from r1kit.serve.model_names import Models
from r1kit.serve.responses import ResponsesRequest, renamed
from r1kit.serve.schema import ChatRequest
from r1kit.serve.stored_responses import StoredResponses
from r1kit.serve.thinking import ThinkingParams
from r1kit.serve.tokenize import DetokenizeRequest, TokenizeRequest
from r1kit.types import Json


class TokenRoutes:
    """The route handlers."""

    def __init__(self, models: Models, stored: StoredResponses) -> None:
        self._models = models
        self._stored = stored

    async def tokenize(self, body: TokenizeRequest) -> Json:
        """Return the tokens of a text or a conversation."""
        served, by_name = self._models.find(body.model)
        return await served.tokenize(body, by_name)

    async def detokenize(self, body: DetokenizeRequest) -> Json:
        """Return the text of tokens."""
        served, _ = self._models.find(body.model)
        return await served.detokenize(body)

    async def count_message(self, body: CountTokensRequest) -> Json:
        """Count the tokens of a message's prompt, in Anthropic's API."""
        try:
            return {"input_tokens": await self._count(body.as_chat())}
        except ApiError as error:
            raise messages.renamed(error) from None

    async def count_response(self, body: ResponsesRequest, request: Request) -> Json:
        """Count the tokens of a response's prompt, in OpenAI's API."""
        try:
            chat = body.as_chat(await self._stored.earlier(body, request))
            return {"object": "response.input_tokens", "input_tokens": await self._count(chat)}
        except ApiError as error:
            raise renamed(error) from None

    async def embeddings(self) -> Json:
        """Refuse a request for embeddings, whatever it contains."""
        raise ApiError(
            400,
            "Embeddings are not supported: the models here write text; use a server with an "
            "embedding model.",
        )

    async def _count(self, chat: ChatRequest) -> int:
        served, by_name = self._models.find(chat.model)
        thinking = {name: getattr(chat, name) for name in ThinkingParams.model_fields}
        request = TokenizeRequest(
            model=chat.model, messages=chat.messages, tools=chat.tools, **thinking
        )
        n_tokens: int = (await served.tokenize(request, by_name))["count"]
        return n_tokens
