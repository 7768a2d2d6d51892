"""`--engine local`: the engine in a process of its own, and what becomes of us when it ends."""

import dataclasses
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import psutil
import pytest
from safetensors.torch import load_file, save_file

from r1kit.engines.base import RequestState, generate
from r1kit.engines.local import LocalEngine
from r1kit.engines.process import worker
from r1kit.engines.process.engine import EngineConfig, EngineProcess, ProcessEngine
from r1kit.engines.process.worker import EngineWorker
from r1kit.errors import CheckpointError, EngineError
from r1kit.files.atomic import MARKER
from r1kit.model import checkpoint
from r1kit.model.folder import open_tokenizer, vocab_and_eos
from r1kit.processes import child
from r1kit.serve.local import open_folders
from r1kit.types import Request, SamplingParams
from tests.children import python_children
from tests.forks import ForkedChild
from tests.serve.conftest import LIMITS, Server, running
from tests.serve.test_api import chunks, joined

SCHEMA = '{"type":"object","properties":{"x":{"type":"integer"}},"required":["x"]}'


def started(folder: Path, max_num_seqs: int = 8) -> ProcessEngine:
    opening, tokenizer = (
        EngineProcess(EngineConfig(folder, max_num_seqs, 4096)),
        open_tokenizer(folder),
    )
    vocab_size, eos_ids = vocab_and_eos(folder, tokenizer)
    return ProcessEngine(opening, tokenizer, vocab_size=vocab_size, eos_ids=eos_ids)


@pytest.fixture(scope="module", autouse=True)
def forks() -> Iterator[None]:
    """Engines are forked; a test below and test_server.py start them as users do."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(child, "_start", ForkedChild)
        yield


@pytest.fixture(scope="module")
def engine(folder: Path) -> Iterator[ProcessEngine]:
    engine = started(folder)
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def served(folder: Path) -> Iterator[Server]:
    with running(open_folders({"tiny": folder}, LIMITS)) as server:
        yield server


def pid_of(served: Server) -> int:
    """The process of its engine."""
    engine = served.one.engine_loop.engine
    assert isinstance(engine, ProcessEngine)
    return engine.pid


def run(engine: ProcessEngine, *requests: Request) -> list[Any]:
    states = [engine.submit(request) for request in requests]
    while any(state.n_left for state in states):
        engine.step()
    return [state.results() for state in states]


def requests() -> list[Request]:
    """More completions than rows."""
    laws = [
        SamplingParams(40),
        SamplingParams(60, temperature=0),
        SamplingParams(50, top_p=0.8, stop=("e",), n_top=3),
    ]
    return [Request([5, 6, 7 + i], 1 + 2 * i, law, 11 + i) for i, law in enumerate(laws * 2)]


def test_it_draws_what_the_same_engine_draws_here(engine: ProcessEngine, folder: Path) -> None:
    here = LocalEngine(*checkpoint.load(folder), max_num_seqs=8, eos_ids=engine.eos_ids)
    there = run(engine, *requests())
    for theirs, ours in zip(there, generate(here, requests()), strict=True):
        for first, other in zip(theirs, ours, strict=True):
            assert (first.token_ids, first.text, first.finish) == (
                other.token_ids, other.text, other.finish
            )  # fmt: skip
            assert first.logprobs == pytest.approx(other.logprobs, abs=1e-4)
            assert first.tops == [
                [(token, pytest.approx(logprob, abs=1e-4)) for token, logprob in top]
                for top in other.tops
            ]
    assert engine.max_positions == here.max_positions
    counted = sum(len(first.token_ids) for group in there for first in group)
    assert engine.counters.completion_tokens == counted


@pytest.mark.parametrize("max_tokens", [0, 3])
def test_it_scores_prompts_as_the_same_engine_does(
    engine: ProcessEngine, folder: Path, max_tokens: int
) -> None:
    here = LocalEngine(*checkpoint.load(folder), max_num_seqs=8, eos_ids=engine.eos_ids)
    request = Request(list(range(5, 40)), 2, SamplingParams(max_tokens), 3, n_prompt_top=2)
    states = [engine.submit(request), here.submit(request)]
    while any(state.n_left for state in states):
        engine.step()
        here.step()
    theirs, ours = (state.prompt_logprobs for state in states)
    assert theirs is not None
    assert ours is not None
    assert theirs.logprobs == pytest.approx(ours.logprobs, abs=1e-4)
    assert [[t for t, _ in top] for top in theirs.tops] == [
        [t for t, _ in top] for top in ours.tops
    ]
    assert all(len(c.token_ids) <= max_tokens for c in states[0].results())


def begun(engine: ProcessEngine, request: Request) -> RequestState:
    """A request whose completion 1 is being sampled; it may end before this process hears of it."""
    for _ in range(50):
        state = engine.submit(request)
        while len(engine.sampled_ids(state, 1)) < 5:
            engine.step()
        if state.completions[1] is None:
            return state
        engine.abort(state)
    raise AssertionError("it always ended first")


def test_one_that_is_cut_ends_and_its_kin_go_on(engine: ProcessEngine) -> None:
    request = Request([5, 6, 7], 3, SamplingParams(200), 3)
    [whole] = run(engine, request)
    state = begun(engine, request)
    cut = engine.abort_completion(state, 1)
    assert cut.finish == "abort"
    assert cut.token_ids == whole[1].token_ids[: len(cut.token_ids)]
    with pytest.raises(EngineError, match="not being sampled"):
        engine.abort_completion(state, 1)
    while state.n_left:
        engine.step()
    assert [c.token_ids for c in state.results()[::2]] == [c.token_ids for c in whole[::2]]


def test_aborted_jobs_leave_the_rows_to_others(engine: ProcessEngine) -> None:
    first = [engine.submit(Request([5, 6, 7], 4, SamplingParams(500), seed)) for seed in range(6)]
    engine.step()
    for state in first:
        engine.abort(state)
    assert all(c.finish == "abort" for state in first for c in state.results())
    [[item]] = run(engine, Request([5, 6, 7], 1, SamplingParams(6), 3))
    assert item.finish == "length"


def test_an_answer_by_a_schema(engine: ProcessEngine) -> None:
    [[item]] = run(engine, Request([5, 6, 7], 1, SamplingParams(60, json_schema=SCHEMA), 3))
    assert item.text.lstrip().startswith("{")


def test_a_request_that_cannot_be_served_is_refused_here(engine: ProcessEngine) -> None:
    with pytest.raises(EngineError, match="the model ends at 512"):
        engine.submit(Request([5] * 500, 1, SamplingParams(100), 3))


def test_what_a_checkpoint_lacks_is_said_as_here(
    engine: ProcessEngine, folder: Path, tmp_path: Path
) -> None:
    broken = shutil.copytree(folder, tmp_path / "broken")
    (broken / "model.safetensors").unlink()
    before = python_children()
    assert engine.pid in before, "a fork is seen"
    with pytest.raises(CheckpointError, match=r"model\.safetensors cannot be read"):
        open_folders({"tiny": folder, "broken": broken}, LIMITS)
    assert python_children() == before


@pytest.fixture
def damaged(folder: Path, tmp_path: Path) -> Path:
    """A foreign folder, without the checksums by which ours is found to be damaged."""
    copy = shutil.copytree(folder, tmp_path / "damaged", ignore=shutil.ignore_patterns(MARKER))
    weights = load_file(copy / "model.safetensors")
    save_file(
        {name: weight * float("nan") for name, weight in weights.items()},
        copy / "model.safetensors", metadata={"format": "pt"},
    )  # fmt: skip
    return copy


def test_damaged_weights_are_said_before_anybody_asks(damaged: Path) -> None:
    with pytest.raises(EngineError, match="not finite"):
        started(damaged)


def test_what_ends_the_engine_is_said(damaged: Path) -> None:
    ours, theirs = multiprocessing.Pipe()
    ours.send_bytes(asked_by_hand())
    EngineWorker(LocalEngine(*checkpoint.load(damaged), max_num_seqs=8), theirs).run()
    assert "not finite" in orjson.loads(ours.recv_bytes())["message"]
    ours.close()


def test_killed_in_the_middle_it_says_so_and_comes_back(served: Server) -> None:
    before = served.ask(max_tokens=40).json()["choices"][0]["message"]
    body = {"model": "tiny", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 450,
            "n": 8, "stream": True}  # fmt: skip
    with served.client.stream("POST", "/v1/chat/completions", json=body) as stream:
        lines = stream.iter_lines()
        next(lines)
        os.kill(pid_of(served), signal.SIGKILL)
        rest = "\n".join(lines)
    assert "signal 9" in rest
    assert rest.rstrip().endswith("data: [DONE]")
    deadline = time.monotonic() + 60
    while served.client.get("/health").status_code != 200 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert served.ask(max_tokens=40).json()["choices"][0]["message"] == before
    assert "r1_engine_failures_total" in served.client.get("/metrics").text


def test_killed_with_nothing_to_do_it_is_back_before_anybody_asks(served: Server) -> None:
    before, failures = served.one.engine_loop.engine, served.one.engine_loop.n_failures
    os.kill(pid_of(served), signal.SIGKILL)
    deadline = time.monotonic() + 60
    while served.one.engine_loop.engine is before and time.monotonic() < deadline:
        time.sleep(0.1)
    assert served.one.engine_loop.n_failures == failures + 1
    assert served.ask(max_tokens=4).status_code == 200
    assert served.client.get("/health").status_code == 200


def test_budget_and_streams_say_what_whole_answers_say(served: Server) -> None:
    fields: dict[str, Any] = {"thinking": {"type": "enabled", "budget_tokens": 6},
                              "max_tokens": 40, "temperature": 1.0}  # fmt: skip
    [choice] = served.ask(**fields).json()["choices"]
    assert choice["reasoning_finish_reason"] == "budget"
    parts = chunks(served.ask(stream=True, **fields))
    for key in ("reasoning_content", "content"):
        assert joined(parts, key) == choice["message"][key]


def test_it_ends_with_us_even_when_we_are_killed(folder: Path) -> None:
    hold = (
        "import time; from pathlib import Path\n"
        "from r1kit.engines.process.engine import EngineConfig, EngineProcess\n"
        f"engine = EngineProcess(EngineConfig(Path({str(folder)!r}), 8, 4096))\n"
        "engine.wait_until_loaded(); print(engine.pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", hold], stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        pid = int(holder.stdout.readline())
        os.kill(pid, signal.SIGTERM)  # an init system tells everybody; only we decide
        os.kill(pid, signal.SIGINT)
        time.sleep(0.3)
        assert psutil.pid_exists(pid)
        holder.kill()
    deadline = time.monotonic() + 10
    while psutil.pid_exists(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not psutil.pid_exists(pid)


def asked_by_hand() -> bytes:
    request = Request([5, 6, 7], 1, SamplingParams(40), 11)
    return orjson.dumps({"request_id": 7, "ahead": False, "request": dataclasses.asdict(request)})


@pytest.mark.parametrize(("every_s", "expected"), [(3600, [1, 39]), (0, [1] * 40)])
def test_a_beginning_and_an_end_are_told_at_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch, every_s: float, expected: list[int]
) -> None:
    monkeypatch.setattr(worker, "UPDATE_S", every_s)
    monkeypatch.setattr(worker, "UPDATE_PER_COMPLETION_S", 0)
    ours, theirs = multiprocessing.Pipe()
    ours.send_bytes(asked_by_hand())
    item = EngineWorker(LocalEngine(*checkpoint.load(folder), max_num_seqs=8, eos_ids=[]), theirs)
    item._handle_messages()
    counts = []
    while item._open_requests:
        item._engine.step()
        item._send_updates()
        while ours.poll():
            [[number, index, ids, logprobs, *_]] = orjson.loads(ours.recv_bytes())
            assert (number, index, len(logprobs)) == (7, 0, len(ids))
            counts.append(len(ids))
    ours.close()
    assert counts == expected
