"""`--api-profile deepseek-r1`: DeepSeek's API of January 2025, for clients written against it.

Source: DeepSeek's guide for `deepseek-reasoner` of that month, and errors that users reported. It
differs from this server's own API: thinking that is sent back is refused, `max_tokens` limits the
answer alone, sampling parameters have no effect on a reasoner and log-probabilities are an error,
turns must alternate, errors have DeepSeek's messages, types and codes, and fields that it got later
are refused.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from r1kit.serve.api_error import ApiError
from r1kit.serve.schema import ChatRequest
from r1kit.serve.thinking import ThinkingParams

THINKING_TOKENS = 32_768
ANSWER_TOKENS, MOST_ANSWER_TOKENS = 4_096, 8_192
_NO_EFFECT = ("temperature", "top_p", "presence_penalty", "frequency_penalty")
_UNKNOWN = (
    "response_format", "max_completion_tokens", "top_k", "min_tokens", "ignore_eos", "min_p",
    "repetition_penalty", "logit_bias", "tools", "tool_choice",
    *ThinkingParams.model_fields,
)  # fmt: skip
"""fields that API did not have, if they would change the answer"""


def checked(request: ChatRequest, thinks: bool) -> tuple[ChatRequest, int]:
    """Return the request as that API read it, and the token limit of its answer.

    Raises ApiError (400) for a request that API refused.
    """
    for index, message in enumerate(request.messages):
        has_thinking = message.reasoning_content is not None or message.reasoning is not None
        if has_thinking and not message.prefix:
            raise _refused(
                f"messages[{index}].reasoning_content: The thinking of a past answer must not be "
                "sent back; leave it out."
            )
    if request.messages[-1].role == "assistant" and not request.messages[-1].prefix:
        raise _refused("The last message of deepseek-reasoner must be a user message")
    for field in _UNKNOWN:
        if getattr(request, field) is not None:
            raise _refused(f"{field}: It came later than this API profile; leave it out.")
    max_tokens = request.max_tokens or ANSWER_TOKENS
    if max_tokens > MOST_ANSWER_TOKENS:
        raise _refused(
            f"Invalid max_tokens value, the valid range of max_tokens is [1, {MOST_ANSWER_TOKENS}]"
        )
    if not thinks:
        return request, max_tokens
    if request.logprobs or request.top_logprobs is not None:
        raise _refused("deepseek-reasoner does not support the parameter `logprobs`")
    _refuse_successive(request)
    return request.model_copy(update=dict.fromkeys(_NO_EFFECT)), max_tokens


def body(error: ApiError) -> tuple[int, dict[str, Any]]:
    """Return the status and body of an error in that API."""
    if error.code == "model_not_found":
        error = _refused("Model Not Exist")
    fields = error.body()["error"] | {"param": None}
    if error.status in (400, 401):
        fields["code"] = "invalid_request_error"
    return error.status, {"error": fields}


def _refuse_successive(request: ChatRequest) -> None:
    roles = [message.role for message in request.messages]
    for index, (role, following) in enumerate(pairwise(roles)):
        if role == following and role in ("user", "assistant"):
            raise _refused(
                "deepseek-reasoner does not support successive user or assistant messages "
                f"(messages[{index}] and messages[{index + 1}] in your input). You should "
                "interleave the user/assistant messages in the message sequence."
            )


def _refused(message: str) -> ApiError:
    return ApiError(400, message, code="invalid_request_error")
