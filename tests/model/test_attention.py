"""Which tokens see which: packed, windowed, soft-capped, and untouched without a layout."""

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel

from r1kit.errors import CheckpointError
from r1kit.model.attention import ScoreParams, attend, attention, band
from r1kit.model.decode import Decode
from r1kit.model.packed import Packed

PLAIN = ScoreParams(None, None, None)


def test_without_a_layout_everything_is_as_sdpa(any_model: PreTrainedModel) -> None:
    ids = torch.tensor([[3, 1, 4, 1, 5, 9, 2, 6], [257, 257, 5, 3, 5, 8, 9, 7]])
    mask = torch.tensor([[1] * 8, [0, 0, *[1] * 6]])
    with torch.no_grad():
        ours = any_model(ids, attention_mask=mask).logits
        our_text = any_model.generate(ids, attention_mask=mask, max_new_tokens=5, do_sample=False)
        softcapped = any_model.config.model_type == "gemma2"
        any_model.set_attn_implementation("eager" if softcapped else "sdpa")
        theirs = any_model(ids, attention_mask=mask).logits
        text = any_model.generate(ids, attention_mask=mask, max_new_tokens=5, do_sample=False)
    torch.testing.assert_close(ours[mask == 1], theirs[mask == 1])
    assert torch.equal(our_text, text)


def test_a_band_lets_a_token_see_itself_and_the_window_before_it() -> None:
    observed = band(4, 2, torch.zeros(())) == 0
    assert observed.tolist() == [
        [True, False, False, False],
        [True, True, False, False],
        [False, True, True, False],
        [False, False, True, True],
    ]


@pytest.mark.parametrize("window", [None, 3])
def test_a_large_softcap_changes_nothing(window: int | None) -> None:
    q, k, v = _random(1, 4, 7), _random(1, 2, 7), _random(1, 2, 7)
    mask = None if window is None else band(7, window, q)
    plain = attend(q, k, v, PLAIN, mask)
    capped = attend(q, k, v, ScoreParams(None, window, 1e4), mask)
    torch.testing.assert_close(capped, plain, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kv_heads", [4, 2, 1])
@pytest.mark.parametrize("scores", [PLAIN, ScoreParams(0.3, 3, None), ScoreParams(0.3, 3, 2.0)])
def test_decoding_in_bags_is_attention(kv_heads: int, scores: ScoreParams) -> None:
    positions = torch.tensor([0, 5, 8])
    query = _random(3, 4, 1)
    keys, values = _random(3, kv_heads, 12, value=True)
    stored = keys.transpose(2, 3).contiguous().transpose(2, 3)
    output = Decode(positions, 9).attend(query, stored, values, scores)
    for row, position in enumerate(positions.tolist()):
        start = 0 if scores.window is None else max(0, position - scores.window + 1)
        observed = slice(start, position + 1)
        mask = torch.zeros(1, position + 1 - start)
        alone = attend(
            query[row, None],
            keys[row, None, :, observed],
            values[row, None, :, observed],
            scores,
            mask,
        )
        torch.testing.assert_close(output[row, None], alone.transpose(1, 2))


def test_decoding_in_bfloat16_is_close_to_float32() -> None:
    positions = torch.tensor([2, 6])
    query, (keys, values) = _random(2, 4, 1), _random(2, 2, 8, value=True)
    stored = keys.transpose(2, 3).contiguous().transpose(2, 3)
    exact = Decode(positions, 7).attend(query, stored, values, PLAIN)
    half = Decode(positions, 7).attend(query.bfloat16(), keys.bfloat16(), values.bfloat16(), PLAIN)
    torch.testing.assert_close(half.float(), exact, atol=3e-2, rtol=3e-2)


def test_an_unknown_kind_of_attention_is_refused() -> None:
    q = _random(1, 2, 3)
    with pytest.raises(CheckpointError, match="s_aux"):
        attention(torch.nn.Identity(), q, q, q, None, layout=Packed([3]), s_aux=torch.zeros(2))


def _random(*shape: int, value: bool = False) -> Tensor:
    generator = torch.Generator().manual_seed(sum(shape))
    if value:
        return torch.randn(2, *shape, 8, generator=generator)
    return torch.randn(*shape, 8, generator=generator)
