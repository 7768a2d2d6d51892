"""`r1 serve --engine vllm`: a model on a vLLM that this server starts and restarts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from r1kit.engines.grammar import Grammars
from r1kit.engines.vllm.flags import VllmFlags
from r1kit.engines.vllm.server import vllm_server
from r1kit.errors import ConfigError
from r1kit.model import folder
from r1kit.model.find import is_gguf
from r1kit.serve.limits import ServeLimits
from r1kit.serve.models import EngineModel, ServedModel


def open_vllm(
    names: Mapping[str, Path | str], flags: VllmFlags, limits: ServeLimits, console: Console
) -> list[ServedModel]:
    """Start a vLLM with one model; the console shows its output while it loads.

    Raises an R1Error if it does not start.
    """
    if len(names) != 1:
        raise ConfigError("vLLM serves one model; start one server per model.")
    [(name, model)] = names.items()
    if is_gguf(model):
        raise ConfigError(
            f"vLLM opens folders and hub ids, and {model} is a file; serve it with --engine local."
        )
    with folder.verifying_checksums(model):  # vLLM itself would not notice changed files
        tokenizer = folder.open_tokenizer(model)
        vocab_size, eos_ids = folder.vocab_and_eos(model, tokenizer)
    with console.status("vLLM is starting ...") as status:
        vllm = vllm_server(
            model, name, tokenizer, vocab_size=vocab_size, eos_ids=eos_ids, flags=flags,
            max_num_seqs=limits.max_num_seqs,
            on_output=lambda line: status.update(escape(f"vLLM: {line[-90:]}")),
        )  # fmt: skip
        try:
            grammars = Grammars(tokenizer, vocab_size, eos_ids)
            weights = folder.fingerprint(model)
            return [EngineModel(name, vllm, tokenizer, grammars, limits, vllm.close, weights)]
        except BaseException:
            vllm.close()
            raise
