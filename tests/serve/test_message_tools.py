"""Tools of `/v1/messages`, by Anthropic's own client and a model that writes what a test says."""

from collections.abc import Iterator
from typing import Any

import anthropic
import pytest

from r1kit.types import Request
from tests.serve.conftest import Server
from tests.serve.scripted_model import writing
from tests.serve.test_tools import CALL, CITY, HERMES

WEATHER: Any = {"name": "weather", "description": "of a city", "input_schema": CITY}
SEARCH: Any = {"type": "web_search_20250305", "name": "web_search", "max_uses": 5}
QUESTION: Any = {"role": "user", "content": "How is the weather in Paris?"}
PARIS = {"city": "Paris"}


class Script:
    """The text that the model writes next, and the requests that it got."""

    text = ""
    requests: list[Request]

    def write(self, request: Request) -> str:
        self.requests.append(request)
        return self.text if request.sampling.json_schema is None else '{"city": "Paris"}'


SCRIPT = Script()


@pytest.fixture(scope="module")
def scripted() -> Iterator[Server]:
    with writing(SCRIPT.write, n_per_step=2) as server:
        yield server


@pytest.fixture
def client(scripted: Server) -> Iterator[anthropic.Anthropic]:
    SCRIPT.requests = []
    with anthropic.Anthropic(base_url=scripted.url, api_key="none", max_retries=0) as one:
        yield one


def fields(*messages: Any, **more: Any) -> dict[str, Any]:
    return {"model": "tiny", "max_tokens": 300, "messages": [QUESTION, *messages],
            "tools": [WEATHER], "thinking": {"type": "disabled"}, **more}  # fmt: skip


def blocks(message: Any) -> list[Any]:
    return [{**block.to_dict(), "id": ""} for block in message.content]


def test_a_call_whole_and_streamed(client: anthropic.Anthropic) -> None:
    SCRIPT.text = f"I look.\n{HERMES}\n{HERMES.replace('Paris', '서울')}"
    whole = client.messages.create(**fields())
    assert blocks(whole) == [
        {"type": "text", "text": "I look.", "id": ""},
        {"type": "tool_use", "name": "weather", "input": PARIS, "id": ""},
        {"type": "tool_use", "name": "weather", "input": {"city": "서울"}, "id": ""},
    ]
    assert len({block.id for block in whole.content if block.type == "tool_use"}) == 2
    assert whole.stop_reason == "tool_use"
    with client.messages.stream(**fields()) as stream:
        kinds = [event.type for event in stream]
        streamed = stream.get_final_message()
    assert kinds.count("content_block_start") == kinds.count("content_block_stop") == 3
    assert "input_json" in kinds
    assert (blocks(streamed), streamed.stop_reason) == (blocks(whole), "tool_use")


@pytest.mark.parametrize("choice", [{"type": "any"}, {"type": "tool", "name": "weather"}])
def test_a_demanded_call_follows_the_schema(client: anthropic.Anthropic, choice: Any) -> None:
    message = client.messages.create(**fields(tool_choice=choice))
    assert blocks(message) == [{"type": "tool_use", "name": "weather", "input": PARIS, "id": ""}]
    assert SCRIPT.requests[-1].sampling.json_schema is not None


def test_choices_that_allow_less(client: anthropic.Anthropic) -> None:
    SCRIPT.text = f"{HERMES}\n{HERMES}"
    one = {"type": "auto", "disable_parallel_tool_use": True}
    assert len(client.messages.create(**fields(tool_choice=one)).content) == 1
    none = client.messages.create(**fields(tool_choice={"type": "none"}))
    assert [block.type for block in none.content] == ["text"]


def test_results_reach_the_model_and_their_turns_are_read(client: anthropic.Anthropic) -> None:
    """The prompts of this route and of a chat with the same turns are the same."""
    SCRIPT.text = "Sunny."
    called: Any = {"role": "assistant", "content": [
        {"type": "text", "text": "I look."},
        {"type": "tool_use", "id": "t1", "name": "weather", "input": PARIS}]}  # fmt: skip
    result: Any = {"role": "user", "content": [
        {"type": "tool_result", "tool_use_id": "t1", "is_error": False,
         "content": [{"type": "text", "text": "22 "}, {"type": "text", "text": "degrees"}]},
        {"type": "text", "text": "Well?"}]}  # fmt: skip
    answer = client.messages.create(**fields(called, result))
    assert [block.type for block in answer.content] == ["text"]
    count = client.messages.count_tokens(
        model="tiny", messages=[QUESTION, called, result], tools=[WEATHER],
        thinking={"type": "disabled"},
    )  # fmt: skip
    assert count.input_tokens == len(SCRIPT.requests[-1].prompt_ids)
    without = client.messages.count_tokens(
        model="tiny", messages=[QUESTION], thinking={"type": "disabled"}
    )
    assert without.input_tokens < count.input_tokens


def test_the_same_prompt_as_a_chat(client: anthropic.Anthropic, scripted: Server) -> None:
    SCRIPT.text = "Sunny."
    use = {"type": "tool_use", "id": "t1", "name": "weather", "input": PARIS}
    result = {"type": "tool_result", "tool_use_id": "t1", "content": "22"}
    client.messages.create(
        **fields({"role": "assistant", "content": [use]}, {"role": "user", "content": [result]})
    )
    called = {"name": "weather", "arguments": '{"city": "Paris"}'}
    call = {"id": "t1", "type": "function", "function": called}
    function = {"name": "weather", "description": "of a city", "parameters": CITY}
    scripted.ask(
        messages=[QUESTION, {"role": "assistant", "content": None, "tool_calls": [call]},
                  {"role": "tool", "tool_call_id": "t1", "content": "22"}],
        tools=[{"type": "function", "function": function}], thinking={"type": "disabled"},
    )  # fmt: skip
    assert SCRIPT.requests[0].prompt_ids == SCRIPT.requests[1].prompt_ids


def test_tools_of_the_provider_are_left_out(client: anthropic.Anthropic) -> None:
    SCRIPT.text = CALL
    raw = client.messages.with_raw_response.create(**fields(tools=[SEARCH, WEATHER]))
    assert "tools[]" in raw.headers["x-fields-without-effect"]
    assert raw.parse().stop_reason == "tool_use"


def test_a_cut_input_is_empty(client: anthropic.Anthropic) -> None:
    SCRIPT.text = "x"
    message = client.messages.create(**fields(max_tokens=2, tool_choice={"type": "any"}))
    assert message.stop_reason == "max_tokens"
    assert blocks(message) == [{"type": "tool_use", "name": "weather", "input": {}, "id": ""}]


USES = [{"type": "tool_use", "id": f"t{n}", "name": "weather", "input": {}} for n in range(129)]
RESULTS = [{"type": "tool_result", "tool_use_id": f"t{n}", "content": "x"} for n in range(513)]


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"tools": [{"input_schema": {}}]}, "tools[0]: A tool needs a name."),
        ({"messages": [QUESTION, {"role": "assistant", "content": USES}, QUESTION]},
         "tool_calls: It must have at most 128 entries."),
        ({"messages": [{"role": "user", "content": RESULTS}]},
         "messages: The conversation has more than 512 messages; shorten it."),
    ],
    ids=["no name", "calls", "results"],
)  # fmt: skip
def test_what_no_chat_can_hold_is_refused(
    client: anthropic.Anthropic, changed: Any, says: str
) -> None:
    """Each fits the limits of this route alone."""
    with pytest.raises(anthropic.BadRequestError) as refused:
        client.messages.create(**fields(**changed))
    body: Any = refused.value.body
    assert body["error"]["message"] == says
