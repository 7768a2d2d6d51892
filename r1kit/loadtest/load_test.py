"""A load client for any OpenAI-compatible server: throughput, latency, errors and cost.

N streams are kept open at once, each a chat completion over HTTP, as a user would send it. Measured
on the client side: tokens per second of all streams; seconds to the first text of an answer;
seconds between two events with text; errors. A stream counts only if it ended properly.

The client uses as little CPU as possible, because it often shares the machine with the server: one
thread per stream, the standard library's HTTP, and no parsing until all responses have arrived.
"""

from __future__ import annotations

import http.client
import json
import math
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from queue import Empty, SimpleQueue
from typing import Any
from urllib.parse import urlsplit

from rich.table import Table

from r1kit.engines.openai.choices import streamed_text
from r1kit.errors import EngineError
from r1kit.http.sse import EventReader

PROMPTS = (
    "7x + 3 = 38, x = ?",
    "1+2+3+...+100은?",
    "12 × 13 = ?",
    "What is the next number: 2, 6, 18, 54?",
    "계산해 주세요: 45 - 17 + 8",
    "解方程: 5x - 4 = 21",
    "Reach 24 with 3, 8, 4 and 2.",
    "한 수의 3배에 5를 더하면 26입니다. 그 수는?",
)
"""prompts, sent in turn"""
CONCURRENCY = (1, 8, 64)
REQUESTS = (8, 32, 128)
"""requests for each CONCURRENCY; at least two per stream or the start would weigh too much"""
WARM_UP = 2
TIMEOUT_S = 600.0
_MAX_READ_BYTES = 65_536
"""maximum number of bytes per read"""


@dataclass(frozen=True)
class LoadRequest:
    """The request of every stream: `LoadRequest("http://127.0.0.1:8000/v1", "tiny")`."""

    url: str
    model: str
    key: str | None = None
    max_tokens: int = 128
    temperature: float = 1.0
    extra: dict[str, Any] = field(default_factory=dict)
    """request fields that only this server supports, for example ignore_eos"""

    def body(self, index: int) -> dict[str, Any]:
        """Return the request body for `index`, which selects the prompt and the seed."""
        return {
            "model": self.model,
            "messages": [{"role": "user", "content": PROMPTS[index % len(PROMPTS)]}],
            "max_tokens": self.max_tokens,
            "temperature": self.temperature,
            "top_p": 1.0,
            "seed": index,
            "stream": True,
            "stream_options": {"include_usage": True},
            **self.extra,
        }


@dataclass
class TimedStream:
    """The text and timing of one streamed answer."""

    text: str = ""
    """thinking, then content"""
    tokens: int = 0
    first_s: float = math.nan
    gaps_s: list[float] = field(default_factory=list)
    error: str | None = None


@dataclass(frozen=True)
class LoadLevel:
    """The measurements at one concurrency; times in seconds."""

    concurrency: int
    requests: int
    errors: int
    first_error: str | None
    seconds: float
    """time between the first request and the end of the last answer"""
    tokens: int
    tokens_per_s: float
    first_p50_s: float
    first_p99_s: float
    gap_p50_s: float
    gap_p99_s: float
    cost_per_million: float | None
    """cost of a million output tokens, in the currency of `price_per_hour`"""

    def record(self) -> dict[str, Any]:
        """Return the fields for JSON, with None for NaN."""
        return {
            key: None if isinstance(value, float) and math.isnan(value) else value
            for key, value in asdict(self).items()
        }


def measure(
    load: LoadRequest, concurrency: int, requests: int, price_per_hour: float | None = None
) -> LoadLevel:
    """Measure one level, after a short warm-up that is not counted."""
    n = len(PROMPTS)
    ask_all(load, range(n - min(WARM_UP, concurrency), n), concurrency)
    responses, seconds = _send(load, range(requests), concurrency)
    streams = [_parse(response, load) for response in responses]
    good = [stream for stream in streams if stream.error is None]
    errors = [stream.error for stream in streams if stream.error is not None]
    tokens = sum(stream.tokens for stream in good)
    rate = tokens / seconds if seconds else 0.0
    firsts = [stream.first_s for stream in good if not math.isnan(stream.first_s)]
    gaps = [gap for stream in good for gap in stream.gaps_s]
    cost = price_per_hour / 3600 / rate * 1e6 if price_per_hour is not None and rate else None
    return LoadLevel(
        concurrency,
        requests,
        len(errors),
        errors[0] if errors else None,
        seconds,
        tokens,
        rate,
        percentile(firsts, 50),
        percentile(firsts, 99),
        percentile(gaps, 50),
        percentile(gaps, 99),
        cost,
    )


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the smallest value that at least `percent` % do not exceed; NaN without values."""
    if not values:
        return math.nan
    return sorted(values)[max(0, math.ceil(len(values) * percent / 100) - 1)]


def ask_all(load: LoadRequest, indices: Sequence[int], concurrency: int) -> list[TimedStream]:
    """Run a stream for every index, `concurrency` at once; errors are returned, never raised."""
    return [_parse(response, load) for response in _send(load, indices, concurrency)[0]]


@dataclass
class _Response:
    """An unparsed response."""

    sent_at: float
    parts: list[tuple[float, bytes]] = field(default_factory=list)
    """(time of arrival, data)"""
    status: int = 0
    error: str | None = None


class _Connection:
    """A connection that sends one request after the other."""

    def __init__(self, load: LoadRequest) -> None:
        address = urlsplit(load.url)
        is_https = address.scheme == "https"
        kind = http.client.HTTPSConnection if is_https else http.client.HTTPConnection
        self._http = kind(address.hostname or "", address.port, timeout=TIMEOUT_S)
        self._path = f"{address.path.rstrip('/')}/chat/completions"
        self._load = load
        authorization = {"Authorization": f"Bearer {load.key}"} if load.key else {}
        self._headers = {"Content-Type": "application/json", **authorization}

    def ask(self, index: int) -> _Response:
        body = json.dumps(self._load.body(index))
        response = _Response(time.perf_counter())
        try:
            self._http.request("POST", self._path, body, self._headers)
            with self._http.getresponse() as reply:
                response.status = reply.status
                while part := reply.read1(_MAX_READ_BYTES):
                    response.parts.append((time.perf_counter(), part))
        except (OSError, http.client.HTTPException) as error:
            response.error = str(error) or type(error).__name__
            self.close()
        return response

    def close(self) -> None:
        self._http.close()


def _send(
    load: LoadRequest, indices: Sequence[int], concurrency: int
) -> tuple[list[_Response], float]:
    """Return the responses in order, and the seconds from the first request to the last byte."""
    queue: SimpleQueue[int] = SimpleQueue()
    for position in range(len(indices)):
        queue.put(position)
    responses: dict[int, _Response] = {}

    def send_requests() -> None:
        connection = _Connection(load)
        try:
            while True:
                position = queue.get_nowait()
                responses[position] = connection.ask(indices[position])
        except Empty:
            connection.close()

    start = time.perf_counter()
    with ThreadPoolExecutor(concurrency) as threads:
        for future in [threads.submit(send_requests) for _ in range(concurrency)]:
            future.result()
    seconds = time.perf_counter() - start
    return [responses[position] for position in range(len(indices))], seconds


def _parse(response: _Response, load: LoadRequest) -> TimedStream:
    stream = TimedStream(error=response.error)
    try:
        if response.error is None:
            _read(response, load, stream)
    except EngineError as error:
        stream.error = str(error)
    return stream


def _read(response: _Response, load: LoadRequest, stream: TimedStream) -> None:
    if response.status != 200:
        body = b"".join(part for _, part in response.parts)[:300].decode(errors="replace")
        raise EngineError(f"HTTP {response.status}: {body}")
    reader, usage, events, finish, last = EventReader(), None, 0, None, response.sent_at
    for now, data in response.parts:
        for event in reader.feed(data):
            part = streamed_text(event)
            usage, finish = event.get("usage") or usage, part.finish or finish
            if text := part.reasoning + part.content:
                stream.text += text
                if not events:
                    stream.first_s = now - response.sent_at
                else:
                    stream.gaps_s.append(now - last)
                events, last = events + 1, now
    if finish is None:
        raise EngineError("The stream ended in the middle.")
    stream.tokens = _n_tokens(usage, finish, load.max_tokens, events)


def _n_tokens(usage: Any, finish: str, max_tokens: int, events: int) -> int:
    """Return the server's count; else max_tokens if cut by length; else the number of events."""
    count = usage.get("completion_tokens") if isinstance(usage, dict) else None
    if isinstance(count, int) and count > 0:
        return count
    return max_tokens if finish == "length" else events


def table(levels: Sequence[LoadLevel], title: str) -> Table:
    """Return the table for the terminal."""
    table = Table(title=title, title_justify="left")
    for head in ("streams", "tokens/s", "first text, ms", "between, ms", "errors", "cost/M tokens"):
        table.add_column(head, justify="right")
    for level in levels:
        table.add_row(
            str(level.concurrency),
            f"{level.tokens_per_s:,.0f}",
            _milliseconds(level.first_p50_s, level.first_p99_s),
            _milliseconds(level.gap_p50_s, level.gap_p99_s),
            f"{level.errors}/{level.requests}",
            "" if level.cost_per_million is None else f"{level.cost_per_million:,.3f}",
        )
    table.caption = "times: p50 (p99)"
    return table


def _milliseconds(p50_s: float, p99_s: float) -> str:
    return "" if math.isnan(p50_s) else f"{p50_s * 1000:,.1f} ({p99_s * 1000:,.1f})"


def to_json(load: LoadRequest, levels: Sequence[LoadLevel], price_per_hour: float | None) -> str:
    """Return load, price and levels as JSON, without the API key."""
    settings = {key: value for key, value in asdict(load).items() if key != "key"}
    records = [level.record() for level in levels]
    record = {"load": settings, "price_per_hour": price_per_hour, "levels": records}
    return json.dumps(record, indent=1) + "\n"
