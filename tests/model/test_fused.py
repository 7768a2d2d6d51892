"""The written-out decoding step is transformers' forward, and is used only where it is."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import DeepseekV3Config, LlamaConfig, PreTrainedModel, Qwen2Config, Qwen3Config
from transformers.models.auto.modeling_auto import AutoModelForCausalLM

from r1kit.config import LoraConfig
from r1kit.model import attention, fused
from r1kit.model.cache import DecodeCache, KeyValues
from r1kit.model.fused import (
    Inference,
    _Bfloat16Inference,
    _HybridInference,
    _Latent,
    _LlamaLike,
    _Transformers,
    inference,
)
from r1kit.model.lora import add_adapter
from r1kit.model.numba_model import NumbaModel, fits
from tests.conftest import MIXTURE, SHAPE, tiny_model

CONFIGS = {
    "biases": LlamaConfig(**SHAPE, num_key_value_heads=4, attention_bias=True, mlp_bias=True),
    "scaled rope": LlamaConfig(
        **SHAPE, rope_parameters={"rope_type": "linear", "factor": 4.0, "rope_theta": 1e4}
    ),
    "qwen2 windows": Qwen2Config(
        **SHAPE,
        num_key_value_heads=2,
        use_sliding_window=True,
        sliding_window=3,
        max_window_layers=1,
    ),
    "qwen3": Qwen3Config(**SHAPE, num_key_value_heads=1, head_dim=16),
}


def _random(name: str) -> PreTrainedModel:
    """Random weights, biases and norms that do something too."""
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(CONFIGS[name], dtype=torch.float32).eval()
    for parameter in model.parameters():
        if parameter.ndim == 1:
            parameter.copy_(torch.randn_like(parameter))
    model.set_attn_implementation(attention.NAME)
    return model


@pytest.mark.parametrize("name", CONFIGS)
@torch.inference_mode()
def test_it_is_the_forward_of_transformers(name: str) -> None:
    model = _random(name)
    assert isinstance(inference(model), _HybridInference)
    ids = torch.randint(0, 256, (9, 3))
    theirs = _run(_Transformers(model), ids)
    for step in (_LlamaLike(model), NumbaModel(model)):
        for ours, other in zip(_run(step, ids), theirs, strict=True):
            torch.testing.assert_close(ours, other, atol=2e-5, rtol=1e-5)


@pytest.mark.parametrize("name", CONFIGS)
@torch.inference_mode()
def test_prompts_leave_behind_what_the_forward_of_transformers_leaves(name: str) -> None:
    model = _random(name)
    ids = torch.randint(0, 256, (24,), generator=torch.Generator().manual_seed(1)).tolist()
    first, second, third, more = ids[:11], ids[11:12], ids[12:19], ids[19:]
    left = []
    for reader in (_Transformers(model), _LlamaLike(model), NumbaModel(model)):
        read = reader.read([first, second, third], [{}, {}, {}])
        on = reader.read([more, second, more], [read[2], {}, read[0]])
        left.append(read + on)
    for theirs, *ours in zip(*left, strict=True):
        for own in ours:
            assert own.keys() == theirs.keys()
            for layer, pair in own.items():
                torch.testing.assert_close(pair, theirs[layer], atol=2e-5, rtol=1e-5)


@pytest.mark.parametrize("name", CONFIGS)
@torch.inference_mode()
def test_in_loops_a_token_is_the_same_to_the_bit_however_it_is_read(name: str) -> None:
    """Alone or in a batch, one at a time or with its text, behind what is known or from nothing."""
    loops, ids = NumbaModel(_random(name)), torch.arange(9) * 17 % 256
    [whole] = loops.read([ids.tolist()], [{}])
    alone, among = DecodeCache(), DecodeCache()
    alone.reserve(1, 9, 0)
    among.reserve(3, 9, 0)
    for index, token in enumerate(ids):
        item = loops.decode(token[None], torch.tensor([index]), alone, index + 1)
        three = torch.tensor([index, 5, index])
        many = loops.decode(token.repeat(3), three, among, max(index, 5) + 1)
        assert torch.equal(many[0], item[0])
    for layer, pair in whole.items():
        for read, decoded in zip(pair, alone._stores[layer], strict=True):
            assert torch.equal(read, decoded[0])
    before = {layer: (keys[:, :4], values[:, :4]) for layer, (keys, values) in whole.items()}
    [on] = loops.read([ids[4:].tolist()], [before])
    for layer, pair in whole.items():
        assert all(torch.equal(a, b) for a, b in zip(on[layer], pair, strict=True))


@torch.inference_mode()
def test_long_texts_are_read_by_torch_whoever_else_is_read(
    model: PreTrainedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fused, "_LONG", 5)
    both, plain, loops = inference(model), _LlamaLike(model), NumbaModel(model)
    ids = list(range(7))
    [shared] = loops.read([ids[:4]], [{}])
    texts: list[tuple[list[int], KeyValues, Inference]] = [
        (ids[:5], {}, loops),
        (ids[:6], {}, plain),
        (ids[4:5], shared, loops),
        (ids[4:6], shared, plain),
    ]
    together = both.read([item for item, *_ in texts], [before for _, before, _ in texts])
    for (item, before, way), read in zip(texts, together, strict=True):
        [expected] = way.read([item], [before])
        for layer, pair in expected.items():
            assert all(torch.equal(a, b) for a, b in zip(read[layer], pair, strict=True))


@pytest.mark.parametrize("name", CONFIGS)
@torch.inference_mode()
def test_loops_are_for_small_models_in_float32(name: str) -> None:
    model = _random(name)
    assert fits(model)
    assert not fits(model.bfloat16())
    assert isinstance(inference(model), _Bfloat16Inference)
    assert type(inference(model.half())) is _LlamaLike
    large = LlamaConfig(hidden_size=512, intermediate_size=2048, num_hidden_layers=2)
    with torch.device("meta"):
        assert not fits(AutoModelForCausalLM.from_config(large, dtype=torch.float32))


@torch.inference_mode()
def test_loops_see_the_parameters_as_they_are_now(model: PreTrainedModel) -> None:
    changing = copy.deepcopy(model)
    step, ids = NumbaModel(changing), torch.randint(0, 256, (4, 3))
    first = _run(step, ids)
    for parameter in changing.parameters():
        parameter.mul_(1.1)  # in place, as an optimizer does
    second = _run(step, ids)
    for parameter in changing.parameters():
        parameter.data = parameter.data * 1.1  # elsewhere
    third = _run(step, ids)
    expected = _run(_LlamaLike(changing), ids)
    torch.testing.assert_close(third[-1], expected[-1], atol=2e-5, rtol=1e-4)
    assert not torch.allclose(first[-1], second[-1])
    assert not torch.allclose(second[-1], third[-1])


@pytest.mark.parametrize("name", CONFIGS)
@torch.inference_mode()
def test_decoding_in_bfloat16_is_as_close_to_float32_as_in_torch(name: str) -> None:
    model, ids = _random(name), torch.randint(0, 256, (9, 3))
    exact = torch.stack(_run(_LlamaLike(model), ids))
    half = copy.deepcopy(model).bfloat16()
    in_torch = (torch.stack(_run(_LlamaLike(half), ids)) - exact).abs()
    looped = (torch.stack(_run(_Bfloat16Inference(half), ids)) - exact).abs()
    assert 0 < looped.mean() < 1.5 * in_torch.mean()
    assert looped.max() < 2 * in_torch.max()


@torch.inference_mode()
def test_packed_weights_are_those_of_the_last_refresh(model: PreTrainedModel) -> None:
    changing = copy.deepcopy(model).bfloat16()
    step, ids = _Bfloat16Inference(changing), torch.randint(0, 256, (4, 3))
    before = _run(step, ids)
    for parameter in changing.parameters():
        parameter.mul_(1.1)
    step.refresh()
    after = _run(step, ids)
    expected = _run(_Bfloat16Inference(changing), ids)
    assert all(torch.equal(a, b) for a, b in zip(after, expected, strict=True))
    assert not torch.allclose(before[-1], after[-1])


@torch.inference_mode()
def test_bfloat16_decoding_applies_an_adapter(model: PreTrainedModel) -> None:
    adapted, ids = copy.deepcopy(model), torch.randint(0, 256, (4, 3))
    add_adapter(adapted, LoraConfig(r=4), "seed")
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            parameter.add_(0.1)
    exact = torch.stack(_run(_LlamaLike(adapted), ids))
    half = copy.deepcopy(adapted).bfloat16()
    in_torch = (torch.stack(_run(_LlamaLike(half), ids)) - exact).abs()
    looped = (torch.stack(_run(_Bfloat16Inference(half), ids)) - exact).abs()
    without = (torch.stack(_run(_LlamaLike(model), ids)) - exact).abs()
    assert 0 < looped.mean() < 1.5 * in_torch.mean()
    assert without.mean() > 5 * in_torch.mean()


def _run(step: Inference, ids: Tensor) -> list[Tensor]:
    """Logits of three rows that read token after token; the second begins later."""
    cache = DecodeCache()
    cache.reserve(3, 12, 0)
    return [
        step.decode(row, torch.tensor([index, max(0, index - 2), index]), cache, index + 1)
        for index, row in enumerate(ids)
    ]


LATENT: dict[str, dict[str, Any]] = {
    "as published": {},
    "queries without a latent": {"q_lora_rank": None},
    "rotation of halves": {"rope_interleave": False},
    "dense layers alone": {"first_k_dense_replace": 2},
}


@pytest.mark.parametrize("change", LATENT)
@torch.inference_mode()
def test_attention_between_latents_is_the_forward_of_transformers(change: str) -> None:
    config = DeepseekV3Config(**SHAPE | MIXTURE | LATENT[change])
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
    model.set_attn_implementation(attention.NAME)
    assert isinstance(inference(model), _Latent)
    ids = torch.randint(0, 256, (9, 3))
    for ours, theirs in zip(
        _run(_Latent(model), ids), _run(_Transformers(model), ids), strict=True
    ):
        torch.testing.assert_close(ours, theirs, atol=2e-5, rtol=1e-4)
    model.model.layers[1].mlp.register_forward_hook(lambda *_: None)
    assert type(inference(model)) is _Transformers


@pytest.mark.parametrize("name", ["gpt-neox", "gemma2"])
def test_other_architectures_keep_their_own_forward(name: str) -> None:
    assert isinstance(inference(tiny_model(name)), _Transformers)


class Adapter(nn.Linear):
    """A projection with something added, as LoRA puts in the place of a linear layer."""


def test_a_model_with_something_put_in_keeps_its_own_forward(model: PreTrainedModel) -> None:
    changed = copy.deepcopy(model)
    changed.model.layers[0].mlp.up_proj.__class__ = Adapter
    assert isinstance(inference(changed), _Transformers)
    hooked = copy.deepcopy(model)
    hooked.model.layers[1].register_forward_hook(lambda *_: None)
    assert isinstance(inference(hooked), _Transformers)
    gelu = copy.deepcopy(model)
    gelu.config.hidden_act = "gelu"
    assert isinstance(inference(gelu), _Transformers)
