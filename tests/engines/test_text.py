"""Text of completions: stop strings, whole characters, and streams equal to generation."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from r1kit.engines.base import Delta, generate
from r1kit.engines.local import LocalEngine
from r1kit.engines.scripted import ScriptedEngine
from r1kit.engines.text import Detokenizer, IncrementalDetokenizer
from r1kit.types import Completion, Request, SamplingParams

EOS = 257


def streamed(text: Detokenizer, completion: Completion, stop: tuple[str, ...]) -> list[Delta]:
    """What is said of a completion whose tokens come one by one."""
    stream, ids = IncrementalDetokenizer(text, stop), completion.token_ids
    deltas = [delta for n in range(1, len(ids)) if (delta := stream.advance(ids[:n]))]
    return [*deltas, stream.finish(completion)]


def test_text_is_all_but_the_end_token(byte_tokenizer: PreTrainedTokenizerFast) -> None:
    text = Detokenizer(byte_tokenizer, {EOS})
    ids = byte_tokenizer.encode("<think>가 나</think>")
    assert text.decode([*ids, EOS]) == "<think>가 나</think>"
    assert text.decode([*ids, EOS, EOS]) == "<think>가 나</think><eos>"
    assert text.decode([]) == ""


def test_the_earliest_stop_string_cuts(byte_tokenizer: PreTrainedTokenizerFast) -> None:
    text = Detokenizer(byte_tokenizer, {EOS})
    ids = byte_tokenizer.encode("one two three")
    assert text.complete(ids, ("three", "two")) == ("one ", True)
    assert text.complete(ids, ("four",)) == ("one two three", False)
    assert text.stops(ids[:7], ("two",))
    assert not text.stops(ids[:6], ("two",))


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_stop_strings_end_a_row_at_once(
    model: PreTrainedModel, byte_tokenizer: PreTrainedTokenizerFast, temperature: float
) -> None:
    engine = LocalEngine(model, byte_tokenizer, max_num_seqs=8)
    free = Request([65, 66], 6, SamplingParams(40, temperature), 1)
    [longer] = generate(engine, [free])
    stop = longer[0].text[8:10]
    assert len(stop.encode()) >= 2
    [cut] = generate(
        engine, [Request([65, 66], 6, SamplingParams(40, temperature, stop=(stop,)), 1)]
    )
    for whole, short in zip(longer, cut, strict=True):
        n = len(short.token_ids)
        assert short.token_ids == whole.token_ids[:n]
        assert short.logprobs == pytest.approx(whole.logprobs[:n], abs=1e-5)
        before, result, _ = whole.text.partition(stop)
        assert short.text == before
        assert short.finish == ("stop" if result else whole.finish)
    assert cut[0].finish == "stop"
    assert len(cut[0].token_ids) < len(longer[0].token_ids)


@pytest.mark.parametrize("stop", [(), ("\x05", "ab"), ("e",)])
def test_streamed_is_generated(
    model: PreTrainedModel, byte_tokenizer: PreTrainedTokenizerFast, stop: tuple[str, ...]
) -> None:
    engine = LocalEngine(model, byte_tokenizer, max_num_seqs=2)
    for seed in range(4):
        request = Request([65, 66, seed], 1, SamplingParams(30, stop=stop), seed)
        [[completion]] = generate(engine, [request])
        deltas = streamed(Detokenizer(byte_tokenizer, engine.eos_ids), completion, stop)
        assert "".join(delta.text for delta in deltas) == completion.text
        assert [i for delta in deltas for i in delta.token_ids] == completion.token_ids
        assert [delta.finish for delta in deltas[:-1]] == [None] * (len(deltas) - 1)
        assert deltas[-1].finish == completion.finish


@given(
    st.text(max_size=40),
    st.lists(st.text(min_size=1, max_size=4), max_size=2).map(tuple),
    st.integers(1, 60),
)
@example("\x80", ("\N{REPLACEMENT CHARACTER}",), 1)
@example("a\N{REPLACEMENT CHARACTER}", ("\N{REPLACEMENT CHARACTER}",), 9)
@example("0l0", ("l", "0l0"), 2)
@settings(max_examples=100)
def test_streams_never_split_a_character(
    byte_tokenizer: PreTrainedTokenizerFast, said: str, stop: tuple[str, ...], max_tokens: int
) -> None:
    engine = ScriptedEngine(lambda request, i: said, byte_tokenizer)
    request = Request([1], 1, SamplingParams(max_tokens, stop=stop), 0)
    [[completion]] = generate(engine, [request])
    deltas = streamed(Detokenizer(byte_tokenizer, {byte_tokenizer.eos_token_id}), completion, stop)
    assert "".join(delta.text for delta in deltas) == completion.text
    assert [i for delta in deltas for i in delta.token_ids] == completion.token_ids
    if "\N{REPLACEMENT CHARACTER}" not in said:
        # Only the very end may be broken off, where max_tokens cuts inside a character.
        assert not any("\N{REPLACEMENT CHARACTER}" in delta.text for delta in deltas[:-1])
    # The stop string that is complete first ends the text, also if another one began before it.
    result = [(said.find(s) + len(s), said.find(s)) for s in stop if s in said]
    cut = min(result)[1] if result else len(said)
    if completion.finish == "stop":
        assert completion.text == said[:cut]


def test_text_comes_while_it_is_sampled(byte_tokenizer: PreTrainedTokenizerFast) -> None:
    engine = ScriptedEngine(lambda request, i: "가나 ab", byte_tokenizer)
    [[completion]] = generate(engine, [Request([1], 1, SamplingParams(30, stop=("bc",)), 0)])
    deltas = streamed(
        Detokenizer(byte_tokenizer, {byte_tokenizer.eos_token_id}), completion, ("bc",)
    )
    assert [delta.text for delta in deltas] == ["가", "나", " ", "a", "b"]
    assert [len(delta.token_ids) for delta in deltas] == [3, 3, 1, 1, 2]


def test_a_stop_string_in_the_middle_of_what_came_is_never_said(
    byte_tokenizer: PreTrainedTokenizerFast,
) -> None:
    # An engine elsewhere may have ended, and its tokens come before the word of it.
    text = Detokenizer(byte_tokenizer, ())
    ids = byte_tokenizer.encode("12 answer: 5, or")
    stream = IncrementalDetokenizer(text, ("swe", "r: "))
    output = ""
    for n in (2, 9, 13):
        delta = stream.advance(ids[:n])
        output += delta.text if delta else ""
    assert output == "12 an"
    cut, was_stopped = text.complete(ids[:13], ("swe", "r: "))
    assert was_stopped
    end = stream.finish(Completion(ids[:13], [0.0] * 13, cut, "stop", 0))
    assert output + end.text == "12 an"
