"""What evaluation harnesses add to a model's own time: `r1 eval`, lm-evaluation-harness, lighteval.

    python -m benchmarks.eval_harness [--problems 500] [--delay 0.5] [--repeats 3] [--only NAME ...]

All harnesses run their own GSM8K task on the same rows, with 64 requests in flight, against the
same scripted endpoint: an asyncio server that answers every chat completion after a fixed delay
with the same text, which is right for every second row, and counts requests in flight. So the
ideal wall time is known, and everything beyond it is the harness: start, prompts, HTTP, grading,
logs. Every harness also runs on the first 64 rows alone, which separates the cost of a sample from
that of the start. Processor time hardly depends on what else the machine does. Harnesses take
turns; a run with another score or number of requests fails.

The peers live in `.venv-evals` (benchmarks/peers/eval-requirements.txt), or R1_EVAL_PEERS names its
Python; a peer that is not installed is skipped. Results go to
benchmarks/results/<date>-eval-harness.{json,md}.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import httpx
import psutil
from rich.console import Console

ROOT = Path(__file__).parents[1]
PEERS = Path(os.environ.get("R1_EVAL_PEERS", ROOT / ".venv-evals" / "bin" / "python"))
IN_FLIGHT = 64
"""requests in flight, and the number of rows of the short run"""
RIGHT, WRONG = 42, 43
TEXT = (
    f"We add both numbers and get {RIGHT}.\nThe answer is {RIGHT}.\n\n"
    f"$\\boxed{{{RIGHT}}}$\n\nANSWER: {RIGHT}"
)
"""a completion whose answer every harness finds in its own way"""
OURS = "r1kit"
TIMEOUT_S = 600.0

console = Console()


class ScriptedEndpoint:
    """An OpenAI-compatible server with one answer and a counter."""

    def __init__(self, delay: float) -> None:
        self.delay = delay
        self.started: list[float] = []
        self.ended: list[float] = []
        self.n_open = self.peak = 0
        self.body = json.dumps(
            {
                "id": "chatcmpl-1",
                "object": "chat.completion",
                "created": 1,
                "model": "scripted",
                "choices": [
                    {
                        "index": 0,
                        "message": {"role": "assistant", "content": TEXT},
                        "finish_reason": "stop",
                    }
                ],
                "usage": {"prompt_tokens": 100, "completion_tokens": 40, "total_tokens": 140},
            }
        ).encode()
        self.models = json.dumps(
            {"object": "list", "data": [{"id": "scripted", "object": "model"}]}
        ).encode()

    async def connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection until the client closes it."""
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = re.search(rb"content-length: *(\d+)", head)
                await reader.readexactly(int(length[1]) if length else 0)
                body = await self.respond(head.split(b" ", 2)[:2])
                writer.write(
                    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
                    b"content-length: %d\r\n\r\n" % len(body) + body
                )
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def respond(self, method_and_path: list[bytes]) -> bytes:
        method, path = method_and_path
        if path.endswith(b"/counts"):
            return json.dumps(self.counts()).encode()
        if method == b"get":
            return self.models
        self.started.append(time.time())
        self.n_open += 1
        self.peak = max(self.peak, self.n_open)
        await asyncio.sleep(self.delay)
        self.n_open -= 1
        self.ended.append(time.time())
        return self.body

    def counts(self) -> dict[str, Any]:
        """Return the number of requests, the most in flight, and the first and last moment."""
        return {
            "n_requests": len(self.started),
            "peak": self.peak,
            "first": min(self.started, default=0.0),
            "last": max(self.ended, default=0.0),
        }


async def serve(port: int, delay: float) -> None:
    endpoint = ScriptedEndpoint(delay)
    server = await asyncio.start_server(endpoint.connect, "127.0.0.1", port, backlog=512)
    async with server:
        await server.serve_forever()


@contextmanager
def scripted_endpoint(delay: float) -> Iterator[str]:
    """Start a fresh endpoint in a process of its own; yield its base URL."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    arguments = ["--serve", str(port), "--delay", str(delay)]
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.eval_harness", *arguments])
    url = f"http://127.0.0.1:{port}/v1"
    try:
        for _ in range(300):
            try:
                httpx.get(f"{url}/counts")
                break
            except httpx.TransportError:
                time.sleep(0.1)
        yield url
    finally:
        process.terminate()
        process.wait()


@dataclass(frozen=True)
class Harness:
    """A contender: its command for n rows, and where it prints its score."""

    name: str
    command: list[str]
    """with {url}, {n}, {data} and {out}"""
    score: str
    """pattern of the score it prints, a share or a percentage"""


def harnesses() -> list[Harness]:
    """Return r1kit and the peers that are installed."""
    peers = [
        Harness(
            "lm-evaluation-harness",
            [str(PEERS.with_name("lm_eval")), "--model", "local-chat-completions",
             "--model_args", "model=scripted,base_url={url}/chat/completions,"
             f"num_concurrent={IN_FLIGHT},max_retries=1,tokenized_requests=False",
             "--apply_chat_template", "--tasks", "gsm8k_cot_zeroshot", "--limit", "{n}",
             "--output_path", "{out}", "--log_samples"],
            r"strict-match\W.*?\|\s*([0-9.]+)\s*\|±",
        ),
        Harness(
            "lighteval",
            [str(PEERS.with_name("lighteval")), "eval", "openai-api/scripted/scripted", "gsm8k",
             "--max-connections", str(IN_FLIGHT), "--max-samples", "{n}", "--log-dir", "{out}",
             "--display", "plain"],
            r"scripted\s*\|\s*([0-9.]+)",
        ),
    ]  # fmt: skip
    ours = Harness(
        OURS,
        [sys.executable, "-m", "r1kit", "eval", "{url}", "--suite", "gsm8k", "--data", "{data}",
         "--limit", "{n}", "--samples", "1", "--concurrency", str(IN_FLIGHT), "--out", "{out}"],
        r"gsm8k +([0-9.]+) ±",
    )  # fmt: skip
    return [ours, *(peer for peer in peers if Path(peer.command[0]).exists())]


@dataclass(frozen=True)
class Run:
    """One run of a harness."""

    harness: str
    n_rows: int
    wall_s: float
    cpu_s: float
    start_s: float
    """time from the start of the process to its first request"""
    end_s: float
    """time from the last response to the end of the process"""
    in_flight: float
    """mean number of requests in flight between the first and the last"""
    peak: int
    peak_rss_mb: float

    def overhead_s(self, delay: float) -> float:
        """Return the wall time beyond that of a harness that takes none."""
        return self.wall_s - delay * math.ceil(self.n_rows / IN_FLIGHT)


def write_rows(folder: Path, n_rows: int) -> None:
    """Write GSM8K-like rows: a folder that peers load as openai/gsm8k, and a file for r1kit."""
    rows = [
        {
            "question": f"Box {i} has {i + 3} red balls and some blue ones. Together with {i} "
            "green balls, how many balls does everybody count?",
            "answer": f"They count them one by one.\n#### {WRONG if i % 2 else RIGHT}",
        }
        for i in range(n_rows)
    ]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    hub = folder / "openai" / "gsm8k"
    hub.mkdir(parents=True)
    (folder / "gsm8k_test.jsonl").write_text(text)
    splits = "".join(
        f"      - split: {split}\n        path: {split}.jsonl\n" for split in ("train", "test")
    )
    (hub / "README.md").write_text(
        f"---\nconfigs:\n  - config_name: main\n    data_files:\n{splits}---\n"
    )
    for split in ("train", "test"):
        (hub / f"{split}.jsonl").write_text(text)


def environment(url: str, folder: Path) -> dict[str, str]:
    return os.environ | {
        "OPENAI_API_KEY": "none",
        "SCRIPTED_API_KEY": "none",
        "SCRIPTED_BASE_URL": url,
        "HF_HUB_OFFLINE": "1",
        "HF_DATASETS_OFFLINE": "1",
        "HF_HOME": str(folder / "cache"),
        "PYTHONPATH": str(ROOT),
        "COLUMNS": "200",
    }


def measure(harness: Harness, folder: Path, n_rows: int, delay: float) -> Run:
    """Run a harness once. Raises RuntimeError if it fails or does other work."""
    out = folder / "out"
    shutil.rmtree(out, ignore_errors=True)
    with scripted_endpoint(delay) as url, (folder / "printed").open("w+") as printed:
        values = {"url": url, "n": str(n_rows), "data": str(folder), "out": str(out)}
        command = [part.format(**values) for part in harness.command]
        began = time.time()
        process = subprocess.Popen(
            command, cwd=folder, env=environment(url, folder), stdout=printed,
            stderr=subprocess.STDOUT,
        )  # fmt: skip
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        ended = time.time()
        counts = httpx.get(f"{url}/counts").json()
        printed.seek(0)
        check(harness, n_rows, process.returncode, counts, printed.read())
    sampling_s = counts["last"] - counts["first"]
    return Run(
        harness.name,
        n_rows,
        ended - began,
        usage.ru_utime + usage.ru_stime,
        counts["first"] - began,
        ended - counts["last"],
        n_rows * delay / sampling_s,
        counts["peak"],
        usage.ru_maxrss / 1024,
    )


def check(
    harness: Harness, n_rows: int, returncode: int, counts: dict[str, Any], printed: str
) -> None:
    scores = [float(score) for score in re.findall(harness.score, printed)]
    shares = [score / 100 if score > 1 else score for score in scores]
    if returncode or counts["n_requests"] != n_rows or 0.5 not in shares:
        raise RuntimeError(
            f"{harness.name} ended with {returncode}, {counts['n_requests']} of {n_rows} requests "
            f"and scores {scores}:\n{printed[-3000:]}"
        )


def table(runs: Sequence[Run], delay: float) -> str:
    """Return the medians as Markdown."""
    lines = [
        "| harness | overhead per sample, ms | of it start and end, s | a further sample, ms | "
        "CPU of it, ms | CPU per sample with the start, ms | in flight | memory, MB |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name in dict.fromkeys(run.harness for run in runs):
        long, short = (
            [run for run in runs if run.harness == name and (run.n_rows > IN_FLIGHT) == is_long]
            for is_long in (True, False)
        )
        n_more = long[0].n_rows - IN_FLIGHT
        over, over_short = (median(r.overhead_s(delay) for r in some) for some in (long, short))
        cpu, cpu_short = (median(r.cpu_s for r in some) for some in (long, short))
        all_over = [1000 * r.overhead_s(delay) / r.n_rows for r in long]
        lines.append(
            f"| {name} | {median(all_over):.1f} ({min(all_over):.1f}-{max(all_over):.1f}) "
            f"| {median(r.start_s + r.end_s for r in long):.1f} "
            f"| {1000 * (over - over_short) / n_more:.1f} "
            f"| {1000 * (cpu - cpu_short) / n_more:.1f} | {1000 * cpu / long[0].n_rows:.1f} "
            f"| {median(r.in_flight for r in long):.1f} "
            f"| {median(r.peak_rss_mb for r in long):.0f} |"
        )
    return "\n".join(lines)


def report(runs: Sequence[Run], delay: float, load: float, results: Path) -> None:
    """Write every run and the table of medians."""
    stem = results / f"{time.strftime('%Y-%m-%d')}-eval-harness"
    n_rows = max(run.n_rows for run in runs)
    stem.with_suffix(".json").write_text(
        json.dumps({"delay_s": delay, "load": load, "runs": [asdict(r) for r in runs]}, indent=1)
    )
    head = (
        f"# Evaluation harnesses on a scripted endpoint\n\n{n_rows} rows, {IN_FLIGHT} in flight, "
        f"answers after {delay} s; {psutil.cpu_count()} CPUs, load before the start {load:.2f}.\n\n"
    )
    stem.with_suffix(".md").write_text(head + table(runs, delay) + "\n")
    console.print(head + table(runs, delay), markup=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--problems", type=int, default=500)
    parser.add_argument("--delay", type=float, default=0.5, help="seconds before every answer")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", nargs="+", metavar="NAME")
    parser.add_argument("--results", type=Path, default=ROOT / "benchmarks" / "results")
    parser.add_argument("--serve", type=int, metavar="PORT", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve is not None:
        asyncio.run(serve(options.serve, options.delay))
        return
    if options.problems <= IN_FLIGHT:
        parser.error(f"--problems is more than {IN_FLIGHT}")
    load = psutil.getloadavg()[0]
    if load > 0.5:
        console.print(f"The machine is busy (load {load:.1f}); the numbers will be too.")
    contenders = [h for h in harnesses() if not options.only or h.name in options.only]
    runs = []
    with tempfile.TemporaryDirectory() as folder:
        folders = {n: Path(folder) / str(n) for n in (IN_FLIGHT, options.problems)}
        for n_rows, path in folders.items():
            write_rows(path, n_rows)
        for harness in contenders:  # warms the caches of files and bytecode
            measure(harness, folders[IN_FLIGHT], IN_FLIGHT, options.delay)
        for _ in range(options.repeats):
            for n_rows, path in folders.items():
                for harness in contenders:
                    runs.append(measure(harness, path, n_rows, options.delay))
                    console.print(f"{harness.name}: {n_rows} rows in {runs[-1].wall_s:.1f} s")
    report(runs, options.delay, load, options.results)


if __name__ == "__main__":
    main()
