"""The upper rungs of the ladder of architectures: training, saving, and opening elsewhere.

The lower rungs take the same `any_model`: without a layout as sdpa (test_attention), packed =
padded (test_packed), cached = uncached (test_cache), learner = engine (engines/local/test_engine).
"""

from pathlib import Path

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    Lfm2Config,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen3NextConfig,
)

from r1kit.config import RLConfig, SFTOptimConfig
from r1kit.engines.base import generate
from r1kit.engines.local import LocalEngine
from r1kit.errors import CheckpointError
from r1kit.model import causal_lm, checkpoint
from r1kit.model.ranks import Ranks
from r1kit.model.tokenizer import tokenizer_hash
from r1kit.renderers import renderer_of
from r1kit.renderers.plain import PlainRenderer
from r1kit.train import rl
from r1kit.train.cross_entropy import cross_entropy
from r1kit.train.optim import make_optimizers
from r1kit.train.sft import example
from r1kit.train.train_loop import train_loop
from r1kit.types import Checkpoint, Message, Request, SamplingParams, Trajectory
from tests.conftest import EOS, SHAPE, policy_of

IDS = torch.tensor([[3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5]])


def test_updates_of_fine_tuning_lower_the_loss(any_model: PreTrainedModel) -> None:
    config = SFTOptimConfig(optimizer="muon", lr=1e-3, muon_lr=0.01)
    policy, losses = policy_of(any_model), []
    examples = [example([7, 8], [9, 10, 11, EOS]), example([5], [4, 3, 2, 1, EOS])]
    train_loop(
        cross_entropy,
        policy,
        make_optimizers(policy.trainable(), config),
        [examples] * 3,
        config,
        Ranks(),
        first_step=0,
        micro_batch_tokens=64,
        after_step=lambda step, metrics: losses.append(metrics["loss"]),
    )
    assert losses[0] > losses[1] > losses[2]


def test_an_update_of_rl_makes_what_was_rewarded_likelier(
    any_model: PreTrainedModel, byte_tokenizer: PreTrainedTokenizerFast
) -> None:
    engine, policy = LocalEngine(any_model, byte_tokenizer, max_num_seqs=8), policy_of(any_model)
    [completions] = generate(engine, [Request([7, 8, 9], 8, SamplingParams(6), 0)])
    group = [
        Trajectory(
            [7, 8, 9, *completion.token_ids],
            [0, 0, 0] + [1] * len(completion.token_ids),
            1.0 if index % 2 else -1.0,
            [0.0, 0.0, 0.0, *completion.logprobs],
        )
        for index, completion in enumerate(completions)
    ]
    config = RLConfig(max_tokens=6, updates_per_step=1)
    learner = rl.Learner(
        policy, make_optimizers(policy.trainable(), config.optim), config, Ranks(), 64
    )
    step = rl.Step([(0, group)], 1, 1, {})
    first, second = (rl.learn(learner, step, 1.0) for _ in range(2))
    assert first[f"{rl.LOGP_DIFFERENCE}/max"] < 1e-4
    assert second["loss"] < first["loss"]


@torch.no_grad()
def test_a_saved_model_is_the_same_here_and_in_plain_transformers(
    any_model: PreTrainedModel, byte_tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    manifest = Checkpoint("", "base", 0, None, None, tokenizer_hash(byte_tokenizer), "")
    checkpoint.save(tmp_path / "saved", any_model, byte_tokenizer, manifest)
    expected = any_model(IDS).logits
    loaded, tokenizer = checkpoint.load(tmp_path / "saved")
    plain = AutoModelForCausalLM.from_pretrained(tmp_path / "saved")
    if plain.config.model_type == "gemma2":  # sdpa has no soft-capped scores
        plain.set_attn_implementation("eager")
    torch.testing.assert_close(loaded(IDS).logits, expected, atol=2e-5, rtol=1e-5)
    torch.testing.assert_close(plain(IDS).logits, expected, atol=2e-5, rtol=1e-5)
    weights = any_model.state_dict()
    assert all(torch.equal(tensor, weights[name]) for name, tensor in loaded.state_dict().items())
    declared = any_model.config.eos_token_id
    wanted = {EOS, *(declared if isinstance(declared, list) else [declared])}
    assert causal_lm.eos_ids(loaded, tokenizer) == wanted
    assert isinstance(renderer_of(tokenizer), PlainRenderer)
    assert renderer_of(tokenizer).render_prompt([Message("user", "1")])


SMALL = {**SHAPE, "num_key_value_heads": 2}
STATEFUL: dict[str, PretrainedConfig] = {
    "convolutions": Lfm2Config(**SMALL, layer_types=["conv", "full_attention"]),
    "linear attention": Qwen3NextConfig(
        **SMALL,
        layer_types=["linear_attention", "full_attention"],
        num_experts=2,
        num_experts_per_tok=1,
    ),
}


@pytest.mark.parametrize("kind", STATEFUL)
def test_layers_that_mix_a_packed_stream_are_refused(kind: str) -> None:
    """Their state would run on from one sequence into the next."""
    model = AutoModelForCausalLM.from_config(STATEFUL[kind], dtype=torch.float32)
    with pytest.raises(CheckpointError, match="not all layers are attention"):
        causal_lm.prepare(model, "it")
