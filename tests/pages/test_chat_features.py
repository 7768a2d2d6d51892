"""Settings, versions, continuing, names, search, addresses and files of chats."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from tests.pages.conftest import Api, Visit
from tests.pages.test_chat_page import ANSWER, answered, ask, is_idle, settings, until
from tests.pages.test_hostile_page import HOSTILE

if TYPE_CHECKING:
    from playwright.sync_api import Page

BRANCHES = "#r1-chat .r1-branches"
FINDER = "#r1-finder input"


def again(page: Page, api: Api, answer: str) -> None:
    api.answer = [answer]
    page.click("#r1-chat button[aria-label='Retry']")
    page.wait_for_selector(f"#r1-chat .bot-row >> text={answer}")
    is_idle(page)


def kept(page: Page) -> list[dict[str, object]]:
    """The chats in the browser's storage."""
    return list(page.evaluate(
        "Object.entries(localStorage).filter(([k]) => k.startsWith('r1-chat-'))"
        ".map(([, v]) => JSON.parse(v))"))  # fmt: skip


def test_settings_reach_the_api_and_stay_with_their_chat(visit: Visit, api: Api) -> None:
    page = visit()
    page.click("#r1-answers summary")
    page.fill("#r1-system", "Be brief.")
    for name, value in (("temperature", "0.3"), ("top-p", "0.9"), ("max-tokens", "64"),
                        ("seed", "5")):  # fmt: skip
        page.fill(f"#r1-{name}", value)
    page.focus("#r1-controls .r1-budget input")
    page.keyboard.press("Home")
    answered(page, "first")
    body = api.requests[0]
    assert body["messages"][0] == {"role": "system", "content": "Be brief."}
    sent = [body[name] for name in ("temperature", "top_p", "max_tokens", "seed", "thinking")]
    assert sent == [0.3, 0.9, 64, 5, {"type": "enabled", "budget_tokens": 16}]
    page.wait_for_selector("#r1-chat >> text=/tiny · T 0.3 · top-p 0.9 · seed 5 · thinking budget/")
    page.click("#r1-new")
    page.wait_for_selector(ANSWER, state="detached")
    page.click("#r1-reset")
    page.fill("#r1-temperature", "9")  # the API would refuse it
    page.wait_for_selector("#r1-temperature[aria-invalid]")
    page.focus("#r1-controls .r1-budget input")
    page.keyboard.press("End")
    answered(page, "second")
    assert {"temperature", "seed", "max_tokens", "thinking"} & set(api.requests[1]) == set()
    assert len(api.requests[1]["messages"]) == 1
    page.click("#r1-chats a >> text=first")
    page.wait_for_function("document.querySelector('#r1-system').value === 'Be brief.'")
    assert page.input_value("#r1-seed") == "5"


def test_a_retry_is_a_version_and_so_is_an_edit(visit: Visit, api: Api) -> None:
    page = visit()
    answered(page, "first")
    again(page, api, "second answer")
    again(page, api, "third answer")
    page.wait_for_selector(f"{BRANCHES} >> text=3/3")
    page.focus(f"{BRANCHES} button >> nth=0")
    page.keyboard.press("Enter")
    page.wait_for_selector("#r1-chat .bot-row >> text=second answer")
    page.wait_for_selector(f"{BRANCHES} >> text=2/3")
    page.keyboard.press("Enter")  # the focus is where it was
    page.wait_for_selector(ANSWER)
    page.wait_for_selector(f"{BRANCHES} >> text=1/3")
    page.reload()
    page.wait_for_selector(f"{BRANCHES} >> text=1/3")
    api.answer = ["to the other question"]
    page.click("#r1-chat button[aria-label='Edit']")
    page.fill("#r1-chat textarea.edit-textarea", "another")
    page.click("#r1-chat button[aria-label='Submit']")
    page.wait_for_selector("#r1-chat .bot-row >> text=to the other question")
    is_idle(page)
    page.wait_for_selector("#r1-chat .user-row .r1-branches >> text=2/2")
    page.click("#r1-chat .user-row .r1-branches button >> nth=0")
    page.wait_for_selector("#r1-chat .user-row >> text=first")
    page.wait_for_selector("#r1-chat .bot-row .r1-branches >> text=1/3")
    assert "forks" not in page.evaluate("r1.talk()")


def test_a_cut_answer_is_continued(visit: Visit, api: Api) -> None:
    api.finish, api.answer = "length", ["the beginning "]
    page = visit()
    ask(page, "count")
    page.wait_for_selector("#r1-more")
    is_idle(page)
    page.reload()
    api.finish, api.thinking, api.answer = "stop", [], ["and the end"]
    page.click("#r1-more")
    page.wait_for_selector("#r1-chat >> text=the beginning and the end")
    page.wait_for_selector("#r1-more", state="hidden")
    is_idle(page)
    assert api.requests[1]["messages"][-1] == {
        "role": "assistant", "content": "the beginning ", "prefix": True,
        "reasoning_content": "try 4: no. wait, 5: yes",
    }  # fmt: skip
    assert page.locator(BRANCHES).count() == 0
    turns = kept(page)[0]["turns"]
    assert isinstance(turns, list)
    assert (turns[1]["content"], turns[1]["n_tokens"]) == ("the beginning and the end", 6)


def test_what_a_server_cannot_continue_is_not_offered(visit: Visit, api: Api) -> None:
    api.capabilities, api.finish = ["thinking"], "length"
    page = visit()
    answered(page)
    assert page.locator("#r1-more").is_hidden()


def test_escape_stops_and_does_not_when_a_word_is_composed(visit: Visit, api: Api) -> None:
    api.thinking, api.pause_s = ["hm "] * 400, 0.05
    page = visit()
    ask(page, "7")
    page.wait_for_selector("#r1-stop", state="visible")
    page.evaluate("""document.querySelector('#r1-ask textarea').dispatchEvent(
        new KeyboardEvent('keydown', {key: 'Escape', isComposing: true, bubbles: true}))""")
    page.keyboard.press("Control+k")
    page.wait_for_selector(FINDER)
    page.keyboard.press("Escape")  # closes the search alone
    page.wait_for_selector(FINDER, state="detached")
    assert page.is_visible("#r1-stop")
    page.focus("#r1-ask textarea")
    page.keyboard.press("Escape")
    page.wait_for_selector("text=/Stopped/")


def test_search_finds_texts_and_begins_a_chat(visit: Visit, api: Api) -> None:
    api.answer = ["The Eiffel Tower \\boxed{5}"]
    page = visit()
    answered(page, "towers")
    page.keyboard.press("Control+k")
    page.keyboard.press("Enter")  # a new chat
    page.wait_for_selector(ANSWER, state="detached")
    api.answer = ["nothing \\boxed{6}"]
    answered(page, "numbers")
    page.keyboard.press("Control+k")
    page.keyboard.type("eiffel TOWER")
    page.wait_for_selector("#r1-found [aria-selected=true] >> text=towers")
    page.wait_for_selector("#r1-found small >> text=The Eiffel Tower")
    page.keyboard.press("Enter")
    page.wait_for_selector("#r1-chat .user-row >> text=towers")
    page.click("#r1-search")
    page.keyboard.type("zebra")
    page.wait_for_selector("#r1-finder >> text=Nothing found.")
    page.keyboard.press("Escape")


def test_a_chat_has_a_name_and_an_address(visit: Visit, api: Api) -> None:
    page = visit()
    answered(page, "first")
    page.wait_for_function("location.hash.startsWith('#chat=')")
    first = page.url
    page.click("#r1-rename")
    page.fill("#r1-chats input", "  <b>My</b>   name ")
    page.keyboard.press("Enter")
    page.wait_for_selector("#r1-chats a[aria-current] >> text=<b>My</b> name")
    page.click("#r1-new")
    page.wait_for_selector(ANSWER, state="detached")
    assert "#" not in page.url
    answered(page, "second")
    page.go_back()
    page.go_back()
    page.wait_for_selector("#r1-chat .user-row >> text=first")
    assert page.url == first
    other = visit(first, context=page.context)
    other.wait_for_selector("#r1-chat .user-row >> text=first")
    other.wait_for_selector("#r1-chats a[aria-current] >> text=<b>My</b> name")
    other.evaluate("location.hash = '#chat=none'")
    other.wait_for_selector("#r1-told >> text=This chat is not in this browser.")


def test_all_chats_leave_and_come_back(visit: Visit, api: Api, tmp_path: Path) -> None:
    page = visit()
    answered(page, "first")
    again(page, api, "another answer")
    page.click("#r1-rename")
    page.fill("#r1-chats input", "named")
    page.keyboard.press("Enter")
    settings(page)
    with page.expect_download() as waiting:
        page.click("#r1-export-all")
    waiting.value.save_as(tmp_path / "chats.json")
    data = json.loads((tmp_path / "chats.json").read_text("utf-8"))
    assert (data["format"], len(data["chats"])) == ("r1kit-chats", 1)
    page.set_input_files("#r1-files input", tmp_path / "chats.json")
    page.wait_for_selector("#r1-told >> text=Imported 0 chats; 1 were already here.")
    page.click("#r1-delete")
    page.wait_for_selector(ANSWER, state="detached")
    page.evaluate("localStorage.clear()")
    page.reload()
    page.wait_for_selector("html[data-ready]")
    settings(page)
    page.set_input_files("#r1-files input", tmp_path / "chats.json")
    page.wait_for_selector("#r1-told >> text=Imported 1 chats")
    page.click("#r1-chats a >> text=named")
    page.wait_for_selector(f"{BRANCHES} >> text=2/2")


def test_a_hostile_file_of_chats_is_text(visit: Visit, api: Api, tmp_path: Path) -> None:
    evil = "\n\n".join(HOSTILE)
    answer = {"role": "assistant", "content": evil, "thinking": evil, "state": "done",
              "model": HOSTILE[1], "n_tokens": 5, "total_s": 1, "options": {"temperature": [evil]},
              "forks": {"at": "x", "tails": [None, [None, 7], [{"role": "assistant",
                                                              "content": "old"}]]}}  # fmt: skip
    turns = [None, 7, {"role": "system", "content": "obey"}, {"role": "user", "content": evil},
             answer]  # fmt: skip
    chats = [{"id": "__proto__", "name": HOSTILE[1], "asked": 1e99, "turns": turns},
             {"id": 7, "turns": "no"}, None]  # fmt: skip
    data = {"format": "r1kit-chats", "version": 1, "chats": chats}
    page = visit()
    settings(page)
    for name, text in (("bad.json", "{"), ("other.json", '{"chats": 1}'),
                       ("good.json", json.dumps(data))):  # fmt: skip
        (tmp_path / name).write_text(text, encoding="utf-8")
        page.set_input_files("#r1-files input", tmp_path / name)
        told = "Imported 1 chats" if name == "good.json" else "no chats that r1kit can read"
        page.wait_for_selector(f"#r1-told >> text={told}")
    page.click("#r1-chats a")
    page.wait_for_selector(f"{BRANCHES} >> text=1/2")
    page.keyboard.press("Control+k")
    page.keyboard.type("script")
    page.wait_for_selector("#r1-found small")
    page.keyboard.press("Escape")
    until(page, lambda: page.locator("#r1-finder").count() == 0)
    page.click("#r1-rename")
    page.keyboard.press("Escape")
    page.wait_for_timeout(300)
    assert page.evaluate("window.pwned") is None
    assert (
        page.locator("#r1-chats img, #r1-chat .prose :is(iframe, form, script, style)").count() == 0
    )
