"""The request bodies, field by field. Imports no torch.

Source: OpenAI's chat and legacy completions (openapi 2.3), DeepSeek's additions to it (`thinking`,
`prefix`, `reasoning_content`). Departures: an unknown field is an error, so that a misspelt one is
never silently ignored; fields that other servers support and this one does not are refused unless
they are empty. The tables in docs/serving.md are made from this file
(scripts/serving_reference.py).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, StringConstraints, model_validator

from r1kit.serve import tools
from r1kit.serve.api_error import ApiError
from r1kit.serve.chat_message import ChatMessage, MediaPart, TextPart, as_turn
from r1kit.serve.fields import (
    Body,
    StopString,
    TokenCount,
    TokenLimit,
    WholeNumber,
    WireModel,
    is_minus_one,
)
from r1kit.serve.ignored import IgnoredParams
from r1kit.serve.limits import (
    MAX_BIASES,
    MAX_CHARS,
    MAX_INT,
    MAX_MESSAGES,
    MAX_N,
    MAX_SCHEMA_DEPTH,
    MAX_SCHEMA_PARTS,
    MAX_STOPS,
    MAX_TOOLS,
    MAX_TOP,
)
from r1kit.serve.thinking import Reasoning, TemplateOptions, Thinking, ThinkingParams
from r1kit.serve.tools import (
    NO_TOOLS,
    Tool,
    ToolChoice,
    ToolChoiceWord,
    ToolUse,
    tool_use,
)
from r1kit.types import LOGIT_PARAMS, Json, Message

TokenKey = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,9}$")]
"""a token id, as a key of a JSON object"""
Bias = Annotated[float, Field(ge=-100, le=100)]
_NEUTRAL: Json = {"repetition_penalty": 1, "logit_bias": {}}


class StreamOptions(WireModel):
    """Options of a stream."""

    without_effect = frozenset({"include_obfuscation"})

    include_usage: bool | None = None
    """end the stream with a chunk that has `usage` and no choices"""
    continuous_usage_stats: bool | None = None
    """every chunk has `usage`, counted so far (vLLM)"""
    include_obfuscation: bool | None = None
    """accepted, no effect"""


class UsageOptions(WireModel):
    """OpenRouter's request for token counts."""

    include: bool | None = None
    """end the stream with a chunk that has `usage` and no choices"""


class JsonSchema(WireModel):
    """A JSON schema for the answer."""

    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
    """accepted, no effect"""
    schema_: dict[str, Any] | None = Field(None, alias="schema")
    """the schema; any JSON object if not given"""
    description: str | None = None
    """accepted, no effect"""
    strict: bool | None = None
    """accepted, no effect: the schema is always enforced"""


class ResponseFormat(WireModel):
    """The format of the answer; the thinking before it is unconstrained."""

    type: Literal["text", "json_object", "json_schema"]
    """`json_object` allows any JSON object"""
    json_schema: JsonSchema | None = None
    """the schema, required for `json_schema`"""
    schema_: dict[str, Any] | None = Field(None, alias="schema")
    """a schema for `json_object` (llama.cpp)"""

    def schema_to_follow(self) -> dict[str, Any] | None:
        """Return the JSON schema of the answer, None for plain text.

        Raises ApiError for a schema that is missing, too deep or too large.
        """
        if self.type == "text":
            return None
        if self.type == "json_object":
            schema = self.schema_ or {"type": "object"}
            check_schema(schema, "response_format.schema")
            return schema
        at = "response_format.json_schema"
        if self.json_schema is None:
            raise ApiError(400, f"{at}: It must say which schema.", param=at)
        schema = self.json_schema.schema_ or {"type": "object"}
        check_schema(schema, f"{at}.schema")
        return schema


class CompletionParams(Body, IgnoredParams):
    """The fields that both completion routes share."""

    model: Annotated[str, StringConstraints(min_length=1, max_length=256)]
    """a name from /v1/models"""
    stream: bool | None = None
    """stream the answer as server-sent events, ended by `data: [DONE]`"""
    stream_options: StreamOptions | None = None
    """options of the stream; allowed only with `stream`"""
    n: WholeNumber | None = Field(None, ge=1, le=MAX_N)
    """number of completions; default 1"""
    max_tokens: TokenLimit | None = None
    """maximum number of tokens per completion, thinking included; fewer if the model's context ends
    first; -1 is no limit"""
    min_tokens: WholeNumber | None = Field(None, ge=0)
    """number of tokens before which the model cannot end the text; stop strings still can"""
    ignore_eos: bool | None = None
    """true: the model cannot end the text, only max_tokens or a stop string can"""
    temperature: float | None = Field(None, ge=0, le=2)
    """0 (or less than 0.0001) is greedy; default 0.6"""
    top_p: float | None = Field(None, ge=0, le=1)
    """0 samples the likeliest token only; default 0.95"""
    top_k: WholeNumber | None = Field(None, ge=-1)
    """sample from the k likeliest tokens only; 0 or -1 turns this off; default 0"""
    seed: WholeNumber | None = Field(None, ge=-(2**63), lt=2**63)
    """repeats a text, streamed or not, as far as the engine repeats texts (Seeds)"""
    stop: StopString | Annotated[list[StopString], Field(max_length=MAX_STOPS)] | None = None
    """strings that end the text and are left out of it; in a chat they end only the answer, and
    never one in JSON"""
    frequency_penalty: float | None = Field(None, ge=-2, le=2)
    """lowers the logit of a token for every time it was sampled"""
    presence_penalty: float | None = Field(None, ge=-2, le=2)
    """lowers the logit of every token that was sampled"""
    repetition_penalty: float | None = Field(None, ge=0.1, le=10)
    """above 1 lowers, below 1 raises the logits of tokens in the prompt or sampled; default 1"""
    min_p: float | None = Field(None, ge=0, le=1)
    """leave out tokens with less than this share of the likeliest token's probability"""
    logit_bias: Annotated[dict[TokenKey, Bias], Field(max_length=MAX_BIASES)] | None = None
    """token id → value from -100 to 100 that is added to its logit"""
    skip_special_tokens: bool | None = None
    """false: control tokens that the model samples are part of the text; otherwise they are left
    out (vLLM)"""
    usage: UsageOptions | None = None
    """the same as `stream_options.include_usage` (OpenRouter)"""

    def adjustments(self) -> Json:
        """Return the parameters that change logits, without those that change nothing."""
        fields = self.model_dump(include=set(LOGIT_PARAMS), exclude_none=True)
        return {name: value for name, value in fields.items() if value != _NEUTRAL.get(name, 0)}

    def stops(self) -> tuple[str, ...]:
        """Return the stop strings."""
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())

    def wants_usage(self) -> bool:
        """Return True if the stream should end with a usage chunk."""
        options = bool(self.stream_options and self.stream_options.include_usage)
        return options or self.counts_along or bool(self.usage and self.usage.include)

    @property
    def counts_along(self) -> bool:
        """True if every chunk of the stream should have the usage so far."""
        return bool(self.stream_options and self.stream_options.continuous_usage_stats)


class ChatRequest(CompletionParams, ThinkingParams):
    """`POST /v1/chat/completions`."""

    messages: Annotated[list[ChatMessage], Field(min_length=1, max_length=MAX_MESSAGES)]
    """the conversation"""
    max_completion_tokens: TokenLimit | None = None
    """newer name of `max_tokens`, which it overrides"""
    logprobs: bool | None = None
    """return log-probabilities of the sampled tokens, under the distribution they were sampled from
    (temperature, top_p and top_k applied)"""
    top_logprobs: WholeNumber | None = Field(None, ge=0, le=MAX_TOP)
    """number of likeliest tokens returned per position, with `logprobs`; fewer if top_p or top_k
    leaves fewer"""
    response_format: ResponseFormat | None = None
    """format of the answer: text, any JSON object, or JSON that follows a schema"""
    tools: Annotated[list[Tool], Field(max_length=MAX_TOOLS)] | None = None
    """functions that the model may call"""
    tool_choice: ToolChoiceWord | ToolChoice | None = None
    """`auto`: the model chooses, the default; `none`: it has no tools; `required` or `any`: it must
    call one; or one function that it must call"""
    parallel_tool_calls: bool | None = None
    """false: an answer has one call at most; default true"""
    store: Literal[False] | None = None
    """refused unless false: nothing is stored"""
    add_generation_prompt: bool | None = None
    """true is the default: a new turn begins unless the assistant's last message is continued"""
    continue_final_message: bool | None = None
    """true: the last message, which must be the assistant's, is continued (vLLM)"""

    def conversation(self) -> tuple[list[Message], Message | None]:
        """Return the turns before the completion, without thinking, and the turn it continues.

        A last message of the assistant is continued.
        """
        turns = [as_turn(message) for message in self.messages]
        last = self.messages[-1]
        if last.role == "assistant":
            reasoning = last.reasoning_content or last.reasoning
            return turns[:-1], Message("assistant", last.text(), reasoning)
        return turns, None

    def schema_to_follow(self) -> dict[str, Any] | None:
        """Return the JSON schema of the answer, None for plain text. Raises ApiError."""
        return self.response_format.schema_to_follow() if self.response_format else None

    def tool_use(self) -> ToolUse:
        """Return the tools that may be called. Raises ApiError for a contradiction."""
        if not self.tools and self.tool_choice is None:
            return NO_TOOLS
        return tool_use(self.tools, self.tool_choice, self.parallel_tool_calls)

    def thinks(self, by_name: bool) -> bool:
        """Return True if thinking is on; `by_name` is the default of the model's name.

        Raises ApiError for a contradiction.
        """
        return self.thinking_choice(by_name).is_on


class CompletionRequest(CompletionParams):
    """`POST /v1/completions`: continues a text as it is, thinking tags included."""

    prompt: str | Annotated[list[Any], Field(min_length=1, max_length=MAX_CHARS)]
    """a text, in which nothing becomes a control token; or token ids, which may be control tokens;
    or a list of texts or of lists of ids, whose completions come in that order"""
    max_tokens: TokenCount | None = None
    """maximum number of tokens per completion; fewer if the model's context ends first; 0 with
    `echo` only scores the prompt; -1 is no limit; default 16"""
    logprobs: WholeNumber | None = Field(None, ge=0, le=MAX_TOP)
    """return log-probabilities of the sampled tokens, and of this many likeliest tokens per
    position"""
    echo: bool | None = None
    """true: the text begins with the prompt; with `logprobs`, the log-probabilities begin with the
    prompt's, which are the model's own (temperature 1)"""
    best_of: WholeNumber | None = Field(None, ge=1, le=MAX_N)
    """sample so many completions and return the `n` with the highest mean log-probability"""
    suffix: Annotated[str, StringConstraints(max_length=MAX_CHARS)] | None = None
    """the text after the completion, for models with fill-in-the-middle tokens"""

    @model_validator(mode="before")
    @classmethod
    def _no_limit(cls, body: Any) -> Any:
        """Keep -1 apart from no field at all, which means 16."""
        if isinstance(body, dict) and is_minus_one(body.get("max_tokens")):
            return {**body, "max_tokens": MAX_INT}
        return body

    @property
    def n_prompts(self) -> int:
        """Number of prompts."""
        is_list = isinstance(self.prompt, list) and isinstance(self.prompt[0], str | list)
        return len(self.prompt) if is_list else 1

    @property
    def n_sampled(self) -> int:
        """Number of completions that are sampled for each prompt."""
        return max(self.n or 1, self.best_of or 1)


def field_names(others: Iterable[type[BaseModel]] = ()) -> set[str]:
    """Return the names of all fields, in these models and in `others`."""
    models: tuple[type[BaseModel], ...] = (
        TextPart, MediaPart, ChatMessage, StreamOptions, UsageOptions, Thinking, Reasoning,
        TemplateOptions, JsonSchema, ResponseFormat, ChatRequest, CompletionRequest, *tools.MODELS,
        *others,
    )  # fmt: skip
    return {f.alias or name for model in models for name, f in model.model_fields.items()}


def check_schema(schema: dict[str, Any], param: str) -> None:
    """Limit depth and size before any work: an unlimited schema would stall its compiler."""
    level: list[Any] = [schema]
    n = 0
    for _ in range(MAX_SCHEMA_DEPTH):
        n += len(level)
        if n > MAX_SCHEMA_PARTS:
            raise ApiError(400, f"{param}: It has more than {MAX_SCHEMA_PARTS} parts.", param=param)
        level = [part for whole in level for part in _parts(whole)]
        if not level:
            return
    raise ApiError(400, f"{param}: It is deeper than {MAX_SCHEMA_DEPTH} levels.", param=param)


def _parts(whole: Any) -> Iterable[Any]:
    if isinstance(whole, dict):
        return whole.values()
    return whole if isinstance(whole, list) else ()
