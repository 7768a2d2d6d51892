"""`POST /v1/responses`: OpenAI's newer route, converted to a chat request.

Source: OpenAI's openapi 2.3. Departures: responses are stored only by a server that is started with
`--store`, `conversation` is refused, and the only tools are functions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, model_validator

from r1kit.serve.api_error import ApiError
from r1kit.serve.chat_message import ChatMessage, check_length
from r1kit.serve.fields import Body, StopString, TokenLimit, WholeNumber, WireModel
from r1kit.serve.ignored import IgnoredParams
from r1kit.serve.limits import (
    MAX_CHARS,
    MAX_MESSAGES,
    MAX_PARTS,
    MAX_STOPS,
    MAX_TOOLS,
    MAX_TOP,
)
from r1kit.serve.schema import ChatRequest, JsonSchema, ResponseFormat
from r1kit.serve.thinking import Reasoning, ThinkingParams
from r1kit.serve.tools import (
    CalledFunction,
    CallOfTool,
    FunctionTool,
    Tool,
    ToolChoice,
    ToolChoiceWord,
    ToolName,
    reduced,
)
from r1kit.types import Json


class InputPart(WireModel):
    """A part of a message; only text is supported."""

    type: Literal["input_text", "output_text", "text"]
    """type of the part: a text of the user, or of an answer that is sent back"""
    text: Annotated[str, StringConstraints(max_length=MAX_CHARS)]
    """the text"""
    annotations: list[Any] | None = None
    """accepted, no effect"""
    logprobs: list[Any] | None = None
    """accepted, no effect"""


class ReasoningPart(WireModel):
    """A part of thinking that is sent back; it is dropped."""

    type: Literal["reasoning_text"]
    """type of the part"""
    text: str
    """accepted and dropped"""


class InputItem(WireModel):
    """A message, a call or its result, or thinking that is sent back; the thinking is dropped."""

    type: (
        Literal["message", "reasoning", "function_call", "function_call_output", "item_reference"]
        | None
    ) = None
    """`message` if not given; `item_reference` only for an item of thinking, which is dropped"""
    role: Literal["system", "developer", "user", "assistant"] | None = None
    """author of the message"""
    content: (
        str | Annotated[list[InputPart | ReasoningPart], Field(max_length=MAX_PARTS)] | None
    ) = None
    """text of the message; parts are joined"""
    call_id: Annotated[str, StringConstraints(max_length=256)] | None = None
    """id of a call, or of the call whose result this is"""
    name: Annotated[str, StringConstraints(max_length=128)] | None = None
    """name of the called function"""
    arguments: Annotated[str, StringConstraints(max_length=MAX_CHARS)] | None = None
    """arguments of the call, as a JSON text"""
    output: str | Annotated[list[InputPart], Field(max_length=MAX_PARTS)] | None = None
    """result of the call; parts are joined"""
    id: str | None = None
    """no effect, except in an `item_reference`: the id of the item"""
    status: str | None = None
    """accepted, no effect"""
    phase: str | None = None
    """accepted, no effect"""
    summary: list[Any] | None = None
    """accepted, no effect"""
    encrypted_content: str | None = None
    """accepted, no effect"""


class SummarizedReasoning(Reasoning):
    """The amount of thinking, and the form in which OpenAI's clients show it."""

    without_effect = frozenset()

    summary: str | None = None
    """returns the thinking as a summary too, for clients that show nothing else; it is not
    shortened"""
    generate_summary: str | None = None
    """older name of `summary`"""


class ResponsesTool(FunctionTool):
    """A tool of a responses request. Tools that are no function are left out."""

    type: Annotated[str, StringConstraints(max_length=64)]
    """`function`; all others are left out if there is a function, else refused"""
    name: ToolName = ""
    """name of the function"""

    @model_validator(mode="before")
    @classmethod
    def _of_other_type(cls, tool: Any) -> Any:
        """Drop the fields of tools that are left out."""
        return reduced(tool, ("function",))

    @property
    def is_without_effect(self) -> bool:
        return self.type != "function"

    def as_sent(self) -> Json:
        """Return the tool as the response repeats it."""
        if self.type != "function":
            return {"type": self.type}
        empty = {"description": None, "parameters": None, "strict": False}
        return empty | self.model_dump(exclude={"cache_control"}, exclude_none=True)

    def as_chat_tool(self) -> Tool:
        """Convert to a tool of a chat request."""
        fields = self.model_dump(exclude={"type"}, exclude_none=True)
        function = FunctionTool(**fields) if self.type == "function" else None
        return Tool(type=self.type, function=function)


class TextFormat(WireModel):
    """The format of the answer."""

    type: Literal["text", "json_object", "json_schema"]
    """`json_object` allows any JSON object"""
    name: str | None = None
    """accepted, no effect"""
    schema_: dict[str, Any] | None = Field(None, alias="schema")
    """the schema, required for `json_schema`"""
    description: str | None = None
    """accepted, no effect"""
    strict: bool | None = None
    """accepted, no effect: the schema is always enforced"""


class TextOptions(WireModel):
    """Options for the text of the answer."""

    without_effect = frozenset({"verbosity"})

    format: TextFormat | None = None
    """plain text if not given"""
    verbosity: str | None = None
    """accepted, no effect"""


class ResponsesRequest(Body, ThinkingParams, IgnoredParams):
    """`POST /v1/responses`."""

    model: Annotated[str, StringConstraints(min_length=1, max_length=256)]
    """a name from /v1/models"""
    input: str | Annotated[list[InputItem], Field(min_length=1, max_length=MAX_MESSAGES - 1)]
    """a user message, or the conversation"""
    instructions: str | None = None
    """system message before the conversation"""
    max_output_tokens: TokenLimit | None = None
    """maximum number of tokens of the answer, thinking included"""
    temperature: float | None = Field(None, ge=0, le=2)
    """0 is greedy; default 0.6"""
    top_p: float | None = Field(None, ge=0, le=1)
    """0 samples the likeliest token only; default 0.95"""
    stream: bool | None = None
    """stream the answer as named server-sent events"""
    text: TextOptions | None = None
    """format of the answer"""
    top_k: WholeNumber | None = Field(None, ge=-1)
    """same as in a chat request; not in OpenAI's API"""
    seed: WholeNumber | None = Field(None, ge=-(2**63), lt=2**63)
    """same as in a chat request; not in OpenAI's API"""
    stop: StopString | Annotated[list[StopString], Field(max_length=MAX_STOPS)] | None = None
    """same as in a chat request; not in OpenAI's API"""
    reasoning: SummarizedReasoning | None = None
    """thinking on or off, its effort or budget, and whether it is returned"""
    store: bool | None = None
    """false: the response is not stored; true is the default with `--store`, and refused without"""
    previous_response_id: Annotated[str, StringConstraints(max_length=64)] | None = None
    """a stored response, whose conversation is continued; refused without `--store`"""
    conversation: None = None
    """refused unless empty: send `previous_response_id`, or the whole conversation"""
    background: Literal[False] | None = None
    """refused unless false"""
    tools: Annotated[list[ResponsesTool], Field(max_length=MAX_TOOLS)] | None = None
    """functions that the model may call"""
    tool_choice: ToolChoiceWord | ToolChoice | None = None
    """same as in a chat request"""
    parallel_tool_calls: bool | None = None
    """false: an answer has one call at most; default true"""
    max_tool_calls: WholeNumber | None = None
    """accepted, no effect: it limits tools that the provider runs"""
    truncation: Literal["disabled"] | None = None
    """refused unless `disabled`: input that is too long is refused"""
    top_logprobs: WholeNumber | None = Field(None, ge=0, le=MAX_TOP)
    """return log-probabilities of the answer's tokens, and of this many likeliest tokens per
    position"""
    include: Annotated[list[str], Field(max_length=16)] | None = None
    """`message.output_text.logprobs` returns log-probabilities of the answer's tokens,
    `reasoning.encrypted_content` a checksum of the thinking, without which some clients do not send
    it back; other values are accepted and have no effect"""
    stream_options: dict[str, Any] | None = None
    """accepted, no effect"""

    def items(self) -> list[InputItem]:
        """Return the input as items."""
        return self.input if isinstance(self.input, list) else [_user(self.input)]

    def as_chat(self, earlier: Sequence[InputItem] = ()) -> ChatRequest:
        """Convert to a chat request that continues the `earlier` items.

        Raises ApiError for an incomplete message, or if the last one is the assistant's.
        """
        messages: list[ChatMessage] = []
        if self.instructions:
            messages.append(ChatMessage(role="system", content=self.instructions))
        for index, item in enumerate([*earlier, *self.items()], -len(earlier)):
            if item.type == "function_call":
                messages = _with_call(messages, item, f"input[{index}]")
            elif item.type == "function_call_output":
                messages.append(_result(item, f"input[{index}]"))
            elif item.type == "item_reference":
                _check_reference(item, f"input[{index}].id")
            elif item.type != "reasoning":
                messages.append(_message(item, f"input[{index}]"))
        check_length(messages, "input")
        if not messages or messages[-1].role == "assistant":
            raise ApiError(400, "input: The last message must be the user's.", param="input")
        return ChatRequest(
            model=self.model,
            messages=messages,
            max_completion_tokens=self.max_output_tokens,
            temperature=self.temperature,
            top_p=self.top_p,
            top_k=self.top_k,
            seed=self.seed,
            stop=self.stop,
            response_format=self._format(),
            tools=self._chat_tools(),
            tool_choice=self.tool_choice,
            parallel_tool_calls=self.parallel_tool_calls,
            logprobs=bool(self.top_logprobs) or _LOGPROBS in (self.include or []),
            top_logprobs=self.top_logprobs or None,
            stream=self.stream,
            **{name: getattr(self, name) for name in ThinkingParams.model_fields},
        )

    def _chat_tools(self) -> list[Tool] | None:
        for index, tool in enumerate(self.tools or ()):
            if tool.type == "function" and not tool.name:
                param = f"tools[{index}].name"
                raise ApiError(400, f"{param}: It is missing.", param=param)
        return [tool.as_chat_tool() for tool in self.tools] if self.tools else None

    def _format(self) -> ResponseFormat | None:
        text_format = self.text.format if self.text else None
        if text_format is None:
            return None
        if text_format.type != "json_schema":
            return ResponseFormat(type=text_format.type)
        if text_format.schema_ is None:
            param = "text.format.schema"
            raise ApiError(400, f"{param}: It must say which schema.", param=param)
        schema = JsonSchema(name="answer", schema=text_format.schema_)
        return ResponseFormat(type="json_schema", json_schema=schema)


REASONING_ID = "rs"
"""what the ids of items of thinking begin with"""
_LOGPROBS = "message.output_text.logprobs"

PARAMS = {
    "messages": "input",
    "max_completion_tokens": "max_output_tokens",
    "logprobs": "top_logprobs",
    "response_format": "text.format",
    "response_format.json_schema": "text.format",
    "response_format.json_schema.schema": "text.format.schema",
}
"""field of a chat request → field of this route, for error messages"""


def renamed(error: ApiError) -> ApiError:
    """Return the error with a chat request's field renamed to the field of this route."""
    if error.param is not None and error.param.startswith("tools["):
        param = error.param.replace(".function", "", 1)
        message = error.message.replace(f"{error.param}:", f"{param}:", 1)
        return ApiError(error.status, message, param=param)
    if error.param is None or error.param.split("[")[0] not in PARAMS:
        return error
    param = PARAMS[error.param.split("[")[0]]
    message = error.message.replace(f"{error.param}:", f"{param}:", 1)
    return ApiError(error.status, message, param=param, code=error.code, headers=error.headers)


def _user(text: str) -> InputItem:
    return InputItem(role="user", content=text)


def _message(item: InputItem, path: str) -> ChatMessage:
    content = item.content
    if isinstance(content, list):
        content = "".join(part.text for part in content if isinstance(part, InputPart))
    if item.role is None:
        raise ApiError(400, f"{path}.role: A message needs one.", param=f"{path}.role")
    if content is None:
        raise ApiError(400, f"{path}.content: A message needs content.", param=f"{path}.content")
    return ChatMessage(role=item.role, content=content)


def _check_reference(item: InputItem, param: str) -> None:
    """Raise ApiError for a reference to anything but thinking, which the AI SDK refers to."""
    if not (item.id or "").startswith(f"{REASONING_ID}_"):
        raise ApiError(
            400,
            f"{param}: Items are not kept by id; send the item itself, or previous_response_id.",
            param=param,
        )


def _with_call(messages: list[ChatMessage], item: InputItem, path: str) -> list[ChatMessage]:
    """Return messages with a call in the last one, which is the assistant's."""
    if not item.name:
        raise ApiError(400, f"{path}.name: A call needs one.", param=f"{path}.name")
    function = CalledFunction(name=item.name, arguments=item.arguments)
    call = CallOfTool(id=item.call_id or item.id, function=function)
    if not messages or messages[-1].role != "assistant":
        return [*messages, ChatMessage(role="assistant", tool_calls=[call])]
    calls = [*(messages[-1].tool_calls or ()), call]
    return [*messages[:-1], messages[-1].model_copy(update={"tool_calls": calls})]


def _result(item: InputItem, path: str) -> ChatMessage:
    if item.output is None:
        raise ApiError(400, f"{path}.output: A result needs one.", param=f"{path}.output")
    parts = item.output
    text = parts if isinstance(parts, str) else "".join(part.text for part in parts)
    return ChatMessage(role="tool", content=text, tool_call_id=item.call_id)


MODELS = (
    InputPart,
    ReasoningPart,
    InputItem,
    SummarizedReasoning,
    ResponsesTool,
    TextFormat,
    TextOptions,
    ResponsesRequest,
)
