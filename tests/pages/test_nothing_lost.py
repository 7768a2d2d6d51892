"""Twenty questions, many tabs, reloads, a server that dies: nothing is lost, every end is said."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

import pytest

from tests.pages.conftest import Api, Body, Upstream, Visit
from tests.pages.server import PageServer, page_server
from tests.pages.test_chat_page import ANSWER, ask, is_idle, until

if TYPE_CHECKING:
    from playwright.sync_api import Page, Route

RETRY = "#r1-chat button[aria-label='Retry']"
INTERRUPTED = "text=The answer was interrupted."
NO_STORAGE = """for (const name of ['localStorage', 'sessionStorage'])
  Object.defineProperty(window, name,
    {get() { throw new DOMException('no', 'SecurityError'); }});"""
FULL_STORAGE = """Storage.prototype.setItem = () => {
  throw new DOMException('full', 'QuotaExceededError'); };"""


def questions(body: Body) -> list[str]:
    return [one["content"] for one in body["messages"] if one["role"] == "user"]


def answered(page: Page, text: str) -> None:
    """Asks, and waits for one answer more than there were."""
    before = page.locator(ANSWER).count()
    ask(page, text)
    until(page, lambda: page.locator(ANSWER).count() > before)
    is_idle(page)


def test_twenty_questions_as_fast_as_one_can_type(visit: Visit, api: Api) -> None:
    api.pause_s = 0
    page = visit()
    page.click("#r1-ask textarea")
    questions_asked = [f"question {number}" for number in range(20)]
    for question in questions_asked:
        page.keyboard.type(question)
        page.keyboard.press("Enter")
    for number in range(20):  # each in the time of one
        until(page, partial(lambda n: page.locator(ANSWER).count() > n, number))
    assert [questions(body)[-1] for body in api.requests] == questions_asked
    assert len(api.requests[-1]["messages"]) == 39
    assert page.locator(".toast-body").count() == 0


def test_questions_that_wait_are_seen_and_can_be_taken_back(visit: Visit, api: Api) -> None:
    api.thinking, api.pause_s = ["hm "] * 400, 0.05
    page = visit()
    ask(page, "first")
    page.wait_for_selector("#r1-stop", state="visible")
    ask(page, "second")
    page.wait_for_selector("#r1-queue >> text=Next: second")
    assert page.input_value("#r1-ask textarea") == ""
    page.click("#r1-stop")
    page.wait_for_selector("text=/Stopped/")
    page.wait_for_function("document.querySelector('#r1-ask textarea').value === 'second'")
    assert len(api.requests) == 1


def test_more_tabs_than_a_browser_has_connections(visit: Visit, api: Api) -> None:
    first = visit()
    tabs = [first, *(visit(context=first.context) for _ in range(7))]
    for number, tab in enumerate(tabs):
        answered(tab, f"from tab {number}")
    assert sorted(questions(body)[0] for body in api.requests) == [
        f"from tab {i}" for i in range(8)
    ]
    until(first, lambda: first.locator("#r1-chats li").count() == 8)


def test_a_reload_comes_back_to_the_open_chat(visit: Visit, api: Api) -> None:
    page = visit()
    answered(page, "first")
    page.fill("#r1-ask textarea", "a draft")
    page.reload()
    page.wait_for_selector(ANSWER)
    page.wait_for_function("document.querySelector('#r1-ask textarea').value === 'a draft'")
    answered(page, "second")
    assert questions(api.requests[1]) == ["first", "second"]


def test_a_reload_in_the_middle_of_an_answer(visit: Visit, api: Api) -> None:
    api.thinking, api.pause_s = ["hm "] * 400, 0.05
    page = visit()
    ask(page, "a long one")
    until(page, lambda: "hm hm" in page.evaluate("r1.talk()"))
    page.reload()
    page.wait_for_selector(INTERRUPTED)
    page.wait_for_selector("#r1-chat >> text=a long one")
    page.click("text=/Thought for/")
    page.wait_for_selector("text=/hm hm/")
    api.thinking, api.pause_s = ["yes"], 0
    page.click(RETRY)
    page.wait_for_selector(ANSWER)
    page.wait_for_selector(INTERRUPTED, state="detached")
    assert [questions(body) for body in api.requests] == [["a long one"]] * 2


def test_tabs_keep_each_others_chats(visit: Visit, api: Api) -> None:
    one = visit()
    other = visit(context=one.context)
    answered(one, "asked in one")
    answered(other, "asked in the other")
    for tab in (one, other):
        tab.wait_for_selector("#r1-chats >> text=asked in the other")
        tab.wait_for_selector("#r1-chats >> text=asked in one")
    other.click("#r1-chats >> text=asked in one")
    other.wait_for_selector("#r1-chat .user >> text=asked in one")
    answered(one, "and more")
    other.wait_for_selector("#r1-chat .user >> text=and more")
    answered(other, "from here too")
    one.wait_for_selector("#r1-chat .user >> text=from here too")
    assert questions(api.requests[-1]) == ["asked in one", "and more", "from here too"]


def test_nothing_is_missed_behind_a_slow_connection(visit: Visit, api: Api) -> None:
    """What another tab writes comes faster than it can be shown; so do clicks in the list."""
    one = visit()
    answered(one, "shared")
    other = visit(context=one.context)
    other.click("#r1-chats >> text=shared")
    other.wait_for_selector(ANSWER)

    def late(route: Route) -> None:
        time.sleep(0.3)
        route.continue_()

    one.route("**/queue/join*", late)
    answered(other, "from here too")
    one.wait_for_selector("#r1-chat .user >> text=from here too")
    until(one, lambda: one.locator(ANSWER).count() == 2)
    answered(other, "and again")
    until(one, lambda: one.locator(ANSWER).count() == 3)
    other.click("#r1-new")
    other.wait_for_selector(ANSWER, state="detached")
    answered(other, "another")
    one.wait_for_selector("#r1-chats >> text=another")
    one.evaluate("""() => { for (const text of ['shared', 'another']) [...document
        .querySelectorAll('#r1-chats a')].find((one) => one.textContent.includes(text)).click()
    }""")
    until(one, lambda: one.locator(ANSWER).count() == 1)
    one.wait_for_selector("#r1-chat .user >> text=another")


def test_a_chat_that_another_tab_writes_is_continued_as_a_copy(visit: Visit, api: Api) -> None:
    one = visit()
    answered(one, "shared")
    other = visit(context=one.context)
    other.click("#r1-chats >> text=shared")
    other.wait_for_selector(ANSWER)
    api.thinking, api.pause_s = ["hm "] * 60, 0.05
    ask(one, "in one")
    other.wait_for_selector("#r1-chat .user >> text=in one")
    api.thinking, api.pause_s = ["yes"], 0
    ask(other, "in the other")
    until(one, lambda: one.locator("#r1-chats li").count() == 2)
    is_idle(one)
    is_idle(other)
    kept = one.evaluate("Object.entries(localStorage).filter(([k]) => k.startsWith('r1-chat-'))"
                        ".map(([, v]) => JSON.parse(v).turns)")  # fmt: skip
    said = sorted([turn["content"] for turn in chat if turn["role"] == "user"] for chat in kept)
    assert said == [["shared", "in one"], ["shared", "in one", "in the other"]]


def test_a_deleted_chat_can_be_restored(visit: Visit, api: Api) -> None:
    page = visit()
    answered(page, "precious")
    other = visit(context=page.context)
    other.click("#r1-chats >> text=precious")
    other.wait_for_selector(ANSWER)
    page.click("#r1-delete")
    page.wait_for_selector("#r1-chats >> text=precious", state="detached")
    other.wait_for_selector(ANSWER, state="detached")
    page.reload()
    page.click("#r1-restore")
    page.wait_for_selector(ANSWER)
    page.wait_for_selector("#r1-chats >> text=precious")
    page.wait_for_selector("#r1-restore", state="hidden")
    other.wait_for_selector("#r1-chats >> text=precious")


@pytest.mark.parametrize("script", [NO_STORAGE, FULL_STORAGE], ids=["disabled", "full"])
def test_a_browser_that_keeps_nothing_still_chats(visit: Visit, api: Api, script: str) -> None:
    page = visit(script=script)
    answered(page, "first")
    page.wait_for_selector("#r1-notice >> text=This browser has no room")
    page.click("#r1-new")
    page.wait_for_selector(ANSWER, state="detached")
    answered(page, "second")
    page.click("#r1-chats >> text=first")
    page.wait_for_selector("#r1-chat .user >> text=first")


def test_half_a_character_is_no_stumbling_block(visit: Visit, api: Api) -> None:
    api.answer = ["a \ud83d half", " \\boxed{5}"]
    page = visit()
    page.evaluate("""() => { const box = document.querySelector('#r1-ask textarea');
        box.value = 'x \\ud83d y'; box.dispatchEvent(new Event('input', {bubbles: true})); }""")
    page.press("#r1-ask textarea", "Enter")
    page.wait_for_selector(ANSWER)
    assert questions(api.requests[0]) == ["x \ufffd y"]
    is_idle(page)  # the answer is on the screen before the browser has kept its end
    page.reload()
    page.wait_for_selector(ANSWER)


@pytest.mark.parametrize(
    ("locale", "broken", "unanswered"),
    [
        ("en-US", "The answer broke off", "without writing an answer"),
        ("ko-KR", "도중에 끊겼습니다", "답을 쓰지 않고 끝냈습니다"),
        ("zh-CN", "回答中途断开", "没有写出答案就结束了"),
    ],
)
def test_every_end_is_explained(
    visit: Visit, api: Api, locale: str, broken: str, unanswered: str
) -> None:
    page = visit(locale=locale)
    api.finish = None
    ask(page, "7")
    page.wait_for_selector(f"text={broken}")
    page.wait_for_selector(ANSWER)
    api.finish, api.answer = "stop", []
    ask(page, "8")
    page.wait_for_selector(f"text={unanswered}")
    page.reload()
    page.wait_for_selector(f"text={unanswered}")


def test_compare_explains_ends_too(visit: Visit, api: Api) -> None:
    api.finish = None
    page = visit()
    page.click("role=tab[name='Compare']")
    page.fill("#r1-question textarea", "7x + 3 = 38")
    page.click("#r1-go")
    page.wait_for_selector("#r1-columns >> text=The answer broke off")


@pytest.fixture
def server(upstream: Upstream, api: Api) -> Iterator[PageServer]:
    with page_server(upstream[1]) as one:
        yield one


def test_the_server_is_restarted_while_nobody_asks(
    visit: Visit, api: Api, server: PageServer
) -> None:
    page = visit(server.url)
    answered(page, "first")
    page.fill("#r1-ask textarea", "second")
    server.kill()
    page.wait_for_selector("#r1-notice >> text=The server does not answer")
    api.models = ["other"]
    server.start()
    page.wait_for_function("document.querySelector('#r1-model input')?.value === 'other'")
    page.wait_for_selector(ANSWER)
    page.wait_for_function("document.querySelector('#r1-ask textarea').value === 'second'")
    page.press("#r1-ask textarea", "Enter")
    until(page, lambda: page.locator(ANSWER).count() == 2)
    assert questions(api.requests[1]) == ["first", "second"]
    assert api.requests[1]["model"] == "other"


def test_the_server_dies_in_the_middle_of_an_answer(
    visit: Visit, api: Api, server: PageServer
) -> None:
    api.thinking, api.pause_s = ["hm "] * 1000, 0.05
    page = visit(server.url, locale="ko-KR", viewport={"width": 390, "height": 780})
    ask(page, "첫째")
    until(page, lambda: "hm hm" in page.evaluate("r1.talk()"))
    ask(page, "둘째")
    server.kill()
    page.wait_for_selector("#r1-notice >> text=서버가 응답하지 않습니다")
    send = page.locator("#r1-ask").bounding_box()
    assert send is not None
    assert (
        send["y"] + send["height"] <= 780
    )  # what the page says does not push the box out of sight
    server.start()
    page.wait_for_selector("text=답변이 중단되었습니다")
    page.wait_for_selector("#r1-chat .user >> text=첫째")
    page.wait_for_function("document.querySelector('#r1-ask textarea').value === '둘째'")
    api.thinking, api.pause_s = ["yes"], 0
    page.press("#r1-ask textarea", "Enter")
    page.wait_for_selector(ANSWER)
    assert questions(api.requests[-1]) == ["첫째", "둘째"]
    assert page.locator("#r1-notice:visible").count() == 0


def test_an_open_page_does_not_need_the_server_it_came_from(
    visit: Visit, api: Api, server: PageServer
) -> None:
    """Asked before the page has noticed that there is another."""
    page = visit(server.url)
    answered(page, "first")
    id_before = page.evaluate("JSON.stringify({app_id: gradio_config.app_id})")
    page.route("**/gradio_api/app_id", lambda route: route.fulfill(body=id_before))
    server.kill()
    server.start()
    answered(page, "second")
    assert questions(api.requests[1]) == ["first", "second"]
