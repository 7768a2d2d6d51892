"""Short prompts do not wait for long ones, nor are those held up; and no number changes by it."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from r1kit.engines.base import generate
from r1kit.engines.local import LocalEngine
from r1kit.engines.local.prefill import PrefillState
from r1kit.engines.local.scheduler import PrefillLimits, Scheduler, prefill_limits
from r1kit.engines.local.slots import Slots
from r1kit.types import Completion, Request, SamplingParams

CHUNK = 16
LONG = Request([(7 * i) % 250 for i in range(12 * CHUNK + 1)], 2, SamplingParams(5), seed=4)


def _short(seed: int, length: int = 3, n: int = 1) -> Request:
    return Request([seed % 250 + 1] * length, n, SamplingParams(4), seed)


def _engine(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, max_num_seqs: int
) -> LocalEngine:
    engine = LocalEngine(model, tokenizer, max_num_seqs=max_num_seqs, eos_ids=[])
    engine._scheduler.limits = PrefillLimits(CHUNK, CHUNK)
    return engine


def _alone(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, request: Request
) -> list[list[int]]:
    [group] = generate(_engine(model, tokenizer, request.n), [request])
    return _ids(group)


def _ids(group: list[Completion]) -> list[list[int]]:
    return [completion.token_ids for completion in group]


def test_a_short_prompt_begins_in_the_next_step_but_one(
    any_model: PreTrainedModel, byte_tokenizer: PreTrainedTokenizerFast
) -> None:
    engine = _engine(any_model, byte_tokenizer, 4)
    long = engine.submit(LONG)
    assert isinstance(long, PrefillState)
    for n_read in (1, 2):
        engine.step()
        assert long.n_read == n_read * CHUNK
    short = engine.submit(_short(1))
    for _ in range(2):
        engine.step()
    assert short.n_begun == 1
    assert long.n_begun == 0
    assert long.n_read == 3 * CHUNK, "which the short one cost one step"
    while short.n_left:
        engine.step()
    assert long.n_begun == 0
    while long.n_left:
        engine.step()
    assert _ids(short.results()) == _alone(any_model, byte_tokenizer, short.request)
    assert _ids(long.results()) == _alone(any_model, byte_tokenizer, LONG)


@pytest.mark.parametrize(("max_num_seqs", "ahead"), [(1, False), (2, False), (8, False), (8, True)])
def test_a_stream_of_short_prompts_does_not_hold_up_a_long_one(
    model: PreTrainedModel, byte_tokenizer: PreTrainedTokenizerFast, max_num_seqs: int, ahead: bool
) -> None:
    engine = _engine(model, byte_tokenizer, max_num_seqs)
    shorts = [engine.submit(_short(0), ahead)]
    long = engine.submit(LONG)
    n_pieces, n_steps = 12, 0
    while long.n_left:
        n_steps += 1
        assert n_steps < 3 * n_pieces + 8 * max_num_seqs
        shorts.append(engine.submit(_short(n_steps, length=CHUNK), ahead))
        engine.step()
    assert _ids(long.results()) == _alone(model, byte_tokenizer, LONG)
    while any(short.n_left for short in shorts):
        engine.step()
    for short in shorts[:: len(shorts) // 3]:
        assert _ids(short.results()) == _alone(model, byte_tokenizer, short.request)


def test_prompts_that_go_on_from_a_known_text_count_as_short(
    model: PreTrainedModel, byte_tokenizer: PreTrainedTokenizerFast
) -> None:
    engine = LocalEngine(model, byte_tokenizer, max_num_seqs=4, eos_ids=[], prefix_tokens=1024)
    generate(engine, [LONG])
    engine._scheduler.limits = PrefillLimits(CHUNK, CHUNK)
    other = engine.submit(_short(3, length=200))
    engine.step()
    follow_up = engine.submit(Request([*LONG.prompt_ids, 1, 2], 1, SamplingParams(2), 1))
    for _ in range(2):
        engine.step()
    assert follow_up.n_begun == 1
    assert other.n_begun == 0


lengths = st.lists(st.integers(0, 9 * CHUNK), max_size=3)


@settings(max_examples=60)
@given(st.lists(lengths, max_size=30), st.sampled_from([1, 2, 5]), st.sampled_from([1, 3, 99]))
def test_every_step_keeps_its_budget_and_every_prompt_gets_on(
    arrivals: list[list[int]], n_pieces: int, n_free: int
) -> None:
    """The scheduler alone; a request whose prompt has been read is completed at once."""
    slots = Slots(n_free, torch.device("cpu"))
    scheduler = Scheduler(slots, PrefillLimits(CHUNK, n_pieces * CHUNK))
    passed_over = None
    while arrivals or scheduler.requests:
        for length in arrivals.pop(0) if arrivals else []:
            request = Request([1] * (length + 1), 1, SamplingParams(1), 0)
            scheduler.add(PrefillState(request), ahead=n_free == 99 and length % 2 == 1)
        if not scheduler.requests:
            continue
        oldest = scheduler.requests[0]
        states = scheduler.next_chunks()
        read = {state: min(CHUNK, state.n_unread) for state in states}
        assert states
        assert sum(read.values()) <= n_pieces * CHUNK
        assert oldest in read or oldest is not passed_over
        passed_over = None if oldest in read else oldest
        for state, n in read.items():
            state.n_read = (state.n_read or 0) + n
        while (started := scheduler.start_next()) is not None:
            state, [index] = started
            assert scheduler.finish(state, index, Completion([], [], "", "abort", 0))
    assert scheduler.requests == []
    assert scheduler.next_chunks() == []


@pytest.mark.parametrize(
    ("n_parameters", "expected"),
    [
        (10**6, (512, 4096)),
        (30 * 10**6, (512, 1024)),
        (135 * 10**6, (256, 256)),
        (10**10, (64, 64)),
    ],
)
def test_a_step_with_a_larger_model_reads_less(n_parameters: int, expected: PrefillLimits) -> None:
    assert prefill_limits(n_parameters, "cpu") == expected
    assert prefill_limits(n_parameters, "cuda") == (4096, 4096)
