"""The command itself, in a process of its own."""

import contextlib
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from r1kit.errors import ConfigError
from r1kit.watch.server import PORT, free_port, open_beside
from tests.watch.runs import write_watched_run


@contextlib.contextmanager
def watching(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    command = [sys.executable, "-m", "r1kit", "watch", *arguments]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout.readline()
        finally:
            process.kill()


def test_a_run_is_watched_until_ctrl_c(tmp_path: Path) -> None:
    run = write_watched_run(tmp_path / "tiny", n_steps=3)
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    with watching(str(run), "--port", "0") as (process, line):
        address = line.split()[2]
        assert address.startswith("http://127.0.0.1:")
        assert httpx.get(address).status_code == 200
        assert httpx.get(f"{address}/api/runs").json()["runs"][0]["id"] == "tiny"
        assert httpx.get(f"{address}/api/rollouts?run=tiny").status_code == 200
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
    assert before == {path: path.stat().st_mtime_ns for path in run.rglob("*")}  # only read


def test_a_page_beside_a_run_waits_for_it_and_ends_with_it(tmp_path: Path) -> None:
    with open_beside(tmp_path / "later") as url:
        assert httpx.get(f"{url}/api/runs").json()["runs"] == []
        write_watched_run(tmp_path / "later", n_steps=2)
        for _ in range(200):
            if runs := httpx.get(f"{url}/api/runs").json()["runs"]:
                break
            time.sleep(0.1)
        assert [run["id"] for run in runs] == ["later"]
    with pytest.raises(httpx.TransportError):
        httpx.get(url)


def test_what_cannot_be_watched_is_one_sentence(tmp_path: Path) -> None:
    for folder, code, words in (("nothing", 4, "There is no run at"), (".", 4, "manifest.json")):
        with watching(str(tmp_path / folder)) as (process, line):
            assert (process.wait(20), words in line) == (code, True), line


def test_a_port_that_is_taken_is_passed_over_unless_it_was_asked_for() -> None:
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):
            stack.enter_context(socket.create_server(("127.0.0.1", PORT)))
        other = stack.enter_context(free_port(None))
        assert other.getsockname()[1] != PORT
        with pytest.raises(ConfigError, match="another --port"):
            free_port(other.getsockname()[1])
