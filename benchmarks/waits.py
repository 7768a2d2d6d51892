"""How long a short request waits behind a long prompt, and what that costs the long request.

    python -m benchmarks.waits [--model DIR] [--before PYTHON] [--tokens 6000] [--repeats 3]

Starts `r1 serve` and sends requests over HTTP, as users do: `hi` alone; a long prompt alone; `hi`
half a second after a long prompt; a long prompt during a stream. DIR is a checkpoint or a run;
without it the model has random weights and the shape of SmolLM2-135M. PYTHON is the interpreter of
another checkout's environment: its server is measured too, in turns, while the other server is
stopped (SIGSTOP). Results go to benchmarks/results/<date>-waits.{json,md}.
"""

from __future__ import annotations

import argparse
import itertools
import random
import re
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any

import httpx
import psutil
from rich.console import Console
from transformers import PreTrainedTokenizerBase

from benchmarks import rl_step, serving, workload
from benchmarks.serving import Server
from r1kit.config import ComputeConfig, ModelConfig, load
from r1kit.loadtest import load_test as client
from r1kit.model import causal_lm
from r1kit.model.devices import n_processes
from r1kit.model.find import find_model
from r1kit.model.tokenizer import load_tokenizer, save_tokenizer, train_tokenizer
from r1kit.tasks import mix

SHAPE = ModelConfig(
    n_layers=30, hidden=576, intermediate=1536, n_heads=9, n_kv_heads=3, max_positions=8192
)
"""SmolLM2-135M except for its vocabulary: 107 million parameters"""
AFTER_S = 0.5
"""seconds between the long request and the short one"""
WAITING = re.compile(r"^r1_completions_waiting\{.*\} [1-9]", re.MULTILINE)
SHORT_TOKENS = 16
"""maximum tokens of an answer; a single one may be no text: part of a character, a control token"""
STREAM_TOKENS = 128
"""tokens of the stream that runs while a long prompt arrives; more than the number of chunks in
which the prompt is prefilled"""

Measured = dict[str, float]

console = Console()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--model", type=Path, help="a checkpoint or a run; default: random weights")
    parser.add_argument("--before", type=Path, help="the python of another checkout")
    parser.add_argument("--tokens", type=int, default=6000, help="of the long prompt")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, default=rl_step.ROOT / "benchmarks" / "results")
    asked = parser.parse_args()
    busy = psutil.cpu_percent(2.0) / 100
    if busy > rl_step.BUSY:
        console.print(f"[yellow]Others use {busy:.0%} of this machine: times will be noise.")
    with tempfile.TemporaryDirectory(prefix="r1kit-bench-") as name:
        folder = Path(name)
        model = Path(find_model(asked.model)) if asked.model else random_model(folder / "model")
        racers = contenders(model, asked.before)
        prompts = long_prompts(load_tokenizer(model), asked.tokens)
        runs = race(racers, folder, prompts, asked.repeats)
    n_cores = n_processes(ComputeConfig(device="cpu"), 1024)
    about = "random weights of the shape of SmolLM2-135M" if asked.model is None else model.name
    record = {
        "environment": rl_step.machine(n_cores, busy),
        "work": {"model": about, "tokens": asked.tokens, "repeats": asked.repeats},
        "runs": runs,
    }
    rl_step.write(record, asked.out, "waits", markdown(record))


def random_model(folder: Path) -> Path:
    """Create a model with random weights: nonsense text at the speed of a real model."""
    recipe = load(workload.RECIPE)
    tasks = mix.load_tasks(recipe, "train")
    tokenizer = train_tokenizer(map(tasks.document, range(1000)), recipe.model.vocab_size)
    ids = tokenizer.eos_token_id, tokenizer.pad_token_id, tokenizer.bos_token_id
    causal_lm.build(SHAPE, len(tokenizer), *ids, seed=0).save_pretrained(folder)
    save_tokenizer(tokenizer, folder)
    return folder


def contenders(model: Path, before: Path | None) -> list[Server]:
    """Return our server, and that of the other checkout if there is one."""
    pythons = {"now": Path(sys.executable)} | ({"before": before} if before else {})
    serve = ["-m", "r1kit", "serve", str(model), "--no-page"]
    ports = serving.free_ports(len(pythons))
    return [
        Server(name, [str(python), *serve], model.name, port)
        for (name, python), port in zip(pythons.items(), ports, strict=True)
    ]


def long_prompts(tokenizer: PreTrainedTokenizerBase, n_tokens: int) -> Iterator[str]:
    """Yield texts of about `n_tokens` tokens, without end; no two share a prefix."""
    for seed in itertools.count():
        rng = random.Random(seed)
        parts: list[str] = []
        n_found = 0
        while n_found < n_tokens:
            parts.append(f"{rng.randrange(10**6)} + {rng.randrange(10**6)} = ?\n")
            n_found += len(tokenizer(parts[-1], add_special_tokens=False)["input_ids"])
        yield "".join(parts)


def race(
    racers: Sequence[Server], folder: Path, prompts: Iterator[str], repeats: int
) -> dict[str, list[Measured]]:
    """Start all servers, then measure them in turns."""
    runs: dict[str, list[Measured]] = {racer.name: [] for racer in racers}
    try:
        for racer in racers:
            console.print(f"starting {racer.name}")
            racer.start(folder)
            if racer.error is not None:
                sys.exit(1)
            with racer.awake():
                ask(racer, "hello", SHORT_TOKENS)
        for repeat in range(repeats):
            texts = [next(prompts) for _ in range(3)]
            for racer in racers:
                with racer.awake():
                    runs[racer.name].append(measure(racer, texts))
                console.print(
                    f"turn {repeat + 1} of {repeats}: {racer.name} {runs[racer.name][-1]}"
                )
    finally:
        for racer in racers:
            racer.stop()
    return runs


def measure(server: Server, texts: Sequence[str]) -> Measured:
    """Return the measured seconds; `texts` are three long prompts that are new to this server."""
    hi, long = ask(server, "hi", SHORT_TOKENS), ask(server, texts[0], SHORT_TOKENS)
    seconds = {"hi": hi.first_s, "hi_whole": _whole(hi), "long": long.first_s}
    with ThreadPoolExecutor() as threads:
        behind = threads.submit(ask, server, texts[1], SHORT_TOKENS)
        until_it_waits(server, behind)
        time.sleep(AFTER_S)
        hi = ask(server, "hi", SHORT_TOKENS)
        seconds |= {
            "hi_behind": hi.first_s,
            "hi_behind_whole": _whole(hi),
            "long_with_hi": behind.result().first_s,
        }
        stream = threads.submit(ask, server, "hello", STREAM_TOKENS)
        time.sleep(AFTER_S)
        seconds["long_with_stream"] = ask(server, texts[2], SHORT_TOKENS).first_s
        gaps = stream.result().gaps_s
    return seconds | {"gap_median": median(gaps), "gap_longest": max(gaps)}


def until_it_waits(server: Server, asked: Future[client.TimedStream]) -> None:
    """Return once a request waits in the engine."""
    url = f"http://127.0.0.1:{server.port}/metrics"
    while not (asked.done() or WAITING.search(httpx.get(url).text)):
        time.sleep(0.02)


def ask(server: Server, text: str, max_tokens: int) -> client.TimedStream:
    """Send a request and return its streamed answer."""
    fields = {"messages": [{"role": "user", "content": text}], "thinking": {"type": "disabled"}}
    url = f"http://127.0.0.1:{server.port}/v1"
    asked = client.LoadRequest(url, server.model, max_tokens=max_tokens, extra=fields)
    [stream] = client.ask_all(asked, [0], 1)
    if stream.error is not None:
        sys.exit(f"{server.name}: {stream.error}")
    return stream


def _whole(stream: client.TimedStream) -> float:
    return stream.first_s + sum(stream.gaps_s)


ROWS = {
    "hi": "`hi` alone, first text",
    "hi_behind": "`hi` behind the long prompt, first text",
    "hi_whole": "`hi` alone, whole answer",
    "hi_behind_whole": "`hi` behind the long prompt, whole answer",
    "long": "the long prompt alone, first text",
    "long_with_hi": "the long prompt with `hi` behind it",
    "long_with_stream": "the long prompt beside a stream",
    "gap_median": "between two texts of that stream, median",
    "gap_longest": "the same, longest",
}


def markdown(record: dict[str, Any]) -> str:
    """Return a table with a row per wait and a column per contender."""
    about, work, runs = record["environment"], record["work"], record["runs"]
    lines = [
        f"# {about['date']}: waiting for a long prompt, {about['cores']} cores of {about['cpu']}",
        "",
        f"Model: {work['model']}. The long prompt has {work['tokens']:,} tokens. Seconds, medians "
        f"of {work['repeats']} turns (smallest to largest). Others used {about['busy_before']:.0%} "
        "of the machine before the start.",
        "",
        f"| | {' | '.join(runs)} |",
        f"|---|{'---|' * len(runs)}",
    ]
    for key, label in ROWS.items():
        cells = (_spread([run[key] for run in measured]) for measured in runs.values())
        lines.append(f"| {label} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _spread(values: Sequence[float]) -> str:
    return f"{median(values):.2f} ({min(values):.2f}-{max(values):.2f})"


if __name__ == "__main__":
    main()
