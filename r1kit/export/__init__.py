"""Models for others: the model cards of checkpoints, and `r1 export` to other formats."""

from __future__ import annotations

import re
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.text import Text

from r1kit.errors import ConfigError
from r1kit.files.atomic import (
    CARD,
    TEMPORARY,
    explaining_full_disk,
    replace_folder,
)

ExportFormat = Literal["hf", "gguf", "ollama"]
MAX_LINE_CHARS = 80
"""longest part of a converter's line that is shown while it works"""


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """The options of `r1 export`."""

    model: str
    """a checkpoint, the folder of a run, a Hugging Face folder or a hub id"""
    to: ExportFormat
    out: Path
    dtype: str
    """"auto" is the dtype of the model"""
    converter: Path | None


def run(options: ExportOptions, console: Console) -> None:
    """Write the model to a new folder, all of it or nothing, and print how to open it.

    Raises an R1Error for every error that a user can fix, before the model is loaded if possible.
    """
    from r1kit.export import gguf, hugging_face
    from r1kit.model import find

    out = options.out
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"--out {out} exists and is not empty; name a new folder.")
    if options.to == "hf" and options.dtype == "q8_0":
        raise ConfigError("q8_0 is a quantisation of GGUF; choose another --dtype for --to hf.")
    converter = None if options.to == "hf" else gguf.find_converter(options.converter)
    model = find.find_model(options.model)
    temporary = out.with_name(f"{TEMPORARY}{out.name}")
    with explaining_full_disk(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(temporary, ignore_errors=True)
        try:
            if converter is None:
                with console.status("Writing the weights ..."):
                    hugging_face.write(model, temporary, options.dtype)
            else:
                _write_gguf(options, model, temporary, converter, console)
            replace_folder(temporary, out)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
    _print_next(options, model_name(model), console)


def model_name(model: Path | str) -> str:
    """Return a name for a model's file: `tiny-zero-000120`, or the last part of a hub id."""
    path = Path(model)
    is_in_run = path.parent.name == "checkpoints"
    name = f"{path.parent.parent.resolve().name}-{path.name}" if is_in_run else path.resolve().name
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.") or "model"


def _write_gguf(
    options: ExportOptions, model: Path | str, out: Path, converter: Path, console: Console
) -> None:
    """Write the GGUF file, the card, and for Ollama the Modelfile into the new folder `out`."""
    from r1kit.export import gguf, hugging_face, ollama
    from r1kit.model import folder

    plain, name = out / "hf", f"{model_name(model)}.gguf"
    dtype = "auto" if options.dtype == "q8_0" else options.dtype
    is_auto = options.dtype == "auto"
    with console.status("Writing the weights ...") as status:
        policy = hugging_face.write(model, plain, dtype)

        def show(line: str) -> None:
            status.update(Text(f"llama.cpp converts: {line[-MAX_LINE_CHARS:]}"))

        own = str(policy.module.dtype).removeprefix("torch.")
        gguf.convert(converter, plain, out / name, own if is_auto else options.dtype, show)
    if options.to == "ollama":
        _, eos_ids = folder.vocab_and_eos(plain, policy.tokenizer)
        text = ollama.modelfile(policy.tokenizer, name, policy.max_positions, eos_ids)
        (out / "Modelfile").write_text(text, encoding="utf-8")
        if "\nTEMPLATE " not in text:
            console.print(
                "The chat template has no counterpart in Ollama's language; Ollama uses the one "
                "that it recognises in the GGUF file, if any."
            )
    if (plain / CARD).exists():
        (plain / CARD).rename(out / CARD)
    shutil.rmtree(plain)


def _print_next(options: ExportOptions, name: str, console: Console) -> None:
    out = shlex.quote(str(options.out))
    commands = {
        "hf": [f"vllm serve {out}", f"r1 chat {out}"],
        "gguf": [f"llama-cli -m {out}/{name}.gguf"],
        "ollama": [
            f"ollama create {name.lower()} -f {out}/Modelfile",
            f"ollama run {name.lower()}",
        ],
    }
    lines = "".join(f"\n    {command}" for command in commands[options.to])
    console.print(Text(f"Exported to {options.out}. Next:{lines}"), soft_wrap=True)
