"""Thinking is turned on, off and limited in the spelling of every API."""

from typing import Any

import pytest

from r1kit.serve.api_error import ApiError
from r1kit.serve.proxy import open_front
from r1kit.serve.schema import ChatRequest
from r1kit.serve.thinking import ThinkingChoice
from tests.serve.conftest import LIMITS, Server, running
from tests.serve.test_api import chunks, joined
from tests.serve.test_front import before, streamed

USER = {"role": "user", "content": "7x + 3 = 38"}


def chosen(by_name: bool = True, **fields: Any) -> ThinkingChoice:
    return ChatRequest.model_validate(
        {"model": "tiny", "messages": [USER], **fields}
    ).thinking_choice(by_name)


@pytest.mark.parametrize(
    "fields",
    [
        {"thinking": {"type": "disabled"}},
        {"enable_thinking": False},
        {"thinking_budget": 0},
        {"chat_template_kwargs": {"enable_thinking": False}},
        {"chat_template_kwargs": {"thinking": False}},
        {"reasoning": {"enabled": False, "exclude": True}},
        {"reasoning": {"effort": "none"}},
        {"think": False},
        {"disable_reasoning": True},
        {"reasoning_effort": "none"},
        {"extra_body": {"thinking": {"type": "disabled"}}},
        {"enable_thinking": False, "reasoning_effort": "high"},
        {"enable_thinking": False, "think": False, "disable_reasoning": True},
    ],
    ids=str,
)
def test_off(server: Server, fields: dict[str, Any]) -> None:
    assert not chosen(**fields).is_on
    message = server.ask(max_tokens=3, **fields).json()["choices"][0]["message"]
    assert "reasoning_content" not in message


@pytest.mark.parametrize(
    ("fields", "limit"),
    [
        ({"thinking": {"type": "enabled"}}, None),
        ({"thinking": {"type": "enabled", "budget_tokens": 7}}, 7),
        ({"thinking": {"type": "adaptive"}, "reasoning_effort": "low"}, 20),
        ({"enable_thinking": True, "thinking_budget": 7.0}, 7),
        ({"thinking_budget": 7}, 7),
        ({"thinking_budget": -1, "enable_thinking": True}, None),
        ({"reasoning": {"max_tokens": 7, "effort": "low"}}, 7),
        ({"reasoning": {"enabled": True}}, None),
        ({"think": "low"}, 20),
        ({"disable_reasoning": False}, None),
        ({"reasoning_effort": "minimal"}, 10),
        ({"reasoning_effort": "medium", "reasoning": {"effort": "medium"}}, 50),
        ({"reasoning_effort": "high"}, None),
        ({"reasoning_effort": "none", "think": True}, None),
    ],
    ids=str,
)
def test_on_with_a_limit(server: Server, fields: dict[str, Any], limit: int | None) -> None:
    """A hundred tokens; the noise never closes its thinking by itself before the limit."""
    assert chosen(by_name=False, **fields).is_on
    assert chosen(by_name=False, **fields).limit(100) == limit
    answer = server.ask(model="deepseek-chat", max_tokens=100, **fields).json()
    n = answer["usage"]["completion_tokens_details"]["reasoning_tokens"]
    reason = answer["choices"][0]["reasoning_finish_reason"]
    if limit is not None:
        assert (reason, limit <= n <= limit + 4) == ("budget", True), (reason, n)
    else:
        assert reason != "budget"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"thinking": {"type": "enabled"}, "enable_thinking": False}, "enable_thinking"),
        ({"think": True, "disable_reasoning": True}, "disable_reasoning"),
        ({"thinking_budget": 5, "reasoning": {"max_tokens": 6}}, "reasoning.max_tokens"),
        ({"reasoning": {"effort": "low"}, "reasoning_effort": "high"}, "reasoning_effort"),
    ],
)
def test_contradictions_are_refused(server: Server, fields: dict[str, Any], param: str) -> None:
    with pytest.raises(ApiError, match="contradicts"):
        chosen(**fields)
    for path, text in (("chat/completions", {"messages": [USER]}), ("responses", {"input": "hi"})):
        body = {"model": "tiny", **text, **fields}
        answer = server.client.post(f"/v1/{path}", json=body)
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


@pytest.mark.parametrize("fields", [{"include_reasoning": False}, {"reasoning": {"exclude": True}}])
def test_hidden_thinking_changes_nothing_else(server: Server, fields: dict[str, Any]) -> None:
    ask: dict[str, Any] = {"thinking_budget": 9, "max_tokens": 30, "logprobs": True}
    shown, hidden = server.ask(**ask).json(), server.ask(**ask, **fields).json()
    [choice], [expected] = hidden["choices"], shown["choices"]
    assert choice["message"] == {"role": "assistant", "content": expected["message"]["content"]}
    assert choice["logprobs"]["content"] == expected["logprobs"]["content"]
    assert "reasoning_content" not in choice["logprobs"]
    for key in ("completion_tokens", "completion_tokens_details"):
        assert hidden["usage"][key] == shown["usage"][key]
    parts = chunks(server.ask(stream=True, **ask, **fields))
    assert joined(parts, "content") == choice["message"]["content"]
    assert not any("reasoning_content" in c["delta"] for part in parts for c in part["choices"])


def test_in_front_of_our_own_server_every_spelling_works(server: Server) -> None:
    with running(open_front(f"{server.url}/v1", None, LIMITS)) as front:
        for fields in ({"think": False}, {"thinking_budget": 5}, {"reasoning": {"effort": "low"}}):
            through, direct = (s.ask(**fields).json() for s in (front, server))
            assert through["choices"][0]["message"] == direct["choices"][0]["message"]


OFF = {"chat_template_kwargs": {"enable_thinking": False, "thinking": False}}
"""the switch of vLLM and SGLang, which goes beside any other"""


@pytest.mark.parametrize(
    ("fields", "sent"),
    [
        ({"enable_thinking": False}, {"enable_thinking": False} | OFF),
        (
            {"chat_template_kwargs": {"thinking": True}},
            {"chat_template_kwargs": {"thinking": True}},
        ),
        ({"model": "deepseek-chat"}, {"thinking": {"type": "disabled"}} | OFF),
        ({"reasoning_effort": "low"}, {"reasoning_effort": "low"}),
        ({}, {}),
    ],
)
def test_other_servers_get_what_the_client_wrote(
    fields: dict[str, Any], sent: dict[str, Any]
) -> None:
    requests: list[dict[str, Any]] = []

    def answer(_: int, body: dict[str, Any]) -> Any:
        requests.append(body)
        return streamed({"content": "5"})

    with before(answer) as front:
        assert front.ask(**fields).status_code == 200
    names = {"thinking", "enable_thinking", "chat_template_kwargs", "reasoning_effort"}
    assert {name: requests[0][name] for name in names & requests[0].keys()} == sent
