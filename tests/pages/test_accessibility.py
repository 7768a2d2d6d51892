"""axe finds nothing serious: chat, comparison and report, by day and by night, desk and phone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from axe_playwright_python.sync_playwright import Axe

from r1kit.report import write
from r1kit.report.facts import gather
from r1kit.runs.run_reader import read
from tests.pages.conftest import Api, Visit
from tests.pages.test_chat_page import answered, ask, settings
from tests.pages.test_look import NO_FADES, RICH
from tests.report.test_report import write_run

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, ViewportSize

SIZES: dict[str, ViewportSize] = {
    "desk": {"width": 1280, "height": 800},
    "phone": {"width": 390, "height": 780},
}


def serious(page: Page) -> list[str]:
    """What axe calls serious or critical, in light and in dark."""
    found = []
    page.add_style_tag(content=NO_FADES)
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        page.evaluate(f"document.body.classList.toggle('dark', {str(scheme == 'dark').lower()})")
        told = Axe().run(page).response
        assert len(told["passes"]) > 5
        found += [
            f"{scheme}: {one['id']}: {node['html'][:160]}: {node['failureSummary']}"
            for one in told["violations"]
            if one["impact"] in ("serious", "critical")
            for node in one["nodes"]
        ]
    return found


@pytest.mark.parametrize("size", SIZES)
def test_the_pages(visit: Visit, api: Api, size: str) -> None:
    api.models, api.answer = ["zero", "final"], [RICH]
    page = visit(viewport=SIZES[size])
    found = serious(page)
    api.thinking, api.pause_s = ["hm "] * 4000, 0.05
    ask(page, "7")
    page.wait_for_selector("text=/hm hm/")
    found += serious(page)
    page.click("#r1-stop")
    page.wait_for_selector("text=/Stopped/")
    page.wait_for_selector("#r1-chats >> text=7")  # kept, so gradio has ended the event
    api.thinking, api.pause_s = ["try 5"], 0.0
    answered(page)
    page.click("#r1-chat .thought-group [role=button] >> nth=-1")
    page.click("#r1-chat button[aria-label='Edit'] >> nth=-1")
    if size == "phone":
        page.click(".sidebar .toggle-button")
    settings(page)
    page.click("#r1-answers summary")
    found += serious(page)
    page.click("#r1-search")
    found += serious(page)
    page.keyboard.press("Escape")
    if size == "phone":
        page.click(".sidebar .toggle-button")
    page.click("role=tab[name='Compare']")
    page.fill("#r1-gold :is(input, textarea)", "5")
    page.click("#r1-has-curve label")
    page.click("#r1-go")
    page.wait_for_selector("#r1-pane-1 .katex")
    page.wait_for_selector("#r1-curve circle")
    page.wait_for_selector("#r1-compare-stop", state="hidden")
    assert page.evaluate("document.documentElement.scrollWidth") == SIZES[size]["width"]
    found += serious(page)
    assert found == []


@pytest.mark.parametrize("size", SIZES)
def test_the_report(browser: Browser, tmp_path: Path, size: str) -> None:
    evidence = read(write_run(tmp_path / "run"))
    write(evidence, gather(evidence))
    context = browser.new_context(viewport=SIZES[size])
    page = context.new_page()
    page.goto((tmp_path / "run/report.html").as_uri())
    found = serious(page)
    context.close()
    assert found == []
