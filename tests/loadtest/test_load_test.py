"""The load client against the real server, and against servers that go wrong."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from r1kit.errors import ConfigError, EngineError
from r1kit.loadtest.load_test import LoadRequest, ask_all, measure, percentile
from r1kit.loadtest.serve_bench import LoadTestOptions, _server_arguments, run
from r1kit.types import Json
from tests.serve.conftest import Server
from tests.servers import Reply, refusal, scripted


def test_percentiles_are_values_that_were_measured() -> None:
    values = [float(n) for n in range(100, 0, -1)]
    assert (percentile(values, 50), percentile(values, 99), percentile(values, 100)) == (
        50,
        99,
        100,
    )
    assert percentile([3.0], 99) == 3
    assert math.isnan(percentile([], 50))


def test_what_is_measured_adds_up(server: Server) -> None:
    level = measure(
        LoadRequest(f"{server.url}/v1", "tiny", max_tokens=12), 8, 16, price_per_hour=0.72
    )
    assert (level.errors, level.concurrency, level.requests) == (0, 8, 16)
    assert 16 <= level.tokens <= 16 * 12
    assert level.tokens_per_s == pytest.approx(level.tokens / level.seconds)
    assert 0 < level.first_p50_s <= level.first_p99_s < level.seconds
    assert 0 <= level.gap_p50_s <= level.gap_p99_s < level.seconds
    # 0.72 an hour is 0.0002 a second
    assert level.cost_per_million == pytest.approx(200 / level.tokens_per_s)


def test_64_streams_lose_no_token_and_say_what_they_say_alone(server: Server) -> None:
    request = LoadRequest(f"{server.url}/v1", "tiny", max_tokens=24)
    together, alone = (ask_all(request, range(64), n) for n in (64, 1))
    assert [(s.error, s.text, s.tokens) for s in together] == [
        (None, s.text, s.tokens) for s in alone
    ]
    server.wait_idle()


def events(*parts: Json) -> Reply:
    text = "".join(f"data: {json.dumps(part)}\n\n" for part in parts)
    return Reply(f"{text}data: [DONE]\n\n", headers={"Content-Type": "text/event-stream"})


def part(text: str | None, finish: str | None = None, **more: Any) -> Json:
    return {"choices": [{"delta": {"content": text}, "finish_reason": finish}], **more}


@pytest.mark.parametrize(
    ("reply", "tokens"),
    [
        (
            events(
                part("a"), part("b", "stop"), {"choices": [], "usage": {"completion_tokens": 9}}
            ),
            9,
        ),
        (events(part("a"), part("b", "length")), 128),
        (events(part("a"), part("b"), part(None, "stop")), 2),
    ],
)
def test_tokens_are_counted_by_the_server_or_by_what_came(reply: Reply, tokens: int) -> None:
    with scripted([reply]) as server:
        level = measure(LoadRequest(server.url, "m"), 1, 1)
    assert (level.errors, level.tokens) == (0, tokens)


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (refusal(429, "busy"), "HTTP 429"),
        (events(part("a")), "ended in the middle"),
        (events(part("a"), {"error": {"message": "out of memory"}}), "out of memory"),
        (Reply("data: {oops\n\n"), "damaged"),
    ],
)
def test_what_goes_wrong_is_counted_and_not_its_tokens(reply: Reply, why: str) -> None:
    with scripted([reply]) as server:
        level = measure(LoadRequest(server.url, "m"), 2, 4)
    assert (level.errors, level.tokens, level.tokens_per_s) == (4, 0, 0)
    assert why in str(level.first_error)
    assert level.record()["first_p50_s"] is None


def test_a_running_server_is_measured_and_the_numbers_are_kept(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from rich.console import Console

    wish = LoadTestOptions(0.5, tmp_path / "b.json", "sk-key", (1, 4), (2, 8), max_tokens=8)
    run([f"{server.url}/v1"], [], wish, Console())
    actual = json.loads((tmp_path / "b.json").read_text())
    assert [level["concurrency"] for level in actual["levels"]] == [1, 4]
    assert actual["levels"][1]["cost_per_million"] > 0
    assert "sk-key" not in json.dumps(actual)
    assert "tokens/s" in capsys.readouterr().out
    with pytest.raises(ConfigError, match="cannot be written"):
        run(
            [f"{server.url}/v1"],
            [],
            LoadTestOptions(None, tmp_path, None, (1,), (1,), 4),
            Console(),
        )


def test_a_server_of_its_own_is_started_and_ended(folder: Path, tmp_path: Path) -> None:
    from rich.console import Console

    arguments = ["serve", str(folder), "--bench", "--price-per-hour", "1", "--bench-out=x"]
    run(
        [str(folder)],
        arguments,
        LoadTestOptions(1.0, tmp_path / "b.json", None, (2,), (4,), 8),
        Console(),
    )
    assert json.loads((tmp_path / "b.json").read_text())["levels"][0]["errors"] == 0
    with pytest.raises(EngineError, match="no checkpoint at"):
        run(
            ["./none"], ["serve", "./none", "--bench"], LoadTestOptions(None, None, None), Console()
        )


def test_the_server_is_given_only_its_own_options() -> None:
    line = ["serve", "a", "--bench", "--price-per-hour", "0.5", "b", "--bench-out=c"]
    line += ["--port", "80", "--max-num-seqs", "8"]
    assert _server_arguments(line) == ["serve", "a", "b", "--max-num-seqs", "8"]
