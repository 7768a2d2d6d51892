"""The parts of the memory, by hand, and as autograd itself counts them."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    DeepseekV3Config,
    Gemma2Config,
    LlamaConfig,
    Qwen2Config,
    Qwen3Config,
    Qwen3MoeConfig,
)

from r1kit.forecast import counting, memory, phases
from r1kit.forecast.counting import cut, random_model, shape_of
from r1kit.forecast.memory import MicroBatch, Precision
from r1kit.forecast.model_shape import n_adapters
from r1kit.forecast.phases import LoadedModel
from r1kit.model.head import max_logits
from r1kit.model.logprobs import token_logprobs
from tests.forecast.conftest import SHAPE

SIZES: dict[str, Any] = {
    "vocab_size": 400,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "pad_token_id": 0,
}


def test_the_parts_by_hand() -> None:
    half = Precision(weight=2, master=4)
    batch = MicroBatch(tokens=70, cells=100, scored=60)
    assert memory.weights(SHAPE, half) == 2000
    assert memory.optimizer(1000, 600, "adamw") == 8000
    assert memory.optimizer(1000, 600, "muon") == 4 * (2 * 400 + 600)
    assert memory.optimizer(1000, 600, "adamw8bit") == 2000  # two moments of a byte
    # Per layer 70 x 100, 30 further cells x 30 and the copied output 70 x 8; outside 70 x 20.
    assert memory.activations(SHAPE, batch, Precision()) == 4 * (2 * (7000 + 900 + 560) + 1400)
    checkpointed = 4 * (2 * 70 * 8 + 7000 + 900 + 560 + 1400)
    assert memory.activations(SHAPE, batch, Precision(), is_checkpointed=True) == checkpointed
    assert memory.masters(1000, half) == 4000
    assert memory.masters(1000, Precision()) == 0
    assert memory.logits(SHAPE, batch) == (3 * 60 * 50 + 8 * 50) * 4
    large = MicroBatch(10**6, 10**6, 10**6)
    assert memory.logits(SHAPE, large) == (2 * 2**24 + 8 * 50) * 4
    assert memory.logits(SHAPE, MicroBatch(70, 100, 0)) == 0
    assert memory.kv_cache(SHAPE, 8, 32, half) == 8 * 32 * 16 * 2
    assert memory.sampler(SHAPE, 8) == 5 * 8 * 50 * 4


def test_a_chunk_is_as_large_as_the_head_makes_it() -> None:
    for device, is_gpu in (("cpu", False), ("cuda", True)):
        assert max_logits(torch.device(device)) == memory.MAX_LOGITS[is_gpu]


def test_the_phases_hold_what_is_alive() -> None:
    model = LoadedModel(SHAPE, Precision(), program=100.0)
    made = phases.training(model, MicroBatch(10, 10, 10), "adamw", 2, {"KV cache": 50.0})
    assert made["learn"]["gradients"] == made["update"]["gradients"] == 4000
    assert "gradients" not in made["save"]
    assert made["update"]["copies"] == 4000  # the sum over two processes
    assert made["save"]["copies"] == 8000  # the moments
    held = 100 + 50 + 4000 + 8000
    assert phases.peak(made) == ("learn", held + 4000 + 8800 + (3 * 10 + 8) * 50 * 4)
    adapted = replace(model, n_adapters=50)
    lora = phases.training(adapted, MicroBatch(10, 10, 10), "adamw", 1, {})
    assert (lora["learn"]["gradients"], lora["learn"]["optimizer"]) == (200, 400)
    assert lora["save"]["copies"] == 400 + 4000  # the moments, and the merged weights
    alone = phases.training(model, MicroBatch(10, 10, 10), "adamw", 1, {})
    assert alone["update"]["copies"] == 0


def test_a_sharded_model_is_held_in_parts() -> None:
    """1,000 weights: 400 in the embedding of 8 x 50, and 300 in each of two layers."""
    model = LoadedModel(SHAPE, Precision(), program=100.0, n_shards=4)
    made = phases.training(model, MicroBatch(10, 10, 10), "adamw", 4, {"KV cache": 50.0})
    assert made["learn"]["optimizer"] == 8000 / 4
    assert made["learn"]["weights"] == 4000 / 4 + 4 * (400 + 2 * 300)
    assert made["learn"]["gradients"] == 4000 / 4 + 4 * (400 + 300)
    assert made["update"]["gradients"] == made["update"]["weights"] == 1000
    assert made["save"]["copies"] == 2000 + 1000  # moments and weights of a process
    half = phases.training(
        replace(model, precision=Precision(weight=2, master=4)), MicroBatch(1, 1, 1), "adamw", 4, {}
    )
    assert half["learn"]["weights"] == 4000 / 4 + 2 * 1000  # gathered in bfloat16
    adapted = phases.training(replace(model, n_adapters=50), MicroBatch(1, 1, 1), "adamw", 4, {})
    assert adapted["update"]["weights"] == 1000
    assert (adapted["update"]["gradients"], adapted["update"]["optimizer"]) == (200, 400)


def test_a_llama_is_counted_as_its_formula_says() -> None:
    shape = shape_of(LlamaConfig(**SIZES, tie_word_embeddings=True))
    h, q, k, a, f = 64, 64, 32, 4, 96
    per_layer = 2 * h * q + 2 * h * k + 3 * h * f
    assert shape.n_matrices == 3 * per_layer
    assert shape.n_parameters == shape.n_active == 400 * h + 3 * (per_layer + 2 * h) + h
    assert shape.kv_floats == 3 * 2 * k
    assert shape.layer_floats == 4 * h + 2 * q + 2 * k + a + 4 * f + 2
    assert shape.cell_floats == 2 * q + 2 * k + a
    assert shape.max_positions == 256
    linear = {"q": h + q, "k": h + k, "v": h + k, "o": q + h}
    assert n_adapters(shape, 4, ("q_proj", "v_proj")) == 4 * 3 * (linear["q"] + linear["v"])
    assert n_adapters(shape, 1, "all-linear") == 3 * (sum(linear.values()) + 3 * (h + f))


def test_an_untied_head_and_idle_experts_do_not_multiply_twice() -> None:
    untied = shape_of(LlamaConfig(**SIZES, tie_word_embeddings=False))
    assert untied.n_parameters - untied.n_active == 400 * 64
    experts = {"num_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 32}
    mixture = shape_of(Qwen3MoeConfig(**SIZES, **experts, head_dim=16, tie_word_embeddings=True))
    assert mixture.n_parameters - mixture.n_active == 3 * 6 * 3 * 64 * 32


@pytest.mark.parametrize("config_class", [LlamaConfig, Qwen2Config, Qwen3Config, Gemma2Config])
@pytest.mark.parametrize("lengths", [[32] * 4, [32, 20, 17, 40]])
@pytest.mark.parametrize("precision", [Precision(), Precision(weight=2)])
def test_activations_are_those_autograd_saves(
    config_class: Any, lengths: list[int], precision: Precision
) -> None:
    """Within 3 %: the indices of the blocks are not in the formula."""
    config = config_class(**SIZES, head_dim=16)
    dtype = {4: torch.float32, 2: torch.bfloat16}[precision.weight]
    model = random_model(config, "cpu", dtype).train()
    ids = torch.randint(10, 400, (sum(lengths),))
    mask = torch.ones(len(ids), dtype=torch.bool)
    mask[torch.tensor([0, *lengths[:-1]]).cumsum(0)] = False
    own = {t.untyped_storage().data_ptr() for t in (*model.parameters(), *model.buffers())}
    saved: dict[int, torch.UntypedStorage] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            saved[storage.data_ptr()] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        token_logprobs(model, ids, lengths, mask)
    n_logits = int(mask.sum()) * config.vocab_size * 4
    n_saved = sum(storage.nbytes() for storage in saved.values()) - n_logits
    blocks = {4: 4 * 32, 40: 120}[lengths[-1] if lengths[-1] == 40 else 4]
    batch = MicroBatch(len(ids), blocks, int(mask.sum()))
    expected = memory.activations(shape_of(config), batch, precision)
    is_capped = config_class is Gemma2Config  # its scores are saved, a square of the length
    assert n_saved == pytest.approx(expected, rel=0.15 if is_capped else 0.03)


@pytest.mark.parametrize("config_class", [LlamaConfig, DeepseekV3Config])
def test_a_large_model_is_counted_at_an_eighth_of_its_widths(
    config_class: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = SIZES | {"hidden_size": 512, "intermediate_size": 1024, "num_attention_heads": 8,
                     "num_key_value_heads": 8}  # fmt: skip
    if config_class is DeepseekV3Config:
        sizes |= {"moe_intermediate_size": 128, "n_routed_experts": 128, "q_lora_rank": 128,
                  "kv_lora_rank": 64, "qk_rope_head_dim": 16, "qk_nope_head_dim": 32,
                  "v_head_dim": 32, "first_k_dense_replace": 0}  # fmt: skip
    exact = shape_of(config_class(**sizes))
    monkeypatch.setattr(counting, "LARGE_LAYER", 0)
    narrow = shape_of(config_class(**sizes))
    assert narrow.kv_floats == exact.kv_floats
    assert narrow.layer_floats == pytest.approx(exact.layer_floats, rel=0.06)
    # A router saves a float32 copy of its weights, which counts as if it grew with the tokens.
    has_router = config_class is DeepseekV3Config
    assert narrow.wide_floats == pytest.approx(exact.wide_floats, rel=0.4 if has_router else 0.06)
    assert narrow.n_parameters == exact.n_parameters


def test_a_cut_model_has_the_first_layers() -> None:
    config = Gemma2Config(**SIZES, head_dim=16)
    smaller = cut(config, 1)
    assert smaller.num_hidden_layers == 1
    assert smaller.layer_types == config.layer_types[:1]
    assert config.num_hidden_layers == 3
    assert len(AutoModelForCausalLM.from_config(smaller).model.layers) == 1


def test_servers_have_memory_of_their_own() -> None:
    model = LoadedModel(SHAPE, Precision(weight=2), 0.0, is_sampled_by_vllm=True)
    assert model.sampler(8, 32) == {}
    assert phases.sampling(model, 8, 32) == {"weights": 2000.0, "program": 0.0}


def test_an_engine_on_a_cpu_packs_bfloat16_weights() -> None:
    half = LoadedModel(SHAPE, Precision(weight=2, master=4), 0.0)
    assert (
        half.sampler(8, 10)["packed weights"] == half.weights["weights"] == 2 * SHAPE.n_parameters
    )
    assert "packed weights" not in LoadedModel(SHAPE, Precision(), 0.0).sampler(8, 10)
    assert "packed weights" not in replace(half, is_gpu=True).sampler(8, 10)
