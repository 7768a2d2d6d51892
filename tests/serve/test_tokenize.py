"""`/tokenize` and `/detokenize`, in the form of vLLM's API."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from r1kit.renderers import renderer_of
from r1kit.renderers.r1kit import EOS
from r1kit.serve.proxy import open_front
from r1kit.types import Message
from tests.hostile import HALF, as_bytes
from tests.serve.conftest import LIMITS, Server, opened, running
from tests.serve.test_front import before
from tests.servers import Reply

QUESTION = [{"role": "user", "content": "7x + 3 = 38"}]


def tokenize(server: Server, **fields: Any) -> Any:
    answer = server.client.post("/tokenize", json=fields)
    assert answer.status_code == 200, answer.text
    return answer.json()


def text(server: Server, tokens: list[int]) -> str:
    answer = server.client.post("/v1/detokenize", json={"model": "tiny", "tokens": tokens})
    assert answer.status_code == 200, answer.text
    prompt: str = answer.json()["prompt"]
    return prompt


@settings(max_examples=60, derandomize=True, database=None,
          suppress_health_check=list(HealthCheck))  # fmt: skip
@given(st.text(max_size=40) | st.sampled_from(["</think>", EOS, "<｜User｜>x", "a\0b"]))
def test_a_text_comes_back_and_never_becomes_a_control_token(server: Server, words: str) -> None:
    tokens = tokenize(server, prompt=words, add_special_tokens=False)["tokens"]
    assert text(server, tokens) == words
    tokenizer: Any = server.one.decoder
    assert not set(tokens) & set(tokenizer.get_added_vocab().values())


def test_the_tokens_are_those_of_the_renderer(server: Server) -> None:
    tokenizer: Any = server.one.decoder
    renderer = renderer_of(tokenizer)
    told = tokenize(server, prompt="7x + 3", return_token_strs=True)
    assert told["tokens"] == renderer.encode_prompt("7x + 3")
    assert told["token_strs"] == tokenizer.convert_ids_to_tokens(told["tokens"])
    assert (told["count"], told["max_model_len"]) == (len(told["tokens"]), 512)
    bare = tokenize(server, prompt="7x + 3", add_special_tokens=False)
    assert bare["tokens"] == told["tokens"][1:]
    assert bare["token_strs"] is None
    for thinks in (True, False):
        options = {"enable_thinking": thinks}
        told = tokenize(server, messages=QUESTION, chat_template_kwargs=options)
        expected = renderer.continuation_prompt([Message("user", "7x + 3 = 38")], thinks)
        assert told["tokens"] == expected.ids


@pytest.mark.parametrize("fields", [
    {}, {"thinking": {"type": "disabled"}},
    {"messages": [*QUESTION, {"role": "assistant", "content": "x ="}]},
])  # fmt: skip
def test_a_count_is_what_an_answer_reports(server: Server, fields: dict[str, Any]) -> None:
    fields = {"messages": QUESTION, **fields}
    usage = server.ask(**fields, max_tokens=2).json()["usage"]
    assert tokenize(server, **fields)["count"] == usage["prompt_tokens"]
    told = tokenize(server, prompt="7x + 3")
    body = {"model": "tiny", "prompt": told["tokens"], "max_tokens": 1}
    usage = server.client.post("/v1/completions", json=body).json()["usage"]
    assert usage["prompt_tokens"] == told["count"]


def test_a_prompt_that_is_too_long_is_still_counted(server: Server) -> None:
    assert tokenize(server, prompt="x + 3 " * 900)["count"] > 512


@pytest.mark.parametrize(
    ("route", "fields", "param"),
    [
        ("tokenize", {}, "prompt"),
        ("tokenize", {"prompt": "a", "messages": QUESTION}, "prompt"),
        ("tokenize", {"prompt": 5}, "prompt"),
        ("tokenize", {"prompt": "x" * 400_001}, "prompt"),
        ("tokenize", {"prompt": HALF}, "prompt"),
        ("tokenize", {"messages": []}, "messages"),
        ("tokenize", {"messages": QUESTION, "tools": [{}]}, "tools"),
        ("tokenize", {"prompt": "a", "model": "none"}, "model"),
        ("detokenize", {}, "tokens"),
        ("detokenize", {"tokens": [-1]}, "tokens[0]"),
        ("detokenize", {"tokens": [10**6]}, "tokens"),
        ("detokenize", {"tokens": ["a"]}, "tokens[0]"),
    ],
)
def test_what_cannot_be_is_refused_by_its_field(
    server: Server, route: str, fields: dict[str, Any], param: str
) -> None:
    answer = server.client.post(
        f"/{route}", content=as_bytes(fields), headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == (404 if param == "model" else 400), answer.text
    assert answer.json()["error"]["param"] == param


def test_every_id_of_the_vocabulary_has_a_text(server: Server) -> None:
    size = server.one._vocab_size
    assert text(server, list(range(size)))
    assert text(server, []) == ""


@pytest.fixture(scope="module")
def front(folder: Path) -> Iterator[Server]:
    with (
        running([opened(folder)]) as behind,
        running(open_front(f"{behind.url}/v1", None, LIMITS)) as one,
    ):
        yield one


@pytest.mark.parametrize("fields", [
    {"prompt": "7x", "return_token_strs": True}, {"prompt": "7x", "add_special_tokens": False},
    {"messages": QUESTION}, {"messages": QUESTION, "enable_thinking": False},
])  # fmt: skip
def test_in_front_it_is_what_behind_says(
    server: Server, front: Server, fields: dict[str, Any]
) -> None:
    assert tokenize(front, **fields) == tokenize(server, **fields)
    assert text(front, [0, 27, 92]) == text(server, [0, 27, 92])


@pytest.mark.parametrize(
    ("reply", "status"),
    [
        (Reply({"detail": "Not Found"}, status=404), 404),
        (Reply({"count": "3"}), 502),
        (Reply({"count": 3, "tokens": None}), 502),
        (Reply("no json"), 502),
        (Reply({"error": {"message": "too long", "param": "prompt"}}, status=400), 400),
    ],
)
def test_a_server_behind_that_cannot_count_is_no_fault_of_ours(reply: Reply, status: int) -> None:
    with before(reply) as one:
        answer = one.client.post("/tokenize", json={"prompt": "7x"})
        assert answer.status_code == status, answer.text
        assert answer.json()["error"]["message"].endswith(".")
