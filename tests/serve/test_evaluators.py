"""`/v1/completions` as evaluators send it: scores of prompts, lists of prompts, gaps to fill."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch
from tokenizers import AddedToken

from r1kit.engines.local import LocalEngine
from r1kit.model import checkpoint
from r1kit.renderers import renderer_of
from tests.serve.conftest import Server, opened, running
from tests.serve.test_api import chunks

TEXT = "7x + 3 = 38, 다시 😀 the answer is 5"
FILLERS = ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>")


def complete(server: Server, **fields: Any) -> httpx.Response:
    body = {"model": "tiny", "max_tokens": 5, "seed": 5, **fields}
    return server.client.post("/v1/completions", json=body)


def choices(server: Server, **fields: Any) -> list[Any]:
    answer = complete(server, **fields)
    assert answer.status_code == 200, answer.text
    found: list[Any] = answer.json()["choices"]
    return found


def reference(server: Server, ids: list[int]) -> torch.Tensor:
    """transformers' own log-probabilities of the tokens after the first, [P - 1, V]."""
    engine = server.one.engine_loop.engine
    assert isinstance(engine, LocalEngine)
    with torch.no_grad():
        logits: torch.Tensor = engine.model(torch.tensor([ids])).logits[0, :-1]
    return logits.float().log_softmax(-1)


def encoded(server: Server, text: str) -> list[int]:
    return renderer_of(server.one.decoder).encode_prompt(text)


def test_a_prompt_is_scored_as_transformers_scores_it(server: Server) -> None:
    ids = encoded(server, TEXT)
    expected = reference(server, ids)
    by_token = expected.gather(1, torch.tensor(ids[1:])[:, None])[:, 0].tolist()
    fields: dict[str, Any] = {"echo": True, "logprobs": 2, "temperature": 0}
    [by_text] = choices(server, prompt=TEXT, max_tokens=0, **fields)
    [by_ids] = choices(server, prompt=ids, max_tokens=0, **fields)
    [longer] = choices(server, prompt=[ids], max_tokens=1, **fields)
    for choice in (by_text, by_ids, longer):
        first, *logprobs = choice["logprobs"]["token_logprobs"]
        assert first is None
        assert logprobs[: len(ids) - 1] == pytest.approx(by_token, abs=1e-4)
        tops = choice["logprobs"]["top_logprobs"]
        assert tops[0] is None
        best = [max(top.values()) for top in tops[1 : len(ids)]]
        assert best == pytest.approx(expected.amax(-1).tolist(), abs=1e-4)
        for logprob, top in zip(logprobs, tops[1:], strict=True):
            assert logprob in top.values(), "to the bit: evaluators compare"
    assert by_text["text"] == by_ids["text"] == TEXT
    assert by_text["finish_reason"] == "length"
    assert longer["text"].startswith(TEXT)
    assert len(longer["logprobs"]["tokens"]) == len(ids) + 1


def test_nothing_is_sampled_with_max_tokens_0(server: Server) -> None:
    usage = complete(server, prompt=TEXT, max_tokens=0, echo=True).json()["usage"]
    assert usage["completion_tokens"] == 0
    assert usage["prompt_tokens"] == len(encoded(server, TEXT))
    assert complete(server, prompt=[5] * 512, max_tokens=0, echo=True).status_code == 200
    server.wait_idle()


def test_minus_one_is_no_limit_and_no_limit_is_sixteen(server: Server) -> None:
    counts = [
        complete(server, prompt=[5] * 400, ignore_eos=True, **fields).json()["usage"]
        for fields in ({"max_tokens": -1}, {"max_tokens": None})
    ]
    assert [usage["completion_tokens"] for usage in counts] == [112, 16]


def test_offsets_point_into_the_text(server: Server) -> None:
    [choice] = choices(server, prompt="7x + 3 = 38", echo=True, logprobs=0, max_tokens=0)
    logprobs = choice["logprobs"]
    for token, offset in list(zip(logprobs["tokens"], logprobs["text_offset"], strict=True))[1:]:
        assert choice["text"][offset:].startswith(token)
    assert logprobs["text_offset"][:2] == [0, 0], "BOS is not in the text"


@pytest.mark.parametrize("fields", [{}, {"n": 2}, {"echo": True, "logprobs": 1}])
def test_prompts_of_a_list_are_completed_as_alone(server: Server, fields: dict[str, Any]) -> None:
    texts = ["7x + 3", "the answer", "안녕"]
    alone = [choice for text in texts for choice in choices(server, prompt=text, **fields)]
    together = choices(server, prompt=texts, **fields)
    by_ids = choices(server, prompt=[encoded(server, text) for text in texts], **fields)
    assert [choice["index"] for choice in together] == list(range(len(alone)))
    for index, choice in enumerate(alone):
        expected = {**choice, "index": index}
        assert together[index]["text"] == by_ids[index]["text"] == expected["text"]
        assert together[index]["finish_reason"] == expected["finish_reason"]


def test_a_stream_says_what_the_whole_answer_says(server: Server) -> None:
    fields: dict[str, Any] = {"prompt": ["7x + 3", "wait"], "n": 2, "echo": True, "logprobs": 1}
    whole = choices(server, **fields)
    parts = chunks(complete(server, stream=True, **fields))
    for index, choice in enumerate(whole):
        own = [c for part in parts for c in part["choices"] if c["index"] == index]
        assert "".join(c["text"] for c in own) == choice["text"]
        for key in ("tokens", "token_logprobs", "text_offset"):
            streamed = [x for c in own if c["logprobs"] for x in c["logprobs"][key]]
            if key == "token_logprobs":
                assert streamed[0] is None
                assert streamed[1:] == pytest.approx(choice["logprobs"][key][1:], abs=1e-4)
            else:
                assert streamed == choice["logprobs"][key]
        assert own[-1]["finish_reason"] == choice["finish_reason"]


def test_best_of_returns_the_likeliest(server: Server) -> None:
    fields: dict[str, Any] = {"prompt": ["7x", "wait"], "temperature": 1.5}
    sampled = choices(server, n=6, logprobs=0, **fields)
    best = choices(server, best_of=6, n=2, **fields)
    assert [choice["index"] for choice in best] == [0, 1, 2, 3]
    assert all(choice["logprobs"] is None for choice in best)

    def mean(choice: Any) -> float:
        logprobs = choice["logprobs"]["token_logprobs"]
        return float(sum(logprobs) / len(logprobs))

    for prompt in range(2):
        own = sorted(sampled[6 * prompt : 6 * prompt + 6], key=mean, reverse=True)
        expected = [choice["text"] for choice in own[:2]]
        assert [choice["text"] for choice in best[2 * prompt : 2 * prompt + 2]] == expected
    usage = complete(server, best_of=6, **fields).json()["usage"]
    assert usage["completion_tokens"] == 60, "all that were sampled"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"best_of": 2, "n": 3}, "best_of"),
        ({"best_of": 2, "stream": True}, "best_of"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"suffix": "x"}, "suffix"),
        ({"suffix": "x", "echo": True}, "echo"),
        ({"prompt": ["a"] * 257}, "prompt"),
        ({"prompt": ["a"] * 40, "n": 8}, "prompt"),
        ({"prompt": ["a", [5]], "best_of": 8, "n": 8, "temperature": 0}, None),
        ({"prompt": ["a", 5]}, "prompt"),
        ({"prompt": [[5], []]}, "prompt"),
        ({"prompt": [[5], [10**6]]}, "prompt"),
        ({"prompt": [True]}, "prompt"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(
    server: Server, fields: dict[str, Any], param: str | None
) -> None:
    answer = complete(server, **{"prompt": "7x", **fields})
    assert answer.status_code == (200 if param is None else 400), answer.text
    assert param is None or answer.json()["error"]["param"] == param
    server.wait_idle()


@pytest.fixture(scope="module")
def filling(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A model whose tokenizer has Qwen's tokens for a gap."""
    model, tokenizer = checkpoint.load(folder, device="cpu")
    tokenizer.add_tokens([AddedToken(token, special=True) for token in FILLERS])
    model.resize_token_embeddings(len(tokenizer))
    path = tmp_path_factory.mktemp("filling") / "tiny"
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)
    with running([opened(path)]) as running_server:
        yield running_server


def test_a_gap_is_filled_by_every_spelling(filling: Server) -> None:
    tokenizer = filling.one.decoder
    renderer = renderer_of(tokenizer)
    before, after, middle = tokenizer.convert_tokens_to_ids(list(FILLERS))
    bos, *text = renderer.encode_prompt("x = ")
    ids = [bos, before, *text, after, *renderer.encode_text(" + 3"), middle]
    expected = choices(filling, prompt=ids)[0]["text"]
    assert choices(filling, prompt="x = ", suffix=" + 3")[0]["text"] == expected
    body = {"model": "tiny", "prompt": "x = ", "suffix": " + 3", "max_tokens": 5, "seed": 5}
    for path in ("/beta/completions", "/v1/beta/completions"):
        assert filling.client.post(path, json=body).json()["choices"][0]["text"] == expected
    chat = filling.client.post("/v1/fim/completions", json=body).json()
    assert chat["choices"][0]["message"]["content"] == expected
    assert chat["object"] == "chat.completion"
    streamed = filling.client.post("/v1/fim/completions", json={**body, "stream": True})
    deltas = [part["choices"][0]["delta"] for part in chunks(streamed)]
    assert "".join(delta.get("content") or "" for delta in deltas) == expected
    plain = choices(filling, prompt="x = ", suffix="")[0]["text"]
    assert plain == choices(filling, prompt="x = ")[0]["text"], "an empty suffix is none"


def test_a_request_without_these_fields_asks_the_engine_as_before(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine: Any = server.one.engine_loop.engine
    monkeypatch.setattr(engine._inference, "read_scored", None)
    assert choices(server, prompt=TEXT, logprobs=1)[0]["logprobs"] is not None
    assert json.loads(server.ask().text)["choices"]
