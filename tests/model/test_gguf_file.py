"""GGUF files: written here by the package that llama.cpp's converter uses, opened as any model."""

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from r1kit import errors
from r1kit.errors import CheckpointError, DependencyError
from r1kit.model import checkpoint, folder
from r1kit.model.find import find_model
from r1kit.model.tokenizer import tokenizer_hash
from r1kit.types import Checkpoint
from tests.conftest import EOS, make_byte_tokenizer, tiny_model

gguf = pytest.importorskip("gguf")

NAMES = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "model.layers": "blk",
}
TEMPLATE = "{% for m in messages %}{{ m.content }}{% endfor %}"
Q8 = gguf.GGMLQuantizationType.Q8_0


def write(path: Path, architecture: str = "qwen2") -> dict[str, np.ndarray]:
    """Write a tiny model with 8-bit matrices; return its weights as they were rounded."""
    model = tiny_model("qwen2")
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_context_length(256)
    writer.add_embedding_length(32)
    writer.add_block_count(2)
    writer.add_feed_forward_length(48)
    writer.add_head_count(4)
    writer.add_head_count_kv(4)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(10000.0)
    tokens = make_byte_tokenizer().convert_ids_to_tokens(list(range(258)))
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(tokens)
    writer.add_token_types([1] * 256 + [3, 3])
    writer.add_token_scores([0.0] * 258)
    writer.add_bos_token_id(256)
    writer.add_eos_token_id(EOS)
    writer.add_chat_template(TEMPLATE)
    rounded = {}
    for name, tensor in model.state_dict().items():
        if name == "lm_head.weight":
            continue
        values = tensor.numpy()
        short = name
        for long, other in NAMES.items():
            short = short.replace(long, other)
        if tensor.ndim == 2 and tensor.shape[1] % 32 == 0:
            data = gguf.quants.quantize(values, Q8)
            writer.add_tensor(short, data, raw_dtype=Q8)
            rounded[name] = gguf.quants.dequantize(data, Q8)
        else:
            writer.add_tensor(short, values)
            rounded[name] = values
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return rounded


def test_a_gguf_file_opens_and_is_saved_as_an_ordinary_folder(tmp_path: Path) -> None:
    rounded = write(tmp_path / "tiny.gguf")
    # Files of other models beside it are not its own.
    (tmp_path / "tokenizer_config.json").write_text('{"eos_token": "other"}')
    (tmp_path / "adapter_config.json").write_text("{}")
    model, tokenizer = checkpoint.load(find_model(tmp_path / "tiny.gguf"))
    weights = model.state_dict()
    assert weights.keys() - rounded.keys() == {"lm_head.weight"}
    for name, values in rounded.items():
        assert torch.equal(weights[name], torch.from_numpy(values)), name
    assert tokenizer.encode("<eos>é") == make_byte_tokenizer().encode("<eos>é")
    assert tokenizer.chat_template == TEMPLATE
    assert (tokenizer.bos_token_id, tokenizer.eos_token_id) == (256, EOS)
    assert folder.vocab_and_eos(tmp_path / "tiny.gguf", tokenizer) == (258, frozenset({EOS}))

    manifest = Checkpoint("", "base", 0, None, None, tokenizer_hash(tokenizer), "")
    checkpoint.save(tmp_path / "saved", model, tokenizer, manifest)
    again, same = checkpoint.load(tmp_path / "saved")
    plain = AutoModelForCausalLM.from_pretrained(tmp_path / "saved")
    ids = torch.arange(9)[None]
    assert torch.equal(again(ids).logits, model(ids).logits)
    torch.testing.assert_close(plain(ids).logits, model(ids).logits)
    for opened in (same, AutoTokenizer.from_pretrained(tmp_path / "saved")):
        assert opened.encode("a <eos> é\n") == tokenizer.encode("a <eos> é\n")
        assert opened.chat_template == TEMPLATE


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-4000])


def unknown(path: Path) -> None:
    write(path, "qwen2vl")


def no_gguf(path: Path) -> None:
    path.write_bytes(b"version https://git-lfs.github.com/spec/v1")


def empty(path: Path) -> None:
    path.write_bytes(b"")


def header_alone(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:16])


@pytest.mark.parametrize("damage", [cut, unknown, no_gguf, empty, header_alone])
def test_a_file_that_is_no_such_model_is_a_sentence(tmp_path: Path, damage: object) -> None:
    path = tmp_path / "tiny.gguf"
    write(path)
    assert callable(damage)
    damage(path)
    with pytest.raises(CheckpointError) as caught:
        checkpoint.load(find_model(path))
    assert str(path) in str(caught.value)
    assert "/r1kit-" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_one_part_of_a_split_model_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "big-00001-of-00002.gguf"
    write(path)
    with pytest.raises(CheckpointError, match="llama-gguf-split --merge"):
        find_model(path)
    path.rename(tmp_path / "big-00001-of-00001.gguf")
    assert find_model(tmp_path / "big-00001-of-00001.gguf")


def test_a_folder_of_gguf_files_says_to_name_one(tmp_path: Path) -> None:
    write(tmp_path / "tiny.gguf")
    with pytest.raises(CheckpointError, match="for example the file .*tiny.gguf"):
        find_model(tmp_path)


def test_a_missing_package_is_a_sentence_before_anything_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "tiny.gguf")
    monkeypatch.setattr(errors, "find_spec", lambda name: None if name == "accelerate" else True)
    with pytest.raises(DependencyError, match=r'accelerate .* pip install "r1kit\[gguf\]"'):
        find_model(tmp_path / "tiny.gguf")
