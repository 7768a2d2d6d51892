"""Compare in a real browser: verdicts, many samples, and accuracy against thinking budget."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.pages.conftest import Api, Visit
from tests.pages.test_chat_page import until

if TYPE_CHECKING:
    from playwright.sync_api import Page


def compare(page: Page, gold: str, n: int = 1, has_curve: bool = False) -> None:
    page.click("role=tab >> nth=1")
    page.fill("#r1-question textarea", "7x + 3 = 38")
    page.fill("#r1-gold :is(input, textarea)", gold)
    if n > 1:
        page.click("#r1-n input")
        page.click(f"role=option[name='{n} answers each']")
    if has_curve:
        page.click("#r1-has-curve label")
    page.click("#r1-go")


def is_over(page: Page) -> None:
    page.wait_for_selector("#r1-compare-stop", state="hidden")


def test_a_known_answer_gives_verdicts(visit: Visit, api: Api) -> None:
    api.models = ["zero", "final"]
    page = visit()
    compare(page, "10/2")
    page.wait_for_selector("#r1-columns .r1-verdict.r1-right >> nth=1")
    is_over(page)
    texts = page.locator("#r1-columns .r1-verdict").all_inner_texts()
    assert texts == ["✓ right · answer read: 5"] * 2
    compare(page, "7")
    page.wait_for_selector("#r1-columns .r1-verdict.r1-wrong >> nth=1")
    is_over(page)
    assert page.locator("#r1-columns textarea:visible").count() == 0
    compare(page, "")
    page.wait_for_selector("#r1-columns .r1-verdict", state="detached")


def test_many_samples_have_bars_and_the_curve_comes_live(visit: Visit, api: Api) -> None:
    api.models, api.pause_s = ["zero", "final"], 0.05
    page = visit()
    compare(page, "5", 4, has_curve=True)
    page.wait_for_selector("#r1-curve circle")  # before the end
    page.wait_for_selector("#r1-curve >> text=56 of 56 samples")
    is_over(page)
    page.wait_for_selector("#r1-columns >> text=4 of 4 right: 100% (51% to 100%)")
    until(page, lambda: page.locator("#r1-columns .r1-marks i.r1-right").count() == 8)
    until(page, lambda: page.locator("#r1-curve circle").count() == 14)
    budgets = {body.get("thinking", {}).get("budget_tokens") for body in api.requests}
    assert budgets == {None, 16, 64, 256, 1024, 4096}


def test_a_comparison_that_is_stopped_says_how_far_it_came(visit: Visit, api: Api) -> None:
    api.thinking, api.pause_s = ["hm "] * 400, 0.05
    page = visit()
    compare(page, "5", 16)
    page.wait_for_selector("#r1-compare-stop", state="visible")
    page.locator("#r1-question textarea").press("Escape")
    is_over(page)
    page.wait_for_selector("#r1-columns .r1-marks[aria-label='16 of 16 samples']")
    until(page, lambda: page.locator("#r1-columns .r1-marks i.r1-failed").count() == 16)


def test_what_cannot_be_graded_is_said(visit: Visit, api: Api) -> None:
    page = visit()
    compare(page, "", has_curve=True)
    page.wait_for_selector("#r1-curve >> text=The curve needs the right answer")


@pytest.mark.parametrize("n", [1, 4])
def test_hostile_answers_are_text(visit: Visit, api: Api, n: int) -> None:
    evil = "<img src=x onerror=pwned=2>${pwned=9}{{name}}"
    api.models, api.answer = ["<img src=x onerror='window.pwned=7'>"], [f"\\boxed{{{evil}}}"]
    page = visit()
    compare(page, "5", n)
    page.wait_for_selector("#r1-columns .r1-under >> text=pwned=9")
    is_over(page)
    page.wait_for_timeout(300)
    assert page.evaluate("window.pwned") is None
    assert page.locator(".r1-under :is(img, script)").count() == 0
