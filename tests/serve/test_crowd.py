"""Many at once, clients that go, queues that are full, engines that fail."""

import asyncio
import contextlib
import dataclasses
import json
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx
import pytest

from r1kit.engines.base import RequestState, StreamingSampler
from r1kit.engines.completion import Chunk, CompletionStream
from r1kit.errors import EngineError
from tests.serve.conftest import LIMITS, Server, opened, running
from tests.serve.test_api import chunks, joined

Slow = Callable[[Server, float], AbstractContextManager[None]]


@pytest.fixture
def slow() -> Slow:
    """A server whose engine takes so many seconds a step."""

    @contextlib.contextmanager
    def slowed(server: Server, seconds: float) -> Iterator[None]:
        engine: Any = server.one.engine_loop.engine
        step = engine.step

        def slow_step() -> list[RequestState]:
            time.sleep(seconds)
            finished: list[RequestState] = step()
            return finished

        engine.step = slow_step
        try:
            yield
        finally:
            del engine.step

    return slowed


def test_64_streams_lose_no_token_and_say_what_they_say_alone(server: Server) -> None:
    def ask(seed: int, stream: bool) -> httpx.Response:
        return server.ask(seed=seed, stream=stream, temperature=1, top_p=1)

    alone = [ask(seed, False).json()["choices"][0]["message"] for seed in range(8)]
    usage: dict[str, Any] = {"stream_options": {"include_usage": True}}
    with ThreadPoolExecutor(64) as pool:
        requests = [
            pool.submit(server.ask, seed=seed % 8, stream=True, temperature=1, top_p=1, **usage)
            for seed in range(64)
        ]
        streams = [chunks(future.result()) for future in requests]
    for index, parts in enumerate(streams):
        assert joined(parts, "reasoning_content") == alone[index % 8]["reasoning_content"]
        assert parts[-1]["usage"]["completion_tokens"] == 24
    server.wait_idle()


def request_bytes(stream: bool, seed: int) -> bytes:
    messages = [{"role": "user", "content": "7x + 3"}]
    body = {"model": "tiny", "messages": messages, "max_tokens": 400, "stream": stream}
    data = json.dumps({**body, "seed": seed, "n": 1 + seed % 2}).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(data)}"
    return f"{head}\r\nContent-Type: application/json\r\n\r\n".encode() + data


async def leave(port: int, rng: random.Random, gate: asyncio.Semaphore, seed: int) -> None:
    """Ask, and go after a random while or a random number of bytes, even in mid-request."""
    async with gate:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        data = request_bytes(rng.random() < 0.6, seed)
        writer.write(data[: rng.choice([len(data), len(data), len(data), len(data) // 2])])
        await writer.drain()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(rng.uniform(0, 0.06)):
                await reader.read(rng.randrange(1, 2000))
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_goes_is_dropped_within_a_step(
    server: Server, slow: Slow, stream: bool
) -> None:
    port = int(server.url.rsplit(":", 1)[1])
    with slow(server, 0.05), contextlib.closing(socket.create_connection(("127.0.0.1", port))) as s:
        s.sendall(request_bytes(stream, seed=1))
        while not server.one.engine_loop.n_running:
            time.sleep(0.01)
        sampled = server.one.engine_loop.n_completion_tokens
        s.close()
        server.wait_idle(1.0)
        assert server.one.engine_loop.n_completion_tokens - sampled <= 2 * 4


def test_a_client_that_goes_while_it_waits_never_begins(folder: Path, slow: Slow) -> None:
    limits = dataclasses.replace(LIMITS, max_num_seqs=1)
    with running([opened(folder, limits=limits)], limits) as server, slow(server, 0.02):
        port = int(server.url.rsplit(":", 1)[1])
        engine_loop = server.one.engine_loop
        with ThreadPoolExecutor(1) as pool:
            first = pool.submit(server.ask, max_tokens=40)
            while not engine_loop.n_running:
                time.sleep(0.01)
            for stream in (True, False):
                with socket.create_connection(("127.0.0.1", port)) as waiting:
                    waiting.sendall(request_bytes(stream, seed=2))
                    while not engine_loop.n_waiting:
                        time.sleep(0.01)
                while engine_loop.n_waiting:
                    time.sleep(0.01)
            assert not first.done()
            assert first.result().status_code == 200
        server.wait_idle()
        assert engine_loop.n_completion_tokens == 40


def test_200_clients_that_go_leave_nothing_behind(server: Server) -> None:
    async def all_of_them() -> None:
        rng, gate = random.Random(1), asyncio.Semaphore(24)
        port = int(server.url.rsplit(":", 1)[1])
        await asyncio.gather(*(leave(port, rng, gate, seed) for seed in range(200)))

    server.ask()
    loop = server.one.engine_loop._loop
    before = len(asyncio.all_tasks(loop))
    asyncio.run(all_of_them())
    server.wait_idle()
    end = time.monotonic() + 5
    while len(asyncio.all_tasks(loop)) > before and time.monotonic() < end:
        time.sleep(0.02)
    assert len(asyncio.all_tasks(loop)) <= before
    assert server.ask().status_code == 200


def test_a_full_queue_says_when_to_come_back(folder: Path) -> None:
    limits = dataclasses.replace(LIMITS, max_num_seqs=1, max_waiting=8)
    with running([opened(folder, limits=limits)], limits) as server:
        with ThreadPoolExecutor(16) as pool:
            requests = [pool.submit(server.ask, max_tokens=60, n=2) for _ in range(12)]
            answers = [future.result() for future in requests]
        statuses = sorted({answer.status_code for answer in answers})
        assert statuses == [200, 429]
        refused = next(answer for answer in answers if answer.status_code == 429)
        assert refused.headers["retry-after"] == "2"
        assert refused.json()["error"]["type"] == "rate_limit_error"
        server.wait_idle()


def test_waits_end_and_are_kept_alive(folder: Path, slow: Slow) -> None:
    limits = dataclasses.replace(
        LIMITS, max_num_seqs=1, queue_timeout_s=0.6, total_timeout_s=1.2, keepalive_s=0.1
    )
    with running([opened(folder, limits=limits)], limits) as server, slow(server, 0.02):
        with ThreadPoolExecutor(3) as pool:
            first = pool.submit(server.ask, max_tokens=400)
            while not server.one.engine_loop.n_running:
                time.sleep(0.01)
            second = pool.submit(server.ask, stream=True)
            waited = second.result().text
            assert ": keep-alive\ndata:" in waited or ": keep-alive\n:" in waited
            assert json.loads(waited.split("data: ")[-2])["error"]["code"] == "timeout"
            with pytest.raises(httpx.RemoteProtocolError, match="incomplete"):
                first.result()  # its error came after its status: test_late.py reads the body
        late = server.ask(max_tokens=20)
        assert late.text.startswith("\n")
        assert late.json()["usage"]["completion_tokens"] == 20
        server.wait_idle()


def test_a_wait_that_ends_before_a_blank_line_has_a_status(folder: Path, slow: Slow) -> None:
    limits = dataclasses.replace(LIMITS, total_timeout_s=1)
    with running([opened(folder, limits=limits)], limits) as server, slow(server, 0.02):
        late = server.ask(max_tokens=400)
        assert late.status_code == 504
        assert late.headers["x-should-retry"] == "false"
        server.wait_idle()


def test_an_engine_that_dies_is_said_and_replaced_until_it_is_hopeless(folder: Path) -> None:
    with running([opened(folder)]) as server:

        def broken() -> None:
            raise EngineError("The weights are damaged.")

        engine_loop: Any = server.one.engine_loop
        steps, step = iter(range(5)), engine_loop.engine.step
        engine_loop.engine.step = lambda: step() if next(steps, None) is not None else broken()
        error = json.loads(server.ask(stream=True).text.split("data: ")[-2])["error"]
        assert error["message"] == "The weights are damaged."
        assert error["type"] == "server_error"
        assert server.ask().status_code == 200, "a new engine"
        assert server.client.get("/health").status_code == 200
        make = engine_loop._make_engine

        def make_broken() -> Any:
            engine = make()
            engine.step = broken
            return engine

        engine_loop._make_engine = make_broken
        engine_loop.engine.step = broken
        assert [server.ask().status_code for _ in range(3)] == [500, 500, 500]
        assert server.client.get("/health").status_code == 503
        engine_loop._make_engine = make
        actual = [server.ask().status_code for _ in range(2)]
        assert actual in (
            [500, 200],
            [200, 200],
        )  # where the last broken one was replaced meanwhile
        assert server.client.get("/health").status_code == 200

        def impossible() -> None:
            raise RuntimeError("no memory")

        engine_loop._make_engine = impossible
        engine_loop.engine.step = broken
        actual = [server.ask().status_code for _ in range(2)]
        assert actual in ([500, 503], [503, 503])  # found broken before anybody asked
        assert server.client.get("/health").status_code == 503


def test_one_request_that_fails_fails_alone(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:

    advance = CompletionStream.advance

    def sometimes(self: CompletionStream, engine: StreamingSampler) -> list[Chunk]:
        if (
            self._ask.request.seed == 13
            and self.state.n_begun
            and engine.sampled_ids(self.state, 0)[3:]
        ):
            raise RuntimeError("a bug")
        return advance(self, engine)

    monkeypatch.setattr(CompletionStream, "advance", sometimes)
    with ThreadPoolExecutor(4) as pool:
        requests = [pool.submit(server.ask, seed=seed, max_tokens=60) for seed in (12, 13, 14)]
        statuses = [future.result().status_code for future in requests]
    assert statuses == [200, 500, 200]
    server.wait_idle()


def test_stopping_ends_what_is_in_flight(folder: Path, slow: Slow) -> None:
    before = threading.active_count()
    body = {"model": "tiny", "messages": [{"role": "user", "content": "7"}], "stream": True}
    with running([opened(folder)]) as server, slow(server, 0.01):
        stream = server.client.stream("POST", "/v1/chat/completions", json=body)
        with stream as response:
            next(response.iter_bytes())
    assert not server.one.engine_loop._thread.is_alive()
    assert threading.active_count() <= before + 1
