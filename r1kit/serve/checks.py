"""Checks of a request as a whole: combinations of fields, and sizes. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from r1kit.files.untrusted import to_bytes
from r1kit.serve.api_error import TOO_LONG, ApiError
from r1kit.serve.limits import MAX_CHARS, MAX_PROMPTS
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


def refuse_media(request: ChatRequest) -> None:
    """Raise ApiError for parts that only a server behind can read."""
    for index, message in enumerate(request.messages):
        if (part := message.media()) is not None:
            param = f"messages[{index}].content[{part}].type"
            raise ApiError(400, f"{param}: Only text is supported; leave out images, audio and "
                           "files.", param=param)  # fmt: skip


def check_completion(request: CompletionRequest) -> list[str | list[int]]:
    """Return the prompts, as texts or as token ids. Raises ApiError if the request is invalid."""
    _check_stream(request)
    _check_best_of(request)
    if request.max_tokens == 0 and not request.echo:
        raise ApiError(400, "max_tokens: 0 only makes sense with echo; set it to at least 1.",
                       param="max_tokens")  # fmt: skip
    if request.suffix and request.echo:
        raise ApiError(400, "echo: It cannot be combined with suffix; leave one of them out.",
                       param="echo")  # fmt: skip
    is_one = isinstance(request.prompt, str) or not isinstance(request.prompt[0], str | list)
    prompts = [request.prompt] if is_one else request.prompt
    if not all(isinstance(prompt, str) or _are_ids(prompt) for prompt in prompts):
        raise ApiError(400, "prompt: It must be a text, a list of token ids, or a list of either.",
                       param="prompt")  # fmt: skip
    _check_size(sum(map(len, prompts)) + len(request.suffix or ""), "prompt")
    return [prompt if isinstance(prompt, str) else list(prompt) for prompt in prompts]


def check_filling(request: CompletionRequest) -> None:
    """Raise ApiError for fields that only `/v1/completions` has."""
    for param in ("echo", "best_of"):
        if getattr(request, param):
            raise ApiError(400, f"{param}: Only /v1/completions has it; leave it out.",
                           param=param)  # fmt: skip
    if request.n_prompts > 1:
        raise ApiError(400, "prompt: It must be one text here.", param="prompt")


def check_number(request: CompletionRequest) -> None:
    """Raise ApiError if a request asks for too many completions."""
    if request.n_prompts * request.n_sampled > MAX_PROMPTS:
        raise ApiError(400, f"prompt: A request may have {MAX_PROMPTS} completions, its prompts "
                       "times n or best_of; send several requests.", param="prompt")  # fmt: skip


def _check_best_of(request: CompletionRequest) -> None:
    if request.best_of is None:
        return
    if request.best_of < (request.n or 1):
        raise ApiError(400, "best_of: It must be at least n.", param="best_of")
    if request.stream and request.best_of > (request.n or 1):
        raise ApiError(400, "best_of: The best completions are known at the end, so they cannot "
                       "be streamed; leave out best_of or stream.", param="best_of")  # fmt: skip


def _are_ids(prompt: Any) -> bool:
    return isinstance(prompt, list) and all(type(t) is int and 0 <= t < 2**31 for t in prompt)


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
