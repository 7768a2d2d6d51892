"""Streams of servers, of every dialect, and damaged."""

import json

import pytest

from r1kit.engines.openai.choices import pieces, streamed_text
from r1kit.engines.openai.endpoint import Endpoint
from r1kit.errors import EngineError
from r1kit.http.sse import EventReader
from r1kit.renderers.stream_parser import Piece
from r1kit.types import Json, Message, SamplingParams
from tests.servers import Reply, refusal, scripted


def event(finish: str | None = None, **delta: object) -> Json:
    return {"choices": [{"delta": delta, "finish_reason": finish}]}


@pytest.mark.parametrize(
    "events",
    [
        [event(reasoning_content="hm", content=None), event(content="5"), event("stop")],
        [event(reasoning="hm"), event("stop", content="5")],
        [event(content="<thi"), event(content="nk>hm</think>5"), event("stop")],
        [event(role="assistant", content=None, reasoning_content=""), {"choices": []},
         event(reasoning_content="hm"), event(content="5", reasoning_content=None), event("eos")],
    ],
)  # fmt: skip
def test_every_dialect_says_the_same(events: list[Json]) -> None:
    assert list(pieces(events)) == [Piece("thinking", "hm"), Piece("answer", "5"), "stop"]


def test_nonsense_says_nothing() -> None:
    for odd in ({}, {"choices": "x"}, {"choices": [3]}, event(content=3), event(content=["x"])):
        assert streamed_text(odd).content == ""
    [half] = EventReader().feed(b'data: {"choices": [{"delta": {"content": "\\ud83d"}}]}\n')
    assert streamed_text(half).content == "�"
    with pytest.raises(EngineError, match="gave up: no memory"):
        streamed_text({"error": {"message": "no memory."}})


MESSAGES = [Message("user", "x?")]


def test_thinking_is_turned_off_only_when_it_is_asked_for() -> None:
    reply = Reply(f"data: {json.dumps(event('stop', content='5'))}\n\ndata: [DONE]\n\n")
    with scripted([reply]) as server, Endpoint(server.url, "m") as endpoint:
        for thinks in (True, False):
            assert list(endpoint.stream(MESSAGES, SamplingParams(4), 1, thinks)) == [
                Piece("answer", "5"),
                "stop",
            ]
    first, second = server.requests
    assert first["stream"] is True
    assert "thinking" not in first
    assert second["thinking"] == {"type": "disabled"}


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (Reply(f"data: {json.dumps(event(content='5'))}\n\n"), "ended in the middle"),
        (refusal(401, "who are you"), "who are you"),
        (refusal(503, "too busy"), "too busy"),
        (refusal(400, "no such field"), "no such field"),
    ],
)
def test_a_stream_that_is_no_whole_answer_is_a_sentence(reply: Reply, why: str) -> None:
    with (
        scripted([reply]) as server,
        Endpoint(server.url, "m", "sk-secret") as endpoint,
        pytest.raises(EngineError, match=why) as caught,
    ):
        list(endpoint.stream(MESSAGES, SamplingParams(4), 1))
    assert "sk-secret" not in str(caught.value)
