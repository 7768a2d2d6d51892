"""`r1 serve --bench`: measure a server's speed on this machine and the cost per million tokens.

The server is the same command without `--bench` and without the chat page, in a process of its own
on a free port, so that it shares nothing but the CPU with the client. With an address instead of a
model, a server that already runs is measured.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from rich.console import Console

from r1kit.engines.openai.endpoint import Endpoint
from r1kit.errors import ConfigError, EngineError
from r1kit.http.client import is_url
from r1kit.loadtest import load_test
from r1kit.processes import process_guard

START_TIMEOUT_S = 300.0
"""timeout for the server to load its models"""
_ADDRESS = re.compile(r" at (http://\S+:[0-9]+)")
_OWN_OPTIONS = {"--bench": 0, "--price-per-hour": 1, "--bench-out": 1, "--port": 1}
"""options removed from the server's command line, with the number of their values"""


@dataclass(frozen=True)
class LoadTestOptions:
    """The options of a load test."""

    price_per_hour: float | None
    out: Path | None
    """file for the results, as JSON"""
    key: str | None
    concurrency: Sequence[int] = load_test.CONCURRENCY
    requests: Sequence[int] = load_test.REQUESTS
    max_tokens: int = 128


@dataclass(frozen=True)
class RunningServer:
    """A server that accepts connections."""

    url: str
    """base URL, without /v1"""
    pid: int


def run(
    models: Sequence[str], arguments: Sequence[str], options: LoadTestOptions, console: Console
) -> None:
    """Measure, print the table, write the file. `arguments` is the command line after `r1`.

    Raises EngineError if the server does not start or any request fails, ConfigError if the file
    cannot be written.
    """
    if not models:
        raise ConfigError("Name what to measure: a model to serve, or the address of a server.")
    if options.out is not None:
        _refuse_unwritable(options.out)
    with ExitStack() as stack:
        url = models[0]
        if not is_url(url):
            command = [*_server_arguments(arguments), "--no-page"]
            url = stack.enter_context(serving(command)).url + "/v1"
        with Endpoint(url, None, options.key) as endpoint:
            model = endpoint.models()[0]
        load = load_test.LoadRequest(url, model, options.key, options.max_tokens)
        levels = []
        for concurrency, requests in zip(options.concurrency, options.requests, strict=True):
            with console.status(f"{requests} requests, {concurrency} at once …"):
                levels.append(
                    load_test.measure(load, concurrency, requests, options.price_per_hour)
                )
    console.print(load_test.table(levels, f"{model} at {url}, {options.max_tokens} tokens at most"))
    if options.out is not None:
        _write(options.out, load_test.to_json(load, levels, options.price_per_hour))
        console.print(f"Written to {options.out}.", markup=False)
    first_error = next((level.first_error for level in levels if level.first_error), None)
    if first_error is not None:
        raise EngineError(f"Not every request succeeded; the first failure: {first_error}")


@contextmanager
def serving(arguments: Sequence[str]) -> Iterator[RunningServer]:
    """Run a server, given its command line after `r1`, until the block ends.

    Raises EngineError if it does not start.
    """
    command = [sys.executable, "-m", "r1kit", *arguments, "--port", "0"]
    with tempfile.TemporaryDirectory(prefix="r1-bench-") as folder:
        log = Path(folder) / "log"
        with log.open("wb") as log_file:
            process = process_guard.start(command, stderr=log_file)
        try:
            url = _address(process, log)
            [server] = psutil.Process(process.pid).children()
            yield RunningServer(url, server.pid)
        finally:
            process_guard.stop(process)


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    """Wait for the server, return its URL. Raises EngineError with its last line if it exits."""
    end = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < end:
        has_ended = process.poll() is not None
        text = log.read_text(encoding="utf-8", errors="replace")
        if match := _ADDRESS.search(text):
            return match[1]
        if has_ended:
            last_line = (text.strip().splitlines() or ["it ended without a word"])[-1]
            raise EngineError(f"The server did not start: {last_line.removeprefix('error: ')}")
        time.sleep(0.1)
    raise EngineError(f"The server did not start within {START_TIMEOUT_S:.0f} s.")


def _server_arguments(arguments: Sequence[str]) -> list[str]:
    """Return the command line without the options of the load test."""
    words: list[str] = []
    remaining = iter(arguments)
    for word in remaining:
        name, _, value = word.partition("=")
        if name not in _OWN_OPTIONS:
            words.append(word)
        elif not value:
            for _ in range(_OWN_OPTIONS[name]):
                next(remaining, None)
    return words


def _refuse_unwritable(file: Path) -> None:
    """Raise ConfigError before the measurement if the file cannot be written."""
    is_new = not file.exists()
    try:
        file.open("a", encoding="utf-8").close()
    except OSError as error:
        raise ConfigError(f"{file} cannot be written ({error.strerror}); name another.") from None
    if is_new:
        file.unlink()


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{file} cannot be written ({error.strerror}); name another.") from None
