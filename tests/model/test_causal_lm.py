"""New and loaded policies, and what cannot be one."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, GPT2Config, PreTrainedModel

from r1kit.config import ModelConfig
from r1kit.errors import CheckpointError
from r1kit.model import attention, causal_lm, folder

SMALL = ModelConfig(
    n_layers=2, hidden=32, intermediate=48, n_heads=4, n_kv_heads=2, max_positions=64
)


def _new(family: str = "qwen3", seed: int = 0) -> PreTrainedModel:
    config = SMALL.model_copy(update={"family": family})
    return causal_lm.build(config, 300, eos_id=2, pad_id=0, bos_id=1, seed=seed)


@pytest.mark.parametrize("family", ["qwen3", "llama"])
def test_a_new_policy_is_ready_and_follows_its_seed(family: str) -> None:
    torch.manual_seed(11)
    before = torch.random.get_rng_state()
    model, same, other = _new(family), _new(family), _new(family, seed=1)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert model.config.model_type == family
    assert model.config._attn_implementation == attention.NAME
    assert not model.training
    assert model.lm_head.weight is model.model.embed_tokens.weight
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    weights, again, others = (m.state_dict() for m in (model, same, other))
    assert all(torch.equal(weights[name], again[name]) for name in weights)
    assert not torch.equal(weights["lm_head.weight"], others["lm_head.weight"])


def test_a_saved_policy_opens_here_and_in_plain_transformers(tmp_path: Path) -> None:
    model = _new()
    model.save_pretrained(tmp_path)
    ids = torch.tensor([[1, 5, 9, 7]])
    with torch.no_grad():
        expected = model(ids).logits
        loaded = causal_lm.load(tmp_path, "cpu", torch.float32)
        plain = AutoModelForCausalLM.from_pretrained(tmp_path)
        assert torch.equal(loaded(ids).logits, expected)
        assert torch.equal(plain(ids).logits, expected)
    assert loaded.config._attn_implementation == attention.NAME
    assert plain.config._attn_implementation == "sdpa"
    assert not loaded.training


def test_loaded_weights_lie_as_new_ones_do(tmp_path: Path) -> None:
    # On a CPU the last digits of a product depend on it: a resumed run would not be the same run.
    new = _new("llama")
    new.save_pretrained(tmp_path)
    loaded = causal_lm.load(tmp_path, "cpu", torch.float32)
    for model in (new, loaded):
        assert {parameter.data_ptr() % 64 for parameter in model.parameters()} == {0}
    assert loaded.lm_head.weight is loaded.model.embed_tokens.weight


def test_dropout_of_a_loaded_model_is_off(tmp_path: Path) -> None:
    shape = GPT2Config(n_layer=1, n_head=2, n_embd=16, vocab_size=50, n_positions=32)
    AutoModelForCausalLM.from_config(shape).save_pretrained(tmp_path)
    model = causal_lm.load(tmp_path, "cpu", torch.float32).train()
    ids = torch.arange(20)[None]
    assert torch.equal(model(ids).logits, model(ids).logits)


def test_every_eos_id_counts() -> None:
    model = _new()
    model.generation_config.eos_token_id = [2, 17]
    tokenizer = SimpleNamespace(eos_token_id=9)
    assert causal_lm.eos_ids(model, tokenizer) == {2, 9, 17}
    model.generation_config.eos_token_id = None
    assert causal_lm.eos_ids(model, SimpleNamespace()) == {2}


def _missing(folder: Path) -> None:
    (folder / "config.json").unlink()


def _half_written(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])


def _no_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


def _some_weights(folder: Path) -> None:
    file = folder / "model.safetensors"
    tensors = load_file(file)
    del tensors["model.layers.1.mlp.up_proj.weight"]
    save_file(tensors, file, metadata={"format": "pt"})


def _foreign(folder: Path) -> None:
    (folder / "config.json").write_text(json.dumps({"model_type": "no-such-model"}))


def _other_shape(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "intermediate_size": 64}))


def _not_json(folder: Path) -> None:
    (folder / "config.json").write_text("{")


def _encoder(folder: Path) -> None:
    (folder / "config.json").write_text(json.dumps({"model_type": "vit"}))


@pytest.mark.parametrize(
    "damage",
    [
        _missing,
        _half_written,
        _no_weights,
        _some_weights,
        _foreign,
        _other_shape,
        _not_json,
        _encoder,
    ],
)
def test_a_damaged_folder_is_a_sentence(tmp_path: Path, damage: object) -> None:
    _new().save_pretrained(tmp_path)
    assert callable(damage)
    damage(tmp_path)
    with pytest.raises(CheckpointError) as caught:
        causal_lm.load(tmp_path, "cpu", torch.float32)
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_code_in_a_folder_is_not_run(tmp_path: Path) -> None:
    _new().save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    code = {"AutoConfig": "own.Own", "AutoModelForCausalLM": "own.Own"}
    config |= {"model_type": "own", "auto_map": code}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "own.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    with pytest.raises(CheckpointError, match="needs Python code of its own, which r1kit never"):
        causal_lm.load(tmp_path, "cpu", torch.float32)
    with pytest.raises(CheckpointError, match="needs Python code of its own, which r1kit never"):
        folder.text_config(tmp_path)
    assert not (tmp_path / "ran").exists()


def test_nobody_is_asked_whether_the_code_of_a_tokenizer_or_config_may_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """transformers would ask on the terminal, and run it after a `y`."""
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("the user was asked"))
    code = {"AutoTokenizer": ["own.Own", None], "AutoConfig": "own.Own"}
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "own", "auto_map": code}))
    (tmp_path / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "Own", "auto_map": code})
    )
    (tmp_path / "own.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    for opening in (folder.open_tokenizer, lambda path: folder.vocab_and_eos(path, None)):
        with pytest.raises(CheckpointError):
            opening(tmp_path)
    assert not (tmp_path / "ran").exists()
