"""Commands to chat with a model and to serve models."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape

from r1kit.cli.root import app
from r1kit.console.error_reporting import sentences
from r1kit.engines.vllm.flags import VllmFlags
from r1kit.errors import ConfigError, require
from r1kit.files.untrusted import replace_surrogates

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from r1kit.serve.app import Page
    from r1kit.serve.limits import ServeLimits
    from r1kit.serve.models import ServedModel

CHAT_EXAMPLES = """
Examples:

  r1 chat runs/tiny

  r1 chat runs/tiny/checkpoints/base-000400 --temperature 1

  echo "7x + 3 = 38, x = ?" | r1 chat runs/tiny

  R1_CHAT_KEY=... r1 chat https://api.deepseek.com/v1 --model deepseek-reasoner
"""
SERVE_EXAMPLES = """
Examples:

  r1 serve runs/tiny

  r1 serve runs/tiny runs/tiny/checkpoints/base-000400 --port 8001

  R1_API_KEY=... r1 serve runs/tiny --host 0.0.0.0

  r1 serve deepseek-ai/DeepSeek-R1-Distill-Qwen-32B --engine vllm --tensor-parallel-size 2 \\
    --max-model-len 32768 --enforce-eager

  R1_ENGINE_KEY=... r1 serve --engine https://api.deepseek.com/v1

  r1 serve runs/tiny --bench --price-per-hour 0.08 --bench-out bench.json
"""


@app.command(epilog=CHAT_EXAMPLES)
def chat(
    source: Annotated[
        str,
        typer.Argument(
            metavar="CHECKPOINT|URL",
            help="A checkpoint, the folder of a run, a .gguf file, a hub id, or an "
            "OpenAI-compatible server.",
        ),
    ],
    temperature: Annotated[
        float, typer.Option(min=0, help="Sampling temperature; 0 is greedy.")
    ] = 0.6,
    top_p: Annotated[float, typer.Option(min=0.01, max=1)] = 0.95,
    max_tokens: Annotated[
        int, typer.Option(min=1, help="Maximum tokens per completion, thinking included.")
    ] = 512,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    model: Annotated[
        str | None, typer.Option(help="Model name on the server; default: its only model.")
    ] = None,
    api_key: Annotated[
        str | None, typer.Option(envvar="R1_CHAT_KEY", help="API key of the server.")
    ] = None,
) -> None:
    """Chat with a model; its thinking is shown apart from its answer."""
    from r1kit.types import SamplingParams

    console = Console()
    with sentences(console):
        from r1kit import chat as terminal

        sampling = SamplingParams(max_tokens, temperature, top_p)
        terminal.run(source, sampling, seed, console, model, api_key)


EngineOption = Annotated[
    str,
    typer.Option(
        metavar="local|vllm|URL",
        help="Engine: local, vllm (started here), or the URL of a running server.",
    ),
]
EngineKey = Annotated[
    str | None,
    typer.Option(envvar="R1_ENGINE_KEY", help="For --engine URL: API key of that server."),
]
GPUs = Annotated[int, typer.Option(min=1, help="For --engine vllm: number of GPUs per model.")]
MaxNumSeqs = Annotated[int, typer.Option(min=1, help="Maximum completions sampled at once.")]
MaxModelLen = Annotated[
    int | None,
    typer.Option(min=1, help="For --engine vllm: maximum tokens of prompt and completion."),
]
EnforceEager = Annotated[
    bool, typer.Option("--enforce-eager", help="For --engine vllm: faster start, slower sampling.")
]
Profile = Annotated[
    str,
    typer.Option(metavar="r1kit|deepseek-r1", help="deepseek-r1: only the API of January 2025."),
]
VllmOptions = Annotated[str, typer.Option(help="For --engine vllm: further vLLM options.")]
AllowHost = Annotated[list[str] | None, typer.Option(help="Allowed Host header; may be repeated.")]
AllowOrigin = Annotated[
    list[str] | None,
    typer.Option(help="Allowed origin: https://example.org, http://localhost:*."),
]
QueueTimeout = Annotated[float, typer.Option(min=1, help="Time limit for the first token (s).")]
TotalTimeout = Annotated[float, typer.Option(min=1, help="Time limit for the whole answer (s).")]
ChatPage = Annotated[bool, typer.Option("--page/--no-page", help="Serve the chat page at /.")]
Store = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Store responses of /v1/responses in this SQLite file."),
]
StoreSize = Annotated[int, typer.Option(min=16, help="For --store: maximum size (MB).")]
StoreDays = Annotated[
    float, typer.Option(min=0.01, help="For --store: days until a response is deleted.")
]
LoraModules = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME=FOLDER", help="LoRA adapter of the model; may be repeated."),
]
MemoryLimit = Annotated[
    float | None,
    typer.Option(min=0.001, help="Memory for weights (GB); models are then loaded on demand."),
]
PricePerHour = Annotated[
    float | None, typer.Option(min=0, help="For --bench: price of the machine per hour.")
]
BenchOut = Annotated[Path | None, typer.Option(help="For --bench: file for the numbers (.json).")]


@app.command(epilog=SERVE_EXAMPLES)
def serve(
    models: Annotated[
        list[str] | None,
        typer.Argument(help="Checkpoints, folders of runs, .gguf files or hub ids."),
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535)] = 8000,
    api_key: Annotated[
        list[str] | None,
        typer.Option(envvar="R1_API_KEY", help="API key that clients must send; may be repeated."),
    ] = None,
    allow_host: AllowHost = None,
    allow_origin: AllowOrigin = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Accept requests from other machines without a key.")
    ] = False,
    engine: EngineOption = "local",
    engine_key: EngineKey = None,
    tensor_parallel_size: GPUs = 1,
    max_model_len: MaxModelLen = None,
    enforce_eager: EnforceEager = False,
    vllm_args: VllmOptions = "",
    lora_modules: LoraModules = None,
    model_memory: MemoryLimit = None,
    api_profile: Profile = "r1kit",
    max_num_seqs: MaxNumSeqs = 32,
    max_waiting: Annotated[int, typer.Option(min=8, help="Maximum queued completions.")] = 256,
    prefix_tokens: Annotated[
        int, typer.Option(min=0, help="Size of the prefix cache in tokens; 0 turns it off.")
    ] = 32_768,
    queue_timeout: QueueTimeout = 600,
    total_timeout: TotalTimeout = 1800,
    store: Store = None,
    store_mb: StoreSize = 256,
    store_days: StoreDays = 30,
    page: ChatPage = True,
    bench: Annotated[
        bool,
        typer.Option("--bench", help="Measure speed and cost, then exit; also accepts a URL."),
    ] = False,
    price_per_hour: PricePerHour = None,
    bench_out: BenchOut = None,
) -> None:
    """Serve models to OpenAI, DeepSeek and Anthropic clients, by default to this machine only."""
    console = Console(stderr=True)
    with sentences(console):
        if bench:
            _bench(models or [], price_per_hour, bench_out, api_key)
            return
        if page:
            require("gradio", "serve without the chat page: --no-page")
        from r1kit.serve import server
        from r1kit.serve.limits import ServeLimits
        from r1kit.serve.response_store import open_store

        limits = ServeLimits(
            max_num_seqs, max_waiting, queue_timeout, total_timeout, prefix_tokens=prefix_tokens
        )
        flags = VllmFlags(tensor_parallel_size, max_model_len, enforce_eager, vllm_args)
        server.run(
            _opener(
                models or [], engine, engine_key, flags, limits, console, lora_modules, model_memory
            ),
            limits,
            host=host,
            port=port,
            keys=api_key or [],
            hosts=allow_host or [],
            origins=allow_origin or [],
            insecure=insecure,
            is_launch_day=_is_launch_day(api_profile, engine),
            open_page=_open_page if page else None,
            store=open_store(store, store_mb, store_days),
        )


def _bench(
    models: list[str], price: float | None, out: Path | None, keys: list[str] | None
) -> None:
    from r1kit.loadtest import serve_bench

    options = serve_bench.LoadTestOptions(price, out, keys[0] if keys else None)
    serve_bench.run(models, sys.argv[1:], options, Console())


def _opener(
    models: list[str],
    engine: str,
    key: str | None,
    flags: VllmFlags,
    limits: ServeLimits,
    console: Console,
    lora_modules: list[str] | None,
    memory_gb: float | None,
) -> Callable[[], Sequence[ServedModel]]:
    """Return a function that opens the models. Raises ConfigError for an invalid command line."""
    from r1kit.http.client import is_url

    if engine not in ("local", "vllm") and not is_url(engine):
        raise ConfigError(
            f"There is no engine {engine!r}; choose local, vllm or the URL of a server."
        )
    if engine != "vllm" and flags != VllmFlags():
        raise ConfigError("--tensor-parallel-size and other options of vLLM need --engine vllm.")
    if engine != "local" and (lora_modules or memory_gb):
        raise ConfigError("--lora-modules and --model-memory need --engine local.")
    if is_url(engine):
        if models:
            raise ConfigError(
                "The server of --engine URL has its own models; leave out the model names."
            )
        from r1kit.serve.proxy import open_front

        return lambda: open_front(engine, key, limits)
    folders = _resolve_models(models)
    if engine == "vllm":
        from r1kit.serve.vllm import open_vllm

        return lambda: open_vllm(folders, flags, limits, console)
    adapters = _adapters(lora_modules or [], folders)
    from r1kit.serve.local import open_folders
    from r1kit.serve.on_demand import ModelMemory

    def open_models() -> Sequence[ServedModel]:
        memory = memory_gb and ModelMemory(int(memory_gb * 1e9), limits.queue_timeout_s)
        with console.status(f"Opening {escape(', '.join([*folders, *adapters]))} …"):
            return open_folders(folders, limits, adapters, memory or None)

    return open_models


def _is_launch_day(profile: str, engine: str) -> bool:
    if profile not in ("r1kit", "deepseek-r1"):
        raise ConfigError(f"There is no API profile {profile!r}; choose r1kit or deepseek-r1.")
    if profile == "deepseek-r1" and engine not in ("local", "vllm"):
        raise ConfigError(
            "--api-profile deepseek-r1 does not work with --engine URL, because that server's "
            "max_tokens also counts the thinking; use --engine local or vllm."
        )
    return profile == "deepseek-r1"


def _resolve_models(models: list[str]) -> dict[str, Path | str]:
    """Map the names that models are served under to the models."""
    from r1kit.model.find import find_model

    if not models:
        raise ConfigError(
            "Name a model to serve: a checkpoint, the folder of a run, a .gguf file, a hub id."
        )
    names = [
        replace_surrogates(Path(model).resolve().name.removesuffix(".gguf")) for model in models
    ]
    if len(set(names)) < len(names):
        raise ConfigError(
            "Two models would have the same name; rename a folder, or serve only one."
        )
    return dict(zip(names, map(find_model, models), strict=True))


def _adapters(modules: list[str], folders: dict[str, Path | str]) -> dict[str, Path]:
    """Map the names of adapters to their folders. Raises ConfigError for an invalid option."""
    adapters: dict[str, Path] = {}
    if not modules:
        return adapters
    from r1kit.model.adapter_folder import plain_config
    from r1kit.model.find import ADAPTER_CONFIG, require_existing

    for module in modules:
        name, equals, path = (replace_surrogates(part) for part in module.partition("="))
        if not name or not equals or not path:
            raise ConfigError(f"--lora-modules {module}: write it as NAME=FOLDER.")
        if name in folders or name in adapters:
            raise ConfigError(f"Two models would be called {name}; choose another name.")
        if len(folders) > 1:
            raise ConfigError("--lora-modules adds adapters to one model; serve only their base.")
        adapters[name] = Path(path).expanduser()
        require_existing(adapters[name])
        if not (adapters[name] / ADAPTER_CONFIG).is_file():
            raise ConfigError(f"{path} holds no adapter; name a folder that peft has saved.")
        plain_config(adapters[name])
    return adapters


def _open_page(url: str) -> Page:
    """Open the web page; imported here because it loads gradio."""
    from r1kit.pages.site import open_page

    return open_page(url)
