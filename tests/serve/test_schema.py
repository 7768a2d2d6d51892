"""Answers that follow a JSON schema, and thinking before them that does not."""

import json
from typing import Any

import pytest

from tests.serve.conftest import Server
from tests.serve.test_api import chunks, joined

POINT = {
    "type": "object",
    "properties": {
        "answer": {"type": "integer", "minimum": 0, "maximum": 99},
        "sure": {"enum": ["yes", "no"]},
    },
    "required": ["answer", "sure"],
    "additionalProperties": False,
}


def form(schema: Any) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "point", "schema": schema}}


def check(text: str) -> None:
    output = json.loads(text)
    assert output.keys() == {"answer", "sure"}
    assert 0 <= output["answer"] <= 99
    assert output["sure"] in ("yes", "no")


@pytest.mark.parametrize("temperature", [0, 1.0])
def test_without_thinking_the_answer_follows_from_its_first_token(
    server: Server, temperature: float
) -> None:
    answer = server.ask(
        response_format=form(POINT), thinking={"type": "disabled"}, n=4,
        temperature=temperature, max_tokens=200,
    ).json()  # fmt: skip
    for choice in answer["choices"]:
        assert choice["finish_reason"] == "stop"
        check(choice["message"]["content"])


@pytest.mark.parametrize("stream", [False, True])
def test_thinking_is_free_and_the_answer_is_not(server: Server, stream: bool) -> None:
    # Noise never closes its thinking by itself: the budget does.
    fields: dict[str, Any] = {
        "response_format": form(POINT), "max_tokens": 300, "stream": stream,
        "thinking": {"type": "enabled", "budget_tokens": 12},
    }  # fmt: skip
    answer = server.ask(**fields)
    if stream:
        parts = chunks(answer)
        thinking, text = (joined(parts, key) for key in ("reasoning_content", "content"))
    else:
        [choice] = answer.json()["choices"]
        assert choice["reasoning_finish_reason"] == "budget"
        thinking, text = (choice["message"][key] for key in ("reasoning_content", "content"))
    free = server.ask(**(fields | {"response_format": {"type": "text"}, "stream": False})).json()
    assert thinking == free["choices"][0]["message"]["reasoning_content"]
    check(text)


def test_thinking_that_ends_by_itself_is_followed_by_the_schema(closing: Server) -> None:
    """A model whose likeliest token is the closing tag."""
    [choice] = closing.ask(
        response_format=form(POINT), max_tokens=300, temperature=0
    ).json()["choices"]  # fmt: skip
    assert choice["reasoning_finish_reason"] == "stop"
    assert choice["finish_reason"] == "stop"
    assert "</think>" not in choice["message"]["content"]
    check(choice["message"]["content"])


def test_without_room_for_an_answer_it_is_cut(closing: Server) -> None:
    answer = closing.ask(response_format=form(POINT), max_tokens=2, temperature=0).json()
    assert answer["choices"][0]["finish_reason"] == "length"
    assert answer["usage"]["completion_tokens"] <= 2


def test_any_object(server: Server) -> None:
    answer = server.ask(
        response_format={"type": "json_object"}, thinking={"type": "disabled"}, max_tokens=400,
    ).json()  # fmt: skip
    [choice] = answer["choices"]
    if choice["finish_reason"] == "stop":
        assert isinstance(json.loads(choice["message"]["content"]), dict)
    assert choice["message"]["content"].lstrip().startswith("{")


def test_neighbours_are_not_bound(server: Server) -> None:
    plain = server.ask(seed=4).json()["choices"][0]["message"]
    mixed = [
        server.ask(seed=4).json()["choices"][0]["message"],
        server.ask(response_format=form(POINT), thinking={"type": "disabled"}).json(),
    ]
    assert mixed[0] == plain


deep: Any = {}
for _ in range(50):
    deep = {"properties": {"a": deep}}


@pytest.mark.parametrize(
    ("response_format", "param"),
    [
        ({"type": "json_schema"}, "response_format.json_schema"),
        (form({"type": "nonsense"}), "response_format.json_schema.schema"),
        (form({"$ref": "https://example.org/schema.json"}), "response_format.json_schema.schema"),
        (form({"$ref": "#/$defs/none"}), "response_format.json_schema.schema"),
        (form({"pattern": "(", "type": "string"}), "response_format.json_schema.schema"),
        (form(deep), "response_format.json_schema.schema"),
        (form({"enum": list(range(9_000))}), "response_format.json_schema.schema"),
        (form([]), "response_format.json_schema.schema"),
        ({"type": "yaml"}, "response_format.type"),
        (
            {"type": "json_schema", "json_schema": {"schema": {}}},
            "response_format.json_schema.name",
        ),
    ],
)
def test_what_cannot_be_followed_is_refused_by_its_field(
    server: Server, response_format: dict[str, Any], param: str
) -> None:
    answer = server.ask(response_format=response_format)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["param"] == param


def test_a_prefix_follows_no_schema(server: Server) -> None:
    messages = [{"role": "user", "content": "hi"},
                {"role": "assistant", "content": "{", "prefix": True}]  # fmt: skip
    answer = server.ask(messages=messages, response_format={"type": "json_object"})
    assert answer.json()["error"]["param"] == "response_format"
