"""Tools of `/v1/messages`: their fields, converted to those of a chat request. Imports no torch.

Source: Anthropic's reference of tool use. Departures: tools that Anthropic itself would run
(`web_search` and others, with a `type` of their own) are left out beside tools of the client, and
refused alone; images in results are refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import StringConstraints, model_validator

from r1kit.serve.fields import WireModel
from r1kit.serve.limits import MAX_CHARS
from r1kit.serve.tools import FunctionTool, Tool, ToolChoice, ToolChoiceWord, ToolName, reduced

_OWN_TYPES = (None, "custom")
"""types of tools that the client runs"""


class MessagesTool(WireModel):
    """A tool of a request to `/v1/messages`. Tools that Anthropic would run are left out."""

    without_effect = frozenset({"cache_control", "eager_input_streaming"})

    type: Annotated[str, StringConstraints(max_length=64)] | None = None
    """`custom` or not given; all others are left out if there is such a tool, else refused"""
    name: ToolName = ""
    """name of the tool"""
    description: Annotated[str, StringConstraints(max_length=MAX_CHARS)] | None = None
    """purpose of the tool, for the model"""
    input_schema: dict[str, Any] | None = None
    """JSON schema of the input"""
    strict: bool | None = None
    """true: the input of every call follows the schema; that of a demanded call always does"""
    eager_input_streaming: bool | None = None
    """accepted, no effect"""
    cache_control: Any = None
    """accepted, no effect"""

    @model_validator(mode="before")
    @classmethod
    def _of_other_type(cls, tool: Any) -> Any:
        """Drop the fields of tools that are left out."""
        return reduced(tool, _OWN_TYPES)

    @model_validator(mode="after")
    def _has_a_name(self) -> MessagesTool:
        if not self.name and not self.is_without_effect:
            raise ValueError("A tool needs a name")
        return self

    @property
    def is_without_effect(self) -> bool:
        return self.type not in _OWN_TYPES

    def as_chat_tool(self) -> Tool:
        """Convert to a tool of a chat request."""
        if self.is_without_effect:
            return Tool(type=self.type or "")
        function = FunctionTool(
            name=self.name,
            description=self.description,
            parameters=self.input_schema,
            strict=self.strict,
        )
        return Tool(function=function)


class MessagesToolChoice(WireModel):
    """Which tools may or must be called."""

    type: Literal["auto", "any", "tool", "none"]
    """`any`: one of the tools must be called; `tool`: the one of this name"""
    name: str | None = None
    """the tool"""
    disable_parallel_tool_use: bool | None = None
    """true: an answer has one call at most"""

    def as_chat_choice(self) -> ToolChoiceWord | ToolChoice:
        """Convert to the choice of a chat request."""
        if self.type == "tool":
            return ToolChoice(type="tool", name=self.name)
        return self.type


def chat_tools(tools: Sequence[MessagesTool] | None) -> list[Tool] | None:
    """Return the tools of a chat request, None without any."""
    return [tool.as_chat_tool() for tool in tools or ()] or None


def is_parallel(choice: MessagesToolChoice | None) -> bool | None:
    """Return False if an answer may have one call at most."""
    return False if choice is not None and choice.disable_parallel_tool_use else None


MODELS = (MessagesTool, MessagesToolChoice)
