"""`POST /tokenize` and `POST /detokenize`: the tokens of a prompt, as in vLLM's API.

The tokens are those that this server would sample from: text never becomes a control token, and a
conversation ends where the model's answer begins.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field, StringConstraints

from r1kit.serve.api_error import ApiError
from r1kit.serve.chat_message import ChatMessage
from r1kit.serve.fields import Body, WholeNumber
from r1kit.serve.ignored import IgnoredParams
from r1kit.serve.limits import MAX_CHARS, MAX_MESSAGES, MAX_TOOLS
from r1kit.serve.schema import ChatRequest
from r1kit.serve.thinking import ThinkingParams
from r1kit.serve.tools import Tool
from r1kit.types import Json

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

TokenId = Annotated[WholeNumber, Field(ge=0, lt=2**31)]


class TokenizeRequest(Body, ThinkingParams, IgnoredParams):
    """`POST /v1/tokenize`: either a text or a conversation."""

    model: Annotated[str, StringConstraints(min_length=1, max_length=256)] | None = None
    """a name from /v1/models; default: the first model"""
    prompt: Annotated[str, StringConstraints(max_length=MAX_CHARS)] | None = None
    """a text, as in `/v1/completions`"""
    messages: Annotated[list[ChatMessage], Field(min_length=1, max_length=MAX_MESSAGES)] | None = (
        None
    )
    """a conversation, as in `/v1/chat/completions`"""
    add_special_tokens: bool | None = None
    """for `prompt`: false leaves out the token at the beginning of a text (BOS); true is the
    default. The tokens of a conversation are those of its template"""
    return_token_strs: bool | None = None
    """return the token of every id as the tokenizer spells it"""
    add_generation_prompt: bool | None = None
    """same as in a chat request"""
    continue_final_message: bool | None = None
    """same as in a chat request"""
    tools: Annotated[list[Tool], Field(max_length=MAX_TOOLS)] | None = None
    """same as in a chat request"""

    def as_chat(self, name: str) -> ChatRequest | None:
        """Convert to a chat request to the model of that name; None for a text.

        Raises ApiError unless there is either a prompt or a conversation.
        """
        if (self.prompt is None) is (self.messages is None):
            raise ApiError(400, "prompt: Send either prompt or messages.", param="prompt")
        if self.messages is None:
            return None
        return ChatRequest(
            model=name,
            messages=self.messages,
            tools=self.tools,
            add_generation_prompt=self.add_generation_prompt,
            continue_final_message=self.continue_final_message,
            **{field: getattr(self, field) for field in ThinkingParams.model_fields},
        )


class DetokenizeRequest(Body, IgnoredParams):
    """`POST /v1/detokenize`."""

    model: Annotated[str, StringConstraints(min_length=1, max_length=256)] | None = None
    """a name from /v1/models; default: the first model"""
    tokens: Annotated[list[TokenId], Field(max_length=MAX_CHARS)]
    """token ids, also of control tokens"""


def counted(
    ids: list[int], request: TokenizeRequest, tokenizer: PreTrainedTokenizerBase, limit: int | None
) -> Json:
    """Return the answer to a request, for a model whose context has `limit` tokens."""
    bos = tokenizer.bos_token_id
    is_text, is_bare = request.messages is None, request.add_special_tokens is False
    if is_text and is_bare and bos is not None and ids[:1] == [bos]:
        ids = ids[1:]
    strings = tokenizer.convert_ids_to_tokens(ids) if request.return_token_strs else None
    return {"count": len(ids), "max_model_len": limit, "tokens": ids, "token_strs": strings}


def text_of(ids: list[int], tokenizer: PreTrainedTokenizerBase, vocab_size: int) -> Json:
    """Return the answer to a request to detokenize. Raises ApiError for an id that is no token."""
    if ids and max(ids) >= vocab_size:
        message = f"tokens: The model has no token ids above {vocab_size - 1}."
        raise ApiError(400, message, param="tokens")
    text = tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)
    return {"prompt": text}
