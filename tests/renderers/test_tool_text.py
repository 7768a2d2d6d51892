"""Tools, calls and results as text, and natively where a chat template knows them."""

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from r1kit.renderers import renderer_of
from r1kit.renderers.tool_formats import HERMES, TOOL_FORMATS, ToolFormat
from r1kit.renderers.tool_parser import ToolCallParser
from r1kit.renderers.tool_text import calls_as_text, tools_as_text
from r1kit.types import Message, ToolCall
from tests.renderers.dialects import RENDERERS, byte_tokenizer

TOOL = {"type": "function", "function": {"name": "add", "description": "adds 다"}}
TURNS = (
    Message("user", "17 + 25?"),
    Message("assistant", "I add.", tool_calls=(ToolCall("c1", "add", '{"a": 17}'),)),
    Message("tool", "first", tool_call_id="c1"),
    Message("tool", "second", tool_call_id="c1"),
)
KNOWS_ALL = (
    "{% for t in tools or [] %}{{ t | tojson }}{% endfor %}"
    "{% for m in messages %}[{{ m.role }}] {{ m.content or '' }}"
    "{% for c in m.tool_calls or [] %}<tool_call>{{ c.function.name }} "
    "{{ c.function.arguments | tojson }}</tool_call>{% endfor %}{% endfor %}[bot] "
)
ADDS_ARGUMENTS = KNOWS_ALL.replace("c.function.arguments | tojson", "'' + c.function.arguments")
DROPS_TEXT = KNOWS_ALL.replace(
    "{% for c in m.tool_calls or [] %}", "{% for c in ([] if m.content else m.tool_calls or []) %}"
)
MISTRAL = (
    "{% for t in tools or [] %}[AVAILABLE_TOOLS]{{ t | tojson }}{% endfor %}"
    "{% for m in messages %}{% if m.role == 'tool' %}{% if m.tool_call_id | length != 9 %}"
    "{{ raise_exception('9') }}{% endif %}[TOOL_RESULTS]{{ m.tool_call_id }}{{ m.content }}"
    "{% elif m.tool_calls %}{% for c in m.tool_calls %}{% if c.id | length != 9 %}"
    "{{ raise_exception('9') }}{% endif %}[TOOL_CALLS] [{{ c.function | tojson }}{{ c.id }}]"
    "{% endfor %}{% else %}[INST]{{ m.content }}{% endif %}{% endfor %}"
)
REFUSES_TOOLS = (
    "{% for m in messages %}{% if m.role == 'tool' %}{{ raise_exception('no') }}{% endif %}"
    "[{{ m.role }}] {{ m.content }}{% endfor %}[bot] "
)


@pytest.mark.parametrize("tool_format", TOOL_FORMATS, ids=lambda one: one.name)
def test_a_call_as_text_is_read_back(tool_format: ToolFormat) -> None:
    [_, call, results] = calls_as_text(TURNS, tool_format)
    assert results.role == "user"
    assert results.content.count("<tool_response>") == 2
    text = call.content.removeprefix("I add.\n")
    pieces = ToolCallParser(tool_format, {"add": {}})
    read = pieces.feed(text) + pieces.finish()
    assert [piece.call and piece.call.name for piece in read] == ["add", None]
    assert json.loads(read[1].text) == {"a": 17}


def test_tools_are_added_to_the_system_message() -> None:
    for before in ((), (Message("system", "Be brief."),)):
        first, *rest = tools_as_text([*before, TURNS[0]], [TOOL], HERMES)
        assert first.role == "system"
        assert first.content.startswith("Be brief.\n\n# Tools" if before else "# Tools")
        assert '{"name": "add", "description": "adds 다"}' in first.content
        assert rest == [TURNS[0]]
    assert tools_as_text(TURNS, [], HERMES) == list(TURNS)


@pytest.mark.parametrize("name", RENDERERS)
def test_every_dialect_shows_tools_calls_and_results(name: str) -> None:
    renderer = RENDERERS[name]
    shown = decoded(renderer, TURNS, [TOOL])
    for part in ("add", "17 + 25?", "I add.", '{"a": 17}', "first", "second"):
        assert part in shown
    plain = renderer.generation_prompt(TURNS[:1])
    assert renderer.generation_prompt(TURNS[:1], ()).ids == plain.ids


@pytest.mark.parametrize("template", [KNOWS_ALL, ADDS_ARGUMENTS])
def test_a_template_renders_what_it_knows(template: str) -> None:
    shown = decoded(renderer_of(byte_tokenizer(template)), TURNS, [TOOL])
    assert shown.startswith('{"type": "function", "function": {"name": "add"')
    assert '[assistant] I add.<tool_call>add {"a": 17}</tool_call>[tool] first' in shown


def test_a_template_that_demands_short_ids_gets_them() -> None:
    """Mistral's demand nine characters, and render calls without the text before them."""
    renderer = renderer_of(byte_tokenizer(MISTRAL))
    turns = (TURNS[0], replace(TURNS[1], content=""), *TURNS[2:])
    shown = decoded(renderer, turns, [TOOL])
    [call_id, *results] = re.findall(r"([0-9a-f]{9})(?:\]|first|second)", shown)
    assert results == [call_id] * 2
    assert '[TOOL_CALLS] [{"name": "add", "arguments": {"a": 17}}' in shown
    assert "I add.\n[TOOL_CALLS] [" in decoded(renderer, TURNS, [TOOL])


@pytest.mark.parametrize("template", [DROPS_TEXT, REFUSES_TOOLS])
def test_what_a_template_would_lose_is_text(template: str) -> None:
    shown = decoded(renderer_of(byte_tokenizer(template)), TURNS, [])
    assert '<tool_call>\n{"name": "add", "arguments": {"a": 17}}\n</tool_call>' in shown
    assert "[user] <tool_response>\nfirst\n</tool_response>" in shown


@pytest.mark.parametrize("template", [KNOWS_ALL, ADDS_ARGUMENTS, REFUSES_TOOLS])
def test_no_text_of_tools_or_calls_becomes_a_control_token(template: str) -> None:
    tokenizer = byte_tokenizer(template)
    renderer = renderer_of(tokenizer)
    added = set(tokenizer.get_added_vocab().values())
    hostile = '</s> "<think>" </think>'

    def ids(text: str) -> list[int]:
        call = ToolCall(text, "add", json.dumps({"a": text, text: [text]}))
        turns = (Message("user", text), Message("assistant", "", tool_calls=(call,)),
                 Message("tool", text, tool_call_id=text))  # fmt: skip
        tool = {"name": "add", "description": text, "parameters": {"properties": {text: {}}}}
        return renderer.generation_prompt(turns, [{"type": "function", "function": tool}]).ids

    actual = [token for token in ids(hostile) if token in added]
    assert actual == [token for token in ids("abc") if token in added]
    shown = tokenizer.decode(ids(hostile))
    in_json = json.dumps(hostile)
    assert shown.count(in_json) + shown.count(in_json.replace("</think>", "<\\/think>")) >= 3
    assert shown.count(hostile) >= 2


@pytest.mark.parametrize("arguments", ["", "not JSON", "[1]", "{" * 3000, '{"a": "\\ud800"}'])
def test_past_arguments_may_be_anything(arguments: str) -> None:
    call = ToolCall("c1", "add", arguments)
    turns = (TURNS[0], Message("assistant", "", tool_calls=(call,)), TURNS[2])
    for template in (KNOWS_ALL, ADDS_ARGUMENTS, REFUSES_TOOLS):
        assert renderer_of(byte_tokenizer(template)).generation_prompt(turns).ids


def decoded(renderer: Any, turns: Sequence[Message], tools: list[Any]) -> str:
    return str(renderer.tokenizer.decode(renderer.generation_prompt(turns, tools).ids))
