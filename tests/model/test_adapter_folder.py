"""Adapter folders as peft saves them: merged into their base, or refused with a sentence."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import PreTrainedModel

from r1kit.errors import CheckpointError
from r1kit.model.policy import Policy
from tests.conftest import make_byte_tokenizer, tiny_model

pytestmark = pytest.mark.filterwarnings("ignore:.*gradient_checkpointing:FutureWarning")  # peft's
IDS = torch.tensor([[256, 65, 66, 67, 68]])


def saved(model: PreTrainedModel, path: Path) -> Path:
    model.save_pretrained(path)
    make_byte_tokenizer().save_pretrained(path)
    return path


def trained_adapter(base: Path, path: Path, **settings: Any) -> torch.Tensor:
    """Save an adapter with random weights, and return the logits of base and adapter together."""
    torch.manual_seed(3)
    model = tiny_model("llama-gqa")
    model.name_or_path = str(base)
    defaults: dict[str, Any] = {"r": 4, "target_modules": "all-linear", "task_type": "CAUSAL_LM"}
    adapted = get_peft_model(model, LoraConfig(**defaults | settings))
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if parameter.requires_grad:
                assert "lora" in name or "base" not in name
                parameter.add_(0.1 * torch.randn_like(parameter))
        logits: torch.Tensor = adapted(IDS).logits
    adapted.save_pretrained(path)
    return logits


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return saved(tiny_model("llama-gqa"), tmp_path / "base")


@pytest.mark.parametrize(
    "settings",
    [{}, {"use_rslora": True}, {"rank_pattern": {"q_proj": 2}}, {"use_dora": True}],
    ids=["plain", "rslora", "ranks", "dora"],
)
def test_an_adapter_opens_as_its_base_with_the_adapter(
    base: Path, tmp_path: Path, settings: dict[str, Any]
) -> None:
    logits = trained_adapter(base, tmp_path / "adapter", **settings)
    policy = Policy.load(tmp_path / "adapter", "cpu")
    assert (tiny_model("llama-gqa")(IDS).logits - logits).abs().max() > 0.1
    with torch.no_grad():
        torch.testing.assert_close(policy.module(IDS).logits, logits, atol=1e-4, rtol=1e-4)
    assert all(parameter.requires_grad for parameter in policy.module.parameters())
    assert not isinstance(policy.module, PeftModel)
    assert policy.tokenizer.eos_token_id == 257


def edit(path: Path, **changes: Any) -> None:
    config = json.loads((path / "adapter_config.json").read_text())
    (path / "adapter_config.json").write_text(json.dumps(config | changes))


def other_shape(path: Path) -> None:
    wide = {n: t.repeat(1, 2) for n, t in load_file(path / "adapter_model.safetensors").items()}
    save_file(wide, path / "adapter_model.safetensors")


def more_layers(path: Path) -> None:
    tensors = load_file(path / "adapter_model.safetensors")
    extra = {
        name.replace("layers.0", "layers.7"): tensor.clone()
        for name, tensor in tensors.items()
        if "layers.0" in name
    }
    save_file(tensors | extra, path / "adapter_model.safetensors")


def fewer_layers(path: Path) -> None:
    tensors = load_file(path / "adapter_model.safetensors")
    first = {name: tensor for name, tensor in tensors.items() if "layers.0" in name}
    save_file(first, path / "adapter_model.safetensors")


DAMAGE: list[tuple[Callable[[Path], Any], str]] = [
    (other_shape, "size mismatch"),
    (more_layers, "does not fit its base"),
    (fewer_layers, "does not fit its base"),
    (lambda path: edit(path, target_modules=["query"]), "does not fit its base"),
    (lambda path: edit(path, r="many"), "does not fit its base"),
    (lambda path: edit(path, peft_type="IA3"), "is of the kind 'IA3'; r1kit opens LORA."),
    (
        lambda path: edit(path, init_lora_weights="pissa"),
        "began as 'pissa', which changes the base",
    ),
    (lambda path: edit(path, base_model_name_or_path=None), "does not name the base"),
    (lambda path: edit(path, base_model_name_or_path="gone/away/base"), "cannot be opened"),
    (lambda path: (path / "adapter_model.safetensors").unlink(), "save the adapter as safetensors"),
    (lambda path: (path / "adapter_model.safetensors").write_bytes(b"x" * 99), "does not fit"),
    (lambda path: (path / "adapter_config.json").write_text("[1]"), "adapter_config.json"),
]


@pytest.mark.parametrize(("damage", "expected"), DAMAGE)
def test_an_adapter_that_does_not_fit_is_refused(
    base: Path, tmp_path: Path, damage: Callable[[Path], Any], expected: str
) -> None:
    trained_adapter(base, tmp_path / "adapter")
    damage(tmp_path / "adapter")
    with pytest.raises(CheckpointError) as caught:
        Policy.load(tmp_path / "adapter", "cpu")
    message = str(caught.value)
    assert expected in message
    assert "\n" not in message
    assert message.endswith(".")


def test_settings_that_import_modules_are_not_read(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained_adapter(base, tmp_path / "adapter")
    (tmp_path / "evil_module.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(str(tmp_path))
    edit(tmp_path / "adapter", megatron_config={"a": 1}, megatron_core="evil_module")
    Policy.load(tmp_path / "adapter", "cpu")


def test_pickled_adapters_are_not_opened(base: Path, tmp_path: Path) -> None:
    trained_adapter(base, tmp_path / "adapter")
    weights = tmp_path / "adapter" / "adapter_model.safetensors"
    torch.save(load_file(weights), weights.with_suffix(".bin"))
    weights.unlink()
    with pytest.raises(CheckpointError, match="save the adapter as safetensors"):
        Policy.load(tmp_path / "adapter", "cpu")
