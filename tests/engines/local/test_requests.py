"""The local engine: how requests come and go, and what they leave behind."""

import dataclasses

import pytest
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from r1kit.engines.base import generate
from r1kit.engines.local import LocalEngine
from r1kit.engines.local.scheduler import PrefillLimits
from r1kit.errors import EngineError
from r1kit.model.logprobs import token_logprobs
from r1kit.types import Completion, Request, SamplingParams
from tests.engines.local.test_engine import PROMPTS, _ids, _requests


def test_the_batch_is_full_while_work_waits_and_shrinks_after(
    model: PreTrainedModel, byte_tokenizer: PreTrainedTokenizerFast
) -> None:
    engine = LocalEngine(model, byte_tokenizer, max_num_seqs=5, eos_ids=range(0, 250, 9))
    states = [engine.submit(request) for request in _requests(n=4)]
    sizes = []
    while any(state.n_left for state in states):
        waiting = sum(state.request.n - state.n_begun for state in states)
        before = engine.counters.completion_tokens
        engine.step()
        rows = engine.counters.completion_tokens - before
        sizes.append(rows)
        running = sum(state.n_left for state in states) - sum(
            j.request.n - j.n_begun for j in states
        )
        assert rows == 5 or waiting < 5
        assert running <= 5
    assert max(sizes) == 5
    assert sizes[-1] < 5
    assert sorted(sizes[-8:], reverse=True) == sizes[-8:]


def test_the_cache_never_exceeds_what_is_needed(
    model: PreTrainedModel, byte_tokenizer: PreTrainedTokenizerFast
) -> None:
    engine = LocalEngine(model, byte_tokenizer, max_num_seqs=6, eos_ids=[])
    generate(engine, _requests(n=1, max_tokens=70))
    assert engine._decoder.cache.length == 100
    assert engine._decoder.cache.rows <= 4
    generate(engine, _requests(n=2, max_tokens=5))
    assert (engine._decoder.cache.rows, engine._decoder.cache.length) == (6, 35)


def test_one_prefill_serves_a_group(
    model: PreTrainedModel, byte_tokenizer: PreTrainedTokenizerFast
) -> None:
    engine = LocalEngine(model, byte_tokenizer, max_num_seqs=2)
    groups = generate(engine, _requests(n=5))
    assert engine.counters.prompt_tokens == sum(map(len, PROMPTS))
    sampled = sum(len(completion.token_ids) for group in groups for completion in group)
    assert engine.counters.completion_tokens == sampled
    assert engine.counters.seconds > 0


def test_groups_are_handed_over_as_they_are_done(
    model: PreTrainedModel, byte_tokenizer: PreTrainedTokenizerFast
) -> None:
    engine = LocalEngine(model, byte_tokenizer, max_num_seqs=4, eos_ids=range(0, 250, 9))
    handed: dict[int, list[Completion]] = {}
    tokens = []

    def on_group(index: int, group: list[Completion]) -> None:
        handed[index] = group
        tokens.append(engine.counters.completion_tokens)

    groups = generate(engine, _requests(), on_group)
    assert [handed[index] for index in range(len(groups))] == groups
    assert tokens[0] < engine.counters.completion_tokens


def test_an_error_of_the_caller_leaves_the_engine_clean(
    model: PreTrainedModel, byte_tokenizer: PreTrainedTokenizerFast
) -> None:
    engine = LocalEngine(model, byte_tokenizer, max_num_seqs=4)
    expected = generate(engine, _requests())

    def fail(index: int, group: list[Completion]) -> None:
        raise KeyError(index)

    with pytest.raises(KeyError):
        generate(engine, _requests(), fail)
    assert generate(engine, _requests()) == expected


def test_published_weights_are_sampled_next(
    model: PreTrainedModel, byte_tokenizer: PreTrainedTokenizerFast
) -> None:
    engine = LocalEngine(model, byte_tokenizer, max_num_seqs=4)
    old = generate(engine, _requests())
    model.requires_grad_(True)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    ids = torch.tensor([1, 2, 3])
    token_logprobs(model, ids, [3], torch.tensor([False, True, True])).sum().backward()
    optimizer.step()
    engine.publish(3)
    new = generate(engine, _requests())
    assert {c.policy_version for group in old for c in group} == {0}
    assert {c.policy_version for group in new for c in group} == {3}
    assert _ids(old) != _ids(new)
    assert new == [
        [dataclasses.replace(c, policy_version=3) for c in group]
        for group in generate(LocalEngine(model, byte_tokenizer, max_num_seqs=4), _requests())
    ]


def test_publishing_forgets_prefixes_read_with_the_old_weights(
    model: PreTrainedModel, byte_tokenizer: PreTrainedTokenizerFast
) -> None:
    engine = LocalEngine(model, byte_tokenizer, max_num_seqs=1)
    first, second = [engine.submit(request) for request in _requests(n=1)[1:3]]
    while first.n_left:
        engine.step()
        assert second.n_begun == 0
        if first.n_left:
            assert engine.sampled_ids(second, 0) == []
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.3)
    engine.publish(1)
    while second.n_left:
        engine.step()
    [[fresh]] = generate(LocalEngine(model, byte_tokenizer, max_num_seqs=1), [second.request])
    assert second.results()[0].token_ids == fresh.token_ids
    assert second.results()[0].policy_version == 1


@pytest.mark.parametrize("n_steps", [0, 2, 6])
def test_a_prompt_that_new_weights_read_again_is_counted_once(
    model: PreTrainedModel, byte_tokenizer: PreTrainedTokenizerFast, n_steps: int
) -> None:
    """Not yet read, half read, and with a completion that still waits for its slot."""
    engine = LocalEngine(model, byte_tokenizer, max_num_seqs=1, eos_ids=[])
    engine._scheduler.limits = PrefillLimits(16, 16)
    state = engine.submit(Request(list(range(70)), 2, SamplingParams(5), 0))
    for _ in range(n_steps):
        engine.step()
    assert state.n_begun == (n_steps == 6)
    engine.publish(1)
    while state.n_left:
        engine.step()
    assert engine.counters.prompt_tokens == 70


def test_sampling_leaves_the_learner_as_it_was(
    model: PreTrainedModel, byte_tokenizer: PreTrainedTokenizerFast
) -> None:
    model.train()
    generate(LocalEngine(model, byte_tokenizer, max_num_seqs=4), _requests())
    assert model.training
    token_logprobs(model, torch.tensor([1, 2]), [2], torch.tensor([False, True])).sum().backward()
    assert all(p.grad is not None for p in model.parameters())


def test_an_aborted_request_ends_and_the_others_go_on(
    model: PreTrainedModel, byte_tokenizer: PreTrainedTokenizerFast
) -> None:
    requests = _requests()
    expected = generate(LocalEngine(model, byte_tokenizer, max_num_seqs=64), requests)
    engine = LocalEngine(model, byte_tokenizer, max_num_seqs=4, eos_ids={257})
    states = [engine.submit(request) for request in requests]
    for _ in range(3):
        engine.step()
    engine.abort(states[0])
    engine.abort(states[3])
    while any(state.n_left for state in states):
        engine.step()
    assert [c.finish for c in states[0].results()] == ["abort"] * 3
    assert [len(c.token_ids) for c in states[0].results()] == [3, 3, 3]
    assert [c.token_ids for c in states[3].results()] == [[], [], []]
    assert states[0].results()[1].token_ids == expected[0][1].token_ids[:3]
    going_on = [states[1].results(), states[2].results()]
    assert _ids(going_on) == _ids(expected[1:3])
    assert [c.finish for c in going_on[0]] == [c.finish for c in expected[1]]
    assert engine.step() == []


def test_a_diverged_model_is_a_sentence(
    model: PreTrainedModel, byte_tokenizer: PreTrainedTokenizerFast
) -> None:
    with torch.no_grad():
        model.get_output_embeddings().weight[3] = torch.nan
    engine = LocalEngine(model, byte_tokenizer, max_num_seqs=4)
    with pytest.raises(EngineError, match="not finite"):
        generate(engine, _requests())


@pytest.mark.parametrize(
    ("request_", "says"),
    [
        (Request([], 1, SamplingParams(5), 0), "empty"),
        (Request([1] * 250, 1, SamplingParams(7), 0), "ends at 256"),
        (Request([1, 258], 1, SamplingParams(5), 0), "0..257"),
        (Request([1, -1], 1, SamplingParams(5), 0), "0..257"),
        (Request([1], 0, SamplingParams(5), 0), "n >= 1"),
        (Request([1], 1, SamplingParams(0), 0), "max_tokens >= 1"),
        (Request([1], 1, SamplingParams(5, temperature=-1.0), 0), "temperature"),
        (Request([1], 1, SamplingParams(5, temperature=float("nan")), 0), "temperature"),
        (Request([1], 1, SamplingParams(5, top_p=0.0), 0), "top_p"),
        (Request([1], 1, SamplingParams(5, top_k=-1), 0), "top_k"),
        (Request([1], 1, SamplingParams(5, stop=("",)), 0), "stop string"),
    ],
)
def test_a_request_that_cannot_be_served_is_a_sentence(
    model: PreTrainedModel, byte_tokenizer: PreTrainedTokenizerFast, request_: Request, says: str
) -> None:
    engine = LocalEngine(model, byte_tokenizer, max_num_seqs=4)
    with pytest.raises(EngineError, match=says):
        generate(engine, [Request([1], 1, SamplingParams(5), 0), request_])
    assert engine.counters.completion_tokens == 0


def test_the_longest_request_fits(
    model: PreTrainedModel, byte_tokenizer: PreTrainedTokenizerFast
) -> None:
    engine = LocalEngine(model, byte_tokenizer, max_num_seqs=1, eos_ids=[])
    [[completion]] = generate(engine, [Request([1] * 250, 1, SamplingParams(6), 0)])
    assert len(completion.token_ids) == 6


def test_one_completion_can_be_cut_and_the_others_go_on(
    model: PreTrainedModel, byte_tokenizer: PreTrainedTokenizerFast
) -> None:
    request = Request([7, 8], 3, SamplingParams(20), 1)
    [alone] = generate(LocalEngine(model, byte_tokenizer, max_num_seqs=4, eos_ids=()), [request])
    engine = LocalEngine(model, byte_tokenizer, max_num_seqs=4, eos_ids=())
    state = engine.submit(request)
    for _ in range(5):
        engine.step()
    so_far = engine.logprobs(state, 1).logprobs
    cut = engine.abort_completion(state, 1)
    assert cut.finish == "abort"
    assert cut.token_ids == alone[1].token_ids[:5] == engine.sampled_ids(state, 1)
    assert cut.logprobs == so_far == engine.logprobs(state, 1).logprobs
    assert so_far == pytest.approx(alone[1].logprobs[:5], abs=1e-5)
    with pytest.raises(EngineError, match="not being sampled"):
        engine.abort_completion(state, 1)
    while state.n_left:
        engine.step()
    assert [c.token_ids for c in state.results()[::2]] == [c.token_ids for c in alone[::2]]


def test_a_request_ahead_begins_before_those_that_wait(
    model: PreTrainedModel, byte_tokenizer: PreTrainedTokenizerFast
) -> None:
    law = SamplingParams(6)
    engine = LocalEngine(model, byte_tokenizer, max_num_seqs=1, eos_ids=())
    states = [engine.submit(Request([7], 3, law, 0)), engine.submit(Request([8], 1, law, 1))]
    engine.step()
    states.append(engine.submit(Request([9], 1, law, 2), ahead=True))
    result: list[int] = []
    while len(result) < 3:
        result += [states.index(state) for state in engine.step()]
    assert result == [2, 0, 1]
    alone = generate(
        LocalEngine(model, byte_tokenizer, max_num_seqs=1, eos_ids=()),
        [state.request for state in states],
    )
    assert _ids([state.results() for state in states]) == _ids(alone)


def test_without_text_everything_else_is_the_same(
    model: PreTrainedModel, byte_tokenizer: PreTrainedTokenizerFast, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends = {3, 9, 257}
    plain, stopping = _requests(), _requests(stop=tuple("abcdefgh"))
    engine = LocalEngine(model, byte_tokenizer, max_num_seqs=4, eos_ids=ends)
    expected = [c for group in generate(engine, plain + stopping) for c in group]
    assert {c.finish for c in expected} == {"stop", "length"}
    engine = LocalEngine(model, byte_tokenizer, max_num_seqs=4, eos_ids=ends, decode_text=False)
    completions = [c for group in generate(engine, plain + stopping) for c in group]
    assert completions == [dataclasses.replace(c, text="") for c in expected]
    monkeypatch.setattr(engine, "_text", None)
    generate(engine, plain)
