"""Checks of a request as a whole: combinations of fields, and sizes. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterator

from r1kit.files.untrusted import to_bytes
from r1kit.serve.api_error import TOO_LONG, ApiError
from r1kit.serve.limits import MAX_CHARS
from r1kit.serve.schema import ChatRequest, CompletionParams, CompletionRequest, check_schema
from r1kit.serve.tools import past_call


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
    is_continued = request.messages[-1].role == "assistant"
    if request.tool_use().is_demanded and is_continued:
        raise ApiError(400, "tool_choice: A call cannot continue a message; end with a user "
                      "message, or set it to auto.", param="tool_choice")  # fmt: skip
    if request.schema_to_follow() and is_continued:
        raise ApiError(400, "response_format: It cannot be combined with a continued message; end "
                      "with a user message, or leave it out.",
                      param="response_format")  # fmt: skip
    _check_tools(request)
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


def _check_tools(request: ChatRequest) -> None:
    for index, tool in enumerate(request.tools or ()):
        if tool.function is None and tool.type == "function":
            param = f"tools[{index}].function"
            raise ApiError(400, f"{param}: It is missing.", param=param)
        if tool.function is not None:
            parameters = tool.function.parameters or {}
            check_schema(parameters, f"tools[{index}].function.parameters")
    has_calls = False
    for index, message in enumerate(request.messages):
        at = f"messages[{index}]"
        if message.tool_calls and message.role != "assistant":
            raise ApiError(400, f"{at}.tool_calls: Only the assistant calls tools.",
                          param=f"{at}.tool_calls")  # fmt: skip
        if message.role == "tool" and not has_calls:
            raise ApiError(400, f"{at}.role: A tool message needs a message of the assistant "
                          "before it, with the call in tool_calls.",
                          param=f"{at}.role")  # fmt: skip
        has_calls = has_calls or bool(message.tool_calls)
    if request.messages[-1].tool_calls:
        param = f"messages[{len(request.messages) - 1}].tool_calls"
        raise ApiError(400, f"{param}: A tool message with its result must follow each call.",
                      param=param)  # fmt: skip


def _sizes(request: ChatRequest) -> Iterator[int]:
    for message in request.messages:
        yield len(message.text())
        yield len(message.reasoning_content or "") + len(message.reasoning or "")
        for call in message.tool_calls or ():
            yield len(past_call(call, 0).arguments)
    for tool in request.tools or ():
        if tool.function is not None:
            yield len(tool.function.description or "")
            yield len(to_bytes(tool.function.parameters))


def _check_size(size: int, param: str) -> None:
    if size > MAX_CHARS:
        raise ApiError(400, f"{param}: The prompt is too long: it has {size} characters, and "
                      f"{MAX_CHARS} are allowed ({TOO_LONG}).", param=param,
                      code=TOO_LONG)  # fmt: skip


def _check_stream(request: CompletionParams) -> None:
    if request.stream_options is not None and not request.stream:
        raise ApiError(400, "stream_options: It needs stream: true.", param="stream_options")
