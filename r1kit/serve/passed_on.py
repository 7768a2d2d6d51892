"""The fields that the front passes on to the server behind it, beside messages and sampling.

What they do is that server's affair; the local engine has no use for them, or cannot do them.
"""

from __future__ import annotations

from r1kit.serve.chat_message import ChatMessage
from r1kit.serve.schema import ChatRequest, CompletionParams, CompletionRequest
from r1kit.serve.upstream_calls import sent_calls
from r1kit.types import Json

PASSED_ON = frozenset({
    "user", "user_id", "safety_identifier", "metadata", "verbosity", "modalities", "prediction",
    "service_tier", "priority", "prompt_cache_key", "prompt_cache_retention", "cache_control",
    "provider", "transforms", "web_search_options", "messages[].name",
})  # fmt: skip
"""fields without effect in the local engine (ignored.py) that the server behind may know"""


def common_fields(request: CompletionParams) -> Json:
    """Return the fields of both routes that the client has set."""
    names = PASSED_ON | {"skip_special_tokens"}
    return request.model_dump(include=set(names), exclude_none=True)


def chat_fields(request: ChatRequest) -> Json:
    """Return the fields of a chat that the client has set."""
    names = {"logprobs", "top_logprobs", "continue_final_message", "add_generation_prompt"}
    return request.model_dump(include=names, exclude_none=True) | common_fields(request)


def completion_fields(request: CompletionRequest) -> Json:
    """Return the fields of a plain completion that the client has set."""
    names = {"logprobs", "echo", "suffix", "best_of"}
    return request.model_dump(include=names, exclude_none=True) | common_fields(request)


def message(turn: ChatMessage) -> Json:
    """Return a message as the server behind gets it: without past thinking, with images."""
    role = "system" if turn.role == "developer" else turn.role
    content = turn.text() if turn.media() is None else turn.parts()
    fields: Json = {"role": role, "content": content, "name": turn.name}
    fields |= {"tool_calls": sent_calls(turn), "tool_call_id": turn.tool_call_id}
    if turn.prefix:
        fields |= {"prefix": True, "reasoning_content": turn.reasoning_content}
    sent = {name: value for name, value in fields.items() if value is not None}
    return sent | {"content": content or None} if turn.tool_calls else sent
