"""Whole evaluations against a scripted server: what is sampled, graded and counted."""

from __future__ import annotations

import json
import os
from itertools import islice
from pathlib import Path

import pytest
from rich.console import Console

from r1kit.errors import ConfigError, RunError
from r1kit.evals import run as evaluation
from r1kit.evals.evaluate import EvalOptions
from r1kit.evals.graders import GRADERS
from r1kit.evals.load import load_set
from r1kit.evals.open_model import ModelOptions
from r1kit.evals.result import protocol_line, read_result
from r1kit.evals.suite import BENCHMARKS, SUITES
from tests.evals.measuring import R1, answering, answers, measure, pass_at_1
from tests.evals.rows import write
from tests.servers import said, scripted

SUITE = "gsm8k,math500,aime24,aime25,aime26,mmlu,humaneval,mbpp"
SINGLE = "gpqa,mmlu-redux,mmlu-pro,ceval,cmmlu,cnmo,humaneval+,mbpp+,hrm8k,kmmlu"
"""sets with a single problem, or with equal letters, of which only gold answers are tried"""


def test_gold_answers_score_100_percent_and_those_of_the_next_problem_0(tmp_path: Path) -> None:
    data = write(tmp_path / "data")
    for shift, expected in ((0, 1.0), (1, 0.0)):
        with scripted(answering(answers(data, SUITE, shift))) as server:
            result = measure(server.url, SUITE, data, tmp_path / str(shift))
        assert set(pass_at_1(result)) == set(SUITE.split(","))
        for name, value in pass_at_1(result).items():
            same = 1 / 3 if name == "mmlu" and shift else 0.0  # two questions have the letter A
            assert value == pytest.approx(max(expected, same)), name


def test_gold_answers_score_100_percent_on_the_other_sets(tmp_path: Path) -> None:
    data = write(tmp_path / "data")
    with scripted(answering(answers(data, SINGLE))) as server:
        result = measure(server.url, SINGLE, data, tmp_path / "out")
    assert pass_at_1(result) == dict.fromkeys(SINGLE.split(","), 1.0)


@pytest.mark.parametrize(("text", "score"), [("Blue DONE", 1.0), ("Blue, or red DONE", 0.0)])
def test_ifeval_pays_an_answer_that_follows_all_instructions(
    text: str, score: float, tmp_path: Path
) -> None:
    data = write(tmp_path / "data")
    with scripted(lambda _, body: said(text, reasoning_content="hm, or not")) as server:
        result = measure(server.url, "ifeval", data, tmp_path / "out")
    assert pass_at_1(result) == {"ifeval": score}


def test_ifeval_shows_its_four_accuracies(tmp_path: Path) -> None:
    data, out = write(tmp_path / "data"), tmp_path / "out"
    with scripted([said("Sure, gladly:\nBlue DONE")]) as server:
        record = measure(server.url, "ifeval", data, out)["benchmarks"]["ifeval"]
    assert record["scores"]["pass@1"]["value"] == 0.0
    assert {name: x["value"] for name, x in record["extra_scores"].items()} == {
        "instruction strict": 0.5, "prompt loose": 1.0, "instruction loose": 1.0,
    }  # fmt: skip
    assert "instruction strict 50.0, prompt loose 100.0" in (out / "report.md").read_text()


def test_codeforces_has_a_rating_from_contests_or_an_estimate(tmp_path: Path) -> None:
    data, out = write(tmp_path / "data", "codeforces.jsonl"), tmp_path / "out"
    right, wrong = (f"```python\nprint(int(input()) * {factor})\n```" for factor in (2, 3))
    with scripted(lambda i, _: said(right if i % 2 else wrong)) as server:
        rating = measure(server.url, "codeforces", data, out, samples=2)["benchmarks"]
    rating = rating["codeforces"]["rating"]
    assert (rating["is_estimated"], rating["percentile"]) == (True, None)
    assert rating["value"] == pytest.approx(800), "half of the submissions solve a problem of 800"
    assert "estimated from 1 problem ratings" in (out / "report.md").read_text()
    standings = {
        "contest": {"name": "Round 1"},
        "problems": [{"contestId": 1, "index": "A", "points": 500.0}],
        "rows": [
            {"party": {"members": [{"handle": h}]}, "points": p} for h, p in (("a", 600), ("b", 0))
        ],
    }
    changes = [{"handle": "a", "oldRating": 1900}, {"handle": "b", "oldRating": 1500}]
    row = {"standings": standings, "rating_changes": changes}
    (data / "codeforces_contests.jsonl").write_text(json.dumps(row) + "\n")
    (data / "codeforces_ratings.json").write_text('{"1000": 3, "1800": 1}')
    evaluation.grade(out, None, None, Console(quiet=True))
    rating = read_result(out)["benchmarks"]["codeforces"]["rating"]
    assert (rating["is_estimated"], rating["percentile"]) == (False, 75.0)
    assert rating["value"] == pytest.approx(1700), "second of two, half a win in expectation each"


@pytest.mark.parametrize("name", SUITES["long-context"])
def test_long_contexts_are_generated_and_graded(name: str) -> None:
    spec = BENCHMARKS[name]
    assert spec.generate is not None
    for problem in islice(spec.generate(), 3):
        grader = GRADERS[spec.grader]
        assert grader.verify(problem, grader.gold(problem)).correct
        assert not grader.verify(problem, "\\boxed{-1}").correct
        assert problem.task == name


@pytest.mark.skipif("R1_EVAL_DATA" not in os.environ, reason="R1_EVAL_DATA names no folder")
def test_gold_answers_on_whole_sets(tmp_path: Path) -> None:
    data = Path(os.environ["R1_EVAL_DATA"])
    suite = "world,world-hard,gsm8k,math500,mmlu,humaneval"
    for name in suite.split(","):
        spec = BENCHMARKS[name]
        grader, problems = GRADERS[spec.grader], load_set(spec, data).prompted(R1, None)
        verdicts = [grader.verify(p, grader.gold(p)).correct for p in problems]
        assert all(verdicts), (
            name,
            [p.id for p, v in zip(problems, verdicts, strict=True) if not v],
        )
        others = [*problems[1:], problems[0]]
        wrong = [
            (p.answer, other.answer)
            for p, other in zip(problems, others, strict=True)
            if grader.verify(p, grader.gold(other)).correct
        ]
        # True coincidences: the next problem has the same answer.
        assert all(_plain(a) == _plain(b) for a, b in wrong), (name, wrong)


def _plain(text: str) -> str:
    return text.replace(" ", "").replace(",", "")


def test_two_runs_of_one_seed_are_the_same_and_another_seed_asks_otherwise(tmp_path: Path) -> None:
    data = write(tmp_path / "data")
    texts, seeds = answers(data, "gsm8k"), []
    results = []
    for name in ("a", "b"):
        with scripted(answering(texts)) as server:
            results.append(measure(server.url, "gsm8k", data, tmp_path / name, samples=4))
        seeds.append(sorted(body["seed"] for body in server.requests))
    for result in results:
        del result["session"], result["model"]["servers"]
        del result["benchmarks"]["gsm8k"]["protocol"]["servers"]
    assert results[0] == results[1]
    assert seeds[0] == seeds[1]
    assert len(set(seeds[0])) == 12


def test_the_protocol_goes_to_the_server(tmp_path: Path) -> None:
    data = write(tmp_path / "data", "gsm8k_test.jsonl")
    with scripted(answering(answers(data, "gsm8k"))) as server:
        measure(server.url, "gsm8k", data, tmp_path / "out")
    body = server.requests[0]
    assert (body["temperature"], body["top_p"], body["max_tokens"]) == (0.6, 0.95, 32_768)
    assert [message["role"] for message in body["messages"]] == ["user"]


def test_both_policies_are_graded_at_once_and_the_protocol_chooses(tmp_path: Path) -> None:
    """Several boxes are a list by the strict policy; the lenient one takes the last."""
    data, out = write(tmp_path / "data", "gsm8k_test.jsonl"), tmp_path / "out"
    with scripted(answering(answers(data, "gsm8k"))) as server:
        assert pass_at_1(measure(server.url, "gsm8k", data, out)) == {"gsm8k": 1.0}
    out = tmp_path / "boxes"
    boxes = {q: f"\\boxed{{1}} and {a}" for q, a in answers(data, "gsm8k").items()}
    with scripted(answering(boxes)) as server:
        record = measure(server.url, "gsm8k", data, out)["benchmarks"]["gsm8k"]
    assert {name: x["value"] for name, x in record["by_policy"].items()} == {
        "strict": 0.0,
        "lenient": 1.0,
    }
    assert record["scores"]["pass@1"]["value"] == 1.0
    assert ", lenient ·" in protocol_line(record)
    evaluation.grade(out, None, None, Console(quiet=True), policy="strict")
    strict = read_result(out / "result.strict.json")["benchmarks"]["gsm8k"]
    assert strict["scores"]["pass@1"]["value"] == 0.0
    assert strict["counts"]["wrong"] == 3
    assert strict["protocol"]["protocol"] == "r1-paper (policy strict)"
    assert strict["by_policy"] == record["by_policy"]
    with pytest.raises(ConfigError, match="choose strict or lenient"):
        evaluation.grade(out, None, None, Console(quiet=True), policy="kind")


def test_a_larger_k_or_limit_samples_only_what_is_missing(tmp_path: Path) -> None:
    data, out = write(tmp_path / "data"), tmp_path / "out"
    with scripted(answering(answers(data, "gsm8k,mmlu"))) as server:
        measure(server.url, "gsm8k", data, out, samples=2)
        assert len(server.requests) == 6
        measure(server.url, "gsm8k,mmlu", data, out, samples=3)
        assert len(server.requests) == 6 + 3 + 9
        result = measure(server.url, "gsm8k,mmlu", data, out, samples=3)
        assert len(server.requests) == 18
    assert result["session"]["n_sampled"] == 0
    assert result["benchmarks"]["gsm8k"]["counts"]["right"] == 9


def test_other_settings_and_other_data_are_refused(tmp_path: Path) -> None:
    data, out = write(tmp_path / "data"), tmp_path / "out"
    with scripted(answering(answers(data, "gsm8k"))) as server:
        measure(server.url, "gsm8k", data, out)
        options = EvalOptions(R1.changed(temperature=1.0), data, 1)
        with pytest.raises(RunError, match="temperature 0.6, now 1.0"):
            evaluation.run(ModelOptions(server.url), "gsm8k", options, out, Console(quiet=True))
        file = data / "gsm8k_test.jsonl"
        file.write_text(file.read_text().replace("#### 3", "#### 4"))
        with pytest.raises(RunError, match="other data or prompts"):
            measure(server.url, "gsm8k", data, out)
