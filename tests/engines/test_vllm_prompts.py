"""What the vLLM engine asks and reads of a prompt that is scored."""

from collections.abc import Iterator
from typing import Any

import pytest

from r1kit.engines.base import RequestState
from r1kit.engines.vllm.engine import VllmEngine
from r1kit.types import Request, SamplingParams
from tests.servers import Body, Reply, scripted


@pytest.fixture
def asked() -> list[Body]:
    return []


@pytest.fixture
def engine(byte_tokenizer: Any, asked: list[Body]) -> Iterator[VllmEngine]:
    """On a server that answers in vLLM's form: prompt_logprobs by token id, no stream."""

    def answer(_: int, body: Body) -> Reply:
        asked.append(body)
        scored = [
            None,
            {"2": {"logprob": -0.5, "rank": 1}},
            {"9": {"logprob": -0.25, "rank": 1}, "3": {"logprob": -4.5, "rank": 7}},
        ]
        choice: Body = {"text": "a", "token_ids": [65], "finish_reason": "length",
                        "logprobs": {"token_logprobs": [-1.0]}}  # fmt: skip
        return Reply({"choices": [choice | {"prompt_logprobs": scored}]})

    with scripted(answer) as server:
        engine = VllmEngine(server.url.removesuffix("/v1"), "m", "key", byte_tokenizer,
                            vocab_size=258, eos_ids={257}, max_positions=256)  # fmt: skip
        yield engine
        engine.close()


def _finished(engine: VllmEngine, request: Request) -> RequestState:
    state = engine.submit(request)
    while state.n_left:
        engine.step()
    return state


@pytest.mark.parametrize("max_tokens", [0, 1])
def test_it_is_scored_in_a_whole_answer(
    engine: VllmEngine, asked: list[Body], max_tokens: int
) -> None:
    request = Request([1, 2, 3], 1, SamplingParams(max_tokens), 7, n_prompt_top=1)
    state = _finished(engine, request)
    assert state.prompt_logprobs == ([-0.5, -4.5], [[(2, -0.5)], [(9, -0.25)]])
    [completion] = state.results()
    assert completion.token_ids == [65] * max_tokens
    assert completion.finish == "length"
    [body] = asked
    assert (body["prompt_logprobs"], body["max_tokens"]) == (1, 1)
    assert "stream" not in body


def test_others_are_streamed_as_before(engine: VllmEngine) -> None:
    completion = RequestState(Request([1, 2], 2, SamplingParams(4), 7))
    remote = engine.submit(completion.request)
    body = engine._body(engine._remote_completions[remote][0])
    assert body["stream"]
    assert "prompt_logprobs" not in body
    engine.abort(remote)
