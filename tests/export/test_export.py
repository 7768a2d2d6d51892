"""`r1 export`: a plain folder, and the converter's part as a process of its own."""

import io
import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

from r1kit import export
from r1kit.config import ModelConfig
from r1kit.errors import CheckpointError, ConfigError, RunError
from r1kit.export import ExportOptions, gguf
from r1kit.files.atomic import CARD, MARKER
from r1kit.model import causal_lm, checkpoint
from r1kit.model.policy import Policy
from r1kit.model.tokenizer import train_tokenizer
from r1kit.types import Checkpoint

LLAMA_CPP = os.environ.get("R1KIT_LLAMA_CPP", "")
"""folder of llama.cpp, to convert with its own converter"""
REAL_MODEL = os.environ.get("R1KIT_LLAMA_MODEL", "")
"""folder of a model whose tokenizer llama.cpp knows"""

WRITES = """
import sys, pathlib
out = pathlib.Path(sys.argv[sys.argv.index("--outfile") + 1])
folder = pathlib.Path(sys.argv[1])
print("Writing: 50%", end="\\r")
out.write_text(" ".join([*sorted(p.name for p in folder.iterdir()), *sys.argv[4:]]))
"""
REFUSES = (
    "import sys; print('NotImplementedError: BPE pre-tokenizer was not recognized'); sys.exit(1)"
)
FAILS = "import module_that_is_not_there"


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A checkpoint whose config would make other programs run code from the hub."""
    tokenizer = train_tokenizer(["What is 27 + 14? It is 41."] * 9, 300)
    model = causal_lm.build(
        ModelConfig(n_layers=1, hidden=32, intermediate=48, n_heads=2, n_kv_heads=2),
        len(tokenizer), eos_id=1, pad_id=2, bos_id=0, seed=0,
    )  # fmt: skip
    model.config.auto_map = {"AutoModelForCausalLM": "org/code--model.Model"}
    manifest = Checkpoint("", "zero", 1, "base", None, "", "")
    checkpoint.save(tmp_path / "saved", model, tokenizer, manifest, {"n": 1}, card="# A card\n")
    return tmp_path / "saved"


def options(model: Path, out: Path, **changes: Any) -> ExportOptions:
    defaults: dict[str, Any] = {"to": "hf", "dtype": "auto", "converter": None}
    return ExportOptions(str(model), out=out, **defaults | changes)


def run(*args: Any, **changes: Any) -> str:
    printed = io.StringIO()
    export.run(options(*args, **changes), Console(file=printed, width=200))
    return printed.getvalue()


def script(tmp_path: Path, code: str) -> Path:
    (tmp_path / gguf.SCRIPT).write_text(code, encoding="utf-8")
    return tmp_path / gguf.SCRIPT


@pytest.mark.parametrize(("dtype", "stored"), [
    ("auto", torch.float32), ("float32", torch.float32), ("bfloat16", torch.bfloat16),
])  # fmt: skip
def test_the_exported_folder_is_the_same_model_without_code_and_resume_state(
    saved: Path, tmp_path: Path, dtype: str, stored: torch.dtype
) -> None:
    out = tmp_path / "deep" / "out"
    run(saved, out, dtype=dtype)
    names = {path.name for path in out.iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json", CARD} <= names
    assert not {MARKER, "resume"} & names
    assert (out / CARD).read_text() == "# A card\n"
    config = json.loads((out / "config.json").read_text())
    assert "auto_map" not in config
    assert config["dtype"] == str(stored).removeprefix("torch.")
    generation = json.loads((out / "generation_config.json").read_text())
    assert (generation["temperature"], generation["top_p"]) == (0.6, 0.95)
    before, after = Policy.load(saved, "cpu"), Policy.load(out, "cpu")
    for name, weight in before.module.state_dict().items():
        assert torch.equal(after.module.state_dict()[name], weight.to(stored).float()), name
    assert after.tokenizer.get_vocab() == before.tokenizer.get_vocab()
    assert after.tokenizer.chat_template == before.tokenizer.chat_template


def test_what_cannot_be_exported_is_refused_before_anything_is_written(
    saved: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="is not empty; name a new folder"):
        run(saved, saved)
    with pytest.raises(ConfigError, match="q8_0 is a quantisation of GGUF"):
        run(saved, tmp_path / "out", dtype="q8_0")
    with pytest.raises(ConfigError, match=r"no convert_hf_to_gguf.py at .*git clone"):
        run(saved, tmp_path / "out", to="gguf", converter=tmp_path)
    with pytest.raises(CheckpointError, match="no checkpoint at"):
        run(tmp_path / "nothing", tmp_path / "out")
    assert {path.name for path in tmp_path.iterdir()} == {"saved"}


@pytest.mark.parametrize(("code", "error", "sentence"), [
    (REFUSES, CheckpointError, "llama.cpp does not know this model's tokenizer"),
    (FAILS, RunError, r"failed \(ModuleNotFoundError: No module named .*pip install sentencepiece"),
    ("", RunError, "it printed nothing"),
])  # fmt: skip
def test_a_converter_that_fails_is_a_sentence_and_leaves_nothing(
    saved: Path, tmp_path: Path, code: str, error: type[Exception], sentence: str
) -> None:
    converter = script(tmp_path, code)
    with pytest.raises(error, match=sentence):
        run(saved, tmp_path / "out", to="gguf", converter=converter)
    assert {path.name for path in tmp_path.iterdir()} == {"saved", gguf.SCRIPT}


@pytest.mark.parametrize(
    ("dtype", "outtype"), [("auto", "f32"), ("float16", "f16"), ("q8_0", "q8_0")]
)
def test_the_converter_gets_a_plain_folder_and_the_dtype(
    saved: Path, tmp_path: Path, dtype: str, outtype: str
) -> None:
    out = tmp_path / "out"
    converter = script(tmp_path, WRITES).parent
    printed = run(saved, out, to="ollama", dtype=dtype, converter=converter)
    assert "ollama create saved -f" in printed
    assert {path.name for path in out.iterdir()} == {"saved.gguf", "Modelfile", CARD}
    assert (out / "Modelfile").read_text().startswith("FROM ./saved.gguf\n")
    seen = (out / "saved.gguf").read_text().split()
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= set(seen)
    assert MARKER not in seen
    assert seen[-2:] == ["--outtype", outtype]


@pytest.mark.parametrize(("path", "name"), [
    ("runs/tiny/checkpoints/zero-000120", "tiny-zero-000120"), ("org/Model-1.5B", "Model-1.5B"),
    ("/models/a b;c`d", "a-b-c-d"), ("/models/..-", "model"),
])  # fmt: skip
def test_a_models_file_has_a_plain_name(path: str, name: str) -> None:
    assert export.model_name(Path(path)) == name


@pytest.mark.skipif(not LLAMA_CPP, reason="needs llama.cpp (R1KIT_LLAMA_CPP)")
def test_llama_cpp_refuses_a_tokenizer_of_r1kit_and_converts_a_known_one(
    saved: Path, tmp_path: Path
) -> None:
    with pytest.raises(CheckpointError, match="does not know this model's tokenizer"):
        run(saved, tmp_path / "own", to="gguf", converter=Path(LLAMA_CPP))
    if REAL_MODEL:
        run(Path(REAL_MODEL), tmp_path / "real", to="ollama", converter=Path(LLAMA_CPP))
        (file,) = (tmp_path / "real").glob("*.gguf")
        assert file.read_bytes()[:4] == b"GGUF"
