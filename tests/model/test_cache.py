"""Cached = uncached, whatever is written, moved and resized in between."""

import torch
from torch import Tensor
from transformers import PreTrainedModel

from r1kit.model.cache import DecodeCache, PrefillCache
from r1kit.model.fused import inference
from r1kit.model.logprobs import forward
from r1kit.model.packed import Packed


def _ids(*shape: int) -> Tensor:
    return torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(5))


def _prefill(model: PreTrainedModel, prompts: list[Tensor]) -> PrefillCache:
    lengths = [len(prompt) for prompt in prompts]
    layout, cache = Packed(lengths), PrefillCache()
    forward(
        model,
        torch.cat(prompts)[None],
        layout.positions(),
        layout,
        past_key_values=cache,
        use_cache=True,
    )
    return cache


def _decode(model: PreTrainedModel, cache: DecodeCache, ids: Tensor, positions: Tensor) -> Tensor:
    return inference(model).decode(ids, positions, cache, int(positions.max()) + 1)


@torch.inference_mode()
def test_cached_logits_are_uncached_logits(any_model: PreTrainedModel) -> None:
    texts = [_ids(4 + 9), _ids(11 + 9), _ids(1 + 9)]
    starts = [4, 11, 1]
    prefixes = _prefill(
        any_model, [text[:start] for text, start in zip(texts, starts, strict=True)]
    ).split(starts)
    cache = DecodeCache()
    cache.reserve(3, 13, 0)
    for row, prefix in enumerate(prefixes):
        cache.fill(row, prefix)
    cached = []
    for step in range(9):
        if step == 2:
            cache.reserve(3, 20, 3)
        positions = torch.tensor(starts) + step
        ids = torch.stack([text[p] for text, p in zip(texts, positions, strict=True)])
        cached.append(_decode(any_model, cache, ids, positions))
    for row, (text, start) in enumerate(zip(texts, starts, strict=True)):
        plain = forward(any_model, text[None], torch.arange(len(text))[None], Packed([len(text)]))
        own = torch.stack([logits[row] for logits in cached])
        torch.testing.assert_close(own, plain.logits[0, start:], atol=1e-5, rtol=1e-5)


@torch.inference_mode()
def test_a_moved_row_goes_on_as_before(model: PreTrainedModel) -> None:
    [first, second] = _prefill(model, [_ids(7), _ids(3)]).split([7, 3])
    cache = DecodeCache()
    cache.reserve(4, 16, 0)
    for row in range(3):
        cache.fill(row, first)
    cache.fill(3, second)
    ids = torch.tensor([9, 9, 9, 8])
    before = _decode(model, cache, ids, torch.tensor([7, 7, 7, 3]))
    cache.move(torch.tensor([3]), torch.tensor([0]), 8)
    after = _decode(model, cache, torch.tensor([8, 9]), torch.tensor([3, 7]))
    torch.testing.assert_close(after, before[[3, 1]], atol=1e-5, rtol=1e-5)


def test_a_resized_cache_is_as_large_as_asked() -> None:
    cache = DecodeCache()
    cache.reserve(2, 8, 0)
    for row in range(2):
        cache.fill(row, {0: (torch.ones(3, 5, 4), torch.ones(3, 5, 6))})
    cache.reserve(1, 6, 1)
    keys, values = cache._stores[0]
    assert (keys.shape, values.shape) == ((1, 3, 6, 4), (1, 3, 6, 6))
    assert keys[0, 0, :, 0].tolist() == [1, 1, 1, 1, 1, 0]
    assert values[0, 2, :, 5].tolist() == [1, 1, 1, 1, 1, 0]


@torch.inference_mode()
def test_places_never_written_are_zero_and_not_seen(model: PreTrainedModel) -> None:
    cache = DecodeCache()
    cache.reserve(1, 9, 0)
    logits = _decode(model, cache, torch.tensor([3]), torch.tensor([0]))
    fresh = model(torch.tensor([[3]])).logits[:, 0]
    torch.testing.assert_close(logits, fresh, atol=1e-5, rtol=1e-5)
    assert not any(store[:, :, 1:].any() for store in cache._stores[0])
