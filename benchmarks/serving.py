"""Serving throughput and latency of r1kit, vLLM and transformers, side by side on one machine.

    python -m benchmarks.serving [--model DIR] [--repeats 3] [--only NAME ...] [--streams N ...]
                                 [--before PYTHON]

DIR is a checkpoint or a run, by default runs/tiny. All servers serve the same folder in float32
over HTTP to the same client (r1kit/loadtest/load_test.py): 1, 8 and 64 streams of 128 tokens,
at T = 1. The folder is a copy whose end-of-text token is never generated: all completions are
equally long. Servers take turns; the waiting ones are stopped (SIGSTOP), so that they take no time
from the one being measured. transformers lives in `.venv-peers`, vLLM in `.venv-vllm` (`make vllm`,
or R1_VLLM names its python); a peer that is not installed is skipped. PYTHON is the interpreter of
another checkout's environment, whose server takes part as `r1kit-before`. Results go to
benchmarks/results/<date>-serving.{json,md}.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import httpx
import psutil
from rich.console import Console

from benchmarks import rl_step
from r1kit.config import ComputeConfig
from r1kit.files.atomic import MARKER
from r1kit.loadtest import load_test
from r1kit.model.devices import n_processes
from r1kit.model.find import find_model
from r1kit.processes.terminate import wait_or_kill

VLLM = rl_step.VLLM
MAX_TOKENS = 128
CONTEXT = 512
"""context length of the tiny model, tokens; vLLM requires it as an option"""
LEVELS = dict(zip(load_test.CONCURRENCY, load_test.REQUESTS, strict=True))
"""maps the number of open streams to the number of requests"""
STARTS_S = 300.0
ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "false",
    # Every Python, and every process it starts, imports the packages of its own environment:
    # the working directory is this checkout, and another checkout may take part.
    "PYTHONSAFEPATH": "1",
}
OURS = "r1kit"
PEERS = ("vllm", "transformers")
"""peers compared at the best of their settings; the names of their contenders begin with these"""
TRANSFORMERS = "from transformers.cli.transformers import main; main()"
"""code that runs the `transformers` command, whatever the command is called"""

console = Console()


@dataclass
class Server:
    """A contender: a process group that listens on its own port."""

    name: str
    command: list[str]
    model: str
    """name of the model in requests"""
    port: int
    health: str = "/health"
    env: dict[str, str] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)
    runs: list[dict[str, Any]] = field(default_factory=list)
    error: str | None = None
    process: subprocess.Popen[bytes] | None = None

    def start(self, folder: Path) -> None:
        """Start the server and wait until it answers; on failure keep the last line of its log."""
        log = folder / f"{self.name}.log"
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [*self.command, "--port", str(self.port)],
                stdout=output,
                stderr=output,
                cwd=rl_step.ROOT,
                env=os.environ | ENVIRONMENT | self.env,
                start_new_session=True,
            )
        end = time.monotonic() + STARTS_S
        while not self._is_up():
            if self.process.poll() is not None or time.monotonic() > end:
                words = log.read_text(errors="replace").strip().splitlines()
                self.error = words[-1] if words else "it did not start"
                console.print(f"{self.name} failed: {self.error}", markup=False)
                return
            time.sleep(0.2)

    def run(self, concurrency: int, requests: int) -> None:
        """Measure one concurrency level while all other servers are stopped."""
        if self.error is not None:
            return
        asked = load_test.LoadRequest(
            f"http://127.0.0.1:{self.port}/v1", self.model, max_tokens=MAX_TOKENS, extra=self.extra
        )
        with self.awake():
            # Warm up after SIGSTOP: vLLM's first answers then take seconds.
            load_test.measure(asked, concurrency, max(2, concurrency))
            level = load_test.measure(asked, concurrency, requests)
        self.runs.append(level.record())
        if level.tokens != (requests - level.errors) * MAX_TOKENS:
            console.print(f"{self.name}: {level.tokens} tokens, not all that were asked for")
        if level.errors:
            console.print(f"{self.name}: {level.errors} errors: {level.first_error}", markup=False)

    @contextmanager
    def awake(self) -> Iterator[None]:
        """Let the server run inside the block only."""
        self._signal(signal.SIGCONT)
        try:
            yield
        finally:
            self._signal(signal.SIGSTOP)

    def stop(self) -> None:
        if self.process is None:
            return
        for number in (signal.SIGCONT, signal.SIGTERM):
            self._signal(number)
        wait_or_kill(self.process, 20, lambda: self._signal(signal.SIGKILL))

    def _signal(self, number: signal.Signals) -> None:
        if self.process is not None and self.process.poll() is None:
            os.killpg(self.process.pid, number)

    def _is_up(self) -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}{self.health}", timeout=5).is_success
        except httpx.HTTPError:
            return False


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--model", default="runs/tiny", help="a checkpoint or a run")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", nargs="+", help="names of contenders")
    parser.add_argument("--streams", nargs="+", type=int, default=[*LEVELS], choices=LEVELS)
    parser.add_argument("--before", type=Path, help="the python of another checkout")
    parser.add_argument("--out", type=Path, default=rl_step.ROOT / "benchmarks" / "results")
    asked = parser.parse_args()
    given = Path(find_model(asked.model))
    rl_step.make_peers()
    busy = psutil.cpu_percent(2.0) / 100
    if busy > rl_step.BUSY:
        console.print(f"[yellow]Others use {busy:.0%} of this machine: times will be noise.")
    n_cores = n_processes(ComputeConfig(device="cpu"), load_test.CONCURRENCY[-1])
    with tempfile.TemporaryDirectory(prefix="r1kit-bench-") as name:
        folder = Path(name)
        model = endless(given, folder / "model")
        racers = contenders(model, asked.before)
        racers = [one for one in racers if one.name in (asked.only or [one.name])]
        race(racers, folder, asked.repeats, asked.streams)
    record = {
        "environment": rl_step.environment(n_cores, busy) | {"vllm": vllm_version() or "no vLLM"},
        "work": {
            "model": given.name,
            "max_tokens": MAX_TOKENS,
            "repeats": asked.repeats,
            "streams": asked.streams,
        },
        "contenders": [
            {
                "name": one.name,
                "command": _anywhere(one.command, model),
                "runs": one.runs,
                "error": one.error,
            }
            for one in racers
        ],
    }
    rl_step.write(record, asked.out, "serving", markdown(record))


def _anywhere(command: Sequence[str], model: Path) -> list[str]:
    """Return the command without the paths of this machine."""
    places = {str(model): "MODEL", sys.executable: "python", f"{rl_step.ROOT}/": ""}
    for here, there in places.items():
        command = [word.replace(here, there) for word in command]
    return [Path(word).name if Path(word).is_absolute() else word for word in command]


def endless(given: Path, folder: Path) -> Path:
    """Copy a checkpoint, with its padding token as the end-of-text token."""
    shutil.copytree(given, folder, ignore=shutil.ignore_patterns(MARKER, "resume"))
    pad = _edited(folder / "tokenizer_config.json", lambda it: {"eos_token": it["pad_token"]})
    config = _edited(folder / "config.json", lambda it: {"eos_token_id": it["pad_token_id"]})
    if config["pad_token_id"] is None or pad["pad_token"] is None:
        sys.exit(f"{given} has no padding token; name a checkpoint of r1kit.")
    ends = {"eos_token_id": config["pad_token_id"], "do_sample": True, "top_k": 0, "top_p": 1.0}
    _edited(folder / "generation_config.json", lambda _: ends | {"temperature": 1.0})
    special = folder / "special_tokens_map.json"
    if special.exists():
        _edited(special, lambda it: {"eos_token": it["pad_token"]})
    return folder


def _edited(file: Path, change: Any) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    content |= change(content)
    file.write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")
    return content


def contenders(model: Path, before: Path | None = None) -> list[Server]:
    """Return all installed servers in the order of their turns, each started as its users do."""
    ports = iter(free_ports(6))
    # -P: import the package of that environment, not the one in the working directory.
    serve = ["-P", "-m", "r1kit", "serve", str(model), "--max-num-seqs", "64"]
    ours = [sys.executable, *serve]
    peer = [str(rl_step.PEER_PYTHON), "-c", TRANSFORMERS, "serve", str(model)]
    peer += ["--host", "127.0.0.1", "--device", "cpu", "--dtype", "float32"]
    servers = [
        Server(OURS, ours, model.name, next(ports)),
        *(
            [Server(f"{OURS}-before", [str(before), *serve], model.name, next(ports))]
            if before
            else []
        ),
        Server("transformers", peer, str(model), next(ports)),
        Server("transformers-cb", [*peer, "--continuous-batching"], str(model), next(ports)),
    ]
    if VLLM.exists():
        vllm = [str(VLLM), "-m", "vllm.entrypoints.openai.api_server", "--model", str(model)]
        vllm += ["--dtype", "float32", "--enforce-eager", "--max-model-len", str(CONTEXT)]
        env = {"VLLM_CPU_KVCACHE_SPACE": "2"}
        servers.append(Server("vllm", vllm, str(model), next(ports), env=env))
        rarer = [*vllm, "--stream-interval", "4"]  # tokens per event; ours come by time
        servers.append(Server("vllm-rarer", rarer, str(model), next(ports), env=env))
    else:
        console.print(f"No vLLM at {VLLM}: `make vllm` makes it. It is left out.", markup=False)
    return servers


def free_ports(n: int) -> list[int]:
    """Return distinct ports that were free a moment ago."""
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(n)]
    ports = [int(listener.getsockname()[1]) for listener in listeners]
    for listener in listeners:
        listener.close()
    return ports


def race(racers: Sequence[Server], folder: Path, repeats: int, streams: Sequence[int]) -> None:
    """Start all servers, then measure them in turns at every level; the first turn is a warm-up."""
    try:
        for racer in racers:
            console.print(f"starting {racer.name}")
            racer.start(folder)
            racer._signal(signal.SIGSTOP)
        for concurrency in streams:
            for repeat in range(repeats + 1):
                for racer in racers:
                    time.sleep(rl_step.REST_S)
                    racer.run(concurrency, LEVELS[concurrency])
                    if repeat == 0 and racer.runs:
                        racer.runs.pop()
                console.print(f"{concurrency} streams, turn {repeat} of {repeats}")
    finally:
        for racer in racers:
            racer.stop()


def vllm_version() -> str | None:
    if not VLLM.exists():
        return None
    freeze = subprocess.run([VLLM, "-m", "pip", "freeze"], capture_output=True, text=True).stdout
    return next((line for line in freeze.splitlines() if line.startswith("vllm")), None)


def markdown(record: dict[str, Any]) -> str:
    """Return a table per level; ratios are of medians, r1kit over the other."""
    about, work = record["environment"], record["work"]
    lines = [
        f"# {about['date']}: serving on {about['cores']} cores of {about['cpu']}",
        "",
        f"Model {work['model']}, {work['max_tokens']} tokens per completion, T = 1, float32, "
        "over HTTP. "
        f"Medians of {work['repeats']} turns (smallest to largest). Others used "
        f"{about['busy_before']:.0%} of the machine before the start.",
        "",
        f"Versions: {_versions(about['ours'])}; peers: {_versions(about['peers'])}, "
        f"{about['vllm']}.",
        "",
        *_best(record),
    ]
    for concurrency in work["streams"]:
        lines += [
            "",
            f"| {concurrency} streams | tokens/s | first text p50, ms | p99, ms | between p50, ms "
            "| errors | r1kit is |",
            "|---|---|---|---|---|---|---|",
        ]
        ours = _rate(record["contenders"][0], concurrency)
        lines += [_row(one, concurrency, ours) for one in record["contenders"]]
    return "\n".join(lines) + "\n"


def _best(record: dict[str, Any]) -> list[str]:
    """Return a table of r1kit's tokens per second over each peer's at the peer's best settings."""
    lines = ["| streams | r1kit is | |", "|---|---|---|"]
    for concurrency in record["work"]["streams"]:
        ours = _rate(record["contenders"][0], concurrency) or 0.0
        cells = []
        for peer in PEERS:
            settings = [one for one in record["contenders"] if one["name"].startswith(peer)]
            rates = {one["name"]: _rate(one, concurrency) or 0.0 for one in settings}
            best = max(rates, key=rates.__getitem__, default=None)
            cells.append(f"{ours / rates[best]:.1f}x {best}" if best and rates[best] else "")
        lines.append(f"| {concurrency} | {' | '.join(cells)} |")
    return lines


def _versions(versions: dict[str, str]) -> str:
    return ", ".join(f"{name} {number}" for name, number in versions.items())


def _row(contender: dict[str, Any], concurrency: int, ours: float | None) -> str:
    runs = _runs(contender, concurrency)
    rate = _rate(contender, concurrency)
    if rate is None:
        return f"| {contender['name']} | failed: `{contender['error']}` | | | | | |"
    times = [
        _spread([run[key] * 1000 for run in runs if run[key] is not None])
        for key in ("first_p50_s", "first_p99_s", "gap_p50_s")
    ]
    errors = f"{sum(run['errors'] for run in runs)}/{sum(run['requests'] for run in runs)}"
    is_ours = contender["name"] == OURS or ours is None or not rate
    ratio = "" if is_ours else f"{(ours or 0) / rate:.1f}x"
    cells = [_spread([run["tokens_per_s"] for run in runs]), *times, errors, ratio]
    return f"| {contender['name']} | {' | '.join(cells)} |"


def _runs(contender: dict[str, Any], concurrency: int) -> list[dict[str, Any]]:
    return [run for run in contender["runs"] if run["concurrency"] == concurrency]


def _rate(contender: dict[str, Any], concurrency: int) -> float | None:
    rates = [run["tokens_per_s"] for run in _runs(contender, concurrency)]
    return median(rates) if rates else None


def _spread(values: Sequence[float]) -> str:
    if not values:
        return "none"
    return f"{median(values):,.1f} ({min(values):,.1f}-{max(values):,.1f})"


if __name__ == "__main__":
    main()
