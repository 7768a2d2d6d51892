"""Checkpoints: real models and tokenizers, real kills, damaged on purpose."""

import json
import random
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    AutoModelForCausalLM,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from r1kit.errors import CheckpointError
from r1kit.files.atomic import MARKER, seal, to_json, unsealed
from r1kit.files.checksums import names_below
from r1kit.model.checkpoint import (
    load,
    load_state,
    save,
)
from r1kit.model.folder import load_manifest, open_tokenizer
from r1kit.model.tokenizer import tokenizer_hash
from r1kit.types import Checkpoint
from tests.forks import Fork


def tokenizer(n: int = 20) -> PreTrainedTokenizerFast:
    vocabulary = {"<eos>": 0, "<unk>": 1, **{f"w{i}": i for i in range(2, n)}}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        eos_token="<eos>",
        unk_token="<unk>",
        chat_template="{% for m in messages %}{{ m.content }}{% endfor %}",
    )


def model(vocab_size: int = 20, *, tied: bool = True) -> Qwen2ForCausalLM:
    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=vocab_size,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        tie_word_embeddings=tied,
        eos_token_id=None,
        bos_token_id=None,
    )
    return Qwen2ForCausalLM(config).eval()


def manifest(**changes: object) -> Checkpoint:
    facts = {
        "path": "",
        "stage": "zero",
        "step": 10,
        "weights_from": "base-000005",
        "data_from": None,
        "tokenizer_hash": tokenizer_hash(tokenizer()),
        "config_hash": "abc",
    }
    return Checkpoint(**{**facts, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize("tied", [True, False])
def test_transformers_opens_it_with_equal_logits(tmp_path: Path, tied: bool) -> None:
    original = model(tied=tied)
    save(tmp_path / "c", original, tokenizer(), manifest())
    ids = torch.tensor([[2, 3, 5, 7, 11]])
    opened = AutoModelForCausalLM.from_pretrained(tmp_path / "c", dtype=torch.float32)
    assert torch.equal(opened(ids).logits, original(ids).logits)
    embedding, head = opened.get_input_embeddings().weight, opened.get_output_embeddings().weight
    assert (embedding.data_ptr() == head.data_ptr()) is tied
    loaded, its_tokenizer = load(tmp_path / "c")
    assert not loaded.training
    assert torch.equal(loaded(ids).logits, original(ids).logits)
    assert its_tokenizer("w2 w7").input_ids == [2, 7]
    assert its_tokenizer.chat_template == tokenizer().chat_template


def test_every_end_of_sequence_id_is_in_the_generation_config(tmp_path: Path) -> None:
    policy = model()
    policy.generation_config.eos_token_id = 7
    save(tmp_path / "c", policy, tokenizer(), manifest())
    assert json.loads((tmp_path / "c/generation_config.json").read_text())["eos_token_id"] == [7, 0]
    assert policy.generation_config.eos_token_id == 7


def test_manifest_and_state_read_back_bit_equal(tmp_path: Path) -> None:
    policy = model()
    optimizer = torch.optim.AdamW(policy.parameters(), lr=1 / 3)
    policy(torch.tensor([[2, 3, 4]])).logits.logsumexp(-1).sum().backward()
    optimizer.step()
    weight = torch.randn(3, 4)
    state: dict[str, Any] = {
        "optimizer": optimizer.state_dict(),
        "torch_rng": torch.get_rng_state(),
        "python_rng": random.Random(1).getstate(),
        "views": [weight, weight.T, weight[1]],
        "empty": {},
        "numbers": (0.1 + 0.2, 2**70, -0.0, True, None, "한"),
    }
    save(tmp_path / "c", policy, tokenizer(), manifest(), state)
    assert load_manifest(tmp_path / "c") == manifest(path=str(tmp_path / "c"))
    back = load_state(tmp_path / "c")
    assert back is not None
    assert back["numbers"] == state["numbers"]
    assert str(back["numbers"][2]) == "-0.0"
    assert back["python_rng"] == state["python_rng"]
    assert back["empty"] == {}
    assert torch.equal(back["torch_rng"], state["torch_rng"])
    assert all(torch.equal(a, b) for a, b in zip(back["views"], state["views"], strict=True))
    fresh = torch.optim.AdamW(policy.parameters())
    fresh.load_state_dict(back["optimizer"])
    for old, new in zip(optimizer.state.values(), fresh.state.values(), strict=True):
        assert all(torch.equal(old[key], new[key]) for key in old)
    assert fresh.param_groups[0]["lr"] == 1 / 3


def test_no_state_is_none_and_unknown_state_is_refused(tmp_path: Path) -> None:
    save(tmp_path / "c", model(), tokenizer(), manifest())
    assert load_state(tmp_path / "c") is None
    with pytest.raises(TypeError, match="no set"):
        save(tmp_path / "d", model(), tokenizer(), manifest(), {"x": {1, 2}})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c"]


def test_nothing_in_a_checkpoint_is_a_pickle(tmp_path: Path) -> None:
    save(tmp_path / "c", model(), tokenizer(), manifest(), {"x": torch.ones(1)})
    kinds = {path.suffix for path in (tmp_path / "c").rglob("*") if path.is_file()}
    assert kinds <= {".json", ".safetensors", ".jinja"}


def test_saving_again_replaces(tmp_path: Path) -> None:
    save(tmp_path / "c", model(), tokenizer(), manifest(step=1), {"n": 1})
    save(tmp_path / "c", model(), tokenizer(), manifest(step=2), {"n": 2})
    assert load_manifest(tmp_path / "c").step == 2
    assert load_state(tmp_path / "c") == {"n": 2}


def test_leftovers_of_a_killed_save_are_cleaned(tmp_path: Path) -> None:
    (tmp_path / ".tmp-old").mkdir()
    (tmp_path / ".tmp-old/model.safetensors").write_text("half")
    save(tmp_path / "c", model(), tokenizer(), manifest())
    assert [path.name for path in tmp_path.iterdir()] == ["c"]


@pytest.mark.parametrize("broken", ["missing", "empty", "no weights", "cut weights", "bad config"])
def test_a_folder_that_is_no_model_is_a_sentence(tmp_path: Path, broken: str) -> None:
    path = tmp_path / "c"
    if broken != "missing":
        save(path, model(), tokenizer(), manifest())
    if broken == "empty":
        for file in path.iterdir():
            file.unlink()
    if broken == "no weights":
        (path / "model.safetensors").unlink()
    if broken == "cut weights":
        weights = (path / "model.safetensors").read_bytes()
        (path / "model.safetensors").write_bytes(weights[: len(weights) // 2])
    if broken == "bad config":
        (path / "config.json").write_text('{"model_type": "toaster"}')
    with pytest.raises(CheckpointError) as caught:
        load(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_foreign_and_damaged_manifests_are_sentences(tmp_path: Path) -> None:
    model().save_pretrained(tmp_path / "c")
    with pytest.raises(CheckpointError, match="no complete checkpoint"):
        load_manifest(tmp_path / "c")
    for content in ("{", '{"stage": "zero"}', "[]"):
        (tmp_path / "c/r1kit.json").write_text(content)
        with pytest.raises(CheckpointError, match=r"r1kit.json is damaged"):
            load_manifest(tmp_path / "c")


def test_a_manifest_of_an_earlier_version_opens(tmp_path: Path) -> None:
    save(tmp_path / "c", model(), tokenizer(), manifest())
    marker = tmp_path / "c/r1kit.json"
    facts = unsealed(json.loads(marker.read_text()))
    marker.write_text(to_json(seal({**facts, "template": "r1"})))
    assert load_manifest(tmp_path / "c") == manifest(path=str(tmp_path / "c"))
    load(tmp_path / "c")


@pytest.mark.parametrize("file", ["state.json", "tensors.safetensors"])
def test_a_damaged_state_is_a_sentence(tmp_path: Path, file: str) -> None:
    save(tmp_path / "c", model(), tokenizer(), manifest(), {"x": torch.ones(3)})
    target = tmp_path / "c/resume" / file
    target.write_bytes(target.read_bytes()[:-2])
    with pytest.raises(CheckpointError, match=f"{file} has changed since it was written"):
        load_state(tmp_path / "c")
    without_checksums(tmp_path / "c")
    with pytest.raises(CheckpointError, match="The resume state in .*resume is damaged"):
        load_state(tmp_path / "c")


def test_one_bit_in_any_file_is_noticed(tmp_path: Path) -> None:
    save(tmp_path / "whole", model(), tokenizer(), manifest(), {"x": torch.ones(3), "cursor": 48})
    names = names_below(tmp_path / "whole")
    assert {"config.json", "model.safetensors", MARKER, "resume/state.json"} <= set(names)
    for name in names:
        shutil.copytree(tmp_path / "whole", tmp_path / "c")
        data = bytearray((tmp_path / "c" / name).read_bytes())
        data[-len(data) // 3] ^= 4
        (tmp_path / "c" / name).write_bytes(data)
        opening = load_state if name.startswith("resume/") else load
        with pytest.raises(CheckpointError, match=f"{name} (has changed since|is damaged)"):
            opening(tmp_path / "c")
        if "token" in name:
            with pytest.raises(CheckpointError, match=f"{name} has changed since"):
                open_tokenizer(tmp_path / "c")
        shutil.rmtree(tmp_path / "c")


def test_a_config_changed_on_purpose_opens_as_a_foreign_folder(tmp_path: Path) -> None:
    save(tmp_path / "c", model(), tokenizer(), manifest())
    file = tmp_path / "c" / "config.json"
    config = json.loads(file.read_text())
    config["rope_parameters"]["rope_theta"] = 500_000.0
    file.write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match=r"config.json has changed .* no r1kit.json: it is"):
        load(tmp_path / "c")
    (tmp_path / "c" / MARKER).unlink()
    opened, _ = load(tmp_path / "c")
    assert opened.config.rope_parameters["rope_theta"] == 500_000.0


def test_a_checkpoint_of_an_earlier_version_opens(tmp_path: Path) -> None:
    save(tmp_path / "c", model(), tokenizer(), manifest(), {"n": 1})
    without_checksums(tmp_path / "c")
    load(tmp_path / "c")
    assert load_state(tmp_path / "c") == {"n": 1}


def without_checksums(path: Path) -> None:
    """As a checkpoint of an earlier version."""
    actual = json.loads((path / MARKER).read_text())
    old = {key: value for key, value in actual.items() if key not in ("files", "checksum")}
    (path / MARKER).write_text(json.dumps(old))


def test_a_tokenizer_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        CheckpointError, match="token 19, but the model only has embeddings 0 to 18"
    ):
        save(tmp_path / "c", model(19), tokenizer(20), manifest())
    save(tmp_path / "c", model(), tokenizer(), manifest())
    without_checksums(tmp_path / "c")
    tokenizer(18).save_pretrained(tmp_path / "c")
    with pytest.raises(CheckpointError, match="not the one the model was trained with"):
        load(tmp_path / "c")
    tokenizer(40).save_pretrained(tmp_path / "c")
    (tmp_path / "c" / MARKER).unlink()
    with pytest.raises(CheckpointError, match="token 39, but"):
        load(tmp_path / "c")


WRITER = """
import importlib.util, pathlib, resource, sys
import torch
from r1kit.errors import RunError
spec = importlib.util.spec_from_file_location("parts", sys.argv[1])
parts = importlib.util.module_from_spec(spec)
spec.loader.exec_module(parts)
policy, tokens, folder = parts.model(), parts.tokenizer(), pathlib.Path(sys.argv[2])

_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (5000, hard))
try:
    parts.save(folder / "full", policy, tokens, parts.manifest())
except RunError as error:
    print(error, "left:", list(folder.iterdir()), flush=True)
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))

step = 0
while True:
    step += 1
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter.fill_(step)
    state = {"step": step, "x": torch.full((1000,), float(step))}
    path = folder / f"zero-{step % 3:06d}"
    parts.save(path, policy, tokens, parts.manifest(step=step), state)
"""


def test_a_full_disk_and_kill_9_while_saving_leave_all_or_nothing(tmp_path: Path) -> None:
    script, folder = tmp_path / "writer.py", tmp_path / "saved"
    script.write_text(WRITER, encoding="utf-8")
    folder.mkdir()
    with Fork([sys.executable, str(script), __file__, str(folder)]) as writer:
        while not (folder / "zero-000000").exists():
            assert writer.poll() is None, writer.output("stderr")
            time.sleep(0.01)
        time.sleep(random.Random(3).uniform(0, 0.3))
        writer.kill()
        full = writer.output("stdout")
    assert full.startswith("The disk is full")
    assert full.endswith("left: []\n")
    whole = [marker.parent for marker in folder.glob(f"[!.]*/{MARKER}")]
    for path in whole:
        step = load_manifest(path).step
        policy, _ = load(path)
        assert all(torch.all(p == step) for p in policy.parameters())
        state = load_state(path)
        assert state is not None
        assert state["step"] == step
        assert torch.all(state["x"] == step)
    visible = [path for path in folder.iterdir() if not path.name.startswith(".")]
    assert len(whole) == len(visible) >= 2
    save(folder / "next", model(), tokenizer(), manifest())
    assert not list(folder.glob(".*"))
