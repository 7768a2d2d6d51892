"""Packed = padded = one by one."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from transformers import PreTrainedModel

from r1kit.model.attention import ScoreParams
from r1kit.model.logprobs import scored_logits, token_logprobs
from r1kit.model.packed import Packed

LENGTHS = [3, 40, 2, 17, 18, 40, 9]


def _stream(lengths: list[int]) -> tuple[Tensor, Tensor]:
    ids = torch.randint(0, 256, (sum(lengths),), generator=torch.Generator().manual_seed(1))
    mask = torch.cat([torch.arange(length) > 0 for length in lengths])
    return ids, mask


def _one_by_one(model: PreTrainedModel, ids: Tensor, lengths: list[int]) -> Tensor:
    parts = []
    for sequence in ids.split(lengths):
        logits = model(sequence[None]).logits[0, :-1]
        parts.append(logits.log_softmax(-1).gather(-1, sequence[1:, None])[:, 0])
    return torch.cat(parts)


def _padded(model: PreTrainedModel, ids: Tensor, lengths: list[int]) -> Tensor:
    sequences = ids.split(lengths)
    batch = torch.nn.utils.rnn.pad_sequence(list(sequences), batch_first=True, padding_value=257)
    mask = (torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]).long()
    logits = model(batch, attention_mask=mask).logits.log_softmax(-1)
    rows = [row[:-1].gather(-1, s[1:, None])[:, 0] for row, s in _zip(logits, sequences)]
    return torch.cat(rows)


def _zip(logits: Tensor, sequences: tuple[Tensor, ...]) -> list[tuple[Tensor, Tensor]]:
    return [(row[: len(s)], s) for row, s in zip(logits, sequences, strict=True)]


def test_log_probabilities_and_gradients_are_those_of_single_sequences(
    any_model: PreTrainedModel,
) -> None:
    if any_model.config.model_type == "gemma2":
        any_model.set_attn_implementation("eager")
    ids, mask = _stream(LENGTHS)
    weights = torch.linspace(-1, 1, int(mask.sum()))
    results = []
    for logprobs in (
        _one_by_one(any_model, ids, LENGTHS),
        _padded(any_model, ids, LENGTHS),
        token_logprobs(_ours(any_model), ids, LENGTHS, mask),
    ):
        any_model.zero_grad()
        (logprobs * weights).sum().backward()
        grads = [p.grad.clone() for p in any_model.parameters() if p.grad is not None]
        results.append((logprobs.detach(), torch.cat([g.flatten() for g in grads])))
    single, padded, packed = results
    torch.testing.assert_close(packed[0], single[0], atol=1e-5, rtol=0)
    torch.testing.assert_close(packed[0], padded[0], atol=1e-5, rtol=0)
    scale = single[1].abs().max()
    torch.testing.assert_close(packed[1] / scale, single[1] / scale, atol=1e-5, rtol=0)
    torch.testing.assert_close(padded[1] / scale, single[1] / scale, atol=1e-5, rtol=0)


def _ours(model: PreTrainedModel) -> PreTrainedModel:
    model.set_attn_implementation("r1kit")
    return model


def test_sequences_are_blind_to_each_other(model: PreTrainedModel) -> None:
    ids, mask = _stream(LENGTHS)
    other = ids.clone()
    other[3:43] = (other[3:43] + 1) % 256
    with torch.no_grad():
        before = scored_logits(model, ids, LENGTHS, mask)
        after = scored_logits(model, other, LENGTHS, mask)
    changed = (before != after).any(-1)
    assert changed[2:41].all()
    assert not changed[:2].any()
    assert not changed[41:].any()


def test_the_order_of_sequences_does_not_matter(model: PreTrainedModel) -> None:
    ids, mask = _stream(LENGTHS)
    parts = ids.split(LENGTHS)
    with torch.no_grad():
        forth = token_logprobs(model, ids, LENGTHS, mask)
        back = token_logprobs(model, torch.cat(parts[::-1]), LENGTHS[::-1], _reversed(mask))
    scored = [length - 1 for length in LENGTHS]
    again = torch.cat(back.split(scored[::-1])[::-1])
    torch.testing.assert_close(again, forth, atol=1e-5, rtol=0)


def _reversed(mask: Tensor) -> Tensor:
    return torch.cat(mask.split(LENGTHS)[::-1])


@given(st.lists(st.integers(1, 70), min_size=1, max_size=30))
@settings(max_examples=50)
def test_every_token_has_a_cell_of_its_own_and_blocks_stay_tight(lengths: list[int]) -> None:
    layout = Packed(lengths)
    total = sum(lengths)
    n_cells = sum(rows * length for rows, length in layout.blocks)
    if layout.index is None:
        assert n_cells == total
        return
    assert torch.equal(layout.index.source[layout.index.home], torch.arange(total))
    assert len(layout.index.source) == n_cells
    assert n_cells <= total + sum(max(8, length) for length in lengths)


def test_positions_start_again_with_every_sequence() -> None:
    assert Packed([3, 1, 2]).positions().tolist() == [[0, 1, 2, 0, 0, 1]]


@pytest.mark.parametrize("lengths", [[], [3, 0]])
def test_empty_sequences_are_refused(lengths: list[int]) -> None:
    with pytest.raises(ValueError, match="at least one token"):
        Packed(lengths)


def test_moving_to_cells_and_back_has_the_right_gradient() -> None:
    layout = Packed([2, 14, 5, 30])
    stream = torch.randn(51, 1, 2, dtype=torch.float64, requires_grad=True)

    def roundtrip(x: Tensor) -> Tensor:
        # As attention does: padding cells never reach the result.
        return layout._scatter(torch.sin(layout._gather(x)) * 2)

    assert torch.autograd.gradcheck(roundtrip, stream)


def test_bfloat16_attention_with_gradients_is_float32_attention_rounded() -> None:
    generator = torch.Generator().manual_seed(0)
    layout = Packed([3, 5])
    half = [torch.randn(1, 2, 8, 4, generator=generator).bfloat16().requires_grad_() for _ in "qkv"]
    wide = [x.detach().float().requires_grad_() for x in half]
    scores = ScoreParams(None, None, None)
    actual, expected = (layout.attend(q, k, v, scores) for q, k, v in (half, wide))
    assert actual.dtype == torch.bfloat16
    assert torch.equal(actual, expected.bfloat16())
    actual.float().square().sum().backward()
    expected.bfloat16().float().square().sum().backward()
    for x, y in zip(half, wide, strict=True):
        assert x.grad is not None
        assert y.grad is not None
        assert torch.equal(x.grad, y.grad.bfloat16())
