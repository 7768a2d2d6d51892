"""The local engine: what it samples, and how it scores it."""

import dataclasses
import math
from typing import Any

import pytest
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from r1kit.engines.base import generate
from r1kit.engines.local import LocalEngine
from r1kit.errors import EngineError
from r1kit.model.logprobs import scored_logits, token_logprobs
from r1kit.types import Completion, Request, SamplingParams

PROMPTS = [[7], list(range(30)), [256, 65, 66], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]]


def _requests(n: int = 3, **sampling: Any) -> list[Request]:
    law = SamplingParams(**{"max_tokens": 24, **sampling})
    return [Request(prompt, n, law, seed) for seed, prompt in enumerate(PROMPTS)]


def _ids(groups: list[list[Completion]]) -> list[list[list[int]]]:
    return [[completion.token_ids for completion in group] for group in groups]


def _relearned(
    model: PreTrainedModel, request: Request, completion: Completion, temperature: float
) -> list[float]:
    ids = torch.tensor(request.prompt_ids + completion.token_ids)
    mask = torch.arange(len(ids)) >= len(request.prompt_ids)
    with torch.no_grad():
        return token_logprobs(model, ids, [len(ids)], mask, temperature).tolist()


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_the_learner_scores_what_was_sampled_the_same(
    any_model: PreTrainedModel, byte_tokenizer: PreTrainedTokenizerFast, temperature: float
) -> None:
    engine = LocalEngine(any_model, byte_tokenizer, max_num_seqs=5)
    requests = _requests(temperature=temperature)
    for request, group in zip(requests, generate(engine, requests), strict=True):
        for completion in group:
            again = _relearned(any_model, request, completion, temperature)
            assert completion.logprobs == pytest.approx(again, abs=1e-4)


def test_a_bfloat16_model_is_scored_as_closely_as_bfloat16_allows(
    model: PreTrainedModel, byte_tokenizer: PreTrainedTokenizerFast
) -> None:
    engine = LocalEngine(model.to(torch.bfloat16), byte_tokenizer, max_num_seqs=5)
    requests = _requests()
    for request, group in zip(requests, generate(engine, requests), strict=True):
        for completion in group:
            again = _relearned(model, request, completion, 1.0)
            # Logits near 8 have steps of 1/32 in bfloat16.
            assert completion.logprobs == pytest.approx(again, abs=0.15)


def test_the_likeliest_tokens_are_told_to_whom_asks(
    model: PreTrainedModel, byte_tokenizer: PreTrainedTokenizerFast
) -> None:
    laws: list[dict[str, Any]] = [{"n_top": 258}, {}, {"n_top": 3, "temperature": 0}, {"top_k": 4}]
    laws[3]["n_top"] = 9
    requests = [Request([7, 8], 2, SamplingParams(**{"max_tokens": 12, **law}), 5) for law in laws]
    groups = generate(LocalEngine(model, byte_tokenizer, max_num_seqs=5), requests)
    assert _ids([groups[0]]) == _ids([groups[1]]), "to be told changes nothing"
    for group, law in zip(groups, laws, strict=True):
        for item in group:
            assert len(item.tops) == (len(item.token_ids) if law else 0)
            for token, logprob, top in zip(
                item.token_ids, item.logprobs, item.tops, strict=bool(law)
            ):
                assert [p for _, p in top] == sorted((p for _, p in top), reverse=True)
                assert len(top) == min(law["n_top"], law.get("top_k", 258))
                if len(top) > 3:
                    assert (token, logprob) in top
                    assert sum(math.exp(p) for _, p in top) == pytest.approx(1, abs=1e-4)
                else:
                    assert top[0] == (token, logprob)


@pytest.mark.parametrize("law", [{"top_k": 5}, {"top_p": 0.6}, {"top_k": 9, "top_p": 0.8}])
def test_log_probabilities_are_of_the_processed_law(
    model: PreTrainedModel, byte_tokenizer: PreTrainedTokenizerFast, law: dict[str, Any]
) -> None:
    request = Request([7, 8, 9], 4, SamplingParams(12, temperature=0.8, **law), 0)
    [group] = generate(LocalEngine(model, byte_tokenizer, max_num_seqs=4), [request])
    for completion in group:
        ids = torch.tensor(request.prompt_ids + completion.token_ids)
        with torch.no_grad():
            logits = scored_logits(model, ids, [len(ids)], torch.arange(len(ids)) >= 3)
        for step, logprob in enumerate(completion.logprobs):
            probs = (logits[step] / 0.8).softmax(-1)
            order = probs.argsort(descending=True)[: law.get("top_k", 258)]
            remaining = probs[order] / probs[order].sum()
            first_out = int((remaining.cumsum(-1) < law.get("top_p", 2.0)).sum()) + 1
            remaining = remaining[:first_out] / remaining[:first_out].sum()
            index = order[:first_out].tolist().index(completion.token_ids[step])
            assert logprob == pytest.approx(float(remaining[index].log()), abs=1e-4)


def test_greedy_is_the_greedy_of_transformers(
    any_model: PreTrainedModel, byte_tokenizer: PreTrainedTokenizerFast
) -> None:
    prompt = [5, 6, 7, 8]
    [[ours]] = generate(
        LocalEngine(any_model, byte_tokenizer, max_num_seqs=3),
        [Request(prompt, 1, SamplingParams(15, temperature=0), 0)],
    )
    softcapped = any_model.config.model_type == "gemma2"
    any_model.set_attn_implementation("eager" if softcapped else "sdpa")
    theirs = any_model.generate(
        torch.tensor([prompt]),
        attention_mask=torch.ones(1, 4, dtype=torch.long),
        max_new_tokens=15,
        do_sample=False,
    )
    assert ours.token_ids == theirs[0, 4:].tolist()


def test_a_completion_does_not_depend_on_its_neighbours(
    model: PreTrainedModel, byte_tokenizer: PreTrainedTokenizerFast
) -> None:
    requests = _requests()
    together = _ids(generate(LocalEngine(model, byte_tokenizer, max_num_seqs=64), requests))
    for max_num_seqs in (1, 2, 5, 12):
        engine = LocalEngine(model, byte_tokenizer, max_num_seqs=max_num_seqs)
        assert _ids(generate(engine, requests)) == together
    alone = [generate(LocalEngine(model, byte_tokenizer, max_num_seqs=9), [r])[0] for r in requests]
    assert _ids(alone) == together
    fewer = [dataclasses.replace(request, n=2) for request in requests]
    engine = LocalEngine(model, byte_tokenizer, max_num_seqs=7)
    assert _ids(generate(engine, fewer[::-1]))[::-1] == [group[:2] for group in together]


def test_completions_with_one_history_are_decoded_once(
    model: PreTrainedModel,
    byte_tokenizer: PreTrainedTokenizerFast,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The forward pass reads a token a distinct history, no more; what comes out is the same."""
    cold = SamplingParams(16, temperature=0.15)
    requests = [Request(prompt, 6, cold, seed) for seed, prompt in enumerate(PROMPTS)]
    engine = LocalEngine(model, byte_tokenizer, max_num_seqs=64)
    read: list[int] = []
    decode = engine._inference.decode

    def counted(ids: torch.Tensor, *rest: Any) -> torch.Tensor:
        read.append(len(ids))
        return decode(ids, *rest)

    monkeypatch.setattr(engine._inference, "decode", counted)
    groups = generate(engine, requests)
    histories = [
        {(index, *c.token_ids[:step]) for index, group in enumerate(groups) for c in group
         if len(c.token_ids) > step}
        for step in range(16)
    ]  # fmt: skip
    assert read == [len(some) for some in histories if some]
    assert max(read) > len(PROMPTS)  # some have parted
    assert sum(read) < sum(len(c.token_ids) for group in groups for c in group)
    one_by_one = generate(LocalEngine(model, byte_tokenizer, max_num_seqs=1), requests)
    assert _ids(one_by_one) == _ids(groups)
    for request, group in zip(requests, groups, strict=True):
        for completion in group:
            again = _relearned(model, request, completion, 0.15)
            assert completion.logprobs == pytest.approx(again, abs=1e-3)


def test_greedy_completions_never_part(
    model: PreTrainedModel, byte_tokenizer: PreTrainedTokenizerFast
) -> None:
    engine = LocalEngine(model, byte_tokenizer, max_num_seqs=8)
    state = engine.submit(Request([5, 6, 7], 8, SamplingParams(10, temperature=0), 0))
    while engine.step() == []:
        assert engine._decoder.n_branches == 1
    assert len({tuple(completion.token_ids) for completion in state.results()}) == 1


def test_the_same_engine_says_the_same_twice(
    model: PreTrainedModel, byte_tokenizer: PreTrainedTokenizerFast
) -> None:
    engine = LocalEngine(model, byte_tokenizer, max_num_seqs=4)
    first = generate(engine, _requests())
    assert generate(engine, _requests()) == first


def test_completions_of_a_request_differ(
    model: PreTrainedModel, byte_tokenizer: PreTrainedTokenizerFast
) -> None:
    [group] = generate(LocalEngine(model, byte_tokenizer, max_num_seqs=8), _requests(n=8)[:1])
    assert len({tuple(completion.token_ids) for completion in group}) == 8


def test_frequencies_follow_the_model(
    model: PreTrainedModel, byte_tokenizer: PreTrainedTokenizerFast
) -> None:
    prompt, n = [65, 66, 67], 4000
    request = Request(prompt, n, SamplingParams(1, temperature=0.5), 5)
    [group] = generate(LocalEngine(model, byte_tokenizer, max_num_seqs=n), [request])
    with torch.no_grad():
        probs = (model(torch.tensor([prompt])).logits[0, -1] / 0.5).softmax(-1)
    counts = torch.bincount(torch.tensor([c.token_ids[0] for c in group]), minlength=258)
    big = probs * n >= 5
    expected = torch.cat([probs[big], probs[~big].sum()[None]]) * n
    observed = torch.cat([counts[big], counts[~big].sum()[None]])
    freedom = len(expected) - 1
    chi_square = float(((observed - expected) ** 2 / expected).sum())
    assert chi_square < freedom + 4 * (2 * freedom) ** 0.5


def test_every_eos_id_ends_and_is_kept(
    model: PreTrainedModel, byte_tokenizer: PreTrainedTokenizerFast
) -> None:
    ends = set(range(0, 250, 5))
    engine = LocalEngine(model, byte_tokenizer, max_num_seqs=8, eos_ids=ends)
    completions = [c for group in generate(engine, _requests(n=8)) for c in group]
    stopped = [c for c in completions if c.finish == "stop"]
    assert len({c.token_ids[-1] for c in stopped}) > 3
    for completion in completions:
        assert not ends & set(completion.token_ids[:-1])
        assert (completion.token_ids[-1] in ends) == (completion.finish == "stop")
        own = completion.token_ids[:-1] if completion in stopped else completion.token_ids
        assert completion.text == byte_tokenizer.decode(own)
        assert len(completion.logprobs) == len(completion.token_ids)


def test_eos_ids_come_from_model_and_tokenizer(
    model: PreTrainedModel, byte_tokenizer: PreTrainedTokenizerFast
) -> None:
    model.generation_config.eos_token_id = [3, 4]
    assert LocalEngine(model, byte_tokenizer, max_num_seqs=1).eos_ids == {3, 4, 257}


def test_a_tokenizer_that_does_not_fit_is_a_sentence(
    model: PreTrainedModel, byte_tokenizer: PreTrainedTokenizerFast
) -> None:
    with pytest.raises(EngineError, match="Token 258 .* only 258 tokens"):
        LocalEngine(model, byte_tokenizer, max_num_seqs=1, eos_ids=[258])


def test_truncated_completions_say_so(
    model: PreTrainedModel, byte_tokenizer: PreTrainedTokenizerFast
) -> None:
    engine = LocalEngine(model, byte_tokenizer, max_num_seqs=3, eos_ids=[])
    for group in generate(engine, _requests(max_tokens=7)):
        assert [(c.finish, len(c.token_ids)) for c in group] == [("length", 7)] * 3


def test_pad_and_eos_may_be_one_id_inside_a_prompt(
    model: PreTrainedModel, byte_tokenizer: PreTrainedTokenizerFast
) -> None:
    assert model.config.pad_token_id == byte_tokenizer.eos_token_id == 257
    request = Request([257, 257, 5, 257, 6], 3, SamplingParams(10), 2)
    [group] = generate(LocalEngine(model, byte_tokenizer, max_num_seqs=3), [request])
    for completion in group:
        again = _relearned(model, request, completion, 1.0)
        assert completion.logprobs == pytest.approx(again, abs=1e-4)
