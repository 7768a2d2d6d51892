"""`r1 serve` as its users meet it: a real process, its output and exit codes."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import IO

import httpx
import pytest
from typer.testing import CliRunner

from r1kit import cli
from r1kit.http.listener import listening
from tests.forks import Fork

R1 = [sys.executable, "-c", "from r1kit.cli import main; main()", "serve"]
ADDRESS = re.compile(r"tiny at (http://127.0.0.1:[0-9]+)")


def address(log: IO[str]) -> str:
    """The address that a starting server writes; fails with its whole log if it writes none."""
    lines = []
    for line in log:
        lines.append(line)
        if match := ADDRESS.search(line):
            return match[1]
    raise AssertionError("".join(lines))


def test_a_process_serves_until_it_is_stopped(folder: Path) -> None:
    command, env = [*R1, str(folder), "--port", "0"], {**os.environ, "R1_API_KEY": "one"}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=env) as process:
        try:
            assert process.stderr is not None
            assert "opening the models" in process.stderr.readline()
            url = address(process.stderr)
            body = {"model": "deepseek-r1", "messages": [{"role": "user", "content": "secret?"}]}
            path = f"{url}/v1/chat/completions"
            assert httpx.post(path, json=body).status_code == 401
            headers = {"Authorization": "Bearer one"}
            answer = httpx.post(path, json={**body, "max_tokens": 5}, headers=headers)
            assert answer.json()["usage"]["completion_tokens"] == 5
            process.send_signal(signal.SIGINT)
            log = process.stderr.read()
            assert process.wait(20) == 130
        finally:
            process.kill()
    assert "POST /v1/chat/completions 200" in log
    assert "secret" not in log
    assert "Traceback" not in log


@pytest.mark.slow
def test_an_answer_that_is_not_over_when_it_is_stopped_says_so(folder: Path) -> None:
    """Nothing of it is in the log but its line: it was no error of the server."""
    command = [sys.executable, "-m", "r1kit", "serve", str(folder)]
    with Fork([*command, "--port", "0", "--max-num-seqs", "1", "--no-page"]) as process:
        while not (url := ADDRESS.search(process.output("stderr"))):
            assert process.poll() is None, process.output("stderr")
            time.sleep(0.05)
        body = {"model": "tiny", "messages": [{"role": "user", "content": "hi"}], "n": 8,
                "max_tokens": 450, "stream": True}  # fmt: skip
        with ExitStack() as stack:
            for _ in range(10):  # more than is written in the time that is given
                post = httpx.stream("POST", f"{url[1]}/v1/chat/completions", json=body, timeout=60)
                last = stack.enter_context(post)
                assert last.status_code == 200
            process.send_signal(signal.SIGTERM)
            rest = last.read().decode()
        assert process.wait(20) == 143
        log = process.output("stderr")
    assert "The server is shutting down." in rest
    assert rest.rstrip().endswith("data: [DONE]")
    assert "200, then 503" in log
    assert "Traceback" not in log
    assert log.rstrip().endswith("Stopped. The same command starts it again.")


@pytest.mark.slow
def test_a_killed_server_has_stored_what_was_answered(folder: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "r1kit", "serve", str(folder), "--port", "0", "--no-page"]
    body = {"model": "tiny", "input": "7x + 3 = 38", "max_output_tokens": 9, "stream": True}
    names: list[str] = []
    for _ in range(2):
        with Fork([*command, "--store", str(tmp_path / "responses.db")]) as process:
            while not (url := ADDRESS.search(process.output("stderr"))):
                assert process.poll() is None, process.output("stderr")
                time.sleep(0.05)
            for _ in range(3):
                earlier = {"previous_response_id": names[-1]} if names else {}
                answer = httpx.post(f"{url[1]}/v1/responses", json={**body, **earlier}, timeout=60)
                last = json.loads(answer.text.strip().split("data: ")[-1])["response"]
                assert last["store"]
                names.append(last["id"])
            process.send_signal(signal.SIGKILL)
            process.wait(20)
    assert len(set(names)) == 6


def test_connections_do_not_wait_for_acknowledgements() -> None:
    with (
        listening("127.0.0.1", 0) as listener,
        socket.create_connection(listener.getsockname()),
        listener.accept()[0] as accepted,
    ):
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_what_cannot_be_served_is_one_sentence(folder: Path, tmp_path: Path) -> None:
    def refused(*arguments: str) -> str:
        result = CliRunner().invoke(cli.app, ["serve", *arguments])
        assert result.exit_code in (2, 3), result.output
        return " ".join(result.output.split())

    with socket.create_server(("127.0.0.1", 0)) as collected:
        port = str(collected.getsockname()[1])
        assert "use another --port" in refused(str(folder), "--port", port)
    assert "--api-key" in refused(str(folder), "--host", "0.0.0.0")
    (tmp_path / "notes.txt").write_text("my notes")
    store = ("--store", str(tmp_path / "notes.txt"))
    assert "no file of stored responses" in refused(str(folder), *store)
    assert "no checkpoint" in refused(str(tmp_path / "none"))
    assert "the same name" in refused(str(folder), str(folder))
    launch_day = ("--api-profile", "deepseek-r1")
    assert "use --engine local" in refused("--engine", "http://127.0.0.1:9", *launch_day)
    assert "There is no API profile" in refused(str(folder), "--api-profile", "deepseek-r2")
