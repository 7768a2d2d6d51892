"""Tools in requests: their fields, and the calls that a request allows or demands. No torch.

Source: OpenAI's chat and responses (openapi 2.3). Departures: a demanded call (`tool_choice`
`required` or a name) is exactly one call, and follows its schema also without `strict`; tools that
the provider would run, and tools of free text, are left out if there are functions beside them, and
refused if there are none.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, model_validator

from r1kit.files.untrusted import to_json
from r1kit.serve.api_error import ApiError
from r1kit.serve.fields import WireModel
from r1kit.serve.limits import MAX_CHARS, MAX_TOOLS
from r1kit.types import Json, ToolCall

ToolName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.:-]{1,128}$")]
"""a name of a function"""
_COMPOUND = ("$ref", "allOf", "anyOf", "oneOf", "patternProperties", "if", "dependentSchemas",
             "unevaluatedProperties", "additionalProperties")  # fmt: skip
"""keys beside which `additionalProperties: false` could contradict a schema"""


def reduced(tool: Any, own_types: Collection[str | None]) -> Any:
    """Return only the type of a tool that is left out: one whose type is none of `own_types`."""
    if not isinstance(tool, dict) or tool.get("type") in own_types:
        return tool
    return {name: part for name, part in tool.items() if name == "type"}


class FunctionTool(WireModel):
    """A function that the model may call."""

    without_effect = frozenset({"cache_control"})

    name: ToolName
    """name of the function"""
    description: Annotated[str, StringConstraints(max_length=MAX_CHARS)] | None = None
    """purpose of the function, for the model"""
    parameters: dict[str, Any] | None = None
    """JSON schema of the arguments; none if not given"""
    strict: bool | None = None
    """true: the arguments of every call follow the schema; those of a demanded call always do"""
    cache_control: Any = None
    """accepted, no effect"""


class Tool(WireModel):
    """A tool of a chat request. Tools that are no function are left out."""

    without_effect = frozenset({"cache_control"})

    type: Annotated[str, StringConstraints(max_length=64)] = "function"
    """`function`; all others are left out if there is a function, else refused"""
    function: FunctionTool | None = None
    """the function"""
    cache_control: Any = None
    """accepted, no effect"""

    @model_validator(mode="before")
    @classmethod
    def _of_other_type(cls, tool: Any) -> Any:
        """Drop the fields of tools that are left out."""
        return reduced(tool, (None, "function"))

    @property
    def is_without_effect(self) -> bool:
        return self.type != "function"


class ChosenFunction(WireModel):
    """The function of a tool choice."""

    name: str
    """name of one of the tools"""


class AllowedTools(WireModel):
    """The tools that may be called."""

    mode: Literal["auto", "required"]
    """whether the model must call one of them"""
    tools: Annotated[list[dict[str, Any]], Field(max_length=MAX_TOOLS)]
    """tools of the request, by name"""


class ToolChoice(WireModel):
    """A tool choice other than a word."""

    type: Literal["function", "tool", "allowed_tools", "auto", "any", "none", "required"]
    """`function`: the model must call it; `allowed_tools`: it may or must call one of these"""
    function: ChosenFunction | None = None
    """the function, in a chat request"""
    name: str | None = None
    """the function, in a responses request"""
    allowed_tools: AllowedTools | None = None
    """the allowed tools, in a chat request"""
    mode: Literal["auto", "required"] | None = None
    """whether the model must call one of `tools`, in a responses request"""
    tools: Annotated[list[dict[str, Any]], Field(max_length=MAX_TOOLS)] | None = None
    """the allowed tools, in a responses request"""


class CalledFunction(WireModel):
    """The function of a past call."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=128)]
    """name of the function"""
    arguments: str | dict[str, Any] | None = None
    """arguments, as a JSON text"""


class CallOfTool(WireModel):
    """A call in a past turn of the assistant."""

    id: str | None = None
    """id that the message with its result has as `tool_call_id`"""
    type: str | None = None
    """accepted, no effect: `function`"""
    index: int | None = None
    """accepted, no effect: place of the call in a stream"""
    function: CalledFunction
    """function and arguments"""


_VALUES = frozenset({"const", "enum", "default", "examples"})
"""keys of a schema whose values are no schemas"""
_NAMED = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"})
"""keys whose values are objects of schemas by name"""
ToolChoiceWord = Literal["none", "auto", "required", "any"]


@dataclass(frozen=True, slots=True)
class ToolUse:
    """The tools of a request, and whether one of them must be called."""

    functions: tuple[FunctionTool, ...] = ()
    """functions that the model may call"""
    is_demanded: bool = False
    is_parallel: bool = True
    """False if an answer may have one call at most"""

    def described(self) -> list[Json]:
        """Return the functions in the form that chat templates read."""
        return [
            {
                "type": "function",
                "function": {
                    "name": function.name,
                    "description": function.description or "",
                    "parameters": function.parameters or {"type": "object", "properties": {}},
                },
            }
            for function in self.functions
        ]

    def enforced(self) -> dict[str, Json]:
        """Return the schemas that calls follow by name, {} if no function is strict."""
        if not any(function.strict for function in self.functions):
            return {}
        anything = {"type": "object"}
        return {
            function.name: arguments_schema(function) if function.strict else anything
            for function in self.functions
        }

    def parameters(self) -> dict[str, Json]:
        """Return the schemas of the arguments by name."""
        return {function.name: function.parameters or {} for function in self.functions}


NO_TOOLS = ToolUse()


def tool_use(
    tools: Sequence[Tool] | None,
    choice: ToolChoiceWord | ToolChoice | None,
    is_parallel: bool | None,
) -> ToolUse:
    """Return what a request allows and demands. Raises ApiError for a contradiction."""
    functions = {tool.function.name: tool.function for tool in tools or () if tool.function}
    mode, names = _chosen(choice)
    if tools and not functions:
        raise ApiError(400, "tools: Only functions are supported; the program that sends the "
                      "request runs them.", param="tools")  # fmt: skip
    n_functions = sum(tool.function is not None for tool in tools or ())
    if n_functions > len(functions):
        raise ApiError(400, "tools: Two functions have the same name.", param="tools")
    if names is not None and (missing := [name for name in names if name not in functions]):
        of = "tools has no such function" if missing[0] else "It must name a function"
        raise ApiError(400, f"tool_choice: {of}.", param="tool_choice")
    if mode == "required" and not functions:
        raise ApiError(400, "tool_choice: It demands a call, but tools has no function.",
                      param="tool_choice")  # fmt: skip
    if mode == "none":
        return ToolUse()
    chosen = functions if names is None else {name: functions[name] for name in names}
    return ToolUse(tuple(chosen.values()), mode == "required", is_parallel is not False)


def past_call(call: CallOfTool, index: int) -> ToolCall:
    """Return a call of a past turn."""
    return called(call.id or f"call_{index}", call.function.name, call.function.arguments)


def called(call_id: str, name: str, arguments: str | Json | None) -> ToolCall:
    """Return a call, its arguments as text."""
    text = to_json(arguments) if isinstance(arguments, dict) else arguments or "{}"
    return ToolCall(call_id, name, text)


def call_json(call: ToolCall) -> Json:
    """Return a call as it stands in a message of a chat."""
    function = {"name": call.name, "arguments": call.arguments}
    return {"id": call.id, "type": "function", "function": function}


def arguments_schema(function: FunctionTool) -> Json:
    """Return the schema of a function's arguments, which are an object.

    Arguments that the schema does not name are left out.
    """
    schema = function.parameters
    if not schema:
        return {"type": "object", "properties": {}, "additionalProperties": False}
    if not any(key in schema for key in ("type", *_COMPOUND)):
        schema = {"type": "object", **schema}
    is_closed = "properties" in schema and not any(key in schema for key in _COMPOUND)
    return {**schema, "additionalProperties": False} if is_closed else schema


def call_schema(functions: Sequence[FunctionTool], arguments_key: str, *others: Json) -> Json:
    """Return the schema of a JSON call of one of the functions, or of `others`."""
    options: list[Json] = []
    for function in functions:
        path = f"#/anyOf/{len(options)}/properties/{arguments_key}"
        arguments = _moved(arguments_schema(function), path)
        properties = {"name": {"const": function.name}, arguments_key: arguments}
        options.append(
            {
                "type": "object",
                "properties": properties,
                "required": list(properties),
                "additionalProperties": False,
            }
        )
    for other in others:
        options.append(_moved(other, f"#/anyOf/{len(options)}"))
    return {"anyOf": options}


def _moved(schema: Any, path: str, has_names: bool = False) -> Any:
    """Return a schema whose references point into itself at `path` of a larger schema.

    `has_names` is True for an object whose keys are names of properties or definitions.
    """
    if isinstance(schema, list):
        return [_moved(part, path) for part in schema]
    if not isinstance(schema, dict):
        return schema
    moved: Json = {}
    for key, part in schema.items():
        if has_names:
            moved[key] = _moved(part, path)
        elif key == "$ref" and isinstance(part, str) and part.startswith("#"):
            moved[key] = path + part[1:]
        else:
            moved[key] = part if key in _VALUES else _moved(part, path, key in _NAMED)
    return moved


def _chosen(choice: ToolChoiceWord | ToolChoice | None) -> tuple[str, list[str] | None]:
    """Return the mode (`none`, `auto` or `required`) and the names of the chosen functions."""
    if choice is None or isinstance(choice, str):
        return {"any": "required"}.get(choice or "auto", choice or "auto"), None
    if choice.type in ("function", "tool"):
        return "required", [choice.function.name if choice.function else choice.name or ""]
    if choice.type != "allowed_tools":
        return {"any": "required"}.get(choice.type, choice.type), None
    allowed = choice.allowed_tools
    mode = (allowed.mode if allowed else choice.mode) or "auto"
    return mode, list(_names((allowed.tools if allowed else choice.tools) or []))


def _names(tools: Sequence[Json]) -> Iterator[str]:
    for tool in tools:
        function = tool.get("function")
        name = function.get("name") if isinstance(function, dict) else tool.get("name")
        if tool.get("type", "function") == "function":
            yield name if isinstance(name, str) else ""


MODELS = (FunctionTool, Tool, ChosenFunction, AllowedTools, ToolChoice, CalledFunction, CallOfTool)
