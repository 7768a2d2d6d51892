"""The page of `r1 watch` in a real browser, on run folders that grow while it looks."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from axe_playwright_python.sync_playwright import Axe

from r1kit.watch.routes import build
from r1kit.watch.run_list import RunList
from tests.pages.conftest import serving
from tests.watch.runs import HOSTILE, write_watched_run

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

Opened = Callable[..., "Page"]


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    for seed in (0, 1):
        write_watched_run(tmp_path / f"seed{seed}", seed=seed, n_steps=30, text=HOSTILE)
    return tmp_path


@pytest.fixture
def watch(browser: Browser, runs: Path) -> Iterator[Opened]:
    """Opens the page at a place: `watch("tab=rollouts")`; fails if it reaches out or breaks."""
    troubles: list[str] = []
    contexts = []
    with serving(build(RunList([runs]))) as url:

        def open_at(place: str, **reader: Any) -> Page:
            contexts.append(browser.new_context(locale="en-US", **reader))
            contexts[-1].grant_permissions(["clipboard-read", "clipboard-write"], origin=url)
            page = contexts[-1].new_page()
            page.set_default_timeout(60_000)
            page.on("pageerror", lambda error: troubles.append(f"script error: {error}"))
            page.on("dialog", lambda dialog: troubles.append("a dialog"))
            page.on("request", lambda request: note(request.url))
            page.on("console", lambda line: note_line(line.type, line.text))
            page.goto(f"{url}/#{place}")
            page.wait_for_selector("html[data-ready]")
            return page

        def note(address: str) -> None:
            if not address.startswith((url, "data:")):
                troubles.append(f"asked for {address}")

        def note_line(kind: str, text: str) -> None:
            if kind == "error":
                troubles.append(text)

        yield open_at
        for context in contexts:
            context.close()
    assert troubles == []


def legend(page: Page, chart: str) -> str:
    return page.inner_text(f"[data-chart='{chart}'] .legend")


def test_a_growing_run_is_followed(watch: Opened, runs: Path) -> None:
    page = watch("runs=seed0&stage=zero")
    page.wait_for_selector("[data-chart='rewards/accuracy/mean'] >> text='75.0 %'")
    assert "R1-Zero 30 / 40" in page.inner_text("#hero h2")
    with (runs / "seed0" / "metrics.jsonl").open("a") as file:
        file.write('{"stage": "zero", "step": 31, "rewards/accuracy/mean": 0.5, "reward": 1}\n')
    page.wait_for_selector("[data-chart='rewards/accuracy/mean'] >> text='50.0 %'")
    page.wait_for_selector("#hero h2 >> text=/31 / 40/")
    records = (runs / "seed0" / "metrics.jsonl").read_bytes().splitlines(keepends=True)
    (runs / "seed0" / "metrics.jsonl").write_bytes(b"".join(records[:20]))  # resumed
    page.wait_for_selector("#hero h2 >> text=/10 / 40/")
    write_watched_run(runs / "late", seed=7, n_steps=1)
    page.wait_for_selector("#runs >> text=late")


def test_curves_are_laid_over_smoothed_zoomed_and_read_by_keys(watch: Opened) -> None:
    page = watch("runs=seed0&stage=zero&find=accuracy")
    accuracy = "rewards/accuracy/mean"
    page.wait_for_selector(f"[data-chart='{accuracy}'] canvas")
    assert page.locator(".chart").count() == 2  # that, and accuracy by task
    page.check("input[aria-label='Show seed1 too']")
    page.wait_for_selector("text=Line: mean of 2 seeds. Band: lowest to highest.")
    assert "75.5 %" in legend(page, accuracy)
    page.uncheck("text=Seeds as a band")
    page.wait_for_selector(f"[data-chart='{accuracy}'] .legend >> text=seed1")
    page.locator("text=Smoothing >> input").fill("0.8")
    page.wait_for_selector("text=/Smoothed \\(EMA 0.8\\); the raw values are behind/ >> nth=0")
    page.check("text=Log axis")
    plot = page.locator(f"[data-chart='{accuracy}'] .plot")
    plot.focus()
    page.keyboard.press("ArrowLeft")
    page.wait_for_selector(f"[data-chart='{accuracy}'] .legend >> text='step 29'")
    label = plot.get_attribute("aria-label")
    assert label is not None
    assert label.startswith("Accuracy, step 29: seed0 ")
    box = plot.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 0.4, box["y"] + 80)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + 80, steps=4)
    page.mouse.up()
    page.wait_for_selector("button >> text=/^Steps \\d+ – \\d+ ✕/")
    assert "from=1" in page.url
    place = page.url.partition("#")[2]
    again = watch(place)  # the address is the view
    again.wait_for_selector("button >> text=/^Steps \\d+ – \\d+ ✕/")
    page.click("button >> text=/^Steps/")
    page.wait_for_selector("text=Drag over a curve to zoom")


def test_rollouts_are_chosen_read_and_copied(watch: Opened) -> None:
    page = watch("runs=seed0&tab=rollouts")
    page.wait_for_selector(".reader .answer")
    assert "25 of 25 rollouts" in page.inner_text(".side")
    page.click("role=button[name='right']")
    page.wait_for_selector("text=9 of 25 rollouts")
    page.locator("text=Order >> select").select_option("longest")
    page.wait_for_selector(".row >> nth=0 >> text=step 30")
    assert page.inner_text(".reader mark >> nth=0") == "wait"
    assert "read\n5\nexpected\n5" in page.inner_text(".verdict-box")
    assert page.locator(".pill").count() == 4
    page.focus(".list")
    page.keyboard.press("j")
    page.wait_for_selector(".row:nth-child(2)[aria-selected=true]")
    page.evaluate("navigator.clipboard.writeText('nothing yet')")
    page.click("text=Copy as test case")  # the button says "Copied" for a moment alone
    page.wait_for_function("async () => (await navigator.clipboard.readText()) !== 'nothing yet'")
    case = json.loads(page.evaluate("navigator.clipboard.readText()"))
    assert (case["gold"], case["expected"], case["extracted"]) == ("5", "correct", "5")
    assert case["text"].startswith("<think>")
    page.locator("label:has-text('Tokens') >> select").select_option("by log-probability")
    page.wait_for_selector(".tokens span[title='log p -2.5, p 0.0821']")
    page.locator("label:has-text('Tokens') >> select").select_option("by entropy")
    page.wait_for_selector(".tokens span[title='H 1.5 nat, p 0.0821']")
    page.locator("label:has-text('Tokens') >> select").select_option("by advantage")
    page.wait_for_selector("text=advantage +0.5, the same for every token")
    assert page.locator(".tokens span.raised").count() == 4
    page.locator("text=Reward part >> select").select_option("format")
    page.locator("label:has-text('to') >> input[data-focus=max_part]").fill("0.8")
    page.keyboard.press("Tab")
    page.wait_for_selector("text=4 of 25 rollouts")
    page.locator("text=Reward part >> select").select_option("any")
    page.wait_for_selector("text=9 of 25 rollouts")
    page.click("role=button[name='all']")
    page.locator("input[aria-label=Step]").fill("0")
    page.wait_for_selector("text=step 5: 0 of 4 right")
    page.wait_for_selector(".row.undecided")
    page.keyboard.press("Escape")
    page.locator(".history button").last.click()
    page.wait_for_selector(".reader >> text=step 25 · ")
    with page.expect_download() as download:
        page.click("text=Export JSONL")
    rows = [json.loads(line) for line in Path(download.value.path()).read_text().splitlines()]
    assert [row["step"] for row in rows] == [5] * 4


def test_the_page_speaks_korean_and_chinese(watch: Opened) -> None:
    page = watch("runs=seed0&tab=rollouts&lang=ko")
    page.wait_for_selector("text=롤아웃 25개 중 25개")
    assert page.get_attribute("html", "lang") == "ko"
    assert page.inner_text("#tab-diagnosis").startswith("진단")
    assert "검증기" in page.inner_text(".verdict-box")
    page.select_option("select.language", "zh")
    page.wait_for_selector("text=25 个采样中的 25 个")
    assert "lang=zh" in page.url
    page.click("#tab-curves")
    page.wait_for_selector("[data-chart='rewards/accuracy/mean'] >> text=正确率")


def test_hostile_text_is_shown_as_it_is(watch: Opened) -> None:
    page = watch("runs=seed0&tab=rollouts")
    page.wait_for_selector(".reader .thinking")
    assert "<script>document.title='owned'</script>" in page.inner_text(".reader .thinking")
    assert "<img src=x" in page.inner_text(".list")
    assert page.locator("main img, main script").count() == 0
    assert page.title().endswith("r1 watch")


def test_a_server_that_is_gone_and_comes_back(browser: Browser, runs: Path) -> None:
    page = browser.new_page()
    page.set_default_timeout(60_000)
    app = build(RunList([runs]))
    with serving(app) as url:
        page.goto(f"{url}/#runs=seed0&stage=zero")
        page.wait_for_selector("#hero h2 >> text=/30 / 40/")
        page.route("**/api/**", lambda route: route.abort())
        page.wait_for_selector("text=The page has lost r1 watch")
        page.unroute_all()
        page.wait_for_selector("#connection:empty", state="attached")
    page.close()


@pytest.mark.parametrize("width", [1280, 390])
def test_axe_finds_nothing_serious(watch: Opened, width: int) -> None:
    found = []
    for scheme in ("light", "dark"):
        size = {"width": width, "height": 900}
        page = watch("runs=seed0,seed1&stage=zero&smooth=0.6", viewport=size, color_scheme=scheme)
        for tab in ("curves", "rollouts", "diagnosis", "plan"):
            page.click(f"#tab-{tab}")
            page.wait_for_selector(f"#panel-{tab}:visible > *")
            for one in Axe().run(page).response["violations"]:
                if one["impact"] in ("serious", "critical"):
                    found += [
                        f"{scheme} {tab} {one['id']}: {n['html'][:140]}" for n in one["nodes"]
                    ]
            too_wide = "document.documentElement.scrollWidth > innerWidth"
            assert not page.evaluate(too_wide), (tab, width)
    assert found == []
