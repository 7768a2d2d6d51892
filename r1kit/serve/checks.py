"""Checks of a request as a whole: combinations of fields, and sizes. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterator

from r1kit.serve.api_error import ApiError
from r1kit.serve.limits import (
    MAX_CHARS,
)
from r1kit.serve.schema import ChatRequest, CompletionParams, CompletionRequest


def check_chat(request: ChatRequest) -> None:
    """Raise ApiError for invalid combinations of fields and for ones that are not supported."""
    for index, message in enumerate(request.messages):
        at = f"messages[{index}]"
        if message.content is None and message.role != "assistant":
            raise ApiError(400, f"{at}.content: A {message.role} needs content.",
                          param=f"{at}.content")  # fmt: skip
        is_last = index == len(request.messages) - 1
        if message.prefix and not (is_last and message.role == "assistant"):
            raise ApiError(400, f"{at}.prefix: Only the last message can be a prefix, and only "
                          "the assistant's.", param=f"{at}.prefix")  # fmt: skip
    if request.messages[-1].role == "assistant" and not request.messages[-1].prefix:
        last = f"messages[{len(request.messages) - 1}]"
        raise ApiError(400, f"{last}: The last message is the assistant's; add a user message, or "
                      'set "prefix": true to continue it.', param=last)  # fmt: skip
    if request.top_logprobs is not None and not request.logprobs:
        raise ApiError(400, "top_logprobs: It needs logprobs: true.", param="top_logprobs")
    form = request.response_format
    if form is not None and form.schema_to_follow() and request.messages[-1].prefix:
        raise ApiError(400, "response_format: It cannot be combined with a prefix; leave one "
                      "of them out.",
                      param="response_format")  # fmt: skip
    _check_size(sum(_sizes(request)), "messages")
    _check_stream(request)


def check_completion(request: CompletionRequest) -> str | list[int]:
    """Return the prompt, as a text or as token ids. Raises ApiError if it is invalid."""
    _check_stream(request)
    prompt = request.prompt
    if isinstance(prompt, list) and len(prompt) == 1 and isinstance(prompt[0], str):
        prompt = prompt[0]
    if isinstance(prompt, str):
        _check_size(len(prompt), "prompt")
        return prompt
    if not all(type(token) is int and 0 <= token < 2**31 for token in prompt):
        raise ApiError(400, "prompt: It must be one text or one list of token ids.", param="prompt")
    _check_size(len(prompt), "prompt")
    return list(prompt)


def _sizes(request: ChatRequest) -> Iterator[int]:
    for message in request.messages:
        yield len(message.text())
        yield len(message.reasoning_content or "") + len(message.reasoning or "")


def _check_size(size: int, param: str) -> None:
    if size > MAX_CHARS:
        raise ApiError(400, f"{param}: {size} characters are more than the limit of "
                      f"{MAX_CHARS}.", param=param, code="context_length_exceeded")  # fmt: skip


def _check_stream(request: CompletionParams) -> None:
    if request.stream_options is not None and not request.stream:
        raise ApiError(400, "stream_options: It needs stream: true.", param="stream_options")
