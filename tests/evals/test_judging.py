"""Benchmarks that a judge grades, with scripted models and judges over HTTP."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from r1kit.errors import ConfigError, DataError, EngineError
from r1kit.evals import run as evaluation
from r1kit.evals.evaluate import EvalOptions
from r1kit.evals.judging import JudgeOptions
from r1kit.evals.open_model import ModelOptions
from r1kit.evals.protocols import PROTOCOLS
from r1kit.evals.result import protocol_line, read_result
from tests.evals.rows import write
from tests.servers import Body, Reply, Script, refusal, said, scripted

R1 = PROTOCOLS["r1-paper"]
ALL = "simpleqa,frames,alpacaeval,arenahard"


def measure(
    model: str, suite: str, data: Path, out: Path, judge: str | None, name: str | None = "judge"
) -> dict[str, Any]:
    judged = None if judge is None else JudgeOptions(judge, name, "sk-secret")
    options = EvalOptions(R1, data, 1, judge=judged)
    evaluation.run(ModelOptions(model), suite, options, out, Console(quiet=True))
    return read_result(out)


def texts(body: Body) -> dict[str, str]:
    """The named texts that a judge is asked about."""
    asked = body["messages"][-1]["content"]
    found = re.findall(r"\[([A-Z ]+) (\w{16})\]\n(.*?)\n\[END OF \1 \2\]", asked, re.DOTALL)
    return {name: text for name, _, text in found}


def likes_the_longer(index: int, body: Body) -> Reply:
    """A judge that is sure only if one answer is at least twice as long."""
    asked = texts(body)
    if "GOLD ANSWER" in asked:
        is_right = asked["GOLD ANSWER"] in asked["ANSWER"]
        is_silent = "do not know" in asked["ANSWER"]
        kind = "CORRECT" if is_right else "NOT_ATTEMPTED" if is_silent else "INCORRECT"
        return said(f"As [[CORRECT]] needs more: [[{kind}]]")
    a, b = len(asked["ANSWER OF A"]), len(asked["ANSWER OF B"])
    sign = "=" if a == b else ">>" if max(a, b) >= 2 * min(a, b) else ">"
    return said(f"[[A{sign}B]]" if a >= b else f"[[B{sign}A]]", reasoning_content="[[A=B]]?")


def answering(by_word: dict[str, str]) -> Script:
    def answer(index: int, body: Body) -> Reply:
        prompt = body["messages"][-1]["content"]
        [text] = [text for word, text in by_word.items() if word in prompt]
        return said(text, reasoning_content="hm")

    return answer


def test_facts_are_right_wrong_or_not_attempted(tmp_path: Path) -> None:
    data = write(tmp_path / "data")
    model = answering({"France": "It is Paris.", "Peru": "I do not know.", "Chad": "Oslo."})
    with scripted(model) as server, scripted(likes_the_longer) as judge:
        record = measure(server.url, "simpleqa", data, tmp_path / "o", judge.url)["benchmarks"]
    asked = judge.requests[0]
    assert (asked["model"], asked["temperature"]) == ("judge", 0.0)
    assert "hm" not in texts(asked)["ANSWER"], "a judge sees no thinking"
    facts = record["simpleqa"]
    assert facts["scores"]["pass@1"]["value"] == pytest.approx(1 / 3)
    counts = facts["counts"]
    assert (counts["right"], counts["wrong"], counts["no_answer"]) == (1, 1, 1)
    extra = {name: x["value"] for name, x in facts["extra_scores"].items()}
    assert extra == pytest.approx({"attempted": 2 / 3, "correct if attempted": 0.5, "F": 0.4})
    assert f"by judge at {judge.url}" in protocol_line(facts)
    assert "sk-secret" not in (tmp_path / "o" / "result.json").read_text()
    assert "simpleqa (judged by judge)" in (tmp_path / "o" / "report.md").read_text()


@pytest.mark.parametrize("suite", ["alpacaeval", "arenahard"])
def test_pairs_are_played_in_both_orders(tmp_path: Path, suite: str) -> None:
    """A much longer answer wins both games, one of the same length none; a judge that prefers a
    place makes a tie of every pair."""
    data = write(tmp_path / "data")
    model = answering({"poem": "twelve chars and many more", "list": "a baseline!"})
    with scripted(model) as server, scripted(likes_the_longer) as judge:
        result = measure(server.url, suite, data, tmp_path / "o", judge.url)
    places = [texts(body)["ANSWER OF A"] for body in judge.requests]
    assert sorted(places) == sorted(["twelve chars and many more", *["a baseline!"] * 3])
    record = result["benchmarks"][suite]
    assert record["scores"]["pass@1"]["value"] == pytest.approx(0.75)
    if suite == "arenahard":  # won twice at weight 3, tied twice at weight 1
        assert record["extra_scores"]["win rate, >> thrice"]["value"] == pytest.approx(7 / 8)
    with scripted(model) as server, scripted(lambda *_: said("[[A>B]]")) as judge:
        result = measure(server.url, suite, data, tmp_path / "p", judge.url)
    assert result["benchmarks"][suite]["scores"]["pass@1"] == {"value": 0.5, "stderr": 0.0}

    def half_sure(index: int, body: Body) -> Reply:
        return said("[[A>B]]" if texts(body)["ANSWER OF B"] == "a baseline!" else "[[A=B]]")

    model = answering({"poem": "better", "list": "better too"})
    with scripted(model) as server, scripted(half_sure) as judge:
        result = measure(server.url, suite, data, tmp_path / "q", judge.url)
    assert result["benchmarks"][suite]["scores"]["pass@1"]["value"] == 0.75


def test_a_judge_that_answers_nonsense_is_counted_and_asked_again(tmp_path: Path) -> None:
    data, out = write(tmp_path / "data"), tmp_path / "o"
    model = answering({"France": "Paris", "Peru": "Lima", "Chad": "N'Djamena"})

    def nonsense(index: int, body: Body) -> Reply:
        asked = texts(body)
        if asked["GOLD ANSWER"] == "Paris":
            return said("[[MAYBE]] I cannot say")
        return refusal(400, "too long") if asked["GOLD ANSWER"] == "Lima" else said("[[CORRECT]]")

    with scripted(model) as server:
        with scripted(nonsense) as judge:
            record = measure(server.url, "simpleqa", data, out, judge.url)["benchmarks"]["simpleqa"]
            assert len(judge.requests) == 2 + 1 + 1, "a reminder after nonsense"
        counts = record["counts"]
        assert (counts["judge_failed"], counts["undecided"], counts["right"]) == (2, 2, 1)
        assert record["scores"]["pass@1"]["value"] == 1.0
        assert "asks it again" in (out / "report.md").read_text()
        old = EvalOptions.from_record(read_result(out)["options"]).judge
        assert old == JudgeOptions(judge.url, "judge"), "without its key"
        with scripted(likes_the_longer) as better:
            options = JudgeOptions(better.url, "judge")
            evaluation.grade(out, None, None, Console(quiet=True), judge=options)
            assert len(better.requests) == 3, "another address is another judge"
        assert len(server.requests) == 3
    assert read_result(out)["benchmarks"]["simpleqa"]["counts"]["right"] == 3


def test_a_judge_that_is_down_ends_the_evaluation_which_goes_on_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, out = write(tmp_path / "data"), tmp_path / "o"
    model = answering({"France": "Paris", "Peru": "Lima", "Chad": "N'Djamena"})
    with scripted(model) as server:
        with (
            scripted([refusal(401, "no more")]) as judge,
            pytest.raises(
                EngineError, match="3 of 3 completions are kept .*same command continues"
            ),
        ):
            measure(server.url, "simpleqa", data, out, judge.url)
        with scripted(likes_the_longer) as judge:
            result = measure(server.url, "simpleqa", data, out, judge.url)
        assert len(server.requests) == 3
    assert result["benchmarks"]["simpleqa"]["counts"]["right"] == 3


def test_without_a_judge_one_sentence_says_how_to_name_one(tmp_path: Path) -> None:
    data = write(tmp_path / "data")
    with scripted([said("Paris")]) as server:
        for name in ALL.split(","):
            with pytest.raises(ConfigError, match=f"{name} needs a judge: name one with --judge"):
                measure(server.url, name, data, tmp_path / "o", None)
        result = measure(server.url, "judged,ifeval", data, tmp_path / "o", None)
    assert set(result["missing"]) == set(ALL.split(","))


def test_arenahard_without_its_baseline_says_where_it_is(tmp_path: Path) -> None:
    data = write(tmp_path / "data", "arenahard.jsonl")
    with pytest.raises(DataError, match=r"arenahard_baseline\.jsonl with gpt-4-0314's answers"):
        measure("http://127.0.0.1:1", "arenahard", data, tmp_path / "o", "http://127.0.0.1:1")
