"""Everything that is no proper request gets a 4xx that names the field; strangers get nothing."""

import json
import logging
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from r1kit.errors import ConfigError
from r1kit.http.listener import is_loopback
from r1kit.serve.model_names import Models
from r1kit.serve.server import refuse_exposure
from tests.serve.conftest import Server, opened, running

USER = {"role": "user", "content": "hi"}


def error_of(response: httpx.Response) -> dict[str, Any]:
    assert 400 <= response.status_code < 500, response.text
    error: dict[str, Any] = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["message"].endswith(".")
    assert response.headers["x-request-id"]
    return error


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"model": None}, "model"),
        ({"model": ""}, "model"),
        ({"model": 7}, "model"),
        ({"model": "no such"}, "model"),
        ({"messages": None}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": "hi"}, "messages"),
        ({"messages": {"role": "user"}}, "messages"),
        ({"messages": ["hi"]}, "messages[0]"),
        ({"messages": [USER] * 600}, "messages"),
        ({"messages": [{**USER, "role": "wizard"}]}, "messages[0].role"),
        ({"messages": [{**USER, "role": "tool"}]}, "messages[0].role"),
        ({"messages": [{**USER, "role": ["user"]}]}, "messages[0].role"),
        ({"messages": [{**USER, "role": "<｜User｜>"}]}, "messages[0].role"),
        ({"messages": [{"content": "hi"}]}, "messages[0].role"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": {"a": 1}}]}, "messages[0].content"),
        ({"messages": [USER, {**USER, "nme": "x"}]}, "messages[1].nme"),
        ({"messages": [{**USER, "prefix": True}]}, "messages[0].prefix"),
        ({"messages": [USER, {"role": "assistant", "content": "x", "prefix": False}]},
         "messages[1]"),
        ({"continue_final_message": True}, "continue_final_message"),
        ({"add_generation_prompt": False}, "add_generation_prompt"),
        ({"messages": [{**USER, "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]},
         "messages[0].content[0].type"),
        ({"messages": [{**USER, "content": "x" * 400_001}]}, "messages"),
        ({"messages": [{**USER, "content": "\ud800"}]}, "messages[0].content"),
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": -1}, "temperature"),
        ({"temperature": 2.5}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"top_p": -0.1}, "top_p"),
        ({"min_tokens": 9, "max_tokens": 8}, "min_tokens"),
        ({"repetition_penalty": 0}, "repetition_penalty"),
        ({"min_p": 1.05}, "min_p"),
        ({"top_k": 1.5}, "top_k"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": "5"}, "max_tokens"),
        ({"max_tokens": True}, "max_tokens"),
        ({"n": 0}, "n"),
        ({"n": 10**9}, "n"),
        ({"seed": 2**64}, "seed"),
        ({"stop": ""}, "stop"),
        ({"stop": ["x"] * 17}, "stop"),
        ({"stop": ["x" * 257]}, "stop[0]"),
        ({"stop": [5]}, "stop[0]"),
        ({"stop": ["\udc00"]}, "stop[0]"),
        ({"stream": "yes"}, "stream"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
        ({"top_logprobs": 0}, "top_logprobs"),
        ({"thinking": True}, "thinking"),
        ({"thinking": {"type": "maybe"}}, "thinking.type"),
        ({"thinking": {"type": "enabled", "budget_tokens": 0}}, "thinking.budget_tokens"),
        ({"reasoning_effort": "much"}, "reasoning_effort"),
        ({"response_format": {"type": "xml"}}, "response_format.type"),
        ({"tools": [{"type": "function"}]}, "tools"),
        ({"logit_bias": {"5000": 100}}, "logit_bias"),
        ({"logit_bias": {"five": 1}}, "logit_bias"),
        ({"logit_bias": {"5": 101}}, "logit_bias"),
        ({"temprature": 1}, "temprature"),
        ({"a\n<script>": 1}, "(unprintable)"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)  # fmt: skip
def test_the_field_is_named(server: Server, change: dict[str, Any], param: str) -> None:
    body = {"model": "tiny", "messages": [USER], **change}
    body = {key: value for key, value in body.items() if key == "top_logprobs" or value is not None}
    data = json.dumps(body).encode()
    response = server.client.post(
        "/v1/chat/completions", content=data, headers={"Content-Type": "application/json"}
    )
    error = error_of(response)
    assert error["param"] == param, error
    assert "hi" not in error["message"].split(), "what was sent is not repeated"


@pytest.mark.parametrize(
    "data",
    [
        b"", b"{", b"null", b"[]", b'"text"', b"5", b"\xff\xfe\x00", b'{"model": "\xc3\x28"}',
        b"[" * 100_000, b'{"a":' * 50_000, b"9" * 5000, b"{'model': 1}", "안녕".encode("euc-kr"),
    ],
    ids=range(13),
)  # fmt: skip
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/completions"])
def test_what_is_no_json_object_is_refused(server: Server, data: bytes, path: str) -> None:
    headers = {"Content-Type": "application/json"}
    error_of(server.client.post(path, content=data, headers=headers))


def test_too_much_is_refused_before_it_is_read(server: Server) -> None:
    def send(content: Any) -> httpx.Response:
        headers = {"Content-Type": "application/json"}
        return server.client.post("/v1/chat/completions", content=content, headers=headers)

    assert send(b" " * 3_000_001).status_code == 413
    assert send(b" " * 1_000_000 for _ in range(4)).status_code == 413  # chunked, no length
    assert send(b" " * 2_999_999).status_code == 400


def test_routes_and_types_that_are_not_there(server: Server) -> None:
    assert error_of(server.client.get("/v1/chat/completions"))
    assert error_of(server.client.post("/v1/embeddings", json={}))
    assert error_of(server.client.get("/v1/models/none"))["code"] == "model_not_found"
    assert error_of(server.client.post("/v1/chat/completions", data={"model": "tiny"}))
    assert server.client.get("/docs").status_code == 404


def test_names_of_hosts_and_origins_of_pages(server: Server) -> None:
    def status(**headers: str) -> int:
        return server.client.get("/v1/models", headers=headers).status_code

    port = server.url.rsplit(":", 1)[1]
    for host in (f"localhost:{port}", "127.0.0.1", f"[::1]:{port}", "LOCALHOST"):
        assert status(Host=host) == 200, host
    for host in ("evil.example", f"evil.example:{port}", "127.0.0.1.evil.example", "[", "0.0.0.0"):
        assert status(Host=host) == 403, host
    assert status(Host=f"localhost:{port}", Origin=f"http://localhost:{port}") == 200
    for origin in ("null", "https://evil.example", "http://localhost:1", f"{server.url}.evil"):
        assert status(Origin=origin) == 403, origin
    preflight = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    response = server.client.options("/v1/chat/completions", headers=preflight)
    assert error_of(response)
    assert "access-control-allow-origin" not in response.headers


def test_keys_guard_everything_but_health(folder: Path) -> None:
    with running([opened(folder)], keys=["one", "둘"]) as server:
        get = server.client.get
        for path in ("/v1/models", "/models", "/metrics", "/openapi.json", "/nope", "/v1/health"):
            refused = get(path)
            assert refused.status_code == 401, path
            assert error_of(refused)["code"] == "invalid_api_key"
        assert get("/health").status_code == 200
        wrong = (
            "Bearer two",
            "Bearer",
            "Basic one",
            "one",
            "Bearer onee",
            "Bearer \xff",
        )
        for value in wrong:
            headers = {b"Authorization": value.encode("latin-1")}
            assert get("/models", headers=headers).status_code == 401
        assert get("/models", headers={"x-api-key": "onee"}).status_code == 401
        assert get("/models", headers={"x-api-key": "one"}).status_code == 200
        assert get("/models", headers={"Authorization": "Bearer one"}).status_code == 200
        assert server.ask().status_code == 401


def test_a_page_that_is_allowed_may_ask(folder: Path) -> None:
    with running([opened(folder)], origins=["https://ok.example"], hosts=None) as server:
        headers = {"Origin": "https://ok.example", "Host": "anything.example"}
        assert server.client.get("/models", headers=headers).status_code == 200


def test_no_text_of_users_in_the_log(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        server.ask("a secret nobody should read", max_tokens=3)
        server.ask("a secret nobody should read", temperature="x")
        server.client.get("/v1/models?q=secret%0D%0Aforged")
    assert "/v1/chat/completions 200" in caplog.text
    ours = [record.getMessage() for record in caplog.records if record.name == "r1kit.serve"]
    assert ours
    assert not any("secret" in line for line in ours)


def test_what_would_be_open_to_others_needs_a_key(folder: Path) -> None:
    for host in ("127.0.0.1", "localhost", "::1"):
        assert is_loopback(host)
        refuse_exposure(host, [], False)
    for host in ("0.0.0.0", "::", "192.168.0.5", "my.machine"):
        with pytest.raises(ConfigError, match="--api-key"):
            refuse_exposure(host, [], False)
        refuse_exposure(host, ["key"], False)
        refuse_exposure(host, [], True)
    with pytest.raises(ConfigError, match="empty"):
        refuse_exposure("127.0.0.1", [" "], False)


def test_a_model_keeps_its_own_name_and_shares_it_with_none(folder: Path) -> None:
    first, second = opened(folder, "tiny"), opened(folder, "deepseek-chat")
    models = Models([first, second])
    assert models.find("deepseek-chat") == (second, False)
    assert models.find("deepseek-r1") == (first, True)
    with pytest.raises(ConfigError, match="would be called tiny"):
        Models([first, first])


def test_extreme_but_legal_numbers_are_answered(server: Server) -> None:
    for field, values in {
        "temperature": (0, 5e-324, 1e-300, 1e-5, 2),
        "top_p": (0, 5e-324, 1e-30, 1e-9, 1),
        "top_k": (-1, 0, 1, 2**70),
        "seed": (-(2**63), 2**63 - 1, 0),
        "max_tokens": (1, 2, 3.0),
    }.items():
        for value in values:
            fields: dict[str, Any] = {"max_tokens": 3, "n": 2, field: value}
            response = server.ask(**fields)
            assert response.status_code == 200, (field, value, response.text)


def counted(server: Server, status: int) -> float:
    actual = f'r1_requests_total{{status="{status}"}} '
    lines = server.client.get("/metrics").text.split("\n")
    return sum(float(line.removeprefix(actual)) for line in lines if line.startswith(actual))


def wait_for_count(server: Server, status: int, number: float) -> None:
    """A request is counted when everything has been sent, a moment after the client has it."""
    end = time.monotonic() + 10
    while counted(server, status) != number:
        assert time.monotonic() < end, (status, counted(server, status), number)
        time.sleep(0.02)


def test_every_refusal_is_counted(server: Server) -> None:
    post = server.client.post
    before = {status: counted(server, status) for status in (400, 404, 413)}
    for path in ("/v1/chat/completions", "/completions", "/beta/responses"):
        post(path, content=b"{")
        post(path, json={"model": "tiny"})
        post(path, content=json.dumps({"model": "tiny", "user": "\ud83d"}).encode())
        post(path, content=b" " * 3_000_001)
    post("/v1/chat/completions", json={"model": "no such", "messages": [USER]})
    server.client.get("/v1/models/none")
    wait_for_count(server, 400, before[400] + 9)
    wait_for_count(server, 404, before[404] + 1)
    wait_for_count(server, 413, before[413] + 3)


@pytest.mark.parametrize("stream", [False, True])
def test_a_bug_is_told_counted_and_logged(
    server: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, stream: bool
) -> None:
    """Of ours, in the middle of an answer: no stream is cut, no status lies in the numbers."""

    def fails(*_: Any) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr("r1kit.serve.wire.ChatWriter.chunks", fails)
    monkeypatch.setattr("r1kit.serve.wire.ChatWriter.whole", fails)
    before = counted(server, 500)
    answer = server.ask(stream=stream)
    assert answer.status_code == (200 if stream else 500)
    assert "Something unexpected happened (ZeroDivisionError)." in answer.text
    assert answer.text.endswith("data: [DONE]\n\n") is stream
    wait_for_count(server, 500, before + 1)
    assert "ZeroDivisionError" in caplog.text
    server.wait_idle()


def test_embeddings_are_refused_in_a_sentence(server: Server) -> None:
    bodies: list[Any] = [{"model": "tiny", "input": "x"}, [], {}]
    for body in bodies:
        answer = server.client.post("/v1/embeddings", json=body)
        assert answer.status_code == 400
        assert "Embeddings are not supported" in error_of(answer)["message"]


@pytest.mark.parametrize("route", ["/v1/chat/completions", "/v1/completions", "/v1/responses"])
def test_a_body_that_is_a_list_with_half_a_character_is_refused(server: Server, route: str) -> None:
    headers = {"Content-Type": "application/json"}
    answer = server.client.post(route, content=b'["\\ud83d"]', headers=headers)
    assert answer.status_code == 400
    assert "Half of a surrogate pair" in answer.json()["error"]["message"]
