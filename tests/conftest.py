"""Tiny random models of several architectures, and a tokenizer whose tokens are bytes."""

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import settings
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    DeepseekV3Config,
    Gemma2Config,
    Gemma3TextConfig,
    GPTNeoXConfig,
    LlamaConfig,
    MistralConfig,
    Olmo2Config,
    Phi3Config,
    PhiConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen3Config,
    SmolLM3Config,
)
from transformers.models.auto.modeling_auto import AutoModelForCausalLM

from r1kit.model import attention
from r1kit.model.policy import Policy
from r1kit.processes import child
from tests.forks import ForkedChild
from tests.serve.conftest import folder as folder
from tests.serve.conftest import server as server

settings.register_profile("untimed", deadline=None)  # on a busy machine any example may be slow
settings.load_profile("untimed")

ROOT = Path(__file__).parent
VOCAB, EOS = 258, 257
SHAPE: dict[str, Any] = {
    "vocab_size": VOCAB,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 256,
    "eos_token_id": EOS,
    "bos_token_id": 256,
    "pad_token_id": EOS,
    "initializer_range": 0.2,
}
MIXTURE: dict[str, Any] = {
    "num_key_value_heads": 4,
    "q_lora_rank": 24,
    "kv_lora_rank": 16,
    "qk_nope_head_dim": 10,
    "qk_rope_head_dim": 6,
    "v_head_dim": 12,
    "n_routed_experts": 8,
    "num_experts_per_tok": 3,
    "n_shared_experts": 1,
    "moe_intermediate_size": 16,
    "first_k_dense_replace": 1,
    "n_group": 2,
    "topk_group": 1,
}
LLAMA3_ROPE = {
    "rope_type": "llama3",
    "rope_theta": 10000.0,
    "factor": 4.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}
ARCHITECTURES: dict[str, Callable[[], Any]] = {
    "qwen2": lambda: Qwen2Config(**SHAPE, num_key_value_heads=4, tie_word_embeddings=True),
    "llama-gqa": lambda: LlamaConfig(**SHAPE, num_key_value_heads=2),
    "qwen3-mqa": lambda: Qwen3Config(**SHAPE, num_key_value_heads=1, head_dim=16),
    "gpt-neox": lambda: GPTNeoXConfig(**SHAPE, rotary_pct=0.5),
    # Windows, soft-capped scores and soft-capped logits; short windows, so that they bite.
    "gemma2": lambda: Gemma2Config(
        **SHAPE, num_key_value_heads=2, head_dim=8, sliding_window=6, query_pre_attn_scalar=8
    ),
    "llama3": lambda: LlamaConfig(
        **SHAPE | {"eos_token_id": [EOS, 3], "rope_parameters": LLAMA3_ROPE},
        num_key_value_heads=2,
        tie_word_embeddings=True,
    ),
    "mistral": lambda: MistralConfig(**SHAPE, num_key_value_heads=2, head_dim=10, sliding_window=5),
    "gemma3": lambda: Gemma3TextConfig(
        **SHAPE,
        num_key_value_heads=1,
        head_dim=12,
        query_pre_attn_scalar=12,
        sliding_window=6,
        layer_types=["sliding_attention", "full_attention"],
        final_logit_softcapping=5.0,
    ),
    "phi": lambda: PhiConfig(**SHAPE, num_key_value_heads=2, qk_layernorm=True),
    "phi3": lambda: Phi3Config(**SHAPE, num_key_value_heads=2, sliding_window=7),
    "smollm3": lambda: SmolLM3Config(**SHAPE, num_key_value_heads=2, no_rope_layers=[1, 0]),
    "olmo2": lambda: Olmo2Config(**SHAPE, num_key_value_heads=2),
    # Keys are larger than values, and the cache holds neither, but the latents of both.
    "deepseek_v3": lambda: DeepseekV3Config(**SHAPE, **MIXTURE),
}


def tiny_model(name: str, seed: int = 0) -> PreTrainedModel:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(ARCHITECTURES[name](), dtype=torch.float32)
    model.set_attn_implementation(attention.NAME)
    return model.eval()


SLOW_FILES = (
    "test_whole_recipe.py", "test_vllm.py", "test_vllm_sampler.py", "test_run.py",
    "test_endings.py", "test_nothing_lost.py", "test_damage.py", "test_chat_page.py",
    "test_sharding.py", "test_attacks.py", "test_new_recipe.py", "test_fuzz.py",
    "test_accessibility.py", "test_processes.py", "test_look.py", "test_benchmarks.py",
    "test_watch_page.py", "test_chat_features.py", "test_compare_page.py", "test_own_data.py",
    "test_killed_torchrun.py",
)  # fmt: skip
"""files that train whole recipes or start vLLM, browsers and many processes, the longest first

`make test` leaves them out. They begin first, so that at the end no worker waits long."""


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give each file to one worker, since its tests share servers and browsers."""
    for item in items:
        if item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(str(item.path.relative_to(ROOT))))
        if item.path.name in SLOW_FILES:
            item.add_marker(pytest.mark.slow)
    ranks = {name: rank for rank, name in enumerate(SLOW_FILES)}
    items.sort(key=lambda item: ranks.get(item.path.name, len(ranks)))


@pytest.fixture(autouse=True, scope="session")
def signals_as_in_a_terminal() -> None:
    """Behind `nohup` or an `&` the tests would ignore signals, and so would all they start."""
    for number, handler in (
        (signal.SIGINT, signal.default_int_handler),
        (signal.SIGHUP, signal.SIG_DFL),
    ):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)


@pytest.fixture
def forked_ranks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The other ranks of this process are forked from one that has imported torch."""
    monkeypatch.setattr(child, "_start", ForkedChild)


@pytest.fixture(params=list(ARCHITECTURES))
def any_model(request: pytest.FixtureRequest) -> PreTrainedModel:
    """Each architecture in turn."""
    return tiny_model(request.param)


@pytest.fixture
def model() -> PreTrainedModel:
    return tiny_model("qwen2")


@pytest.fixture(scope="session")
def byte_tokenizer() -> PreTrainedTokenizerFast:
    return make_byte_tokenizer()


def policy_of(model: PreTrainedModel) -> Policy:
    return Policy(model, make_byte_tokenizer())


def make_byte_tokenizer() -> PreTrainedTokenizerFast:
    """Ids 0..255 are the bytes in the order of the byte-level alphabet, 256 BOS, 257 EOS = pad."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    backend = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(alphabet)}, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token="<bos>", eos_token="<eos>", pad_token="<eos>"
    )
