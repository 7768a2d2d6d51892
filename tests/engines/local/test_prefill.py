"""Reading on from what is known = reading everything; what is kept, and for how long."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from r1kit.engines.base import generate
from r1kit.engines.local import LocalEngine
from r1kit.engines.local.prefill import Prefill, PrefillState
from r1kit.engines.local.prefix_cache import BLOCK, PrefixCache
from r1kit.engines.local.scheduler import PrefillLimits
from r1kit.model.cache import KeyValues
from r1kit.model.fused import inference
from r1kit.types import Request, SamplingParams
from tests.conftest import tiny_model

WORDS = list(range(40, 40 + 3 * BLOCK + 9))


def _written(ids: list[int]) -> KeyValues:
    """Keys and values that say whose they are: the token at each place."""
    keys = torch.tensor(ids, dtype=torch.float32)[None, :, None]
    return {0: (keys, -keys)}


def _read(prefill: Prefill, prompts: list[list[int]], most: int = 10_000) -> list[PrefillState]:
    """To the end; a prompt is all but the last token of its request."""
    states = [PrefillState(Request([*prompt, 5], 1, SamplingParams(1), 0)) for prompt in prompts]
    while not all(state.is_read for state in states):
        before = [state.n_read or state.n_cached for state in states]
        prefill.advance(states, most)
        for state, start in zip(states, before, strict=True):
            assert state.n_read is not None
            assert state.n_read - max(start, state.n_cached) <= most
    return states


@torch.inference_mode()
def test_reading_on_is_reading_all(any_model: PreTrainedModel) -> None:
    warm, cold = (Prefill(inference(any_model), n) for n in (1024, 0))
    others = [WORDS[: BLOCK - 1], [], [*WORDS[: 2 * BLOCK], 7, 8], [9] * 70]
    whole = _read(cold, [WORDS, *others])
    for most in (10_000, 10_000, 17, 1):
        shared = _read(warm, [WORDS, *others], most)
        pieces = _read(cold, [WORDS, *others], most)
        for first, other, state in zip(shared, whole, pieces, strict=True):
            assert other.n_cached == state.n_cached == 0
            assert first.keys_values.keys() == other.keys_values.keys()
            for layer, pair in other.keys_values.items():
                for same in (first, state):
                    torch.testing.assert_close(same.keys_values[layer], pair, atol=2e-5, rtol=1e-4)
    assert [state.n_cached for state in shared] == [3 * BLOCK, 0, 0, 2 * BLOCK, BLOCK]


@torch.inference_mode()
def test_a_prompt_of_many_pieces_is_not_copied_for_each_of_them() -> None:
    prefill = Prefill(inference(tiny_model("gpt-neox")), 0)
    state = PrefillState(Request([*WORDS, 5], 1, SamplingParams(1), 0))
    positions = set()
    while not state.is_read:
        prefill.advance([state], 2)
        positions.add(state.keys_values[0][0].data_ptr())
    assert len(positions) <= 2 + math.log2(len(WORDS))


@pytest.mark.parametrize("length", [BLOCK, BLOCK + 1, 2 * BLOCK + 1, 2 * BLOCK + 30])
def test_the_same_text_whether_the_prompt_is_known_or_not(
    model: PreTrainedModel, byte_tokenizer: PreTrainedTokenizerFast, length: int
) -> None:
    request = Request(WORDS[:length], 3, SamplingParams(24), seed=4)
    [alone] = generate(LocalEngine(model, byte_tokenizer, max_num_seqs=3), [request])
    engine = LocalEngine(model, byte_tokenizer, max_num_seqs=3, prefix_tokens=512)
    for n_known in (0, (length - 1) // BLOCK * BLOCK):
        before = engine.counters.cached_tokens
        [group] = generate(engine, [request])
        assert [c.token_ids for c in group] == [c.token_ids for c in alone]
        assert engine.counters.cached_tokens - before == n_known


def test_new_weights_know_no_prompt(
    model: PreTrainedModel, byte_tokenizer: PreTrainedTokenizerFast
) -> None:
    engine = LocalEngine(model, byte_tokenizer, max_num_seqs=1, prefix_tokens=512)
    request = Request(WORDS, 1, SamplingParams(2), seed=4)
    generate(engine, [request])
    engine.publish(1)
    generate(engine, [request])
    assert engine.counters.cached_tokens == 0
    generate(engine, [request])
    assert engine.counters.cached_tokens == 3 * BLOCK


def test_others_go_on_while_a_long_prompt_is_read(
    model: PreTrainedModel, byte_tokenizer: PreTrainedTokenizerFast
) -> None:
    long, short = (
        Request(WORDS, 2, SamplingParams(9), seed=4),
        Request([7, 8], 1, SamplingParams(40), seed=5),
    )
    [first], [other] = (
        generate(LocalEngine(model, byte_tokenizer, max_num_seqs=3, eos_ids=[]), [request])
        for request in (long, short)
    )
    engine = LocalEngine(model, byte_tokenizer, max_num_seqs=3, eos_ids=[])
    engine._scheduler.limits = PrefillLimits(16, 16)
    going = engine.submit(short)
    engine.step()
    state, gone = engine.submit(long), engine.submit(long)
    n_steps = 0
    while not state.n_begun:
        n_steps += 1
        engine.step()
        assert len(engine.sampled_ids(going, 0)) == 1 + n_steps
        if n_steps == 3:
            engine.abort(gone)
    assert n_steps == -(-(len(WORDS) - 1) // 16)
    while state.n_left or going.n_left:
        engine.step()
    for result, alone in ((state.results(), first), (going.results(), other)):
        assert [c.token_ids for c in result] == [c.token_ids for c in alone]
    assert [c.finish for c in gone.results()] == ["abort"] * 2
    assert engine.counters.prompt_tokens == len(WORDS) + 2


@pytest.mark.parametrize("n_steps", [1, 5, 11])
def test_what_was_read_of_a_prompt_that_is_given_up_is_not_read_again(
    model: PreTrainedModel, byte_tokenizer: PreTrainedTokenizerFast, n_steps: int
) -> None:
    request = Request(WORDS, 1, SamplingParams(6), seed=4)
    [[alone]] = generate(LocalEngine(model, byte_tokenizer, max_num_seqs=1), [request])
    engine = LocalEngine(model, byte_tokenizer, max_num_seqs=1, prefix_tokens=512)
    engine._scheduler.limits = PrefillLimits(16, 16)
    state = engine.submit(request)
    for _ in range(n_steps):
        engine.step()
    engine.abort(state)
    assert [c.finish for c in state.results()] == ["abort"]
    [[again]] = generate(engine, [request])
    assert again.token_ids == alone.token_ids
    assert engine.counters.cached_tokens == 16 * n_steps // BLOCK * BLOCK


def test_new_weights_read_a_prompt_again(
    model: PreTrainedModel, byte_tokenizer: PreTrainedTokenizerFast
) -> None:
    request = Request(WORDS, 1, SamplingParams(6), seed=4)
    engine = LocalEngine(model, byte_tokenizer, max_num_seqs=1)
    engine._scheduler.limits = PrefillLimits(16, 16)
    state = engine.submit(request)
    engine.step()
    with torch.no_grad():
        model.get_input_embeddings().weight.mul_(1.5)
    engine.publish(1)
    while state.n_left:
        engine.step()
    [[alone]] = generate(LocalEngine(model, byte_tokenizer, max_num_seqs=1), [request])
    assert state.results()[0].token_ids == alone.token_ids
    assert state.results()[0].policy_version == 1


def test_the_same_block_behind_another_is_another() -> None:
    prefixes = PrefixCache(1024)
    a, b, c = ([token] * BLOCK for token in (1, 2, 3))
    prefixes.keep(a + c, _written(a + c))
    prefixes.keep(b, _written(b))
    assert prefixes.longest(b + c)[0] == BLOCK
    assert prefixes.longest(a + c)[0] == 2 * BLOCK


prompts = st.lists(st.integers(1, 2), max_size=4).map(
    lambda blocks: [token for block in blocks for token in [block] * BLOCK]
)


@settings(max_examples=60)
@given(st.lists(st.tuples(prompts, st.integers(0, BLOCK - 1)), max_size=12), st.integers(0, 5))
def test_what_is_found_is_what_was_written_and_no_more_is_kept(
    written: list[tuple[list[int], int]], n_blocks: int
) -> None:
    prefixes = PrefixCache(n_blocks * BLOCK)
    for blocks, n_more in written:
        ids = blocks + [3] * n_more
        prefixes.keep(ids, _written(ids))
        assert len(prefixes) <= n_blocks * BLOCK
        n, result = prefixes.longest(ids)
        assert n == min(len(blocks), n_blocks * BLOCK)  # the newest is there, its beginning first
        if n:
            assert torch.equal(result[0][0], _written(ids[:n])[0][0])
            assert torch.equal(result[0][1], -result[0][0])


def test_what_is_used_stays() -> None:
    prefixes = PrefixCache(2 * BLOCK)
    for token in (1, 2):
        prefixes.keep([token] * BLOCK, _written([token] * BLOCK))
    assert prefixes.longest([1] * BLOCK)[0] == BLOCK
    prefixes.keep([3] * BLOCK, _written([3] * BLOCK))
    assert prefixes.longest([1] * BLOCK)[0] == BLOCK
    assert prefixes.longest([2] * BLOCK)[0] == 0
