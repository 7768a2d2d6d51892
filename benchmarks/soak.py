"""A long load test of the server: no request is lost or left over, and memory stays constant.

    python -m benchmarks.soak [--model DIR] [--disconnects 1000] [--requests 10000]

Starts `r1 serve` on DIR (by default runs/tiny) and keeps 64 requests open: first from clients that
disconnect at a random moment, during the request or the answer; then complete requests, whose
answers must equal the first answer to the same request. Prints the server's memory at intervals,
and exits with code 1 if a row or a request is left over, an answer differs or fails, or memory
grows by more than 10 % between the first third and the last.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from statistics import mean

import httpx
import psutil
from rich.console import Console

from r1kit.loadtest import load_test
from r1kit.loadtest.serve_bench import serving

CONCURRENCY = 64
KINDS = 32
"""number of distinct requests, which are repeated"""
MAX_TOKENS = 48
REPORTS = 12
"""number of memory readings printed per phase"""
GROWTH = 1.10
IDLE_S = 20.0

console = Console()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--model", default="runs/tiny")
    parser.add_argument("--disconnects", type=int, default=1000)
    parser.add_argument("--requests", type=int, default=10_000)
    asked = parser.parse_args()
    options = ["--max-num-seqs", "64", "--max-waiting", "512"]
    with serving(["serve", asked.model, *options]) as server:
        model = httpx.get(f"{server.url}/v1/models").json()["data"][0]["id"]
        work = load_test.LoadRequest(f"{server.url}/v1", model, max_tokens=MAX_TOKENS)
        failures = soak(work, server.pid, asked.disconnects, asked.requests)
        failures += left_behind(server.url)
    for failure in failures:
        console.print(f"FAILED: {failure}", markup=False)
    console.print("flat, and nothing is left behind" if not failures else "")
    sys.exit(bool(failures))


def soak(work: load_test.LoadRequest, pid: int, disconnects: int, requests: int) -> list[str]:
    """Run both phases and return the failures."""
    server = psutil.Process(pid)
    first = load_test.ask_all(work, range(KINDS), 1)
    failures = [f"alone: {stream.error}" for stream in first if stream.error]
    rng, port = random.Random(1), int(work.url.split(":")[2].split("/")[0])

    def going(places: range) -> list[str]:
        asyncio.run(go_all(port, [json.dumps(work.body(p % KINDS)).encode() for p in places], rng))
        return []

    def whole(places: range) -> list[str]:
        kinds = [place % KINDS for place in places]
        streams = zip(kinds, load_test.ask_all(work, kinds, CONCURRENCY), strict=True)
        return [
            stream.error or f"request {kind} said something else"
            for kind, stream in streams
            if stream.error or stream.text != first[kind].text
        ]

    for what, phase, n in (("disconnects", going, disconnects), ("answers", whole, requests)):
        failures += _phase(what, phase, n, server)
    return failures


def _phase(
    what: str, some: Callable[[range], list[str]], n: int, server: psutil.Process
) -> list[str]:
    """Run n requests, with memory readings in between."""
    memory: list[float] = []
    failures: list[str] = []
    started = time.monotonic()
    size = max(1, -(-n // REPORTS))
    for start in range(0, n, size):
        done = min(start + size, n)
        failures += some(range(start, done))
        memory.append(_resident_mib(server))
        console.print(f"{time.monotonic() - started:7.1f} s {what} {done:6d}: {memory[-1]:.1f} MiB")
    third = len(memory) // 3
    if third and mean(memory[-third:]) > GROWTH * mean(memory[:third]):
        failures.append(f"memory grew during {what}: {memory[0]:.1f} to {memory[-1]:.1f} MiB")
    return sorted(set(failures))


def _resident_mib(server: psutil.Process) -> float:
    """Return the memory of the server and its engine process."""
    size = 0.0
    for process in (server, *server.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):
            size += process.memory_info().rss
    return size / 2**20


async def go_all(port: int, bodies: list[bytes], rng: random.Random) -> None:
    """Send all requests and disconnect from each, `CONCURRENCY` at a time."""
    gate = asyncio.Semaphore(CONCURRENCY)

    async def one(body: bytes) -> None:
        async with gate:
            await go(port, body, rng)

    await asyncio.gather(*map(one, bodies))


async def go(port: int, body: bytes, rng: random.Random) -> None:
    """Send a request, sometimes only half of it, and disconnect after a random time or size."""
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}"
    data = f"{head}\r\nContent-Type: application/json\r\n\r\n".encode() + body
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data[: rng.choice([len(data)] * 3 + [len(data) // 2])])
    with suppress(ConnectionError):
        await writer.drain()
    with suppress(TimeoutError, ConnectionError):
        async with asyncio.timeout(rng.uniform(0, 0.3)):
            await reader.read(rng.randrange(1, 4000))
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()


def left_behind(url: str) -> list[str]:
    """Return what the server's gauges still count after a while without requests."""
    end = time.monotonic() + IDLE_S
    while True:
        text = httpx.get(f"{url}/metrics").text
        gauges = re.findall(
            r"^(r1_completions_(?:running|waiting)\S*) ([0-9.e+]+)$", text, re.MULTILINE
        )
        left = [f"left behind: {name} = {value}" for name, value in gauges if float(value)]
        if gauges and (not left or time.monotonic() > end):
            return left
        if not gauges:
            return ["the server has no gauges of running requests any more"]
        time.sleep(0.5)


if __name__ == "__main__":
    main()
