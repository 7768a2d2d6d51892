"""Verdicts, intervals and pictures of samples, by values."""

from __future__ import annotations

import asyncio
import re
from xml.etree import ElementTree

import pytest

from r1kit.pages import bars, options, turns
from r1kit.pages.api import AnswerControl, ApiClient
from r1kit.pages.samples import AnswerSample, ModelComparison, graded, tally
from r1kit.types import Verdict
from r1kit.verify.wilson import wilson
from tests.pages.conftest import Api, Upstream

EVIL = "<img src=x onerror='window.pwned=1'> ${alert(1)} {{constructor}} \"'&"
UNSET = options.read({})


def sample(is_right: bool | None = True, answer: str = "5", state: str = "done") -> AnswerSample:
    turn = turns.assistant("r1") | {"state": state, "content": answer, "n_tokens": 10}
    return AnswerSample(turn, Verdict(is_right, answer, "equal"), is_over=True)


def comparison(**changes: object) -> ModelComparison:
    fields = {"question": "2+3", "gold": "5", "models": ["r1"], "n": 4, "thinks": True,
              "options": UNSET} | changes  # fmt: skip
    return ModelComparison(**fields)  # type: ignore[arg-type]


def test_without_samples_everything_is_possible() -> None:
    assert wilson(0, 0) == (0.0, 1.0)
    assert tally([]).share == 0.0


@pytest.mark.parametrize(
    ("text", "gold", "expected"),
    [("so \\boxed{0.5}", "1/2", True), ("\\boxed{7}", "5", False), ("The answer is B.", "B", True),
     ("The answer is C.", "B", False), ("\\boxed{Paris}", "paris", True),
     ("It is \\boxed{London}.", "Paris", False), ("정답은 5입니다.", "5", True),
     ("no idea", "5", False), ("", "5", False)],
)  # fmt: skip
def test_the_form_of_the_gold_answer_chooses_the_verifier(
    text: str, gold: str, expected: bool
) -> None:
    assert graded(text, gold).correct is expected


def test_only_answers_that_have_ended_count() -> None:
    samples = [sample(), sample(), sample(False, "7"), sample(None, "?"), sample(state="error"),
               sample(state="stopped"), AnswerSample(turns.assistant("r1"))]  # fmt: skip
    counts = tally(samples)
    assert (counts.n, counts.n_right, counts.n_undecided) == (4, 2, 1)
    assert counts.share == pytest.approx(2 / 3)
    assert counts.interval == wilson(2, 3)
    assert counts.answers[0] == ("5", 2)
    assert counts.mean_tokens == 10


@pytest.mark.parametrize("n", [1, 4])
def test_hostile_answers_and_names_are_text_in_every_picture(n: int) -> None:
    one = comparison(models=[EVIL], n=n, has_curve=True)
    one.cells = {(EVIL, budget): [sample(True, EVIL)] * n for budget in (0, 16, None)}
    for picture in (bars.curve(one, "en"), bars.summary(one, one.column(EVIL), "en")):
        tree = ElementTree.fromstring(f"<x>{picture}</x>")
        assert [found for found in tree.iter() if found.tag in ("img", "script")] == []
        assert all("pwned" not in value for found in tree.iter() for value in found.attrib.values())
        assert "<img" not in picture


def test_a_curve_has_a_point_with_its_error_for_every_budget() -> None:
    one = comparison(models=["zero", "r1"], has_curve=True)
    one.cells = {("zero", 0): [sample(False)] * 4, ("zero", None): [sample()] * 4,
                 ("r1", None): [sample()] * 2 + [sample(False)] * 2}  # fmt: skip
    picture = bars.curve(one, "en")
    tree = ElementTree.fromstring(picture)
    heights = [float(circle.attrib["cy"]) for circle in tree.iter("circle")]
    assert len(heights) == 3
    assert heights[1] < heights[2] < heights[0]  # 100 %, 50 %, 0 %
    rows = [[cell.text for cell in row] for row in tree.iter("tr")]
    assert rows[1:] == [
        ["zero", "off", "0 of 4 right: 0% (0% to 49%)"],
        ["zero", "no limit", "4 of 4 right: 100% (51% to 100%)"],
        ["r1", "no limit", "2 of 4 right: 50% (15% to 85%)"],
    ]


def test_a_bar_has_the_share_and_the_interval() -> None:
    one = comparison(n=4)
    one.cells = {("r1", None): [sample()] * 3 + [sample(False, "7")]}
    text = bars.summary(one, one.column("r1"), "en")
    assert "3 of 4 right: 75%" in text
    low, high = wilson(3, 4)
    assert f"left: {100 * low:.1f}%; width: {100 * (high - low):.1f}%" in text
    assert re.findall("<code>(.)</code> ×(.) (.)", text) == [("5", "3", "✓"), ("7", "1", "✗")]


@pytest.mark.parametrize(
    ("gold", "has_curve", "problem"),
    [("", True, "needs_gold"), ("x" * 9000, True, "ungradable"), ("", False, ""), ("5", True, "")],
)
def test_what_is_missing_is_said(gold: str, has_curve: bool, problem: str) -> None:
    one = comparison(gold=gold, has_curve=has_curve)
    assert one.problem == problem
    assert ("<p role" in bars.curve(one, "ko")) is bool(problem)


def test_every_model_answers_with_every_budget(upstream: Upstream, api: Api) -> None:
    api.pause_s, api.thinking = 0, ["hm"]

    async def check() -> ModelComparison:
        client = ApiClient(upstream[1])
        await client.models("")
        chosen = options.read({"budget": 100, "seed": 7, "system": "Be brief."})
        one = comparison(n=2, models=["tiny"], has_curve=True, options=chosen)
        one.prepare(client)
        await one.run(client, "", AnswerControl())
        await client.close()
        return one

    one = asyncio.run(check())
    assert [budget for _, budget in one.cells] == [0, 16, 64, 100]
    assert (one.n_over, one.n_all) == (8, 8)
    sent = [(body["thinking"].get("budget_tokens", 0), body["seed"]) for body in api.requests]
    assert sorted(sent) == [(budget, seed) for budget in (0, 16, 64, 100) for seed in (7, 8)]
    assert {body["messages"][0]["content"] for body in api.requests} == {"Be brief."}
    assert all(sample.is_right for samples in one.cells.values() for sample in samples)


def test_stopping_leaves_the_rest_unasked(upstream: Upstream, api: Api) -> None:
    api.thinking, api.pause_s = ["hm "] * 100, 0.02

    async def check() -> ModelComparison:
        client, control = ApiClient(upstream[1]), AnswerControl()
        one = comparison(n=64, models=["tiny"])
        one.prepare(client)
        task = asyncio.ensure_future(one.run(client, "", control))
        await asyncio.sleep(0.3)
        control.is_stop = True
        await task
        await client.close()
        return one

    one = asyncio.run(check())
    assert one.n_over == 64
    assert tally(one.column("tiny")).n == 0
    assert len(api.requests) <= 16
