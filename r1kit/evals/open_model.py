"""Opens the model of an evaluation: local, on a vLLM that is started for it, or on servers."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

import r1kit
from r1kit.engines.openai.endpoint import Endpoint
from r1kit.engines.vllm.flags import VllmFlags
from r1kit.errors import ConfigError
from r1kit.evals.endpoint_source import EndpointSource
from r1kit.evals.jobs import CompletionSource
from r1kit.files.atomic import MARKER
from r1kit.files.checksums import of_files
from r1kit.http.client import is_url
from r1kit.model.find import find_model, is_gguf
from r1kit.processes.loading import gc_paused_imports
from r1kit.runs.provenance import package_version

PREFIX_TOKENS = 32_768
"""size of a local engine's prefix cache: the completions of a problem share its prompt"""
WEIGHTS = (".safetensors", ".bin", ".gguf")


@dataclass(frozen=True)
class ModelOptions:
    """The options that name the model to measure and the engine that samples from it."""

    model: str | None
    """a checkpoint, run, folder, GGUF file or hub id; a name on the server for an engine's URL"""
    engine: str = "local"
    """local, vllm, or the URL of a server; several URLs, separated by commas, share the work"""
    key: str | None = None
    concurrency: int = 64
    """completions in flight, per server"""
    timeout_s: float = 1800.0
    """longest wait for one completion of a server, in seconds"""
    flags: VllmFlags = field(default_factory=VllmFlags)


@dataclass(frozen=True)
class EvalModel:
    """A model that is ready to be measured."""

    source: CompletionSource
    name: str
    """short name, for the folder of results"""
    facts: dict[str, Any]
    """what identifies it and its engine, for the protocol line"""
    opens_thinking: bool
    """True if its prompts end in an opened think block by the protocol's wish"""


@contextmanager
def open_model(
    options: ModelOptions, opens_thinking: bool, console: Console
) -> Iterator[EvalModel]:
    """Open the model for a `with` block. Raises an R1Error if it cannot be opened."""
    model, engine = options.model, options.engine
    if model is not None and is_url(model):
        engine, model = model, None
    urls = [url.strip() for url in engine.split(",")]
    if is_url(urls[0]):
        with _on_servers(urls, model, options) as opened:
            yield opened
        return
    if engine not in ("local", "vllm"):
        raise ConfigError(f"There is no engine {engine!r}; choose local, vllm, or a server's URL.")
    if model is None:
        raise ConfigError(
            "Name the model: a checkpoint, a run, a folder, a .gguf file or a hub id."
        )
    location = find_model(model)
    opening = _local if engine == "local" else _on_vllm
    with opening(location, options, opens_thinking, console) as opened:
        yield opened


@contextmanager
def _on_servers(urls: list[str], model: str | None, options: ModelOptions) -> Iterator[EvalModel]:
    with ExitStack() as stack:
        endpoints = [
            stack.enter_context(Endpoint(url, model, options.key, options.timeout_s))
            for url in urls
        ]
        names = {endpoint.model for endpoint in endpoints}
        if len(names) > 1:
            raise ConfigError(
                f"The servers have different models ({', '.join(sorted(names))}); name one that "
                "all of them have."
            )
        [name] = names
        facts = {
            "model": name,
            "model_hash": None,
            "engine": "endpoint",
            "servers": [endpoint.address for endpoint in endpoints],
        }
        source = EndpointSource(endpoints, options.concurrency)
        yield EvalModel(source, name.rstrip("/").rpartition("/")[2], facts, False)


@contextmanager
def _local(
    location: Path | str, options: ModelOptions, opens_thinking: bool, console: Console
) -> Iterator[EvalModel]:
    with console.status(f"Opening {escape(str(location))} …"):
        with gc_paused_imports():
            from r1kit.engines.local import LocalEngine
            from r1kit.evals.engine_source import EngineSource
            from r1kit.model.devices import resolve_device
            from r1kit.model.policy import Policy
            from r1kit.renderers import renderer_of
        device = resolve_device()
        policy = Policy.load(location, device)
        rows = options.concurrency
        engine = LocalEngine(
            policy.module, policy.tokenizer, max_num_seqs=rows, prefix_tokens=PREFIX_TOKENS
        )
        # Twice the slots: a slot that becomes free finds its next prompt waiting.
        source = EngineSource(
            engine, renderer_of(policy.tokenizer), policy.max_positions, 2 * rows, opens_thinking
        )
        facts = _facts(location, policy.tokenizer) | {
            "engine": "local",
            "engine_version": f"r1kit {r1kit.__version__}, torch {package_version('torch')}",
            "dtype": str(policy.module.dtype).removeprefix("torch."),
            "device": device,
            "context": policy.max_positions,
        }
    yield EvalModel(source, short_name(location), facts, source.opens_thinking)


@contextmanager
def _on_vllm(
    location: Path | str, options: ModelOptions, opens_thinking: bool, console: Console
) -> Iterator[EvalModel]:
    if is_gguf(location):
        raise ConfigError(
            f"vLLM opens folders and hub ids, and {location} is a file; use --engine local."
        )
    from r1kit.engines.vllm.server import vllm_server
    from r1kit.evals.engine_source import EngineSource
    from r1kit.model import folder
    from r1kit.renderers import renderer_of

    with folder.verifying_checksums(location):
        tokenizer = folder.open_tokenizer(location)
        vocab_size, eos_ids = folder.vocab_and_eos(location, tokenizer)
    with console.status("vLLM is starting ...") as status:
        server = vllm_server(
            location, "eval", tokenizer, vocab_size=vocab_size, eos_ids=eos_ids,
            flags=options.flags, max_num_seqs=options.concurrency,
            on_output=lambda line: status.update(escape(f"vLLM: {line[-90:]}")),
        )  # fmt: skip
        try:
            engine = server()
        except BaseException:
            server.close()
            raise
    try:
        source = EngineSource(
            engine, renderer_of(tokenizer), engine.max_positions, 2 * options.concurrency,
            opens_thinking,
        )  # fmt: skip
        facts = _facts(location, tokenizer) | {
            "engine": "vllm",
            "engine_version": f"vllm {package_version('vllm')}",
            "tensor_parallel_size": options.flags.tensor_parallel_size,
            "context": engine.max_positions,
        }
        yield EvalModel(source, short_name(location), facts, source.opens_thinking)
    finally:
        server.close()


def short_name(location: Path | str) -> str:
    """Return a name for results: `smoke-zero-000006` for a run's checkpoint, else the last part."""
    path = Path(location)
    if path.parent.name == "checkpoints":
        return f"{path.parent.parent.name}-{path.name}"
    return path.name.removesuffix(".gguf")


def fingerprint(location: Path | str) -> str:
    """Return a hash of a model's weights, or the commit of a hub id that is in the cache."""
    if isinstance(location, str):
        from huggingface_hub import try_to_load_from_cache

        cached = try_to_load_from_cache(location, "config.json")
        return Path(cached).parent.name[:16] if isinstance(cached, str) else "unknown"
    files = sorted(file.name for file in location.iterdir() if file.name.endswith(WEIGHTS)) \
        if location.is_dir() else [location.name]  # fmt: skip
    folder = location if location.is_dir() else location.parent
    with of_files(folder, files) as sums:
        text = " ".join(sums[name].result() for name in files)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _facts(location: Path | str, tokenizer: Any) -> dict[str, Any]:
    from r1kit.model.tokenizer import tokenizer_hash

    template = str(tokenizer.chat_template or "")
    is_own = isinstance(location, Path) and (location / MARKER).exists()
    return {
        "model": str(location),
        "model_hash": fingerprint(location),
        "is_checkpoint": is_own,
        "template_hash": hashlib.sha256(template.encode()).hexdigest()[:16],
        "tokenizer_hash": tokenizer_hash(tokenizer),
    }
