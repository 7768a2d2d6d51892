"""The formats in which models write tool calls, chosen by the chat template.

| format | chat templates | a call |
|---|---|---|
| deepseek-r1 | DeepSeek R1, R1-0528, V3 | control tokens, name, arguments in a code block |
| deepseek-v3.1 | DeepSeek V3.1 | control tokens, name, arguments |
| hermes | Qwen, Hermes, and all without tools | JSON, or Qwen3-Coder's XML, in `<tool_call>` tags |
| llama3 | Llama 3 | JSON, after `<|python_tag|>` or alone |

In every format, an answer that is a JSON call and nothing else is a call. Source: the templates of
these models on the hub, and vLLM's and llama.cpp's lists of formats. Departure: a text is a call
only if all of it can be read and its name is that of an offered tool; any other text is an answer.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from r1kit.types import Json, ToolCall

ToolSchemas = Mapping[str, Json]
"""name → JSON schema of the arguments, for every offered tool"""
ReadCalls = Callable[[str, ToolSchemas], list[ToolCall]]
"""reads the calls in the text between a format's marks. Raises ValueError if they are malformed"""

_CALLS_BEGIN, _CALLS_END = "<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>"
_CALL_BEGIN, _CALL_SEP, _CALL_END = (
    "<｜tool▁call▁begin｜>", "<｜tool▁sep｜>", "<｜tool▁call▁end｜>",
)  # fmt: skip
_KEYS = frozenset({"name", "arguments", "parameters", "function", "type", "id"})
_JSON_HEAD = re.compile(r'\s*(?:```\w*\s*)?\[?\s*\{\s*"([^"\\]*)"')
_JSON_HEAD_BEGUN = re.compile(r'\s*(?:`{0,2}|```\w*\s*)\[?\s*(?:\{\s*(?:"[^"\\]*)?)?')
_FENCE = re.compile(r"```\w*\s*(.*?)\s*(?:```)?\s*", re.DOTALL)
_FUNCTION = re.compile(r"<function=([^>\n]*)>(.*?)(?:</function>)?\s*", re.DOTALL)
_PARAMETER = re.compile(r"<parameter=([^>\n]*)>\n?(.*?)\n?</parameter>", re.DOTALL)
_FENCED_ARGUMENTS = re.compile(r"\s*```(?:json)?\s*(.*?)\s*```\s*", re.DOTALL)
_DECODER = json.JSONDecoder(
    parse_constant=lambda name: _fail(f"{name} is not JSON"),
    parse_float=lambda digits: _finite(float(digits)),
)


@dataclass(frozen=True, slots=True)
class ToolFormat:
    """The format in which the models of a family write calls."""

    name: str
    begin: str
    """text before a call"""
    end: str
    """text after a call; empty if only the end of the answer ends it"""
    read: ReadCalls
    first_characters: str
    """characters with which the text after `begin` may start; empty for any"""
    opening: str
    """text with which a call of the tool NAME begins, up to its arguments"""
    json_opening: str
    """text before a call that is written as JSON, name and arguments"""
    example: str
    """a call, with NAME and ARGUMENTS, for the instruction in the prompt"""
    wrappers: tuple[str, ...] = ()
    """marks around all calls of an answer; they are dropped"""
    arguments_key: str = "arguments"
    """key of the arguments in JSON"""


def tool_format_of(chat_template: str) -> ToolFormat:
    """Return the format that the models of a chat template write."""
    if _CALL_SEP in chat_template:
        return DEEPSEEK_R1 if "```json" in chat_template else DEEPSEEK_V31
    if "<tool_call>" in chat_template:
        return HERMES
    is_llama = "<|python_tag|>" in chat_template or "ipython" in chat_template
    return LLAMA3 if is_llama else HERMES


def may_be_json_call(text: str) -> bool | None:
    """Return whether a text that begins like this may be a JSON call; None if it is undecided."""
    if head := _JSON_HEAD.match(text):
        return head[1] in _KEYS
    return None if _JSON_HEAD_BEGUN.fullmatch(text) else False


def read_json_calls(text: str, tools: ToolSchemas) -> list[ToolCall]:
    """Read JSON calls: one, a list, or several in a row, in a code block or alone."""
    fenced = _FENCE.fullmatch(text.strip())
    text = (fenced[1] if fenced else text).strip()
    calls, position = [], 0
    while position < len(text):
        value, position = _decoded(text, position)
        calls += [_call(item, tools) for item in (value if isinstance(value, list) else [value])]
        position += len(text[position:]) - len(text[position:].lstrip("; \t\r\n"))
    if not calls:
        raise ValueError("there is no call")
    return calls


def _read_hermes(text: str, tools: ToolSchemas) -> list[ToolCall]:
    return _read_xml(text, tools) if "<function=" in text[:64] else read_json_calls(text, tools)


def _read_xml(text: str, tools: ToolSchemas) -> list[ToolCall]:
    match = _FUNCTION.fullmatch(text.strip())
    if match is None or match[1] not in tools:
        raise ValueError("it is no call of an offered tool")
    if _PARAMETER.sub("", match[2]).strip():
        raise ValueError("there is text between the parameters")
    properties = tools[match[1]].get("properties")
    types = properties if isinstance(properties, dict) else {}
    arguments = {
        name: _typed(value, types.get(name)) for name, value in _PARAMETER.findall(match[2])
    }
    return [ToolCall("", match[1], _to_json(arguments))]


def _read_deepseek_r1(text: str, tools: ToolSchemas) -> list[ToolCall]:
    kind, _, rest = text.partition(_CALL_SEP)
    name, _, block = rest.partition("\n")
    fenced = _FENCED_ARGUMENTS.fullmatch(block)
    if kind.strip() != "function" or fenced is None:
        raise ValueError("it is no call")
    return [_call({"name": name.strip(), "arguments": fenced[1]}, tools)]


def _read_deepseek_v31(text: str, tools: ToolSchemas) -> list[ToolCall]:
    name, _, arguments = text.partition(_CALL_SEP)
    return [_call({"name": name.strip(), "arguments": arguments}, tools)]


def _call(value: Any, tools: ToolSchemas) -> ToolCall:
    """Return the call in a JSON value. Raises ValueError if it is none of an offered tool."""
    if isinstance(value, dict) and isinstance(value.get("function"), dict):
        value = value["function"]
    if not isinstance(value, dict) or not value.keys() <= _KEYS:
        raise ValueError("it is no call")
    name = value.get("name", value.get("function"))
    if not isinstance(name, str) or name not in tools:
        raise ValueError("it is no call of an offered tool")
    arguments = value.get("arguments", value.get("parameters"))
    if isinstance(arguments, str):
        text = arguments.strip() or "{}"
        arguments, end = _decoded(text, 0)
        if end != len(text):
            raise ValueError("there is text after the arguments")
    if not isinstance(arguments, dict):
        raise ValueError("its arguments are no object")
    return ToolCall("", name, _to_json(arguments))


def _decoded(text: str, position: int) -> tuple[Any, int]:
    try:
        return _DECODER.raw_decode(text, position)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _to_json(arguments: Json) -> str:
    try:
        return json.dumps(arguments, ensure_ascii=False)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _typed(text: str, schema: Any) -> Any:
    """Return the value of an XML parameter: text, unless its schema has another type."""
    kinds = schema.get("type") if isinstance(schema, dict) else None
    if kinds == "string" or (isinstance(kinds, list) and "string" in kinds):
        return text
    try:
        value, end = _decoded(text.strip(), 0)
    except ValueError:
        return text
    return value if end == len(text.strip()) else text


def _finite(number: float) -> float:
    return number if math.isfinite(number) else _fail("it is not finite")


def _fail(reason: str) -> Any:
    raise ValueError(reason)


DEEPSEEK_R1 = ToolFormat(
    "deepseek-r1", _CALL_BEGIN, _CALL_END, _read_deepseek_r1,
    first_characters="f",
    opening=f"{_CALLS_BEGIN}{_CALL_BEGIN}function{_CALL_SEP}NAME\n```json\n",
    json_opening="",
    example=f"{_CALLS_BEGIN}{_CALL_BEGIN}function{_CALL_SEP}NAME\n```json\nARGUMENTS\n```"
    f"{_CALL_END}{_CALLS_END}",
    wrappers=(_CALLS_BEGIN, _CALLS_END),
)  # fmt: skip
DEEPSEEK_V31 = ToolFormat(
    "deepseek-v3.1", _CALL_BEGIN, _CALL_END, _read_deepseek_v31,
    first_characters="",
    opening=f"{_CALLS_BEGIN}{_CALL_BEGIN}NAME{_CALL_SEP}",
    json_opening="",
    example=f"{_CALLS_BEGIN}{_CALL_BEGIN}NAME{_CALL_SEP}ARGUMENTS{_CALL_END}{_CALLS_END}",
    wrappers=(_CALLS_BEGIN, _CALLS_END),
)  # fmt: skip
HERMES = ToolFormat(
    "hermes", "<tool_call>", "</tool_call>", _read_hermes,
    first_characters="{[<",
    opening='<tool_call>\n{"name": "NAME", "arguments":',
    json_opening="<tool_call>\n",
    example='<tool_call>\n{"name": "NAME", "arguments": ARGUMENTS}\n</tool_call>',
)  # fmt: skip
LLAMA3 = ToolFormat(
    "llama3", "<|python_tag|>", "", read_json_calls,
    first_characters="{[",
    opening='{"name": "NAME", "parameters":',
    json_opening="",
    example='{"name": "NAME", "parameters": ARGUMENTS}',
    arguments_key="parameters",
)  # fmt: skip
TOOL_FORMATS = (DEEPSEEK_R1, DEEPSEEK_V31, HERMES, LLAMA3)
