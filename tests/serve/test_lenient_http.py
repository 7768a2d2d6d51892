"""What careless and old clients send: slashes, HEAD, HTTP/1.0, compressed bodies."""

import gzip
import json
import socket
from typing import Any

import openai
import pytest

from tests.serve.conftest import Server

CHAT: dict[str, Any] = {
    "model": "tiny", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 4, "seed": 1,
}  # fmt: skip


def raw(server: Server, request: bytes) -> bytes:
    """Everything that comes back until the server closes the connection."""
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(request)
        parts = []
        while part := connection.recv(65536):
            parts.append(part)
    return b"".join(parts)


def old_post(path: str, body: dict[str, Any], host: str = "") -> bytes:
    data = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.0\r\n{host}Content-Type: application/json\r\n"
    return f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data


@pytest.mark.parametrize("base", ["//v1", "/v1//", "/v1/", "//beta//", ""])
def test_slashes_too_many_do_not_matter(server: Server, base: str) -> None:
    with openai.OpenAI(base_url=f"{server.url}{base}", api_key="none", max_retries=0) as client:
        assert client.chat.completions.create(**CHAT).choices
        assert client.models.list().data[0].id == "tiny"
    for path in (f"{base}/models/", f"{base}//models", f"{base}/models//tiny/"):
        assert server.client.get(f"{server.url}{path}").status_code == 200, path
    assert server.client.get("/v2/models/").status_code == 404


def test_the_models_of_another_name_are_still_not_found(server: Server) -> None:
    assert server.client.get("/v1/models/none").json()["error"]["code"] == "model_not_found"


@pytest.mark.parametrize("path", ["/health", "/v1/models", "/metrics", "/openapi.json"])
def test_head_is_get_without_a_body(server: Server, path: str) -> None:
    head, get = server.client.head(path), server.client.get(path)
    assert head.status_code == get.status_code == 200
    assert not head.content
    assert head.headers["content-type"] == get.headers["content-type"]
    assert server.client.head("/v1/chat/completions").status_code == 405


@pytest.mark.parametrize("host", ["", "Host: 127.0.0.1\r\n"])
def test_http_1_0_gets_a_stream_without_chunks(server: Server, host: str) -> None:
    answer = raw(server, old_post("/v1/chat/completions", {**CHAT, "stream": True}, host))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    assert b"transfer-encoding" not in head.lower()
    assert body.startswith(b"data: {")
    assert body.endswith(b"data: [DONE]\n\n")
    assert f"content-length: {len(body)}".encode() in head.lower()


def test_a_strange_host_is_refused_whatever_the_version(server: Server) -> None:
    answer = raw(server, old_post("/v1/chat/completions", CHAT, "Host: evil.example\r\n"))
    assert answer.startswith(b"HTTP/1.1 403")
    assert raw(server, b"GET /v1/models HTTP/1.1\r\nConnection: close\r\n\r\n").startswith(
        b"HTTP/1.1 403"
    )


def test_a_compressed_body_is_refused_by_name(server: Server) -> None:
    data, headers = gzip.compress(json.dumps(CHAT).encode()), {"Content-Encoding": "gzip"}
    answer = server.client.post("/v1/chat/completions", content=data, headers=headers)
    assert answer.status_code == 415
    assert "Content-Encoding" in answer.json()["error"]["message"]
    headers = {"Content-Encoding": "identity", "Content-Type": "application/json"}
    whole = json.dumps(CHAT).encode()
    assert server.client.post("/v1/chat/completions", content=whole, headers=headers).json()


def test_every_refusal_is_counted(server: Server) -> None:
    def counts() -> dict[str, float]:
        lines = server.client.get("/metrics").text.splitlines()
        rows = [line.split() for line in lines if line.startswith("r1_requests_total{")]
        return {row[0].split('"')[1]: float(row[1]) for row in rows}

    before = counts()
    refused: list[tuple[str, dict[str, Any]]] = [
        ("400", {**CHAT, "stop": 5}), ("400", {**CHAT, "no_such": 1}),
        ("404", {**CHAT, "model": "x"}), ("400", {**CHAT, "messages": []}),
        ("400", {"model": "tiny"}),
    ]  # fmt: skip
    for path in ("/v1/chat/completions", "//v1/chat/completions/"):
        for status, body in refused:
            assert server.client.post(path, json=body).status_code == int(status)
        compressed = server.client.post(path, content=b"x", headers={"Content-Encoding": "br"})
        assert compressed.status_code == 415
    assert server.client.post("/v1/fim/completions", json={}).status_code == 400
    expected = {"400": 9, "404": 2, "415": 2}
    now = counts()
    assert {s: now[s] - before.get(s, 0) for s in expected} == expected


def test_a_stream_says_which_weights_and_leaves_no_content_null(server: Server) -> None:
    whole = server.ask(max_tokens=3).json()
    assert whole["system_fingerprint"].startswith("fp_")
    assert whole["choices"][0]["message"]["content"] == ""
    lines = server.ask(max_tokens=3, stream=True).text.splitlines()
    parts = [json.loads(line[6:]) for line in lines if line.startswith("data: {")]
    assert {part["system_fingerprint"] for part in parts} == {whole["system_fingerprint"]}
    contents = [part["choices"][0]["delta"].get("content") for part in parts]
    assert contents[-1] == ""
    assert "openai-processing-ms" in server.ask(max_tokens=1).headers
