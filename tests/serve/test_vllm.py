"""`--engine vllm`, against a real vLLM that the tests start (`make vllm`)."""

import inspect
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from rich.console import Console

from r1kit.engines.vllm import server
from r1kit.engines.vllm.engine import VllmEngine
from r1kit.engines.vllm.flags import VllmFlags
from r1kit.engines.vllm.server import VllmServer
from r1kit.errors import ConfigError, EngineError
from r1kit.serve.limits import ServeLimits
from r1kit.serve.vllm import open_vllm
from tests.serve.conftest import Server, opened, running, untrained
from tests.serve.test_api import chunks, joined
from tests.serve.test_schema import POINT, check, form

LIMITS = ServeLimits(max_num_seqs=16, max_waiting=64)
FLAGS = VllmFlags(
    max_model_len=512, enforce_eager=True,
    others="--dtype float32 --distributed-executor-backend uni",
)  # fmt: skip
SMALL = {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind",
         "VLLM_ENABLE_V1_MULTIPROCESSING": "0"}  # fmt: skip
"""With `uni` the scheduler runs the model in its own process, which saves a third of a start."""


def has_vllm() -> bool:
    try:
        return bool(server.program())
    except ConfigError:
        return False


needs_vllm = pytest.mark.skipif(not has_vllm(), reason="no vLLM here; make vllm")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """vLLM on a CPU has no kernel for heads of less than 32 numbers."""
    return untrained(tmp_path_factory.mktemp("vllm") / "tiny", hidden_size=64, heads=2)


@pytest.fixture(scope="module")
def ours(folder: Path) -> Iterator[Server]:
    with running([opened(folder)]) as server:
        yield server


@pytest.fixture(scope="module")
def served(folder: Path) -> Iterator[Server]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in SMALL.items():
            patch.setenv(name, value)
        models = open_vllm({"tiny": folder}, FLAGS, LIMITS, Console(quiet=True))
        with running(models, LIMITS) as server:
            yield server


def pid_of(served: Server) -> int:
    """The process that holds vLLM's."""
    close = served.one._on_stop
    assert inspect.ismethod(close)
    assert isinstance(close.__self__, VllmServer)
    pid = close.__self__.pid
    assert pid is not None
    return pid


def below(pid: int) -> list[psutil.Process]:
    return list(psutil.Process(pid).children(recursive=True))


@needs_vllm
def test_greedy_it_says_what_our_engine_says(served: Server, ours: Server) -> None:
    for content in ("7x + 3 = 38", "안녕하세요", "try 5"):
        asked = {"temperature": 0, "logprobs": True, "top_logprobs": 3}
        mine, theirs = (s.ask(content, **asked) for s in (ours, served))
        assert theirs.status_code == 200, theirs.text
        one, other = (answer.json()["choices"][0] for answer in (mine, theirs))
        assert other["message"] == one["message"]
        assert other["finish_reason"] == one["finish_reason"]
        for part in ("content", "reasoning_content"):
            said, told = ([t["logprob"] for t in c["logprobs"][part]] for c in (one, other))
            assert told == pytest.approx(said, abs=1e-4)
            said, told = (
                [
                    [(t["token"], t["logprob"]) for t in one["top_logprobs"]]
                    for one in c["logprobs"][part]
                ]
                for c in (one, other)
            )
            assert told == [[(t, pytest.approx(p, abs=1e-4)) for t, p in top] for top in said]
        for key in ("prompt_tokens", "completion_tokens", "completion_tokens_details"):
            assert theirs.json()["usage"][key] == mine.json()["usage"][key]


@needs_vllm
def test_streamed_with_a_budget_stops_and_n(served: Server) -> None:
    fields: dict[str, Any] = {"thinking": {"type": "enabled", "budget_tokens": 6}, "n": 2,
                              "temperature": 1.0, "max_tokens": 40}  # fmt: skip
    drawn = served.ask(**fields).json()["choices"]
    assert [choice["reasoning_finish_reason"] for choice in drawn] == ["budget"] * 2
    assert drawn[0]["message"] != drawn[1]["message"]
    # Greedy from here on: vLLM's sums, and so its draws, depend on who else is in the batch.
    fields |= {"temperature": 0, "n": 1}
    [choice] = served.ask(**fields).json()["choices"]
    parts = chunks(served.ask(stream=True, **fields))
    for key in ("reasoning_content", "content"):
        assert joined(parts, key) == choice["message"][key]
    message = choice["message"]
    thinking, text = message["reasoning_content"], message["content"]
    [piece] = re.findall(r"[ -~]{2}", text)[:1]
    stopped = served.ask(stop=[thinking[:2], piece], **fields).json()["choices"][0]
    cut = min(text.find(stop) for stop in (thinking[:2], piece) if stop in text)
    assert stopped["message"] == {**message, "content": text[:cut]}
    assert stopped["finish_reason"] == "stop"


@needs_vllm
def test_a_model_that_ends_its_text_in_its_thinking_answers(
    served: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tokens beyond ASCII end its text, and blanks do where no JSON needs them."""
    tokenizer = served.one.decoder
    texts_of = {i: tokenizer.decode([i]) for i in range(len(tokenizer))}
    foreign = {i for i, text in texts_of.items() if not text.isascii()} | {tokenizer.eos_token_id}
    blank = {i for i, text in texts_of.items() if not text.strip()}
    forms: list[dict[str, Any]] = [{}, {"stream": True}, {"response_format": form(POINT)}]
    for fields in forms:
        ends = foreign if "response_format" in fields else foreign | blank
        engine = served.one.engine_loop.engine
        assert isinstance(engine, VllmEngine)
        monkeypatch.setattr(engine, "eos_ids", frozenset(ends))
        monkeypatch.setattr(engine._text, "_eos_ids", frozenset(ends))
        answer = served.ask(temperature=1.0, n=4, max_tokens=200, **fields)
        assert answer.status_code == 200, answer.text
        if fields.get("stream"):
            texts = [joined(chunks(answer), "content", index) for index in range(4)]
        else:
            texts = [choice["message"]["content"] for choice in answer.json()["choices"]]
        assert all(texts), fields
        for text in texts if "response_format" in fields else []:
            check(text)


@needs_vllm
def test_what_was_read_before_is_known(served: Server) -> None:
    long = "7x + 3 = 38, x = ? " * 12
    served.ask(long, max_tokens=1)
    assert served.ask(long, max_tokens=1).json()["usage"]["prompt_tokens_details"]["cached_tokens"]


@needs_vllm
def test_killed_in_the_middle_it_says_so_and_comes_back(served: Server) -> None:
    pid = pid_of(served)
    body = {"model": "tiny", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 450,
            "n": 8}  # fmt: skip
    processes = below(pid)
    with served.client.stream("POST", "/v1/chat/completions", json={**body, "stream": True}) as one:
        lines = one.iter_lines()
        next(lines)
        for process in processes:
            process.kill()
        rest = "\n".join(lines)
    assert '"error"' in rest
    assert rest.rstrip().endswith("data: [DONE]")
    assert served.client.get("/health").status_code == 503
    deadline = time.monotonic() + 180
    while served.client.get("/health").status_code != 200 and time.monotonic() < deadline:
        time.sleep(0.5)
    assert served.ask(max_tokens=4).status_code == 200


@needs_vllm
def test_killed_with_nothing_to_do_it_is_back_before_anybody_asks(served: Server) -> None:
    before = served.one.engine_loop.engine
    for process in below(pid_of(served)):
        process.kill()
    deadline = time.monotonic() + 180
    while served.one.engine_loop.engine is before and time.monotonic() < deadline:
        time.sleep(0.5)
    assert served.ask(max_tokens=4).status_code == 200


@needs_vllm
def test_what_it_cannot_do_is_told_in_its_words_and_ours(folder: Path) -> None:
    flags = VllmFlags(max_model_len=100_000, enforce_eager=True, others="--dtype float32")
    with pytest.raises(EngineError, match="--max-model-len; lower it") as told:
        open_vllm({"tiny": folder}, flags, LIMITS, Console(quiet=True))
    assert "max_model_len" in str(told.value).split("Its last words:")[1]
    with pytest.raises(EngineError, match="does not know --no-such-flag"):
        open_vllm({"tiny": folder}, VllmFlags(others="--no-such-flag"), LIMITS, Console(quiet=True))


def test_a_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Exception, match=str(tmp_path)):
        open_vllm({"x": tmp_path}, VllmFlags(), LIMITS, Console(quiet=True))
    with pytest.raises(ConfigError, match="one model"):
        open_vllm({"x": tmp_path, "y": tmp_path}, VllmFlags(), LIMITS, Console(quiet=True))
