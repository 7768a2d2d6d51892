"""Tools, calls and results as plain messages, for chat templates that do not know them.

The tools and the format of a call are described in the system message. A call is written into the
assistant's turn in the model's format, and a result becomes a turn of the user, between tags.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

from r1kit.renderers.thinking import END_THINK
from r1kit.renderers.tool_formats import ToolFormat
from r1kit.types import Json, Message, ToolCall

RESULT, END_RESULT = "<tool_response>", "</tool_response>"


def tools_as_text(
    messages: Sequence[Message], tools: Sequence[Json], tool_format: ToolFormat
) -> list[Message]:
    """Add a description of the tools, in OpenAI's form, to the system message."""
    if not tools:
        return list(messages)
    text = _instruction(tools, tool_format)
    if messages and messages[0].role == "system":
        first, *rest = messages
        return [replace(first, content=f"{first.content}\n\n{text}"), *rest]
    return [Message("system", text), *messages]


def calls_as_text(messages: Sequence[Message], tool_format: ToolFormat) -> list[Message]:
    """Write calls into the content of their messages, and results into messages of the user."""
    turns: list[Message] = []
    n_results = 0
    for message in messages:
        if message.role != "tool":
            calls = [_call_text(call, tool_format) for call in message.tool_calls]
            content = "\n".join([message.content] * bool(message.content) + calls)
            turns.append(Message(message.role, content, message.reasoning))
            n_results = 0
            continue
        text = f"{RESULT}\n{message.content}\n{END_RESULT}"
        n_results += 1
        if n_results > 1:
            text = f"{turns.pop().content}\n{text}"
        turns.append(Message("user", text))
    return turns


def _instruction(tools: Sequence[Json], tool_format: ToolFormat) -> str:
    """Return the description of tools; it is short, for models with short contexts."""
    described = (tool.get("function", tool) for tool in tools)
    lines = [json.dumps(tool, ensure_ascii=False) for tool in described]
    example = tool_format.example.replace("ARGUMENTS", tool_format.write('{"x": 1}'))
    return "\n".join(
        [
            "# Tools",
            *lines,
            "If a tool helps, call it like this:",
            example,
            f"Its result follows in {RESULT} tags.",
        ]
    )


def _call_text(call: ToolCall, tool_format: ToolFormat) -> str:
    head, _, tail = tool_format.example.partition("ARGUMENTS")
    # Templates drop what comes before a closing tag; in JSON, a slash can be escaped.
    arguments = call.arguments.replace(END_THINK, END_THINK.replace("/", "\\/"))
    return f"{head.replace('NAME', call.name)}{tool_format.write(arguments)}{tail}"
