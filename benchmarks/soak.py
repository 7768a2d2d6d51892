"""A server under load for long: nothing is lost, nothing is left behind, memory stays flat.

    python -m benchmarks.soak [--model DIR] [--disconnects 1000] [--requests 10000]

Starts `r1 serve` on DIR (by default runs/tiny) and asks 64 at once: first clients that go at a
random moment, in the middle of a request or an answer; then whole answers, all of which must be
what the same request said the first time. Prints the server's memory as it goes, and ends with
code 1 if a row or a request is left, an answer differs or fails, or memory grows by more than 10 %
between the first third and the last.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from statistics import mean

import httpx
import psutil
from rich.console import Console

from r1kit import load
from r1kit.measured import serving

CONCURRENCY = 64
KINDS = 32
"""different requests, asked again and again"""
MAX_TOKENS = 48
REPORTS = 12
"""lines of memory a phase"""
GROWTH = 1.10
IDLE_S = 20.0

One = Callable[[int], Awaitable[str | None]]
"""a request by its place → what went wrong"""

console = Console()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--model", default="runs/tiny")
    parser.add_argument("--disconnects", type=int, default=1000)
    parser.add_argument("--requests", type=int, default=10_000)
    asked = parser.parse_args()
    options = ["--max-rows", "64", "--max-waiting", "512"]
    with serving(["serve", asked.model, *options]) as server:
        model = httpx.get(f"{server.url}/v1/models").json()["data"][0]["id"]
        work = load.Load(f"{server.url}/v1", model, max_tokens=MAX_TOKENS)
        failures = asyncio.run(soak(work, server.pid, asked.disconnects, asked.requests))
        failures += left_behind(server.url)
    for failure in failures:
        console.print(f"FAILED: {failure}", markup=False)
    console.print("flat, and nothing is left behind" if not failures else "")
    sys.exit(bool(failures))


async def soak(work: load.Load, pid: int, disconnects: int, requests: int) -> list[str]:
    """Both phases; what went wrong."""
    server = psutil.Process(pid)
    async with load.client(work) as client:
        first = [await load.ask(client, work, place) for place in range(KINDS)]
        failures = [f"alone: {stream.error}" for stream in first if stream.error]
        rng, port = random.Random(1), int(work.url.split(":")[2].split("/")[0])

        async def going(place: int) -> None:
            await go(port, json.dumps(work.body(place % KINDS)).encode(), rng)

        async def whole(place: int) -> str | None:
            stream = await load.ask(client, work, place % KINDS)
            if stream.error:
                return stream.error
            differs = stream.text != first[place % KINDS].text
            return f"request {place % KINDS} said something else" if differs else None

        for what, phase, n in (("disconnects", going, disconnects), ("answers", whole, requests)):
            failures += await _phase(what, phase, n, server)
    return failures


async def _phase(what: str, one: One, n: int, server: psutil.Process) -> list[str]:
    """n of them, 64 at once, with the memory every so often."""
    gate, memory, failures = asyncio.Semaphore(CONCURRENCY), [], []
    started = time.monotonic()
    size = max(1, -(-n // REPORTS))

    async def guarded(place: int) -> str | None:
        async with gate:
            return await one(place)

    for start in range(0, n, size):
        told = await asyncio.gather(*map(guarded, range(start, min(start + size, n))))
        failures += [failure for failure in told if failure]
        memory.append(server.memory_info().rss / 2**20)
        done = min(start + size, n)
        console.print(f"{time.monotonic() - started:7.1f} s {what} {done:6d}: {memory[-1]:.1f} MiB")
    third = len(memory) // 3
    if third and mean(memory[-third:]) > GROWTH * mean(memory[:third]):
        failures.append(f"memory grew during {what}: {memory[0]:.1f} to {memory[-1]:.1f} MiB")
    return sorted(set(failures))


async def go(port: int, body: bytes, rng: random.Random) -> None:
    """Ask, and go after a random while or so many bytes, sometimes in mid-request."""
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
    """What the server's own gauges still count after a while in which nobody asks."""
    end = time.monotonic() + IDLE_S
    while True:
        text = httpx.get(f"{url}/metrics").text
        found = re.findall(
            r"^(r1_completions_(?:running|waiting)\S*) ([0-9.e+]+)$", text, re.MULTILINE
        )
        left = [f"left behind: {name} = {value}" for name, value in found if float(value)]
        if found and (not left or time.monotonic() > end):
            return left
        if not found:
            return ["the server has no gauges of running requests any more"]
        time.sleep(0.5)


if __name__ == "__main__":
    main()
