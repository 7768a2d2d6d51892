"""Calls in a text: read from every format, whole and cut anywhere alike, and no text is lost."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from r1kit.renderers.stream_parser import Piece
from r1kit.renderers.tool_formats import (
    DEEPSEEK_R1,
    DEEPSEEK_V31,
    DEEPSEEK_V32,
    HERMES,
    LLAMA3,
    MISTRAL,
    MISTRAL_V11,
    TOOL_FORMATS,
    ToolFormat,
)
from r1kit.renderers.tool_parser import ForcedCallParser, ToolCallParser
from r1kit.types import Json

TOOLS: dict[str, Json] = {
    "weather": {
        "properties": {
            "city": {"type": "string"},
            "days": {"type": "integer"},
            "now": {"type": "boolean"},
            "zip": {"anyOf": [{"type": "string"}, {"type": "null"}]},
            "odd": {"type": 5, "anyOf": 5},
        }
    },
    "add": {},
}
BEGIN, END = "<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>"
CALL, SEP, CLOSE = "<｜tool▁call▁begin｜>", "<｜tool▁sep｜>", "<｜tool▁call▁end｜>"
PARIS = ("weather", {"city": "Paris"})
SUM = ("add", {"a": 17, "b": [2.5, None]})
NAMED = '{"name": "weather", "arguments": {"city": "Paris"}}'
SECOND = '{"name": "add", "arguments": {"a": 17, "b": [2.5, null]}}'
R1_CALL = f'{CALL}function{SEP}weather\n```json\n{{"city": "Paris"}}\n```{CLOSE}'
R1_SECOND = f'{CALL}function{SEP}add\n```json\n{{"a": 17, "b": [2.5, null]}}\n```{CLOSE}'
V31_CALL = f'{CALL}weather{SEP}{{"city": "Paris"}}{CLOSE}'
XML = "<function=weather>\n<parameter=city>\nParis\n</parameter>\n</function>"
D = "｜DSML｜"
DSML_CALL = (f'<{D}invoke name="weather">\n<{D}parameter name="city" string="true">Paris'
             f"</{D}parameter>\n</{D}invoke>")  # fmt: skip
DSML_SUM = (
    f'<{D}invoke name="add">\n<{D}parameter name="a" string="false">17</{D}parameter>\n'
    f'<{D}parameter name="b" string="false">[2.5, null]</{D}parameter>\n</{D}invoke>'
)
DSML_BEGIN, DSML_END = f"<{D}function_calls>\n", f"\n</{D}function_calls>"
DSML_ADD = f'{DSML_BEGIN}<{D}invoke name="add">'
CASES: list[tuple[ToolFormat, str, str, list[tuple[str, Json]]]] = [
    (HERMES, f"<tool_call>\n{NAMED}\n</tool_call>", "", [PARIS]),
    (HERMES, f"I look.\n<tool_call>{NAMED}</tool_call>", "I look.", [PARIS]),
    (HERMES, f"<tool_call>{NAMED}</tool_call>\n<tool_call>\n{SECOND}</tool_call>\n", "",
     [PARIS, SUM]),
    (HERMES, f"<tool_call>{NAMED}\n{SECOND}</tool_call> Done.", " Done.", [PARIS, SUM]),
    (HERMES, f"<tool_call>{NAMED}", "", [PARIS]),
    (HERMES, f"<tool_call>\n{XML}\n</tool_call>", "", [PARIS]),
    (HERMES, '<tool_call>{"name": "weather", "arguments": {"city": "</tool_call> \\""}}'
     "</tool_call>", "", [("weather", {"city": '</tool_call> "'})]),
    (HERMES, '<tool_call>{"name": "add", "arguments": "{\\"a\\": 1}"}</tool_call>', "",
     [("add", {"a": 1})]),
    (HERMES, NAMED, "", [PARIS]),
    (HERMES, f"```json\n[{NAMED},\n {SECOND}]\n```", "", [PARIS, SUM]),
    (HERMES, f'{{"type": "function", "function": {NAMED}}}', "", [PARIS]),
    (DEEPSEEK_R1, f"{BEGIN}{R1_CALL}\n{R1_SECOND}{END}", "", [PARIS, SUM]),
    (DEEPSEEK_R1, f"Sure.\n\n{BEGIN}{R1_CALL}{END}", "Sure.", [PARIS]),
    (DEEPSEEK_R1, NAMED, "", [PARIS]),
    (DEEPSEEK_V31, f"{BEGIN}{V31_CALL}{CALL}add{SEP}{{}}{CLOSE}{END}", "", [PARIS, ("add", {})]),
    (DEEPSEEK_V31, f"{V31_CALL}", "", [PARIS]),
    (DEEPSEEK_V32, f"I look.\n\n{DSML_BEGIN}{DSML_CALL}\n{DSML_SUM}{DSML_END}", "I look.",
     [PARIS, SUM]),
    (DEEPSEEK_V32, f"{DSML_BEGIN}{DSML_SUM}".replace("function_calls", "tool_calls"), "", [SUM]),
    (DEEPSEEK_V32, f'{DSML_ADD}\n{{"a": "</{D}parameter>"}}\n</{D}invoke>{DSML_END}', "",
     [("add", {"a": f"</{D}parameter>"})]),
    (DEEPSEEK_V32, f"{DSML_ADD}\n</{D}invoke>{DSML_END}", "", [("add", {})]),
    (DEEPSEEK_V32, DSML_CALL.replace("Paris", '\n"7" '), "", [("weather", {"city": '\n"7" '})]),
    (DEEPSEEK_V32, f"{DSML_CALL}{DSML_SUM[:40]}", DSML_SUM[:40], [PARIS]),
    (MISTRAL, f"[TOOL_CALLS] [{NAMED}, {SECOND[:-1]}, \"id\": \"VvvODy9mT\"}}]", "", [PARIS, SUM]),
    (MISTRAL, f"Sure. [TOOL_CALLS]{NAMED}\n[TOOL_CALLS] [{SECOND}]", "Sure.", [PARIS, SUM]),
    (MISTRAL, f"[TOOL_CALLS][{NAMED}]".replace("Paris", "[TOOL_CALLS]"), "",
     [("weather", {"city": "[TOOL_CALLS]"})]),
    (MISTRAL_V11, '[TOOL_CALLS]weather[ARGS]{"city": "Paris"}', "", [PARIS]),
    (MISTRAL_V11, '[TOOL_CALLS]weather[CALL_ID]Vvv0Dy9mT[ARGS]{"city": "[TOOL_CALLS]["}[TOOL_CALLS]'
     'add{"a": 17, "b": [2.5, null]}', "", [("weather", {"city": "[TOOL_CALLS]["}), SUM]),
    (MISTRAL_V11, '[TOOL_CALLS]weather[ARGS]{"city": "Paris"}[TOOL_CALLS]add[ARGS]{"a"',
     '[TOOL_CALLS]add[ARGS]{"a"', [PARIS]),
    (HERMES, "<tool_call>\n<function=weather>\n<parameter=city>\n75 \n\nx\n</parameter>\n"
     "<parameter=days>\n3\n</parameter>\n<parameter=now>\nTrue\n</parameter>\n<parameter=zip>\n"
     "01234\n</parameter>\n<parameter=odd>\nx\n</parameter>\n</function>\n</tool_call>", "",
     [("weather", {"city": "75 \n\nx", "days": 3, "now": True, "zip": "01234", "odd": "x"})]),
    (HERMES, "<tool_call><function=weather><parameter=zip>None</parameter></function></tool_call>",
     "", [("weather", {"zip": None})]),
    (LLAMA3, f"<|python_tag|>{NAMED}<|python_tag|>{SECOND}", "", [PARIS, SUM]),
    (LLAMA3, '{"name": "weather", "parameters": {"city": "Paris"}}', "", [PARIS]),
    (LLAMA3, f'<|python_tag|>{NAMED}; {SECOND}', "", [PARIS, SUM]),
]  # fmt: skip
TEXTS = [
    "plain words",
    "",
    "   ",
    '{"name": "Bob", "age": 4}',
    '{"city": "Paris"}',
    '{"name": "weather"',
    '{"name": "weather", "arguments": 5}',
    '{"name": "nothing", "arguments": {}}',
    f"{NAMED} and words after it",
    "```python\nprint(1)\n```",
    "``",
    "[1, 2]",
    "about <tool_call> tags, and </tool_call> too",
    "a \n<tool_call>\nno JSON</tool_call> z",
    "<tool_call></tool_call>",
    '<tool_call>{"name": "weather", "arguments": {"city": "Par',
    '<tool_call>{"name": "weather" "}</tool_call> more </tool_call>',
    '<tool_call>{"name": "weather", "arguments": {"city": NaN}}</tool_call>',
    '<tool_call>{"name": "weather", "arguments": {"days": 1e999}}</tool_call>',
    '<tool_call>{"name": "weather", "arguments": {"days": ' + "9" * 5000 + "}}</tool_call>",
    '<tool_call>{"name": "weather", "arguments": {"a":' + "[" * 5000 + "</tool_call>",
    "<tool_call><function=weather>Paris</function></tool_call>",
    "<tool_call><function=nothing></function></tool_call>",
    f"{BEGIN}{CALL}function{SEP}weather\nParis{CLOSE}{END} z",
    f"{BEGIN}{CALL}weather{SEP}Paris{CLOSE}{END}",
    f"{CALL}weather{SEP}",
    f"<tool_call>{XML[:-11]}</tool_call>",
    DSML_BEGIN + DSML_CALL[: -len(f"</{D}invoke>")],
    DSML_BEGIN + DSML_CALL.replace("weather", "nothing") + DSML_END,
    DSML_BEGIN + DSML_SUM.replace("17", "seventeen") + DSML_END,
    DSML_BEGIN + DSML_SUM.replace('"a"', '"b"') + DSML_END,
    DSML_BEGIN + DSML_CALL.replace("</", "and </") + DSML_END,
    f"{DSML_BEGIN}{DSML_END} nothing",
    "[TOOL_CALLS]weather",
    "[TOOL_CALLS]weather[ARGS]",
    '[TOOL_CALLS]weather[ARGS]{"city": "Par',
    '[TOOL_CALLS]nothing[ARGS]{"city": "Paris"} z',
    f"[TOOL_CALLS] [{NAMED}",
    "[TOOL_CALLS] []",
    "say [TOOL_CALLS] and [ARGS]",
    BEGIN,
    f"x {BEGIN} {END} y",
    "<|python_tag|>weather.call(city='Paris')",
    "lone \ud800 surrogate <tool_call>\ud800",
]


def read(tool_format: ToolFormat, chunks: list[str]) -> tuple[str, list[tuple[str, str]]]:
    """The text and the calls, with their arguments as text."""
    parser = ToolCallParser(tool_format, TOOLS)
    pieces = [piece for chunk in chunks for piece in parser.feed(chunk)] + parser.finish()
    text, calls = joined(pieces)
    assert parser.n_calls == len(calls)
    return text, calls


def joined(pieces: list[Piece]) -> tuple[str, list[tuple[str, str]]]:
    text, calls, ids = "", list[tuple[str, str]](), set[str]()
    for piece in pieces:
        if piece.call is not None:
            assert piece.text == piece.call.arguments == ""
            ids.add(piece.call.id)
            calls.append((piece.call.name, ""))
        elif piece.kind == "call":
            calls[-1] = (calls[-1][0], calls[-1][1] + piece.text)
        else:
            assert piece.text
            text += piece.text
    assert len(ids) == len(calls)
    return text, calls


@pytest.mark.parametrize(("tool_format", "answer", "text", "calls"), CASES, ids=range(len(CASES)))
def test_every_format_is_read(
    tool_format: ToolFormat, answer: str, text: str, calls: list[tuple[str, Json]]
) -> None:
    actual, actual_calls = read(tool_format, [answer])
    assert actual == text
    assert [(name, json.loads(arguments)) for name, arguments in actual_calls] == calls


@pytest.mark.parametrize(("tool_format", "answer", "text", "calls"), CASES, ids=range(len(CASES)))
def test_cut_anywhere_it_is_the_same(
    tool_format: ToolFormat, answer: str, text: str, calls: list[tuple[str, Json]]
) -> None:
    whole = read(tool_format, [answer])
    for at in range(1, len(answer)):
        assert read(tool_format, [answer[:at], answer[at:]]) == whole
    assert read(tool_format, list(answer)) == whole


@pytest.mark.parametrize("tool_format", TOOL_FORMATS, ids=lambda tool_format: tool_format.name)
@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_what_is_no_call_is_text_unchanged(tool_format: ToolFormat, text: str) -> None:
    assert read(tool_format, [text]) == (text, [])
    assert read(tool_format, list(text)) == (text, [])


PARTS = st.sampled_from(
    [NAMED, SECOND, XML, "<tool_call>", "</tool_call>", BEGIN, END, CALL, SEP, CLOSE, R1_CALL,
     V31_CALL, "<|python_tag|>", DSML_BEGIN, DSML_CALL, DSML_SUM[:60], DSML_SUM[60:],
     DSML_END, f"</{D}parameter>", "[TOOL_CALLS]", "[ARGS]", "[CALL_ID]", '{"city": "',
     "function", "weather", "\n```json\n", "\n```", "{", "}", '"', "\\",
     " ", "\n", "x", "{}", "[", "]", ",", "```", "\ud800"]
)  # fmt: skip


@given(st.sampled_from(TOOL_FORMATS), st.lists(PARTS, max_size=12), st.data())
def test_anything_cut_anywhere_is_the_same(
    tool_format: ToolFormat, parts: list[str], data: st.DataObject
) -> None:
    answer = "".join(parts)
    cuts = data.draw(st.lists(st.integers(0, len(answer)), max_size=6).map(sorted))
    chunks = [answer[a:b] for a, b in zip([0, *cuts], [*cuts, len(answer)], strict=True)]
    text, calls = whole = read(tool_format, [answer])
    assert read(tool_format, chunks) == whole
    assert calls or text == answer
    for name, arguments in calls:
        assert name in TOOLS
        assert isinstance(json.loads(arguments), dict)


def test_text_is_passed_on_at_once_and_a_call_when_it_is_complete() -> None:
    parser = ToolCallParser(HERMES, TOOLS)
    assert parser.feed("Let me see") == [Piece("answer", "Let me see")]
    assert parser.feed(" it. <tool") == [Piece("answer", " it.")]
    assert parser.feed(f"_call>\n{NAMED}</tool_ca") == []
    begin, arguments = parser.feed("ll>")
    assert begin.call is not None
    assert (begin.call.name, arguments.text) == ("weather", '{"city": "Paris"}')


def test_an_answer_in_json_that_is_no_call_is_passed_on_from_its_first_key() -> None:
    parser = ToolCallParser(HERMES, TOOLS)
    assert parser.feed('{"ci') == []
    assert parser.feed('ty"') == [Piece("answer", '{"city"')]


@pytest.mark.parametrize(
    "text", ["<tool_call>" * 9_000, '<tool_call>{"' * 9_000, '<tool_call>{"a" </tool_call>' * 9_000,
             "[TOOL_CALLS]weather" * 9_000, '[TOOL_CALLS]weather{"' * 9_000,
             "```" + " " * 90_000 + "x",
             "<tool_call><function=weather>" + "<parameter=x>" * 9_000 + "</tool_call>",
             f'<tool_call><function=weather>a{" " * 90_000}b</function></tool_call>',
             DSML_CALL[:30] * 9_000, DSML_CALL[:-20] * 900 + f"</{D}invoke>",
             f"{NAMED}\n" * 3_000, f"{CALL}{CLOSE}" * 9_000, '{"name' + '\\"' * 90_000],
    ids=lambda text: text[:20],
)  # fmt: skip
def test_hostile_texts_take_no_more_time_than_they_are_long(text: str) -> None:
    """Quadratic work on them would take minutes."""
    for tool_format in TOOL_FORMATS:
        actual, calls = read(tool_format, [text[i : i + 50] for i in range(0, len(text), 50)])
        assert actual == text or calls


def test_a_demanded_call_is_passed_on_as_it_is_written() -> None:
    parser = ForcedCallParser("add")
    begin, first = parser.feed('{"a"')
    assert begin.call is not None
    assert begin.call.name == "add"
    assert [first.text, *(piece.text for piece in parser.feed(": 1}"))] == ['{"a"', ": 1}"]
    assert (parser.finish(), parser.n_calls) == ([], 1)
