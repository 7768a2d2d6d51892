"""Tools in chats: offered, demanded, called in every format, whole and streamed."""

import dataclasses
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import openai
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from r1kit.renderers.tool_formats import HERMES as HERMES_FORMAT
from r1kit.serve.tools import FunctionTool, arguments_schema, call_schema
from r1kit.types import Request
from tests.serve.conftest import Server, opened, running
from tests.serve.scripted_model import writing
from tests.serve.test_api import chunks

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = {"type": "function", "function": {"name": "weather", "parameters": CITY}}
ADD: dict[str, Any] = {"type": "function", "function": {"name": "add", "parameters": {
    "type": "object", "properties": {"a": {"$ref": "#/$defs/n"}, "b": {"$ref": "#/$defs/n"}},
    "$defs": {"n": {"type": "integer", "minimum": 0, "maximum": 99}},
    "required": ["a", "b"]}}}  # fmt: skip
NOW = {"type": "function", "function": {"name": "now"}}
USER = {"role": "user", "content": "How is the weather in Paris?"}
CALL = '{"name": "weather", "arguments": {"city": "Paris"}}'
HERMES = f"<tool_call>\n{CALL}\n</tool_call>"
TEMPLATE = "{% for m in messages %}[{{ m.role }}] {{ m.content }} {% endfor %}[bot] {# MARKS #}"
KNOWS_TOOLS = (
    "{% for t in tools or [] %}{{ t.function.name }} {% endfor %}"
    "{% for m in messages %}{{ m.content }} {% endfor %}{# <tool_call> </think> #}"
)
R1_TEXT = (
    "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>weather\n"
    '```json\n{"city": "Paris"}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>'
)
V31_TEXT = (
    '<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>weather<｜tool▁sep｜>{"city": "Paris"}'
    "<｜tool▁call▁end｜><｜tool▁calls▁end｜>"
)
FORMATS = {
    "hermes, r1kit's template": (None, HERMES),
    "hermes, thinking": (None, f"hm {HERMES} hm</think>\n\n{HERMES}"),
    "deepseek-r1": ("<｜tool▁sep｜> ```json", R1_TEXT),
    "deepseek-v3.1": ("<｜tool▁sep｜>", V31_TEXT),
    "llama3": ("<|python_tag|>", '{"name": "weather", "parameters": {"city": "Paris"}}'),
    "deepseek-v3.2": (
        "｜DSML｜",
        '<｜DSML｜function_calls>\n<｜DSML｜invoke name="weather">\n<｜DSML｜parameter name="city" '
        'string="true">Paris</｜DSML｜parameter>\n</｜DSML｜invoke>\n</｜DSML｜function_calls>',
    ),
    "mistral": ("[TOOL_CALLS]", f"[TOOL_CALLS] [{CALL}]"),
    "mistral-v11": ("[TOOL_CALLS] [ARGS]", '[TOOL_CALLS]weather[ARGS]{"city": "Paris"}'),
    "qwen3-coder": (
        "<tool_call>",
        "<tool_call>\n<function=weather>\n<parameter=city>\nParis\n</parameter>\n</function>\n"
        "</tool_call>",
    ),
    "plain json": ("", f"```json\n{CALL}\n```"),
}


class Book:
    """The text that the model writes next, and the requests that it got."""

    def __init__(self) -> None:
        self.text = ""
        self.constrained = '{"city": "Paris"}'
        """what it writes where a schema is demanded of it"""
        self.requests: list[Request] = []

    def write(self, request: Request) -> str:
        self.requests.append(request)
        return self.text if request.sampling.json_schema is None else self.constrained


BOOK = Book()


@pytest.fixture(scope="module")
def scripted() -> Iterator[Server]:
    with writing(BOOK.write) as running_server:
        yield running_server


@pytest.fixture(scope="module")
def noise(folder: Path) -> Iterator[Server]:
    """A model of random weights, with a chat template that leaves room in its context."""
    with running([opened(folder, chat_template=KNOWS_TOOLS)]) as running_server:
        yield running_server


@pytest.fixture
def book() -> Book:
    BOOK.__init__()  # type: ignore[misc]
    return BOOK


def ask(server: Server, **fields: Any) -> Any:
    body = {"messages": [USER], "tools": [WEATHER, ADD], "thinking": {"type": "disabled"}}
    return server.ask(max_tokens=300, **{**body, **fields})


def message(server: Server, **fields: Any) -> tuple[Any, str]:
    """The message of the only choice, and its finish reason."""
    answer = ask(server, **fields)
    assert answer.status_code == 200, answer.text
    [choice] = answer.json()["choices"]
    return choice["message"], choice["finish_reason"]


def streamed(server: Server, **fields: Any) -> tuple[Any, str]:
    """The same, put together from a stream."""
    whole: dict[str, Any] = {"role": "assistant", "content": ""}
    calls: list[Any] = []
    finish = ""
    for part in chunks(ask(server, stream=True, **fields)):
        [choice] = part["choices"]
        delta = choice["delta"]
        for key in ("content", "reasoning_content"):
            if delta.get(key) is not None:
                whole[key] = whole.get(key, "") + delta[key]
        for call in delta.get("tool_calls", ()):
            if "id" in call:
                assert call["index"] == len(calls)
                assert call["type"] == "function"
                calls.append({name: call[name] for name in ("id", "type", "function")})
            else:
                assert call["index"] == len(calls) - 1
                calls[-1]["function"]["arguments"] += call["function"]["arguments"]
        finish = choice["finish_reason"] or finish
    return (whole | {"content": whole["content"] or None, "tool_calls": calls}) if calls else (
        whole), finish  # fmt: skip


def without_ids(answer: Any) -> Any:
    return {**answer, "tool_calls": [{**call, "id": ""} for call in answer.get("tool_calls", ())]}


def called(answer: Any) -> list[tuple[str, Any]]:
    functions = [call["function"] for call in answer["tool_calls"]]
    return [(f["name"], json.loads(f["arguments"])) for f in functions]


@pytest.mark.parametrize(("marks", "text"), FORMATS.values(), ids=FORMATS)
def test_every_format_is_called_whole_and_streamed(
    book: Book, scripted: Server, marks: str | None, text: str
) -> None:
    """A call inside the thinking is no call."""
    book.text = text
    thinking = {"thinking": {"type": "enabled"}} if "</think>" in text else {}
    template = None if marks is None else TEMPLATE.replace("MARKS", marks)
    with writing(book.write, template, n_per_step=2) as server:
        whole, finish = message(server, **thinking)
        parts, streamed_finish = streamed(server, **thinking)
    assert called(whole) == [("weather", {"city": "Paris"})]
    assert whole["content"] is None
    assert finish == streamed_finish == "tool_calls"
    assert without_ids(parts) == without_ids(whole)
    if thinking:
        assert whole["reasoning_content"] == f"hm {HERMES} hm"


@pytest.mark.parametrize(
    "text",
    ["It is sunny.", f"Do not write {CALL} here.", "<tool_call>{}</tool_call>", HERMES[:-9] + "x",
     '<tool_call>{"name": "rm", "arguments": {}}</tool_call>', '{"name": "weather"', "  a <tool"],
)  # fmt: skip
def test_what_is_no_call_is_answered_as_text(book: Book, scripted: Server, text: str) -> None:
    book.text = text
    whole, finish = message(scripted)
    assert (whole["content"], finish) == (text.lstrip(), "stop")
    assert "tool_calls" not in whole
    assert streamed(scripted) == (whole, "stop")


def test_text_and_several_calls(book: Book, scripted: Server) -> None:
    book.text = f"I look.\n{HERMES}\n{HERMES.replace('Paris', '서울')}"
    whole, _ = message(scripted)
    assert whole["content"] == "I look."
    assert called(whole) == [("weather", {"city": "Paris"}), ("weather", {"city": "서울"})]
    assert len({call["id"] for call in whole["tool_calls"]}) == 2
    one, finish = message(scripted, parallel_tool_calls=False)
    assert (called(one), finish) == ([("weather", {"city": "Paris"})], "tool_calls")


@pytest.mark.parametrize("thinks", [False, True])
def test_a_named_function_is_called(book: Book, scripted: Server, thinks: bool) -> None:
    book.text = "hm</think>"
    fields: dict[str, Any] = {
        "tool_choice": {"type": "function", "function": {"name": "weather"}},
        "thinking": {"type": "enabled" if thinks else "disabled"},
    }
    whole, finish = message(scripted, **fields)
    assert (called(whole), finish) == ([("weather", {"city": "Paris"})], "tool_calls")
    assert whole.get("reasoning_content") == ("hm" if thinks else None)
    prompt = scripted.one.decoder.decode(book.requests[-1].prompt_ids)
    assert prompt.endswith('<tool_call>\n{"name": "weather", "arguments":')
    schema = json.loads(book.requests[-1].sampling.json_schema or "")
    assert schema == {**CITY, "additionalProperties": False}
    parts, streamed_finish = streamed(scripted, **fields)
    assert (without_ids(parts), streamed_finish) == (without_ids(whole), "tool_calls")


@pytest.mark.parametrize("choice", ["required", "any"])
def test_one_of_several_functions_is_called(book: Book, scripted: Server, choice: str) -> None:
    book.constrained = '{"name": "add", "arguments": {"a": 1, "b": 2}}'
    whole, finish = message(scripted, tool_choice=choice)
    assert (called(whole), finish) == ([("add", {"a": 1, "b": 2})], "tool_calls")
    book.constrained = '{"name": "add", "arguments": {"a": 1,'
    whole, _ = message(scripted, tool_choice=choice)
    assert whole["content"] == book.constrained


def test_a_call_that_max_tokens_cuts_keeps_its_arguments(book: Book, scripted: Server) -> None:
    choice = {"type": "function", "function": {"name": "weather"}}
    answer = scripted.ask(
        messages=[USER], tools=[WEATHER], tool_choice=choice, max_tokens=4,
        thinking={"type": "disabled"},
    ).json()["choices"][0]  # fmt: skip
    assert answer["finish_reason"] == "length"
    [call] = answer["message"]["tool_calls"]
    assert '{"city": "Paris"}'.startswith(call["function"]["arguments"])


def test_the_answer_may_be_json_or_a_call(book: Book, scripted: Server) -> None:
    form = {"type": "json_schema", "json_schema": {"name": "a", "schema": {
        "type": "object", "properties": {"sunny": {"$ref": "#/$defs/b"}}, "required": ["sunny"],
        "$defs": {"b": {"type": "boolean"}}}}}  # fmt: skip
    book.constrained = CALL
    whole, finish = message(scripted, response_format=form)
    assert (called(whole), finish) == ([("weather", {"city": "Paris"})], "tool_calls")
    schema = json.loads(book.requests[-1].sampling.json_schema or "")
    book.constrained = '{"sunny": true}'
    assert message(scripted, response_format=form)[0]["content"] == book.constrained
    for value in (CALL, book.constrained, '{"name": "add", "arguments": {"a": 1, "b": 2}}'):
        jsonschema_rs.validate(schema, json.loads(value))
    for value in ('{"name": "add", "arguments": {"a": 100, "b": 2}}', '{"sunny": 5}'):
        assert not jsonschema_rs.is_valid(schema, json.loads(value))


def test_without_tools_the_model_is_told_of_none(book: Book, scripted: Server) -> None:
    book.text = HERMES
    for fields in ({"tool_choice": "none"}, {"tools": [], "tool_choice": "auto"}, {"tools": None}):
        whole, finish = message(scripted, **fields)
        assert (whole["content"], finish) == (HERMES, "stop")
        prompt = scripted.one.decoder.decode(book.requests[-1].prompt_ids)
        assert "weather" not in prompt.replace(USER["content"], "")


def test_only_the_allowed_tools_are_told(book: Book, scripted: Server) -> None:
    allowed = {"mode": "required", "tools": [{"type": "function", "function": {"name": "now"}}]}
    book.constrained = "{}"
    choice = {"type": "allowed_tools", "allowed_tools": allowed}
    whole, _ = message(scripted, tools=[WEATHER, NOW], tool_choice=choice)
    assert called(whole) == [("now", {})]
    assert '"weather"' not in scripted.one.decoder.decode(book.requests[-1].prompt_ids)


def test_calls_and_results_are_read_by_the_model(book: Book, scripted: Server) -> None:
    book.text = HERMES
    first, _ = message(scripted)
    results = [{"role": "tool", "tool_call_id": call["id"], "content": "18 degrees"}
               for call in first["tool_calls"]]  # fmt: skip
    book.text = "18 degrees."
    again, finish = message(scripted, messages=[USER, first, *results])
    assert (again["content"], finish) == ("18 degrees.", "stop")
    prompt = scripted.one.decoder.decode(book.requests[-1].prompt_ids)
    assert HERMES in prompt
    assert "<tool_response>\n18 degrees\n</tool_response>" in prompt


def test_every_completion_has_its_own_calls(book: Book, scripted: Server) -> None:
    book.text = HERMES
    choices = ask(scripted, n=3).json()["choices"]
    ids = {call["id"] for choice in choices for call in choice["message"]["tool_calls"]}
    assert len(ids) == 3
    deltas = [choice for part in chunks(ask(scripted, n=3, stream=True))
              for choice in part["choices"] if "tool_calls" in choice["delta"]]  # fmt: skip
    assert [choice["delta"]["tool_calls"][0]["index"] for choice in deltas] == [0] * 6


def test_tools_that_are_no_functions_are_left_out_and_named(book: Book, scripted: Server) -> None:
    book.text = HERMES
    answer = ask(scripted, tools=[WEATHER, {"type": "web_search", "filters": {}}])
    assert called(answer.json()["choices"][0]["message"]) == [("weather", {"city": "Paris"})]
    assert answer.headers["x-fields-without-effect"] == "tools[]"


CHOICE = {"type": "function", "function": {"name": "nothing"}}
RESULT = {"role": "tool", "tool_call_id": "1", "content": "x"}
PAST = {"role": "assistant", "tool_calls": [{"id": "1", "function": {"name": "weather"}}]}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tools": [{"type": "web_search"}]}, "tools"),
        ({"tools": [{"type": "function"}]}, "tools"),
        ({"tools": [WEATHER, {"type": "function"}]}, "tools[1].function"),
        ({"tools": [{"function": {}}]}, "tools[0].function.name"),
        ({"tools": [{"function": {"name": "a b"}}]}, "tools[0].function.name"),
        ({"tools": [{"function": {"name": "f", "parameter": {}}}]}, "tools[0].function.parameter"),
        ({"tools": [WEATHER, WEATHER]}, "tools"),
        ({"tools": ["weather"]}, "tools[0]"),
        ({"tools": [NOW] * 129}, "tools"),
        ({"tool_choice": CHOICE}, "tool_choice"),
        ({"tool_choice": {"type": "function"}}, "tool_choice"),
        ({"tool_choice": "sometimes"}, "tool_choice"),
        ({"tool_choice": "required", "tools": []}, "tool_choice"),
        ({"tool_choice": "required", "messages": [USER, {"role": "assistant", "content": "a"}]},
         "tool_choice"),
        ({"messages": [USER, RESULT]}, "messages[1].role"),
        ({"messages": [USER, PAST]}, "messages[1].tool_calls"),
        ({"messages": [USER, {**RESULT, "role": "function"}]}, "messages[1].role"),
        ({"messages": [{**PAST, "role": "user", "content": "a"}, USER]}, "messages[0].tool_calls"),
        ({"messages": [USER, PAST, {**RESULT, "content": None}]}, "messages[2].content"),
        ({"functions": [{"name": "f"}]}, "functions"),
        ({"tool_choice": "required", "tools": [{"function": {"name": "f", "parameters": {
            "type": "nonsense"}}}]}, "tools"),
        ({"tools": [{"function": {"name": "f", "parameters": {"enum": list(range(9_000))}}}]},
         "tools[0].function.parameters"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_refused_in_a_sentence(
    scripted: Server, fields: dict[str, Any], param: str
) -> None:
    answer = ask(scripted, **fields)
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert error["param"] == param
    assert error["message"].endswith(".")
    assert "nput should" not in error["message"]


@pytest.mark.parametrize("thinks", [False, True])
def test_noise_is_held_to_the_schema(noise: Server, thinks: bool) -> None:
    """The grammar of the local engine allows nothing else."""
    thinking = {"type": "enabled", "budget_tokens": 9} if thinks else {"type": "disabled"}
    fields: dict[str, Any] = {"messages": [USER], "thinking": thinking, "max_tokens": 300}
    for tools in ([ADD], [ADD, NOW]):
        answer = noise.ask(tools=tools, tool_choice="required", n=3, **fields).json()
        for choice in answer["choices"]:
            assert choice["finish_reason"] == "tool_calls"
            [(name, arguments)] = called(choice["message"])
            if name == "add":
                jsonschema_rs.validate(ADD["function"]["parameters"], arguments)
            else:
                assert arguments == {}


def test_openai_accumulates_a_stream(book: Book, scripted: Server) -> None:
    book.text = f"I look.\n{HERMES}"
    with openai.OpenAI(base_url=f"{scripted.url}/v1", api_key="none", max_retries=0) as client:
        fields: dict[str, Any] = {"model": "tiny", "messages": [USER], "tools": [WEATHER]}
        with client.chat.completions.stream(
            **fields, max_tokens=300, extra_body={"enable_thinking": False}
        ) as stream:
            kinds = [event.type for event in stream]
        final: Any = stream.get_final_completion()
    assert "tool_calls.function.arguments.done" in kinds
    [call] = final.choices[0].message.tool_calls
    assert json.loads(call.function.arguments) == {"city": "Paris"}
    assert final.choices[0].finish_reason == "tool_calls"


JSON = st.recursive(
    st.one_of(
        st.just({"type": "boolean"}), st.just({"type": "null"}), st.just({}),
        st.builds(lambda low, more: {"type": "integer", "minimum": low, "maximum": low + more},
                  st.integers(-99, 99), st.integers(0, 99)),
        st.builds(lambda n: {"type": "string", "maxLength": n}, st.integers(0, 5)),
        st.builds(lambda v: {"enum": v}, st.lists(st.one_of(st.integers(0, 9), st.text(max_size=3)),
                                                  min_size=1, max_size=3)),
        st.just({"$ref": "#/$defs/d"}), st.just({"type": "string", "pattern": "^[a-c]+$"}),
        st.just({"type": "nonsense"}), st.just({"$ref": "#/$defs/none"}),
    ),
    lambda inner: st.one_of(
        st.builds(lambda item, n: {"type": "array", "items": item, "maxItems": n},
                  inner, st.integers(0, 3)),
        st.builds(lambda parts: {"anyOf": parts}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda properties, n: {"type": "object", "properties": properties,
                                         "required": list(properties)[:n],
                                         "additionalProperties": False},
                  st.dictionaries(st.text(max_size=4), inner, max_size=3), st.integers(0, 3)),
    ),
    max_leaves=6,
)  # fmt: skip


STRICT: dict[str, Any] = {"type": "function", "function": {
    "name": "add", "strict": True, "parameters": ADD["function"]["parameters"]}}  # fmt: skip


def test_without_strict_tools_an_answer_has_no_grammar(book: Book, scripted: Server) -> None:
    book.text = HERMES
    message(scripted)
    message(scripted, tools=None)
    assert [request.sampling.lark for request in book.requests] == [None, None]


@pytest.mark.parametrize("thinks", [False, True])
def test_a_strict_tool_gives_the_answer_a_grammar(
    book: Book, scripted: Server, thinks: bool
) -> None:
    """Not the thinking before it, and no demanded call, which has its schema."""
    book.text = f"hm</think>\n\n{HERMES}" if thinks else HERMES
    fields: dict[str, Any] = {
        "tools": [WEATHER, STRICT],
        "thinking": {"type": "enabled" if thinks else "disabled"},
    }
    whole, finish = message(scripted, **fields)
    grammars = [request.sampling.lark for request in book.requests]
    assert [bool(grammar) for grammar in grammars] == [False, True][not thinks :]
    parts, streamed_finish = streamed(scripted, **fields)
    assert (without_ids(parts), streamed_finish) == (without_ids(whole), finish)
    message(scripted, **fields, tool_choice="required")
    assert book.requests[-1].sampling.lark is None


@pytest.mark.parametrize("thinks", [False, True])
@pytest.mark.parametrize("tools", [[STRICT], [STRICT, NOW]])
def test_arguments_of_strict_tools_follow_their_schema_whatever_the_weights(
    noise: Server, monkeypatch: pytest.MonkeyPatch, tools: list[Any], thinks: bool
) -> None:
    """Calls begin with a letter here, which random weights write often."""
    format_of_noise = dataclasses.replace(
        HERMES_FORMAT, begin="e", example=HERMES_FORMAT.example.replace("<tool_call>", "e", 1)
    )
    monkeypatch.setitem(noise.one._renderer.__dict__, "tool_format", format_of_noise)
    fields: dict[str, Any] = {
        "tools": tools,
        "thinking": {"type": "enabled", "budget_tokens": 20} if thinks else {"type": "disabled"},
        "messages": [USER],
        "n": 8,
        "temperature": 1.0,
        "max_tokens": 300,
    }
    choices = noise.ask(**fields).json()["choices"]
    calls = [call for choice in choices if "tool_calls" in choice["message"]
             for call in called(choice["message"])]  # fmt: skip
    assert calls, choices
    for name, arguments in calls:
        jsonschema_rs.validate(
            {"add": ADD["function"]["parameters"], "now": {"type": "object"}}[name], arguments
        )
    parts = chunks(noise.ask(**fields, stream=True))
    names = [call["function"]["name"] for part in parts for choice in part["choices"]
             for call in choice["delta"].get("tool_calls", ()) if "id" in call]  # fmt: skip
    assert sorted(names) == sorted(name for name, _ in calls)


def test_a_strict_schema_that_cannot_be_followed_is_refused(scripted: Server) -> None:
    tool = {"type": "function", "function": {
        "name": "f", "strict": True, "parameters": {"type": "nonsense"}}}  # fmt: skip
    answer = ask(scripted, tools=[tool])
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "tools"


@pytest.mark.slow
@settings(max_examples=1000, database=None, derandomize=True,
          suppress_health_check=list(HealthCheck))  # fmt: skip
@given(st.dictionaries(st.text(max_size=4), JSON, max_size=3), st.booleans(), st.integers(0, 99))
def test_a_thousand_random_schemas(
    noise: Server, properties: dict[str, Any], is_alone: bool, seed: int
) -> None:
    """Arguments follow their schema, or the schema is refused, or max_tokens cuts them."""
    parameters = {"type": "object", "properties": properties, "required": list(properties)[:2],
                  "$defs": {"d": {"type": "boolean"}}}  # fmt: skip
    tools = [{"type": "function", "function": {"name": "f", "parameters": parameters}}]
    answer = noise.ask(
        tools=tools if is_alone else [*tools, NOW], tool_choice="required", seed=seed,
        thinking={"type": "disabled"}, max_tokens=60, temperature=1,
    )  # fmt: skip
    if answer.status_code == 400:
        assert answer.json()["error"]["message"].endswith(".")
        return
    assert answer.status_code == 200, answer.text
    [choice] = answer.json()["choices"]
    if choice["finish_reason"] == "length":
        return
    if "tool_calls" not in choice["message"]:  # a number that no float holds is no call
        assert re.search(r"e\+?[0-9]{3}", choice["message"]["content"], re.IGNORECASE)
        return
    [(name, arguments)] = called(choice["message"])
    jsonschema_rs.validate(parameters if name == "f" else {"maxProperties": 0}, arguments)


def test_references_of_a_schema_move_with_it() -> None:
    inner = {"type": "object", "properties": {"default": {"$ref": "#/$defs/x"}, "$ref": {}},
             "required": ["$ref"], "$defs": {"x": {"const": {"$ref": "#/$defs/x"}}}}  # fmt: skip
    moved = call_schema([FunctionTool(name="f", parameters=inner)], "arguments", inner)
    good = {"default": {"$ref": "#/$defs/x"}, "$ref": 5}
    jsonschema_rs.validate(moved, {"name": "f", "arguments": good})
    jsonschema_rs.validate(moved, good)
    wrong = {"default": 5, "$ref": 5}
    for value in ({"name": "f", "arguments": wrong}, wrong):
        assert not jsonschema_rs.is_valid(moved, value)
    assert arguments_schema(FunctionTool(name="f"))["additionalProperties"] is False
