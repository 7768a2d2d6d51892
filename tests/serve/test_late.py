"""An error after blank lines and a status of 200: every client takes it for one."""

import json
import shutil
import subprocess
import time
from collections import deque
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import anthropic
import httpx
import openai
import pytest

from r1kit.serve.limits import ServeLimits
from tests.serve.conftest import Server, opened, running

LIMITS = ServeLimits(total_timeout_s=0.8, keepalive_s=0.1)
BODY: dict[str, Any] = {"model": "tiny", "messages": [{"role": "user", "content": "hi"}],
                        "max_tokens": 400}  # fmt: skip
SENTENCE = "The answer took longer than 0.8 s; lower max_tokens."


@pytest.fixture(scope="module")
def slow(folder: Path) -> Iterator[Server]:
    """Every answer is too long for its time."""
    served = opened(folder, limits=LIMITS)
    engine: Any = served.engine_loop.engine
    step = engine.step

    def slowly() -> Any:
        time.sleep(0.05)
        return step()

    engine.step = slowly
    with running([served], LIMITS) as server:
        yield server


@pytest.mark.parametrize("route", ["chat", "responses"])
@pytest.mark.parametrize("retries", [0, 2])
def test_openais_client_has_an_error_of_its_own(slow: Server, route: str, retries: int) -> None:
    """Asked again it is told which one, and nothing is sampled for that."""
    with openai.OpenAI(base_url=f"{slow.url}/v1", api_key="k", max_retries=retries) as client:
        ask: Any = partial(client.chat.completions.create, **BODY)
        if route == "responses":
            ask = partial(client.responses.create, model="tiny", input="hi", max_output_tokens=400)
        with pytest.raises(openai.APIError) as caught:
            ask()
    if retries:
        assert isinstance(caught.value, openai.InternalServerError)
        assert (caught.value.status_code, caught.value.code) == (504, "timeout")
        assert SENTENCE in str(caught.value)
    else:
        assert isinstance(caught.value, openai.APIConnectionError)
    slow.wait_idle()


def test_anthropics_client_has_one_too_and_pings_before_it(slow: Server) -> None:
    with anthropic.Anthropic(base_url=slow.url, api_key="k", max_retries=2) as client:
        with pytest.raises(anthropic.APIStatusError) as caught:
            client.messages.create(**BODY)
        assert caught.value.status_code == 504
        assert caught.value.body == {
            "type": "error", "error": {"type": "timeout_error", "message": SENTENCE}}  # fmt: skip
    streamed = slow.client.post("/v1/messages", json={**BODY, "stream": True}).text
    assert "keep-alive" not in streamed
    assert '"type":"timeout_error"' in streamed.strip().split("\n\n")[-1]
    slow.wait_idle()


def test_the_body_has_the_error_and_no_end(slow: Server) -> None:
    output = bytearray()
    with slow.client.stream("POST", "/v1/chat/completions", json=BODY) as answer:
        assert answer.status_code == 200
        with pytest.raises(httpx.RemoteProtocolError, match="incomplete"):
            deque(map(output.extend, answer.iter_raw()))
    assert json.loads(output)["error"]["message"] == SENTENCE


def test_it_is_counted_as_what_it_was(slow: Server) -> None:
    def counted() -> float:
        lines = slow.client.get("/metrics").text.split("\n")
        [actual] = [line for line in lines if line.startswith('r1_requests_total{status="504"}')]
        return float(actual.split()[1])

    with pytest.raises(httpx.HTTPError):
        slow.client.post("/v1/chat/completions", json=BODY)
    before = counted()
    slow.client.post("/v1/chat/completions", json={**BODY, "stream": True})
    end = time.monotonic() + 10
    while counted() != before + 1:  # it is counted when everything has been sent
        assert time.monotonic() < end
        time.sleep(0.02)


def test_another_client_is_not_told_of_it(slow: Server) -> None:
    again = {"x-stainless-retry-count": "1"}
    with pytest.raises(httpx.RemoteProtocolError):
        slow.client.post("/v1/chat/completions", json=BODY)
    others: tuple[tuple[dict[str, Any], dict[str, str]], ...] = (
        (BODY, {**again, "Authorization": "Bearer other"}),
        ({**BODY, "seed": 9}, again),
        (BODY, {}),
    )
    for body, headers in others:
        with pytest.raises(httpx.RemoteProtocolError):
            slow.client.post("/v1/chat/completions", json=body, headers=headers)
    answer = slow.client.post("/v1/chat/completions", json=BODY, headers=again)
    assert answer.status_code == 504
    assert answer.headers["x-should-retry"] == "false"


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl on this machine")
def test_curl_shows_the_error_and_fails(slow: Server) -> None:
    url = f"{slow.url}/v1/chat/completions"
    result = subprocess.run(
        ["curl", "-sS", url, "-H", "Content-Type: application/json", "-d", json.dumps(BODY)],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert result.returncode == 18  # a partial transfer
    assert json.loads(result.stdout)["error"]["message"] == SENTENCE
