"""FLOPs by hand, and beside torch's own counter."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import DeepseekV3Config, PreTrainedModel

from r1kit.config import LoraConfig, ModelConfig
from r1kit.model import causal_lm, lora
from r1kit.model.flops import attention_width, measured_peak, pass_flops

LAYER = 4 * 32 * 32 + 3 * 32 * 48 + 2 * 32


def llama(vocab_size: int = 24) -> PreTrainedModel:
    shape = ModelConfig(n_layers=2, hidden=32, intermediate=48, n_heads=2, n_kv_heads=2)
    return causal_lm.build(shape, vocab_size, eos_id=1, pad_id=0, bos_id=2, seed=3)


def test_a_llama_by_hand() -> None:
    flops = pass_flops(llama())
    n_active = 2 * LAYER + 32 + 24 * 32  # the head is the embedding
    assert flops.per_token == 6 * n_active
    assert flops.per_pair == 6 * 2 * 32
    assert flops.of([10, 20]) == 6 * n_active * 30 + 384 * (100 + 400)


def test_frozen_weights_need_four_of_six_and_adapters_all() -> None:
    model = llama()
    whole = pass_flops(model).per_token
    lora.add_adapter(model, LoraConfig(r=4), "seed")
    n_adapters = 2 * 4 * (4 * (32 + 32) + 3 * (32 + 48))
    assert pass_flops(model).per_token == 4 / 6 * whole + 6 * n_adapters


def test_latent_attention_has_widths_of_its_own() -> None:
    v3 = DeepseekV3Config()
    assert attention_width(v3) == 128 * (192 + 128) / 2
    assert attention_width(llama().config) == 32


@pytest.mark.parametrize("n", [8, 64])
def test_torch_counts_the_same(n: int) -> None:
    """It counts no norms, and attention to tokens after too."""
    model = llama(vocab_size=64).train()
    model.set_attn_implementation("eager")  # others are one operation, which is not counted
    with FlopCounterMode(display=False) as counter:
        model(torch.ones(1, n, dtype=torch.long)).logits.sum().backward()
    flops, n_norms = pass_flops(model), 5 * 32
    expected = (flops.per_token - 6 * n_norms) * n + 2 * flops.per_pair * n * n
    assert counter.get_total_flops() == pytest.approx(expected, rel=1e-9)


def test_a_peak_is_measured() -> None:
    assert 1e8 < measured_peak(torch.device("cpu"), torch.float32) < 1e14
