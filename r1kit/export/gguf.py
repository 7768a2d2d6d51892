"""A Hugging Face folder as a GGUF file, through llama.cpp's own converter.

The converter is a script of llama.cpp and is not shipped here: it changes with every new model. It
runs in a process of its own, offline, on a folder without code.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from r1kit.console.formatting import printable
from r1kit.errors import CheckpointError, ConfigError, RunError

SCRIPT = "convert_hf_to_gguf.py"
OUT_TYPES = {
    "float32": "f32",
    "float16": "f16",
    "bfloat16": "bf16",
    "q8_0": "q8_0",
}
"""dtype → the converter's name for it; q8_0 is the one quantisation that it can do by itself"""
N_LAST_LINES = 40
"""number of lines of the converter's output that are searched for a known reason"""
NEEDS = (
    "The converter is llama.cpp's convert_hf_to_gguf.py: `git clone "
    "https://github.com/ggml-org/llama.cpp`, `pip install sentencepiece`, then --converter "
    "llama.cpp."
)
KNOWN_REASONS = (
    (
        "pre-tokenizer was not recognized",
        "llama.cpp does not know this model's tokenizer: it knows tokenizers by a hash in its "
        "converter, and one that r1kit trained is not among them. Serve the model with `r1 serve` "
        "or vLLM, or start from a base that llama.cpp knows",
    ),
    (
        "is not supported",
        "llama.cpp does not know this architecture; update it, or export with --to hf",
    ),
)
"""(text of the converter, sentence)"""


def find_converter(given: Path | None) -> Path:
    """Return the converter: the script, or llama.cpp's folder, or the script on the PATH.

    Raises ConfigError, which says what is needed, if there is none.
    """
    if given is None:
        on_path = shutil.which(SCRIPT)
        if on_path is None:
            raise ConfigError(f"There is no {SCRIPT} on the PATH. {NEEDS}")
        return Path(on_path)
    script = given / SCRIPT if given.is_dir() else given
    if not script.is_file():
        raise ConfigError(f"There is no {SCRIPT} at {given}. {NEEDS}")
    return script


def convert(
    converter: Path, model: Path, out: Path, dtype: str, on_line: Callable[[str], None]
) -> None:
    """Write the model folder as the file `out`; `on_line` receives the converter's output.

    Raises CheckpointError if the converter refuses the model, RunError if it fails.
    """
    command = [
        sys.executable, str(converter), str(model), "--outfile", str(out), "--outtype",
        OUT_TYPES[dtype],
    ]  # fmt: skip
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "PYTHONUTF8": "1"}
    lines: list[str] = []
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env=environment, encoding="utf-8", errors="replace",
    ) as process:  # fmt: skip
        assert process.stdout is not None
        try:
            for line in _non_empty(process.stdout):
                lines = [*lines, line][-N_LAST_LINES:]
                on_line(line)
        except BaseException:
            process.kill()
            raise
    if process.returncode != 0 or not out.is_file():
        raise _failure(lines)


def _non_empty(stream: Iterable[str]) -> Iterator[str]:
    for line in stream:
        if text := printable(line).strip():
            yield text


def _failure(lines: list[str]) -> CheckpointError | RunError:
    text = "\n".join(lines)
    for sign, sentence in KNOWN_REASONS:
        if sign in text:
            return CheckpointError(f"{sentence}.")
    last = lines[-1][:200].rstrip(".") if lines else "it printed nothing"
    remedy = NEEDS if "No module named" in last else "Update llama.cpp, or export with --to hf."
    return RunError(f"llama.cpp's converter failed ({last}). {remedy}")
