"""The formats in which models write tool calls, chosen by the chat template.

| format | chat templates | a call |
|---|---|---|
| deepseek-r1 | DeepSeek R1, R1-0528, V3 | control tokens, name, arguments in a code block |
| deepseek-v3.1 | DeepSeek V3.1 | control tokens, name, arguments |
| deepseek-v3.2 | DeepSeek V3.2, V4 | a tag for every argument (DSML) |
| mistral | Mistral 7B to Small 3.0 | a JSON list after `[TOOL_CALLS]` |
| mistral-v11 | Mistral Small 3.1 and later | `[TOOL_CALLS]`, name, `[ARGS]`, arguments |
| hermes | Qwen, Hermes, and all without tools | JSON, or Qwen3-Coder's XML, in `<tool_call>` tags |
| llama3 | Llama 3 | JSON, after `<|python_tag|>` or alone |

In every format, an answer that is a JSON call and nothing else is a call. Source: the templates of
these models on the hub, DeepSeek V3.2's `encoding_dsv32.py`, and vLLM's and llama.cpp's lists of
formats. Departure: a text is a call only if all of it can be read and its name is that of an
offered tool; any other text is an answer.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
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
CALL_KEYS = frozenset({"name", "arguments", "parameters", "function", "type", "id"})
_DSML = "｜DSML｜"
_INVOKE, _INVOKE_END = f'<{_DSML}invoke name="', f"</{_DSML}invoke>"
_TOOL_CALLS = "[TOOL_CALLS]"
# Possessive quantifiers: with backtracking, a long run of blanks takes quadratic time.
_JSON_HEAD = re.compile(r'\s*+(?:```\w*+\s*+)?+\[?+\s*+\{\s*+"([^"\\]*+)"')
_JSON_HEAD_BEGUN = re.compile(r'\s*+(?:```\w*+\s*+|`{0,2}+)\[?+\s*+(?:\{\s*+(?:"[^"\\]*+)?+)?+')
_MAX_HEAD = 256
"""characters up to the first key of a JSON call"""
_FENCE, _FENCE_END = re.compile(r"```\w*+"), "```"
_FUNCTION, _FUNCTION_END = re.compile(r"<function=([^>\n]*+)>"), "</function>"
_PARAMETER = re.compile(r"\s*+<parameter=([^>\n]*+)>\n?")
_INVOKED = re.compile(r'([^"\n]*+)"\s*+>')
_INVOKE_PARAMETER = re.compile(rf'\s*+<{_DSML}parameter name="([^"\n]*+)" string="(true|false)">')
_PARAMETER_END = f"</{_DSML}parameter>"
_MISTRAL_HEAD = re.compile(r"\s*+([^\s\[{]++)\s*+(?:\[CALL_ID\][^\[{]*+)?+(?:\[ARGS\])?+\s*+(?=\{)")
_TYPES = ("string", "null", "boolean", "integer", "number", "array", "object")
_WORDS = {"true": True, "false": False, "null": None, "none": None}
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
    needs_end: bool = False
    """True if a call without its end could lack arguments"""
    write: Callable[[str], str] = str
    """writes arguments, given as JSON, into `example`"""
    id_length: int | None = None
    """length of the ids of calls that the chat templates demand"""


def tool_format_of(chat_template: str) -> ToolFormat:
    """Return the format that the models of a chat template write."""
    if _DSML in chat_template:
        return DEEPSEEK_V32
    if _CALL_SEP in chat_template:
        return DEEPSEEK_R1 if "```json" in chat_template else DEEPSEEK_V31
    if _TOOL_CALLS in chat_template:
        return MISTRAL_V11 if "[ARGS]" in chat_template else MISTRAL
    if "<tool_call>" in chat_template:
        return HERMES
    is_llama = "<|python_tag|>" in chat_template or "ipython" in chat_template
    return LLAMA3 if is_llama else HERMES


def may_be_json_call(text: str) -> bool | None:
    """Return whether a text that begins like this may be a JSON call; None if it is undecided."""
    if head := _JSON_HEAD.match(text[:_MAX_HEAD]):
        return head[1] in CALL_KEYS
    is_begun = len(text) <= _MAX_HEAD and _JSON_HEAD_BEGUN.fullmatch(text)
    return None if is_begun else False


def read_json_calls(text: str, tools: ToolSchemas) -> list[ToolCall]:
    """Read JSON calls: one, a list, or several in a row, in a code block or alone."""
    text = text.strip()
    if fence := _FENCE.match(text):
        text = text[fence.end() :].removesuffix(_FENCE_END).strip()
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
    text = text.strip()
    head = _FUNCTION.match(text)
    if head is None or not text.endswith(_FUNCTION_END):
        raise ValueError("it is no whole call")
    properties = tools.get(head[1], {}).get("properties")
    types = properties if isinstance(properties, dict) else {}
    body = text[head.end() : -len(_FUNCTION_END)]
    arguments = {
        tag[1]: _typed(value.removesuffix("\n"), types.get(tag[1]))
        for tag, value in _tagged(body, _PARAMETER, "</parameter>")
    }
    return [_call({"name": head[1], "arguments": arguments}, tools)]


def _read_dsml(text: str, tools: ToolSchemas) -> list[ToolCall]:
    head = _INVOKED.match(text)
    if head is None:
        raise ValueError("it has no name")
    body = text[head.end() :].strip()
    arguments: Any = body
    if not body.startswith("{"):
        arguments = {}
        for tag, value in _tagged(body, _INVOKE_PARAMETER, _PARAMETER_END):
            if tag[1] in arguments:
                raise ValueError("it has an argument twice")
            arguments[tag[1]] = value if tag[2] == "true" else _whole(value)
    return [_call({"name": head[1], "arguments": arguments}, tools)]


def _write_dsml(arguments: str) -> str:
    """Write arguments as tags, or unchanged if one of them cannot be written so."""
    try:
        values = _whole(arguments)
    except ValueError:
        return arguments
    lines = []
    for name, value in values.items() if isinstance(values, dict) else ():
        is_text = isinstance(value, str)
        text = value if is_text else _to_json(value)
        line = f'<{_DSML}parameter name="{name}" string="{str(is_text).lower()}">{text}'
        if re.search(r'["\n]', name) or _PARAMETER_END in text:
            return arguments
        lines.append(line + _PARAMETER_END)
    return "\n".join(lines) if lines else arguments


def _read_mistral(text: str, tools: ToolSchemas) -> list[ToolCall]:
    if text.lstrip()[:1] in ("[", "{"):
        return read_json_calls(text, tools)
    head = _MISTRAL_HEAD.match(text)
    if head is None:
        raise ValueError("it is no call")
    return [_call({"name": head[1], "arguments": text[head.end() :]}, tools)]


def _read_deepseek_r1(text: str, tools: ToolSchemas) -> list[ToolCall]:
    kind, _, rest = text.partition(_CALL_SEP)
    name, _, block = rest.partition("\n")
    block = block.strip()
    fence = _FENCE.match(block)
    if kind.strip() != "function" or fence is None or not block.endswith(_FENCE_END):
        raise ValueError("it is no call")
    arguments = block[fence.end() : -len(_FENCE_END)]
    return [_call({"name": name.strip(), "arguments": arguments}, tools)]


def _read_deepseek_v31(text: str, tools: ToolSchemas) -> list[ToolCall]:
    name, _, arguments = text.partition(_CALL_SEP)
    if not arguments.strip():
        raise ValueError("it has no arguments")
    return [_call({"name": name.strip(), "arguments": arguments}, tools)]


def _tagged(
    text: str, opening: re.Pattern[str], closing: str
) -> Iterator[tuple[re.Match[str], str]]:
    """Yield the opening tag and the content of every part of a text that is nothing but parts."""
    position = 0
    while tag := opening.match(text, position):
        end = text.find(closing, tag.end())
        if end < 0:
            raise ValueError("a parameter has no end")
        yield tag, text[tag.end() : end]
        position = end + len(closing)
    if text[position:].strip():
        raise ValueError("there is text between the parameters")


def _call(value: Any, tools: ToolSchemas) -> ToolCall:
    """Return the call in a JSON value. Raises ValueError if it is none of an offered tool."""
    if isinstance(value, dict) and isinstance(value.get("function"), dict):
        value = value["function"]
    if not isinstance(value, dict) or not value.keys() <= CALL_KEYS:
        raise ValueError("it is no call")
    name = value.get("name", value.get("function"))
    if not isinstance(name, str) or name not in tools:
        raise ValueError("it is no call of an offered tool")
    arguments = value.get("arguments", value.get("parameters"))
    if isinstance(arguments, str):
        arguments = _whole(arguments.strip() or "{}")
    if not isinstance(arguments, dict):
        raise ValueError("its arguments are no object")
    return ToolCall("", name, _to_json(arguments))


def _decoded(text: str, position: int) -> tuple[Any, int]:
    try:
        return _DECODER.raw_decode(text, position)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _whole(text: str) -> Any:
    """Return the JSON value that is all of a text."""
    value, end = _decoded(text.strip(), 0)
    return value if end == len(text.strip()) else _fail("there is text after the value")


def _to_json(value: Any) -> str:
    try:
        return json.dumps(value, ensure_ascii=False)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _typed(text: str, schema: Any) -> Any:
    """Return the value of an XML parameter: text, unless its schema has another type.

    Templates write `True` and `None`, as Python does, and models repeat it.
    """
    kinds = _kinds(schema)
    word = text.strip().lower()
    if "string" in kinds and not (word in ("null", "none") and "null" in kinds):
        return text
    try:
        return _WORDS[word] if word in _WORDS else _whole(text)
    except ValueError:
        return text


def _kinds(schema: Any) -> set[str]:
    """Return the types that a schema names, by itself or as alternatives."""
    if not isinstance(schema, dict):
        return set()
    named = schema.get("type")
    kinds = {kind for kind in (named if isinstance(named, list) else [named]) if kind in _TYPES}
    options = [schema[key] for key in ("anyOf", "oneOf") if isinstance(schema.get(key), list)]
    return kinds.union(*(_kinds(option) for each in options for option in each))


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
DEEPSEEK_V32 = ToolFormat(
    "deepseek-v3.2", _INVOKE, _INVOKE_END, _read_dsml,
    first_characters="",
    opening=f'<{_DSML}function_calls>\n{_INVOKE}NAME">\n',
    json_opening="",
    example=f'<{_DSML}function_calls>\n{_INVOKE}NAME">\nARGUMENTS\n{_INVOKE_END}\n'
    f"</{_DSML}function_calls>",
    wrappers=tuple(
        f"<{slash}{_DSML}{name}>"
        for name in ("function_calls", "tool_calls") for slash in ("", "/")
    ),
    needs_end=True,
    write=_write_dsml,
)  # fmt: skip
MISTRAL = ToolFormat(
    "mistral", _TOOL_CALLS, "", _read_mistral,
    first_characters="",
    opening=f'{_TOOL_CALLS} [{{"name": "NAME", "arguments":',
    json_opening=f"{_TOOL_CALLS} [",
    example=f'{_TOOL_CALLS} [{{"name": "NAME", "arguments": ARGUMENTS}}]',
    id_length=9,
)  # fmt: skip
MISTRAL_V11 = ToolFormat(
    "mistral-v11", _TOOL_CALLS, "", _read_mistral,
    first_characters="",
    opening=f"{_TOOL_CALLS}NAME[ARGS]",
    json_opening=f"{_TOOL_CALLS} [",
    example=f"{_TOOL_CALLS}NAME[ARGS]ARGUMENTS",
    id_length=9,
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
TOOL_FORMATS = (
    DEEPSEEK_R1, DEEPSEEK_V31, DEEPSEEK_V32, MISTRAL, MISTRAL_V11, HERMES, LLAMA3,
)  # fmt: skip
