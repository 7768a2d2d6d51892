"""The test double keeps the contract of a real engine."""

import pytest
from transformers import PreTrainedTokenizerFast

from r1kit.engines.base import Sampler, generate
from r1kit.engines.scripted import ScriptedEngine
from r1kit.errors import EngineError
from r1kit.types import Completion, Request, SamplingParams


def _engine(byte_tokenizer: PreTrainedTokenizerFast) -> ScriptedEngine:
    return ScriptedEngine(lambda request, i: f"{len(request.prompt_ids)} {i} 가", byte_tokenizer)


def test_it_says_what_the_script_says(byte_tokenizer: PreTrainedTokenizerFast) -> None:
    engine = _engine(byte_tokenizer)
    engine.publish(4)
    sampler: Sampler = engine
    handed: list[tuple[int, list[Completion]]] = []
    groups = generate(
        sampler,
        [Request([1, 2], 2, SamplingParams(30), 0), Request([3], 1, SamplingParams(30), 0)],
        lambda index, group: handed.append((index, group)),
    )
    assert [[c.text for c in group] for group in groups] == [["2 0 가", "2 1 가"], ["1 0 가"]]
    assert handed == list(enumerate(groups))
    [last] = groups[1]
    assert last.token_ids == [*byte_tokenizer.encode("1 0 가"), byte_tokenizer.eos_token_id]
    assert last.logprobs == [0.0] * 8
    assert (last.finish, last.policy_version) == ("stop", 4)
    assert (engine.counters.prompt_tokens, engine.counters.completion_tokens) == (3, 24)


def test_long_answers_are_cut(byte_tokenizer: PreTrainedTokenizerFast) -> None:
    [[cut]] = generate(_engine(byte_tokenizer), [Request([1], 1, SamplingParams(3), 0)])
    assert (cut.text, cut.finish, len(cut.token_ids)) == ("1 0", "length", 3)


def test_stop_strings_cut(byte_tokenizer: PreTrainedTokenizerFast) -> None:
    request = Request([1], 1, SamplingParams(30, stop=(" 0",)), 0)
    [[cut]] = generate(_engine(byte_tokenizer), [request])
    assert (cut.text, cut.finish, len(cut.token_ids)) == ("1", "stop", 3)


def test_it_refuses_what_every_engine_refuses(byte_tokenizer: PreTrainedTokenizerFast) -> None:
    with pytest.raises(EngineError, match="empty"):
        generate(_engine(byte_tokenizer), [Request([], 1, SamplingParams(3), 0)])
