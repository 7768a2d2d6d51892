"""Whole evaluations against a scripted server: kills, failures, limits and servers that go down."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from r1kit.errors import EngineError, RunError
from tests.evals.measuring import answering, answers, measure, pass_at_1
from tests.evals.rows import write
from tests.servers import Body, Reply, refusal, said, scripted


def test_a_line_that_was_half_written_is_sampled_again(tmp_path: Path) -> None:
    data, out = write(tmp_path / "data"), tmp_path / "out"
    with scripted(answering(answers(data, "gsm8k"))) as server:
        measure(server.url, "gsm8k", data, out)
        log = out / "gsm8k.completions.jsonl"
        log.write_bytes(log.read_bytes()[:-20])
        measure(server.url, "gsm8k", data, out)
        assert len(server.requests) == 4
        lines = log.read_text().splitlines()
        assert len(lines) == 4
        log.write_text(
            "\n".join([lines[0], lines[1].replace('"stop"', '"length"'), *lines[2:]]) + "\n"
        )
        with pytest.raises(RunError, match="line 2 is damaged"):
            measure(server.url, "gsm8k", data, out)


KILLED = """
import sys
from pathlib import Path
from rich.console import Console
from r1kit.evals import run
from r1kit.evals.evaluate import EvalOptions
from r1kit.evals.open_model import ModelOptions
from r1kit.evals.protocols import PROTOCOLS
url, data, out = sys.argv[1:]
options = EvalOptions(PROTOCOLS["r1-paper"], Path(data), 8)
run.run(ModelOptions(url, concurrency=4), "gsm8k,mmlu", options, Path(out), Console(quiet=True))
"""


def settled(requests: Sequence[object]) -> int:
    """Return how many requests there are once the last ones of a killed client have come."""
    n = -1
    while n != len(requests):
        n = len(requests)
        time.sleep(0.3)
    return n


def test_a_kill_loses_and_repeats_nothing(tmp_path: Path) -> None:
    data, out = write(tmp_path / "data"), tmp_path / "out"
    texts = answers(data, "gsm8k,mmlu")
    with scripted(lambda i, body: Reply(answering(texts)(i, body).body, after_s=0.02)) as server:
        command = [sys.executable, "-c", KILLED, server.url, str(data), str(out)]
        for n_requests in (5, 20, 30):
            process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
            while len(server.requests) < n_requests and process.poll() is None:
                time.sleep(0.005)
            process.send_signal(signal.SIGKILL)
            process.wait()
        n_logged = sum(
            len(path.read_bytes().splitlines()) - 1 for path in out.glob("*.completions.jsonl")
        )
        n_before = settled(server.requests)
        result = measure(server.url, "gsm8k,mmlu", data, out, samples=8)
        assert len(server.requests) - n_before == 48 - n_logged
    keys = [
        (record["id"], record["sample"])
        for path in out.glob("*.completions.jsonl")
        for record in map(json.loads, path.read_text().splitlines()[1:])
    ]
    assert len(keys) == len(set(keys)) == 48
    assert pass_at_1(result) == {"gsm8k": 1.0, "mmlu": 1.0}


def test_every_kind_of_failure_has_its_column_and_is_asked_again(tmp_path: Path) -> None:
    data, out = write(tmp_path / "data"), tmp_path / "out"
    texts = answers(data, "gsm8k")
    prompts = list(texts)

    def script(index: int, body: Body) -> Reply:
        match prompts.index(body["messages"][-1]["content"]):
            case 0:
                return refusal(400, "too long")
            case 1:
                return Reply(said("late").body, after_s=2.0)
        return said("a thought without end", "length")

    with scripted(script) as server:
        result = measure(server.url, "gsm8k", data, out, timeout_s=0.5)
    record = result["benchmarks"]["gsm8k"]
    counts = record["counts"]
    assert (counts["refused"], counts["timeout"], counts["failed"]) == (1, 1, 0)
    assert (counts["no_answer"], counts["truncated"], record["n_missing"]) == (1, 1, 2)
    assert record["scores"]["pass@1"]["value"] == 0.0
    with scripted(answering(texts)) as server:
        result = measure(server.url, "gsm8k", data, out)
        assert len(server.requests) == 2
    counts = result["benchmarks"]["gsm8k"]["counts"]
    assert (counts["right"], counts["refused"], counts["timeout"]) == (2, 0, 0)


def test_a_limited_server_is_waited_for(tmp_path: Path) -> None:
    data = write(tmp_path / "data", "gsm8k_test.jsonl")
    texts = answers(data, "gsm8k")

    def script(index: int, body: Body) -> Reply:
        is_limited = index % 2 == 0
        return (
            refusal(429, "slow down", Retry_After="0") if is_limited else answering(texts)(0, body)
        )

    with scripted(script) as server:
        result = measure(server.url, "gsm8k", data, tmp_path / "out", concurrency=1)
    assert result["benchmarks"]["gsm8k"]["counts"]["right"] == 3


def test_a_server_that_goes_down_ends_the_evaluation_which_goes_on_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("r1kit.engines.openai.endpoint.RETRIES", 0)
    data, out = write(tmp_path / "data"), tmp_path / "out"
    texts = answers(data, "gsm8k")

    def script(index: int, body: Body) -> Reply:
        return answering(texts)(index, body) if index < 5 else refusal(401, "no more")

    with (
        scripted(script) as server,
        pytest.raises(EngineError, match="5 of 30 completions are kept"),
    ):
        measure(server.url, "gsm8k", data, out, samples=10, concurrency=1)
    with scripted(answering(texts)) as server:
        result = measure(server.url, "gsm8k", data, out, samples=10)
        assert len(server.requests) == 25
    assert pass_at_1(result) == {"gsm8k": 1.0}


def test_two_servers_share_the_work_and_one_takes_over(tmp_path: Path) -> None:
    data = write(tmp_path / "data", "gsm8k_test.jsonl")
    texts = answers(data, "gsm8k")

    def failing(index: int, body: Body) -> Reply:
        return answering(texts)(index, body) if index < 4 else refusal(401, "no more")

    def slow(index: int, body: Body) -> Reply:
        return Reply(answering(texts)(index, body).body, after_s=0.01)

    with scripted(failing) as first, scripted(slow) as second:
        urls = f"{first.url},{second.url}"
        result = measure(
            "m", "gsm8k", data, tmp_path / "out", samples=20, engine=urls, concurrency=2
        )
        assert len(first.requests) >= 4
        assert len(second.requests) == 56
    counts = result["benchmarks"]["gsm8k"]["counts"]
    assert (counts["right"], counts["failed"]) == (60, 0)


def test_64_requests_are_in_flight(tmp_path: Path) -> None:
    data = write(tmp_path / "data", "gsm8k_test.jsonl")
    texts, all_there = answers(data, "gsm8k"), threading.Barrier(64)

    def script(index: int, body: Body) -> Reply:
        if index < 64:
            all_there.wait(timeout=30)
        return answering(texts)(index, body)

    with scripted(script) as server:
        result = measure(server.url, "gsm8k", data, tmp_path / "out", samples=32)
    assert server.most_at_once == 64
    assert result["benchmarks"]["gsm8k"]["counts"]["right"] == 96
