"""`POST /v1/messages` and its `count_tokens`: Anthropic's route, converted to a chat request.

Source: Anthropic's reference of the Messages API and the types of its Python client 2.14.
Departures: images and documents are refused, a thinking budget may be small, and every spelling
of thinking.py is accepted. Thinking that is not mentioned follows the model's name, as on the
other routes. Thinking that is sent back is dropped, unless its turn is continued; its signature is
not checked.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, StringConstraints, model_validator

from r1kit.serve import message_tools
from r1kit.serve.api_error import ApiError
from r1kit.serve.chat_message import ChatMessage, check_length
from r1kit.serve.fields import Body, Effort, StopString, TokenLimit, WholeNumber, WireModel
from r1kit.serve.ignored import IgnoredParams
from r1kit.serve.limits import MAX_CHARS, MAX_MESSAGES, MAX_PARTS, MAX_STOPS, MAX_TOOLS
from r1kit.serve.message_tools import MessagesTool, MessagesToolChoice, chat_tools, is_parallel
from r1kit.serve.schema import ChatRequest, JsonSchema, ResponseFormat
from r1kit.serve.thinking import ThinkingParams
from r1kit.serve.tools import CalledFunction, CallOfTool

_BETWEEN_MESSAGES = "\n\n"
"""text between two messages of one role, which become one turn"""


class ResultPart(WireModel):
    """A part of the result of a call."""

    without_effect = frozenset({"cache_control", "citations"})

    type: Literal["text"]
    """type of the part"""
    text: Annotated[str, StringConstraints(max_length=MAX_CHARS)]
    """its text"""
    citations: Any = None
    """accepted, no effect"""
    cache_control: Any = None
    """accepted, no effect"""


class ContentBlock(WireModel):
    """A part of a message: text, thinking of a past turn, a call or the result of one."""

    without_effect = frozenset(
        {"cache_control", "citations", "signature", "data", "is_error", "caller"}
    )

    type: Literal["text", "thinking", "redacted_thinking", "tool_use", "tool_result"]
    """type of the block"""
    text: Annotated[str, StringConstraints(max_length=MAX_CHARS)] | None = None
    """the text of a `text` block"""
    thinking: Annotated[str, StringConstraints(max_length=MAX_CHARS)] | None = None
    """thinking of a past turn: accepted and dropped; in a last message of the assistant without
    text it is continued"""
    id: Annotated[str, StringConstraints(max_length=256)] | None = None
    """id of a `tool_use` block, which the block of its result has as `tool_use_id`"""
    name: Annotated[str, StringConstraints(max_length=128)] | None = None
    """the tool that a `tool_use` block calls"""
    input: dict[str, Any] | None = None
    """input of that call"""
    tool_use_id: Annotated[str, StringConstraints(max_length=256)] | None = None
    """id of the call whose result a `tool_result` block has"""
    content: str | Annotated[list[ResultPart], Field(max_length=MAX_PARTS)] | None = None
    """the result; parts are joined"""
    is_error: bool | None = None
    """accepted, no effect: the result says so"""
    caller: Any = None
    """accepted, no effect"""
    signature: str | None = None
    """accepted, no effect: it is not checked"""
    data: str | None = None
    """accepted, no effect: redacted thinking of another server"""
    citations: list[Any] | None = None
    """accepted, no effect"""
    cache_control: Any = None
    """accepted, no effect"""

    @model_validator(mode="after")
    def _is_whole(self) -> ContentBlock:
        if self.type == "tool_use" and not self.name:
            raise ValueError("A tool_use block needs the name of its tool")
        return self


class InputMessage(WireModel):
    """A message; consecutive ones of one role become one turn."""

    role: Literal["user", "assistant", "system"]
    """author of the message"""
    content: str | Annotated[list[ContentBlock], Field(max_length=MAX_PARTS)]
    """text of the message; blocks are joined"""

    def turns(self) -> Iterator[ChatMessage]:
        """Yield the messages of a chat request that this one stands for."""
        blocks = self.content if isinstance(self.content, list) else []
        results = [block for block in blocks if block.type == "tool_result"]
        yield from map(_result, results)
        if blocks and len(results) == len(blocks):
            return
        calls = [_call(block) for block in blocks if block.type == "tool_use"]
        text, thinking = _joined(self.content, "text"), _joined(self.content, "thinking")
        is_assistant = self.role == "assistant"
        yield ChatMessage(
            role=self.role,
            content=text or (None if calls else ""),
            reasoning_content=thinking or None if is_assistant else None,
            tool_calls=calls or None,
        )


class OutputFormat(WireModel):
    """A JSON schema for the answer."""

    type: Literal["json_schema"]
    """kind of format"""
    schema_: dict[str, Any] = Field(alias="schema")
    """the schema"""


class OutputConfig(WireModel):
    """Options of the answer."""

    effort: Effort | None = None
    """as `reasoning_effort` in a chat request"""
    format: OutputFormat | None = None
    """the answer is JSON that follows a schema"""


class CountTokensRequest(Body, ThinkingParams, IgnoredParams):
    """`POST /v1/messages/count_tokens`: a message of which only the prompt is read."""

    without_effect: ClassVar[frozenset[str]] = frozenset(
        {"context_management", "diagnostics", "inference_geo", "speed", "user_profile_id"}
    )

    model: Annotated[str, StringConstraints(min_length=1, max_length=256)]
    """a name from /v1/models"""
    messages: Annotated[list[InputMessage], Field(min_length=1, max_length=MAX_MESSAGES - 1)]
    """the conversation; a last message of the assistant is continued"""
    system: str | Annotated[list[ContentBlock], Field(max_length=MAX_PARTS)] | None = None
    """system message before the conversation"""
    max_tokens: TokenLimit | None = None
    """maximum number of tokens, thinking included; fewer if the model's context ends first"""
    stop_sequences: Annotated[list[StopString], Field(max_length=MAX_STOPS)] | None = None
    """strings that end the answer and are left out of it"""
    stream: bool | None = None
    """stream the answer as named server-sent events"""
    temperature: float | None = Field(None, ge=0, le=2)
    """0 is greedy; default 0.6"""
    top_p: float | None = Field(None, ge=0, le=1)
    """0 samples the likeliest token only; default 0.95"""
    top_k: WholeNumber | None = Field(None, ge=-1)
    """sample from the k likeliest tokens only; 0 or -1 turns this off; default 0"""
    seed: WholeNumber | None = Field(None, ge=-(2**63), lt=2**63)
    """same as in a chat request; not in Anthropic's API"""
    output_config: OutputConfig | None = None
    """effort, and the format of the answer"""
    tools: Annotated[list[MessagesTool], Field(max_length=MAX_TOOLS)] | None = None
    """tools that the model may call and the client runs"""
    tool_choice: MessagesToolChoice | None = None
    """which of them may or must be called"""
    mcp_servers: Annotated[list[Any], Field(max_length=0)] | None = None
    """refused unless empty"""
    container: None = None
    """refused unless empty"""
    context_management: Any = None
    """accepted, no effect: thinking of past turns is always dropped, and nothing else is"""
    diagnostics: Any = None
    """accepted, no effect"""
    inference_geo: str | None = None
    """accepted, no effect"""
    speed: str | None = None
    """accepted, no effect"""
    user_profile_id: str | None = None
    """accepted, no effect"""

    def as_chat(self) -> ChatRequest:
        """Convert to a chat request. Raises ApiError for two efforts that contradict each other."""
        fields = {name: getattr(self, name) for name in ThinkingParams.model_fields}
        if self.output_config and (effort := self.output_config.effort):
            if self.reasoning_effort not in (None, effort):
                param = "output_config.effort"
                message = f"{param}: It contradicts reasoning_effort; leave one of the two out."
                raise ApiError(400, message, param=param)
            fields["reasoning_effort"] = effort
        return ChatRequest(
            model=self.model,
            messages=self._turns(),
            response_format=self._format(),
            max_completion_tokens=self.max_tokens,
            stop=self.stop_sequences,
            stream=self.stream,
            temperature=self.temperature,
            top_p=self.top_p,
            top_k=self.top_k,
            seed=self.seed,
            tools=chat_tools(self.tools),
            tool_choice=self.tool_choice.as_chat_choice() if self.tool_choice else None,
            parallel_tool_calls=is_parallel(self.tool_choice),
            **fields,
        )

    def _turns(self) -> list[ChatMessage]:
        turns: list[ChatMessage] = []
        if system := _joined(self.system, "text"):
            turns.append(ChatMessage(role="system", content=system))
        for message in self.messages:
            for turn in message.turns():
                if turns and turns[-1].role == turn.role != "tool":
                    turn = _merged(turns.pop(), turn)
                turns.append(turn)
        check_length(turns, "messages")
        return turns

    def _format(self) -> ResponseFormat | None:
        form = self.output_config.format if self.output_config else None
        if form is None:
            return None
        schema = JsonSchema(name="answer", schema=form.schema_)
        return ResponseFormat(type="json_schema", json_schema=schema)


class MessagesRequest(CountTokensRequest):
    """`POST /v1/messages`."""

    max_tokens: TokenLimit
    """maximum number of tokens, thinking included; fewer if the model's context ends first"""


MODELS = (
    ResultPart, ContentBlock, InputMessage, OutputFormat, OutputConfig, MessagesRequest,
    *message_tools.MODELS,
)  # fmt: skip


def renamed(error: ApiError) -> ApiError:
    """Return the error with a chat request's field renamed to the field of this route."""
    if error.param is None or not error.param.startswith("response_format"):
        return error
    param = "output_config.format"
    message = error.message.replace(f"{error.param}:", f"{param}:", 1)
    return ApiError(error.status, message, param=param, code=error.code, headers=error.headers)


def _joined(content: str | Sequence[ContentBlock] | None, kind: str) -> str:
    """Return the text, or the thinking, of all blocks."""
    if isinstance(content, str):
        return content if kind == "text" else ""
    return "".join(getattr(block, kind) or "" for block in content or () if block.type == kind)


def _merged(first: ChatMessage, second: ChatMessage) -> ChatMessage:
    texts = [message.text() for message in (first, second) if message.text()]
    thoughts = [m.reasoning_content for m in (first, second) if m.reasoning_content]
    calls = [call for message in (first, second) for call in message.tool_calls or ()]
    return ChatMessage(
        role=second.role,
        content=_BETWEEN_MESSAGES.join(texts) or (None if calls else ""),
        reasoning_content="".join(thoughts) or None,
        tool_calls=calls or None,
    )


def _call(block: ContentBlock) -> CallOfTool:
    function = CalledFunction(name=block.name or "", arguments=block.input or {})
    return CallOfTool(id=block.id, function=function)


def _result(block: ContentBlock) -> ChatMessage:
    parts = block.content if isinstance(block.content, list) else []
    text = block.content if isinstance(block.content, str) else "".join(p.text for p in parts)
    return ChatMessage(role="tool", content=text, tool_call_id=block.tool_use_id)
