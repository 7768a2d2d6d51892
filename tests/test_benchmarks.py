"""The drivers of the benchmarks, against the real server and the product's own step."""

import io
import json
import os
import sys
from pathlib import Path

import pytest

from benchmarks import ours, rl_step, serving, soak, waits
from benchmarks.protocol import Work, coin
from r1kit.loadtest.load_test import LoadRequest, measure
from r1kit.model.ranks import Ranks
from r1kit.model.tokenizer import load_tokenizer
from r1kit.renderers.r1kit import PAD
from r1kit.stages.reinforce import CollectedStep, Collector
from r1kit.types import Json
from tests.serve.conftest import Server, opened, running


def test_200_that_go_and_200_that_stay_leave_nothing_behind(server: Server) -> None:
    work = LoadRequest(f"{server.url}/v1", "tiny", max_tokens=24)
    assert soak.soak(work, os.getpid(), 200, 200) == []
    assert soak.left_behind(server.url) == []
    server.wait_idle()


def test_the_soak_sees_answers_that_differ(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    seeds = iter(range(10_000))
    body = LoadRequest.body
    monkeypatch.setattr(LoadRequest, "body", lambda self, n: body(self, n) | {"seed": next(seeds)})
    work = LoadRequest(f"{server.url}/v1", "tiny", max_tokens=8)
    failures = soak.soak(work, os.getpid(), 0, 40)
    assert any("said something else" in failure for failure in failures)


def test_the_endless_copy_ends_at_its_padding_token_alone(folder: Path, tmp_path: Path) -> None:
    copy = serving.endless(folder, tmp_path / "copy")
    with running([opened(copy)]) as server:
        tokenizer = server.one.decoder
        assert server.one.engine_loop.engine.eos_ids == {tokenizer.convert_tokens_to_ids(PAD)}
        # Greedy, for a model that has learned nothing may draw any token.
        request = LoadRequest(f"{server.url}/v1", "tiny", max_tokens=32, temperature=0)
        level = measure(request, 4, 12)
    assert (level.errors, level.tokens) == (0, 12 * 32)


def test_the_table_has_ratios_and_failures() -> None:
    def run(rate: float) -> Json:
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


def test_a_server_that_does_not_start_says_why(tmp_path: Path) -> None:
    server = serving.Server("x", ["sh", "-c", "echo starting; echo out of luck; exit 1"], "m", 1)
    server.start(tmp_path)
    assert server.error == "out of luck"
    server.run(1, 1)
    server.stop()
    assert server.runs == []


def test_a_server_of_another_checkout_runs_its_own_code(tmp_path: Path) -> None:
    """And so do the processes it starts, although all begin in the folder of this checkout."""
    child = "import sys; print('' in sys.path, sys.flags.safe_path)"
    parent = (
        f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}]); sys.exit(1)"
    )
    server = serving.Server("x", [sys.executable, "-c", parent], "m", 1)
    server.start(tmp_path)
    assert server.error == "False True"


def test_results_name_no_path_of_this_machine(tmp_path: Path) -> None:
    racers = serving.contenders(tmp_path / "model", tmp_path / "old" / "bin" / "python")
    for racer in racers:
        command = serving._anywhere(racer.command, tmp_path / "model")
        assert not [word for word in command if word.startswith("/")]
        assert "MODEL" in " ".join(command)


@pytest.mark.parametrize("n", [1, 5])
def test_ports_are_different(n: int) -> None:
    assert len(set(serving.free_ports(n))) == n


def test_the_step_that_is_measured_is_that_of_the_stages(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    occupied: list[CollectedStep] = []

    def step(self: Collector, *index: int) -> CollectedStep:
        occupied.append(product(self, *index))
        return occupied[-1]

    product = Collector.step
    monkeypatch.setattr(Collector, "step", step)
    monkeypatch.setattr(sys, "stdin", io.StringIO("run\nrun\n"))
    questions = ["7x + 3 = 38, x = ?", "1+1?"]
    work = Work(
        str(folder),
        questions,
        [],
        [[1], [2]],
        [0],
        0,
        n_completions=16,
        max_tokens=8,
        lr=1e-6,
        n_parameters=1,
    )
    path = tmp_path / "answers"
    with pytest.raises(SystemExit):
        ours.step(Ranks(), os.open(path, os.O_WRONLY | os.O_CREAT), work)
    about, *answers = map(json.loads, path.read_text().splitlines())
    assert about["parameters"] > 0
    assert len(answers) == len(occupied) == 2
    for answer, collected in zip(answers, occupied, strict=True):
        assert collected.metrics.items() <= answer["metrics"].items()
        assert answer["tokens"] == collected.metrics["n_completion_tokens"] > 0
        texts = [
            rollout.completion.text for group in collected.rollouts for rollout in group.rollouts
        ]
        rewards = [
            rollout.reward.total for group in collected.rollouts for rollout in group.rollouts
        ]
        assert rewards == [coin(text) for text in texts], "as TRL is rewarded"
        assert set(rewards) == {0.0, 1.0}
        assert answer["metrics"]["n_trained_tokens"] > 0, "something is learned from"
        assert {"language_consistency", "completions/mean_reflections"} < answer["metrics"].keys()


@pytest.mark.parametrize("what", ["sample", "step"])
def test_two_processes_are_measured_by_the_command_of_the_benchmark(
    folder: Path, tmp_path: Path, what: str
) -> None:
    prompts = [[1], [2], [3], [4]]
    work = Work(
        str(folder),
        ["1+1?"] * 4,
        [],
        prompts,
        [0],
        0,
        n_completions=4,
        max_tokens=8,
        lr=1e-6,
        n_parameters=1,
    )
    work.write(tmp_path / "work.json")
    racers = rl_step.contenders(tmp_path / "work.json", n_cores=2)
    racer = next(racer for racer in racers if racer.name == f"r1kit-{what}")
    racer.start(tmp_path, threads=2)
    try:
        racer.run(is_warm_up=False)
        assert racer.error is None
        assert racer.runs[0]["tokens"] >= 16
    finally:
        racer.stop()


def test_the_waits_of_a_real_server_are_measured(server: Server, folder: Path) -> None:
    port = server.client.base_url.port
    assert port is not None
    racer = serving.Server("now", [], "tiny", port)
    prompts = waits.long_prompts(load_tokenizer(folder), 300)
    texts = [next(prompts) for _ in range(3)]
    assert len({text[:40] for text in texts}) == 3
    result = waits.measure(racer, texts)
    assert result.keys() == waits.ROWS.keys()
    assert all(seconds >= 0 for seconds in result.values()), result
    record = {
        "environment": {"date": "d", "cores": 2, "cpu": "c", "busy_before": 0.5},
        "work": {"model": "tiny", "tokens": 300, "repeats": 3},
        "runs": {"now": [result, result, result], "before": [dict.fromkeys(result, 2.0)]},
    }
    text = waits.markdown(record)
    assert "| | now | before |" in text
    assert text.count("| 2.00 (2.00-2.00) |") == len(result)
