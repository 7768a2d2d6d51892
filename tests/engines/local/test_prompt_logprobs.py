"""Log-probabilities of prompts: those of transformers, whatever else the engine does."""

import dataclasses
from typing import Any

import pytest
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from r1kit.engines.base import RequestState, generate
from r1kit.engines.local import LocalEngine
from r1kit.errors import EngineError
from r1kit.types import Request, SamplingParams

PROMPT = [256, *(i * 37 % 251 for i in range(90))]


def _scored(engine: LocalEngine, *requests: Request) -> list[RequestState]:
    states = [engine.submit(request) for request in requests]
    while any(state.n_left for state in states):
        engine.step()
    return states


def _reference(model: PreTrainedModel, ids: list[int]) -> torch.Tensor:
    """transformers' own forward pass, without any of ours."""
    with torch.no_grad():
        logits: torch.Tensor = model(torch.tensor([ids])).logits[0, :-1]
    return logits.float().log_softmax(-1)


@pytest.mark.parametrize("max_scored", [1, 7, 512])
def test_they_are_those_of_transformers(
    any_model: PreTrainedModel, byte_tokenizer: PreTrainedTokenizerFast, max_scored: int
) -> None:
    expected = _reference(any_model, PROMPT)
    engine = LocalEngine(any_model, byte_tokenizer, max_num_seqs=4, prefix_tokens=1024)
    engine._prefill._max_scored = max_scored
    generate(engine, [Request(PROMPT, 1, SamplingParams(2), 1)])  # now a prefix is cached
    state = _scored(engine, Request(PROMPT, 1, SamplingParams(0), 1, n_prompt_top=3))[0]
    assert state.prompt_logprobs is not None
    logprobs, tops = state.prompt_logprobs
    by_token = expected.gather(1, torch.tensor(PROMPT[1:])[:, None])[:, 0].tolist()
    assert logprobs == pytest.approx(by_token, abs=1e-4)
    assert sum(logprobs) == pytest.approx(sum(by_token), abs=1e-3)
    assert [[token for token, _ in top] for top in tops] == expected.topk(3).indices.tolist()
    for token, logprob, top in zip(PROMPT[1:], logprobs, tops, strict=True):
        assert dict(top).get(token, logprob) == logprob, "to the bit: evaluators compare"
    assert state.results()[0].token_ids == []
    assert state.results()[0].finish == "length"


def test_completions_are_the_same_with_and_without(
    any_model: PreTrainedModel, byte_tokenizer: PreTrainedTokenizerFast
) -> None:
    plain = Request(PROMPT, 3, SamplingParams(12, temperature=0.0), 5)
    engine = LocalEngine(any_model, byte_tokenizer, max_num_seqs=4)
    [expected] = generate(engine, [plain])
    state = _scored(engine, dataclasses.replace(plain, n_prompt_top=0))[0]
    assert [c.token_ids for c in state.results()] == [c.token_ids for c in expected]
    assert state.prompt_logprobs is not None
    assert not state.prompt_logprobs.tops
    assert len(state.prompt_logprobs.logprobs) == len(PROMPT) - 1


def test_a_prompt_of_one_token_has_none(
    model: PreTrainedModel, byte_tokenizer: PreTrainedTokenizerFast
) -> None:
    engine = LocalEngine(model, byte_tokenizer, max_num_seqs=4)
    state = _scored(engine, Request([5], 2, SamplingParams(0), 1, n_prompt_top=1))[0]
    assert state.prompt_logprobs == ([], [])
    assert not engine._scheduler.requests
    assert engine._slots.n == 0


def test_nothing_is_sampled_only_where_a_prompt_is_scored(
    model: PreTrainedModel, byte_tokenizer: PreTrainedTokenizerFast
) -> None:
    engine = LocalEngine(model, byte_tokenizer, max_num_seqs=4)
    with pytest.raises(EngineError, match="max_tokens"):
        engine.submit(Request([5], 1, SamplingParams(0), 1))
    with pytest.raises(EngineError, match="n_top"):
        engine.submit(Request([5], 1, SamplingParams(1), 1, n_prompt_top=999))


def test_logits_never_stand_for_a_whole_prompt(
    model: PreTrainedModel, byte_tokenizer: PreTrainedTokenizerFast, monkeypatch: Any
) -> None:
    engine = LocalEngine(model, byte_tokenizer, max_num_seqs=4)
    engine._prefill._max_scored = 8
    read, sizes = engine._inference.read_scored, []

    def watched(ids: list[int], before: Any) -> Any:
        sizes.append(len(ids))
        return read(ids, before)

    monkeypatch.setattr(engine._inference, "read_scored", watched)
    _scored(engine, Request(PROMPT, 1, SamplingParams(0), 1, n_prompt_top=0))
    assert sum(sizes) == len(PROMPT) - 1
    assert max(sizes) == 8
