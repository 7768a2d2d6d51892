"""Checks of a request as a whole: combinations of fields, and sizes. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterator

from r1kit.serve.api_error import TOO_LONG, ApiError
from r1kit.serve.limits import MAX_CHARS
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
    _check_continuation(request)
    if request.top_logprobs is not None and not request.logprobs:
        raise ApiError(400, "top_logprobs: It needs logprobs: true.", param="top_logprobs")
    form = request.response_format
    if form is not None and form.schema_to_follow() and request.messages[-1].role == "assistant":
        raise ApiError(400, "response_format: It cannot be combined with a continued message; end "
                      "with a user message, or leave it out.",
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


def _check_continuation(request: ChatRequest) -> None:
    """Refuse what would begin a turn after the assistant's, or after nobody's."""
    last = request.messages[-1]
    param = f"messages[{len(request.messages) - 1}]"
    if last.role == "assistant":
        if last.prefix is False or request.continue_final_message is False:
            raise ApiError(400, f"{param}: The last message is the assistant's; add a user "
                          "message, or let it be continued.", param=param)  # fmt: skip
    elif request.continue_final_message:
        raise ApiError(400, "continue_final_message: The last message is not the assistant's; "
                      "leave it out.", param="continue_final_message")  # fmt: skip
    elif request.add_generation_prompt is False:
        raise ApiError(400, "add_generation_prompt: The answer is always a turn of its own; leave "
                      "it out.", param="add_generation_prompt")  # fmt: skip


def _sizes(request: ChatRequest) -> Iterator[int]:
    for message in request.messages:
        yield len(message.text())
        yield len(message.reasoning_content or "") + len(message.reasoning or "")


def _check_size(size: int, param: str) -> None:
    if size > MAX_CHARS:
        raise ApiError(400, f"{param}: The prompt is too long: it has {size} characters, and "
                      f"{MAX_CHARS} are allowed ({TOO_LONG}).", param=param,
                      code=TOO_LONG)  # fmt: skip


def _check_stream(request: CompletionParams) -> None:
    if request.stream_options is not None and not request.stream:
        raise ApiError(400, "stream_options: It needs stream: true.", param="stream_options")
