"""Every control of the chat, in a real browser."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.pages.conftest import Api, Visit

if TYPE_CHECKING:
    from playwright.sync_api import Page

ANSWER = "#r1-chat .bot .katex"
WATCH = """() => {
  window.watched = { timers: new Set(), thought: false };
  new MutationObserver(() => {
    const text = document.querySelector('#r1-chat').innerText;
    const running = text.match(/Thinking… [0-9.]+ s/);
    if (running) watched.timers.add(running[0]);
    watched.thought ||= Boolean(running) && text.includes('wait, 5:');
  }).observe(document.querySelector('#r1-chat'),
    { subtree: true, childList: true, characterData: true });
}"""
"""of what is there for a moment only, which a busy machine may miss"""


def ask(page: Page, text: str) -> None:
    page.fill("#r1-ask textarea", text)
    page.press("#r1-ask textarea", "Enter")


def is_idle(page: Page) -> None:
    """An answer is over when its event is, which comes a moment after its last words."""
    page.wait_for_selector("#r1-stop", state="hidden")
    page.wait_for_function("!r1.isBusy()")


def answered(page: Page, text: str = "7x + 3 = 38?") -> None:
    ask(page, text)
    page.wait_for_selector(ANSWER)
    is_idle(page)


def until(page: Page, holds: Callable[[], bool]) -> None:
    for _ in range(600):
        if holds():
            return
        page.wait_for_timeout(100)
    raise AssertionError("it did not come to that in a minute")


def settings(page: Page) -> None:
    page.click("#r1-settings button.label-wrap")
    page.wait_for_selector("#r1-language input")


def test_thinking_streams_apart_and_folds_when_it_is_over(visit: Visit, api: Api) -> None:
    api.pause_s = 0.4
    page = visit()
    page.evaluate(WATCH)
    ask(page, "7x + 3 = 38?")
    title = page.wait_for_selector("text=/Thought for [0-9.]+ seconds/")
    page.wait_for_selector(ANSWER)
    timers, was_seen = page.evaluate("[watched.timers.size, watched.thought]")
    assert timers > 1
    assert was_seen
    page.wait_for_selector("text=wait, 5:", state="hidden")
    assert title is not None
    title.click()
    page.wait_for_selector("text=wait, 5:", state="visible")
    page.wait_for_selector("text=/6 tokens · [0-9]+ tokens.s · 67% thinking/")
    assert api.requests[0]["messages"] == [{"role": "user", "content": "7x + 3 = 38?"}]


def test_without_deepthink_nothing_is_thought(visit: Visit, api: Api) -> None:
    page = visit()
    page.click("#r1-deepthink label")
    answered(page)
    assert api.requests[0]["thinking"] == {"type": "disabled"}
    assert page.locator("text=/Thought for/").count() == 0


def test_stop_stops_the_server_too(visit: Visit, api: Api) -> None:
    api.thinking, api.pause_s = ["hm "] * 400, 0.05
    page = visit()
    ask(page, "7")
    page.click("#r1-stop")
    page.wait_for_selector("text=/Stopped/")
    until(page, lambda: api.n_left == 1)


def test_thinking_can_be_ended_for_the_answer(visit: Visit, api: Api) -> None:
    api.thinking, api.pause_s = ["hm "] * 400, 0.05
    page = visit()
    ask(page, "7")
    page.wait_for_selector("text=/hm hm/")
    page.click("#r1-end")
    page.wait_for_selector(ANSWER)
    assert page.locator("text=/Thinking ended after/").count() == 1
    begun = api.requests[1]["messages"][-1]
    assert begun["prefix"] is True
    assert begun["reasoning_content"].startswith("hm hm")
    assert api.requests[1]["thinking"] == {"type": "enabled", "budget_tokens": 1}


def test_regenerate_edit_and_undo(visit: Visit, api: Api) -> None:
    page = visit()
    answered(page, "first")
    api.answer = ["\\boxed{7}"]
    page.click("#r1-chat button[aria-label='Retry']")
    until(page, lambda: len(api.requests) == 2)
    page.wait_for_selector("#r1-chat .katex-html >> text=7")
    is_idle(page)
    assert [body["messages"][0]["content"] for body in api.requests] == ["first", "first"]
    page.click("#r1-chat button[aria-label='Edit']")
    page.fill("#r1-chat .user textarea, #r1-chat textarea.edit-textarea", "second")
    page.click("#r1-chat button[aria-label='Submit']")
    until(page, lambda: len(api.requests) == 3)
    page.wait_for_selector(ANSWER)
    is_idle(page)
    assert api.requests[2]["messages"] == [{"role": "user", "content": "second"}]
    page.click("#r1-chat button[aria-label='Undo']")
    page.wait_for_function("() => document.querySelector('#r1-ask textarea').value === 'second'")
    assert page.locator(ANSWER).count() == 0


def test_past_thinking_is_not_sent_again(visit: Visit, api: Api) -> None:
    page = visit()
    answered(page, "first")
    ask(page, "second")
    page.wait_for_function("() => document.querySelectorAll('#r1-chat .katex-html').length === 2")
    assert api.requests[1]["messages"] == [
        {"role": "user", "content": "first"},
        {"role": "assistant", "content": "x is \\boxed{5}"},
        {"role": "user", "content": "second"},
    ]


def test_copy_copies_the_answer(visit: Visit, api: Api) -> None:
    page = visit()
    answered(page)
    page.click(
        "#r1-chat .bot-row button[aria-label*='Copy'], #r1-chat button[aria-label*='opy'] >> nth=-1"
    )
    page.wait_for_function(
        "async () => (await navigator.clipboard.readText()).includes('boxed{5}')"
    )


def test_chats_are_kept_in_the_browser(visit: Visit, api: Api) -> None:
    page = visit()
    answered(page, "the first question")
    page.wait_for_selector("#r1-chats >> text=the first question")
    page.click("#r1-new")
    page.wait_for_selector(ANSWER, state="detached")
    answered(page, "another one")
    page.wait_for_selector("#r1-chats >> text=another one")
    page.reload()
    page.wait_for_selector("#r1-chats >> text=the first question")
    page.click("#r1-chats >> text=the first question")
    page.wait_for_selector(ANSWER)
    page.click("#r1-delete")
    page.wait_for_selector("#r1-chats >> text=the first question", state="detached")
    assert page.locator("#r1-chats >> text=another one").count() == 1


@pytest.mark.parametrize("kind", ["markdown", "json"])
def test_export(visit: Visit, api: Api, tmp_path: Path, kind: str) -> None:
    page = visit()
    answered(page, "무엇?")
    settings(page)
    with page.expect_download() as waiting:
        page.click(f"#r1-{kind}")
    waiting.value.save_as(tmp_path / "chat")
    text = (tmp_path / "chat").read_text(encoding="utf-8")
    if kind == "json":
        turns = json.loads(text)
        assert [turn["role"] for turn in turns] == ["user", "assistant"]
        assert turns[1]["thinking"] == "try 4: no. wait, 5: yes"
    else:
        said = "> try 4: no. wait, 5: yes\n\nx is \\boxed{5}\n"
        assert text == f"## You\n\n무엇?\n\n## tiny\n\n{said}"


@pytest.mark.parametrize(
    ("locale", "placeholder", "thought"),
    [("ko-KR", "무엇이든 물어보세요", "초 동안 생각함"), ("zh-CN", "问点什么", "已思考")],
)
def test_the_page_speaks_the_readers_language(
    visit: Visit, api: Api, locale: str, placeholder: str, thought: str
) -> None:
    page = visit(locale=locale)
    page.wait_for_selector(f"#r1-ask textarea[placeholder='{placeholder}']")
    answered(page, "1+2+3+...+100은?")
    page.wait_for_selector(f"text={thought}")
    assert api.requests[0]["messages"][0]["content"] == "1+2+3+...+100은?"
    settings(page)
    page.click("#r1-language input")
    page.click("role=option[name='English']")
    page.wait_for_selector("#r1-ask textarea[placeholder='Ask something']")
    page.reload()
    page.wait_for_selector("#r1-ask textarea[placeholder='Ask something']")


def test_an_example_is_a_question(visit: Visit, api: Api) -> None:
    page = visit()
    page.click("#r1-chat >> text=What is 1+2+3+...+100?")
    page.wait_for_selector(ANSWER)
    assert api.requests[0]["messages"][0]["content"] == "What is 1+2+3+...+100?"


def test_dark_is_kept_and_a_phone_needs_no_sideways_scrolling(visit: Visit, api: Api) -> None:
    page = visit(viewport={"width": 390, "height": 780})
    answered(page)
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= 390
    box = page.locator("#r1-ask").bounding_box()
    assert box is not None
    assert box["y"] < 780
    assert box["width"] > 350  # of 390: no margin is lost
    desk = visit()
    before = desk.evaluate("document.body.classList.contains('dark')")
    settings(desk)
    desk.click("#r1-dark")
    assert desk.evaluate("document.body.classList.contains('dark')") is not before
    desk.reload()
    desk.wait_for_selector("html[data-ready]")
    assert desk.evaluate("document.body.classList.contains('dark')") is not before


def test_compare_asks_all_and_keeps_the_thinking_open(visit: Visit, api: Api) -> None:
    api.models = ["base", "zero", "final"]
    page = visit()
    page.click("role=tab[name='Compare']")
    page.fill("#r1-question textarea", "7x + 3 = 38")
    page.click("#r1-go")
    page.wait_for_function(
        "() => document.querySelectorAll('#r1-columns .katex-html').length === 3"
    )
    assert sorted(body["model"] for body in api.requests) == ["base", "final", "zero"]
    assert page.locator("#r1-columns >> text=wait, 5:").count() == 3


def test_a_key_is_asked_for_and_kept(visit: Visit, api: Api) -> None:
    api.key = "secret"
    page = visit(wait=False)
    page.wait_for_selector("html[data-ready]")
    ask(page, "7")
    page.wait_for_selector("text=This server asks for an API key: see Settings.")
    settings(page)
    page.fill("#r1-key input", "secret")
    page.press("#r1-key input", "Tab")
    page.wait_for_function("document.querySelector('#r1-model input').value !== ''")
    page.click("#r1-new")
    answered(page)
