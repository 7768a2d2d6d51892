"""The drivers of the server's benchmarks, against the real server."""

import json
import os

import pytest

from benchmarks import serving, soak
from r1kit import template
from r1kit.load import Load, measure
from tests.serve.conftest import opened, running


def test_200_that_go_and_200_that_stay_leave_nothing_behind(server):
    work = Load(f"{server.url}/v1", "tiny", max_tokens=24)
    assert soak.soak(work, os.getpid(), 200, 200) == []
    assert soak.left_behind(server.url) == []
    server.wait_idle()


def test_the_soak_sees_answers_that_differ(server, monkeypatch):
    seeds = iter(range(10_000))
    body = Load.body
    monkeypatch.setattr(Load, "body", lambda self, n: body(self, n) | {"seed": next(seeds)})
    work = Load(f"{server.url}/v1", "tiny", max_tokens=8)
    failures = soak.soak(work, os.getpid(), 0, 40)
    assert any("said something else" in failure for failure in failures)


def test_the_endless_copy_ends_at_its_padding_token_alone(folder, tmp_path):
    copy = serving.endless(folder, tmp_path / "copy")
    with running([opened(copy)]) as server:
        words = server.one.decoder
        assert server.one.driver.engine.eos_ids == {words.convert_tokens_to_ids(template.PAD)}
        # Greedy, for a model that has learned nothing may draw any token.
        asked = Load(f"{server.url}/v1", "tiny", max_tokens=32, temperature=0)
        level = measure(asked, 4, 12)
    assert (level.errors, level.tokens) == (0, 12 * 32)


def test_the_table_has_ratios_and_failures():
    def run(rate: float) -> dict:
        times = {"first_p50_s": 0.01, "first_p99_s": 0.02, "gap_p50_s": None}
        return {"concurrency": 8, "requests": 32, "errors": 1, "tokens_per_s": rate, **times}

    racers = [
        {"name": "r1kit", "runs": [run(900), run(1000), run(1100)], "error": None},
        {"name": "vllm", "runs": [run(400), run(500)], "error": None},
        {"name": "other", "runs": [], "error": "no memory"},
    ]
    about = {"date": "d", "cores": 2, "cpu": "c", "busy_before": 0.0, "ours": {}, "peers": {}}
    work = {"model": "m", "max_tokens": 128, "repeats": 3, "streams": [1, 8, 64]}
    record = {"environment": about | {"vllm": "vllm"}, "work": work, "contenders": racers}
    text = serving.markdown(json.loads(json.dumps(record)))
    assert "| r1kit | 1,000.0 (900.0-1,100.0) | 10.0 (10.0-10.0) |" in text
    [row] = [line for line in text.splitlines() if line.startswith("| vllm") and "450" in line]
    assert row.endswith("| none | 2/64 | 2.2x |")
    assert "| other | failed: `no memory`" in text


def test_a_server_that_does_not_start_says_why(tmp_path):
    server = serving.Server("x", ["sh", "-c", "echo starting; echo out of luck; exit 1"], "m", 1)
    server.start(tmp_path)
    assert server.error == "out of luck"
    server.run(1, 1)
    server.stop()
    assert server.runs == []


@pytest.mark.parametrize("n", [1, 5])
def test_ports_are_different(n):
    assert len(set(serving.free_ports(n))) == n
