"""`/v1/responses`, by OpenAI's own client."""

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from r1kit.types import Request
from tests.serve.conftest import Server
from tests.serve.scripted_model import writing
from tests.serve.test_schema import POINT, check


@pytest.fixture
def client(server: Server) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as one:
        yield one


FIELDS: dict[str, Any] = {"model": "tiny", "input": "7x + 3 = 38", "max_output_tokens": 40}
BUDGET: dict[str, Any] = {"seed": 5, "thinking": {"type": "enabled", "budget_tokens": 9}}


def test_it_says_what_a_chat_says(client: openai.OpenAI, server: Server) -> None:
    response = client.responses.create(**FIELDS, extra_body=BUDGET)
    chat = server.ask(max_tokens=40, **BUDGET).json()
    message = chat["choices"][0]["message"]
    thinking, text = response.output
    assert (thinking.type, text.type) == ("reasoning", "message")
    assert thinking.content[0].text == message["reasoning_content"]
    assert response.output_text == message["content"]
    assert response.status == "incomplete"
    assert response.incomplete_details.reason == "max_output_tokens"
    usage, expected = response.usage, chat["usage"]
    assert usage.input_tokens == expected["prompt_tokens"]
    assert usage.output_tokens == expected["completion_tokens"]
    details = expected["completion_tokens_details"]
    assert usage.output_tokens_details.reasoning_tokens == details["reasoning_tokens"]


def test_streamed_it_is_the_same(client: openai.OpenAI) -> None:
    whole = client.responses.create(**FIELDS, extra_body=BUDGET)
    thinking = text = ""
    numbers = []
    for event in client.responses.create(**FIELDS, stream=True, extra_body=BUDGET):
        numbers.append(event.sequence_number)
        if event.type == "response.reasoning_text.delta":
            thinking += event.delta
        elif event.type == "response.output_text.delta":
            text += event.delta
    assert numbers == list(range(len(numbers)))
    assert (thinking, text) == (whole.output[0].content[0].text, whole.output_text)
    assert event.type == "response.incomplete"
    assert event.response.output_text == text
    assert event.response.usage == whole.usage


def test_a_summary_is_the_thinking_again(client: openai.OpenAI) -> None:
    """Codex, the AI SDK and LangChain show nothing else."""
    plain = client.responses.create(**FIELDS, extra_body=BUDGET)
    fields: dict[str, Any] = {**FIELDS, "reasoning": {"summary": "auto"}, "extra_body": BUDGET}
    whole = client.responses.create(**fields)
    thinking: Any = whole.output[0]
    assert [part.text for part in thinking.summary] == [thinking.content[0].text]
    assert plain.output[0].summary == []
    assert plain.output[0].content == thinking.content
    assert whole.reasoning.summary == "auto"
    events = list(client.responses.create(**fields, stream=True))
    kinds = [event.type for event in events if "summary" in event.type]
    assert list(dict.fromkeys(kinds)) == [
        "response.reasoning_summary_part.added", "response.reasoning_summary_text.delta",
        "response.reasoning_summary_text.done", "response.reasoning_summary_part.done",
    ]  # fmt: skip
    deltas = [e.delta for e in events if e.type == "response.reasoning_summary_text.delta"]
    assert "".join(deltas) == thinking.summary[0].text
    assert {e.item_id for e in events if "summary" in e.type} == {events[-1].response.output[0].id}
    assert events[-1].response.output[0].summary == thinking.summary
    hidden = client.responses.create(
        **{**FIELDS, "reasoning": {"summary": "auto"}},
        extra_body={**BUDGET, "include_reasoning": False},
    )
    assert [item.type for item in hidden.output] == ["message"]


def test_log_probabilities_are_those_of_a_chat(client: openai.OpenAI, server: Server) -> None:
    request: dict[str, Any] = {"include": ["message.output_text.logprobs"], "top_logprobs": 2}
    response = client.responses.create(**FIELDS, **request, extra_body=BUDGET)
    [content] = response.output[1].content
    chat = server.ask(max_tokens=40, logprobs=True, top_logprobs=2, **BUDGET).json()
    expected = chat["choices"][0]["logprobs"]["content"]
    assert [item.to_dict() for item in content.logprobs] == expected
    assert len(expected[0]["top_logprobs"]) == 2
    streamed = []
    for event in client.responses.create(**FIELDS, **request, stream=True, extra_body=BUDGET):
        if event.type == "response.output_text.delta":
            streamed += [item.token for item in event.logprobs]
        if event.type == "response.content_part.added" and event.part.type == "output_text":
            assert event.part.logprobs == []
    assert streamed == [item["token"] for item in expected][: len(streamed)]
    assert len(streamed) >= len(expected) - 1  # an end that is no text is told with the whole
    [content] = client.responses.create(**FIELDS, extra_body=BUDGET).output[1].content
    assert content.logprobs == []


def test_the_clients_own_accumulator_agrees(client: openai.OpenAI) -> None:
    form = {"format": {"type": "json_schema", "name": "point", "schema": POINT}}
    fields = {**FIELDS, "max_output_tokens": 200, "text": form, "extra_body": BUDGET}
    with client.responses.stream(**fields) as stream:
        for _ in stream:
            pass
        final = stream.get_final_response()
    assert final.output_text == client.responses.create(**fields).output_text
    check(final.output_text)


def test_a_conversation_goes_on_with_what_was_answered(client: openai.OpenAI) -> None:
    first = client.responses.create(**FIELDS, extra_body=BUDGET)
    question = [{"role": "user", "content": "7x + 3 = 38"}]
    again = [*question, *first.output, {"role": "user", "content": [
        {"type": "input_text", "text": "sure?"}]}]  # fmt: skip
    second = client.responses.create(**{**FIELDS, "input": again}, instructions="Be short.")
    assert second.usage.input_tokens > first.usage.input_tokens


def test_effort_none_is_no_thinking_and_a_format_is_followed(client: openai.OpenAI) -> None:
    response = client.responses.create(
        **{**FIELDS, "max_output_tokens": 200}, reasoning={"effort": "none"},
        text={"format": {"type": "json_schema", "name": "point", "schema": POINT}},
    )  # fmt: skip
    assert [item.type for item in response.output] == ["message"]
    assert response.status == "completed"
    check(response.output_text)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": []}, "input"),
        ({"input": [{"role": "user"}]}, "input[0].content"),
        ({"input": [{"content": "hi"}]}, "input[0].role"),
        ({"input": [{"type": "item_reference", "id": "msg_1"}, {"role": "user", "content": "hi"}]},
         "input[0].id"),
        ({"input": [{"type": "item_reference"}]}, "input[0].id"),
        ({"input": [{"role": "assistant", "content": "hi"}]}, "input"),
        ({"input": "x" * 500_000}, "input"),
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"store": True}, "store"),
        ({"tools": [{"type": "web_search"}]}, "tools"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"top_logprobs": 21}, "top_logprobs"),
        ({"text": {"format": {"type": "json_schema", "name": "x"}}}, "text.format.schema"),
        ({"text": {"format": {"type": "json_schema", "name": "x", "schema": {"type": "none"}}}},
         "text.format.schema"),
        ({"no_such": 1}, "no_such"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_by_its_field(
    server: Server, fields: dict[str, Any], param: str
) -> None:
    answer = server.client.post("/v1/responses", json={**FIELDS, **fields})
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["param"] == param


def test_thinking_has_a_checksum_for_clients_that_want_one(server: Server) -> None:
    body = {**FIELDS, **BUDGET, "include": ["reasoning.encrypted_content"]}
    thinking, _ = server.client.post("/v1/responses", json=body).json()["output"]
    assert thinking["encrypted_content"]
    turns = [{"role": "user", "content": "hi"}, thinking, {"role": "user", "content": "x?"}]
    assert server.client.post("/v1/responses", json={**FIELDS, "input": turns}).status_code == 200
    plain, _ = server.client.post("/v1/responses", json={**body, "include": None}).json()["output"]
    assert "encrypted_content" not in plain


def test_a_reference_to_thinking_is_dropped_as_the_thinking_is(server: Server) -> None:
    """The AI SDK sends references for the thinking of responses."""
    turns = [{"role": "user", "content": "hi"}, {"role": "user", "content": "x?"}]
    usages = []
    for reference in ([], [{"type": "item_reference", "id": "rs_1"}]):
        body = {**FIELDS, "input": [turns[0], *reference, turns[1]]}
        usages.append(server.client.post("/v1/responses", json=body).json()["usage"])
    assert usages[0]["input_tokens"] == usages[1]["input_tokens"]


def test_an_error_in_the_middle_is_an_event(server: Server) -> None:
    engine: Any = server.one.engine_loop.engine
    step = engine.step
    count = [0]

    def fail() -> Any:
        count[0] += 1
        if count[0] == 5:
            raise RuntimeError("as if by chance")
        return step()

    engine.step = fail
    body = {**FIELDS, "stream": True}
    lines = server.client.post("/v1/responses", json=body).text.strip().split("\n\n")
    last = json.loads(lines[-1].split("data: ")[1])
    assert last["type"] == "error"
    assert last["message"]
    assert server.client.post("/v1/responses", json=FIELDS).status_code == 200


WEATHER = {"type": "function", "name": "weather", "parameters": {
    "type": "object", "properties": {"city": {"type": "string"}}}}  # fmt: skip
CALL = '{"name": "weather", "arguments": {"city": "Paris"}}'


def test_calls_are_items_and_events_and_their_results_are_read() -> None:
    text = [f"hm</think>I look. <tool_call>{CALL}</tool_call>"]
    requests: list[Request] = []

    def write(request: Request) -> str:
        requests.append(request)
        return text[0]

    with (
        writing(write) as server,
        openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client,
    ):
        fields: dict[str, Any] = {"model": "tiny", "max_output_tokens": 300, "tools": [WEATHER]}
        with client.responses.stream(**fields, input="Paris?") as stream:
            events: list[Any] = list(stream)
        first: Any = stream.get_final_response()
        text[0] = "hm</think>18 degrees."
        call = first.output[-1]
        result = {"type": "function_call_output", "call_id": call.call_id, "output": "18"}
        turns: list[Any] = [{"role": "user", "content": "Paris?"}, *first.output, result]
        second: Any = client.responses.create(**fields, input=turns)
        prompt = server.one.decoder.decode(requests[-1].prompt_ids)
    assert [item.type for item in first.output] == ["reasoning", "message", "function_call"]
    assert first.output_text == "I look."
    assert (call.name, json.loads(call.arguments)) == ("weather", {"city": "Paris"})
    assert (first.status, call.status) == ("completed", "completed")
    assert first.tools[0].name == "weather"
    assert [event.sequence_number for event in events] == list(range(len(events)))
    [done] = [e for e in events if e.type == "response.function_call_arguments.done"]
    assert (done.item_id, done.output_index) == (call.id, 2)
    assert "".join(
        e.delta for e in events if e.type == "response.function_call_arguments.delta"
    ) == call.arguments  # fmt: skip
    assert second.output_text == "18 degrees."
    assert f"I look.\n<tool_call>\n{CALL}\n</tool_call>" in prompt
    assert "<tool_response>\n18\n</tool_response>" in prompt


def test_without_text_a_call_is_the_only_message() -> None:
    with writing(lambda request: "{}") as server:
        choice = {"type": "function", "name": "weather"}
        body = {"model": "tiny", "input": "Paris?", "tools": [WEATHER], "tool_choice": choice,
                "reasoning": {"effort": "none"}}  # fmt: skip
        response = server.client.post("/v1/responses", json=body).json()
    assert [(item["type"], item.get("arguments")) for item in response["output"]] == [
        ("function_call", "{}")
    ]
    assert response["tool_choice"] == choice


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tools": [{"type": "function"}]}, "tools[0].name"),
        ({"tools": [{**WEATHER, "parameters": {"enum": list(range(9_000))}}]},
         "tools[0].parameters"),
        ({"tools": [WEATHER], "tool_choice": {"type": "function", "name": "no"}}, "tool_choice"),
        ({"input": [{"type": "function_call", "call_id": "1"}]}, "input[0].name"),
        ({"input": [{"type": "function_call_output", "call_id": "1"}]}, "input[0].output"),
        ({"input": [{"type": "function_call_output", "output": "5"}]}, "input"),
    ],
)  # fmt: skip
def test_tools_that_cannot_be_used_are_refused(
    server: Server, fields: dict[str, Any], param: str
) -> None:
    answer = server.client.post("/v1/responses", json={"model": "tiny", "input": "hi", **fields})
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["param"] == param
