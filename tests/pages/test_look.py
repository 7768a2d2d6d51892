"""What the page looks like and is called, and what leaves it by the clipboard."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import gradio
import pytest

from r1kit.pages.i18n import EXAMPLES, GRADIO_LABELS, WORDS
from tests.pages.conftest import Api, Visit
from tests.pages.test_chat_page import answered, ask, is_idle, settings, until

if TYPE_CHECKING:
    from playwright.sync_api import Page

RICH = (
    "**답(5)**은 It costs $5 and then $10, 2 < 3 <b>x</b> 50*101; $x<y$ and \\boxed{5}.\n\n"
    "```python\nprint('$a$')\n```"
)
COPY_ANSWER = ".bot-row + .message-buttons button >> nth=0"
LATIN = re.compile(r"[A-Za-z]{2,}")
NAMES = re.compile(r"r1kit|API|Markdown|JSON|annotation|Top-p|Ctrl K")
"""the same in every language"""
WORDS_SHOWN = """() => [...document.querySelectorAll('body *')]
  .filter(e => e.checkVisibility({visibilityProperty: true})).flatMap(e => [
  ...['aria-label', 'title', 'placeholder', 'alt'].map(name => e.getAttribute(name)),
  ...(e.closest('script, style') ? [] : [...e.childNodes])
    .filter(node => node.nodeType === 3).map(node => node.data),
]).filter(text => text && text.trim())"""
NO_FADES = "*, *::before, *::after { transition: none !important }"
"""gradio's colours change slowly, and a fade of text that streams may never end"""
CONTRAST = """(selector) => {
  const light = text => { const [r, g, b] = text.match(/[\\d.]+/g).slice(0, 3).map(c => {
    c /= 255; return c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4; });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const element = document.querySelector(selector), style = getComputedStyle(element);
  const paper = getComputedStyle(document.body).backgroundColor;
  const [a, b] = [light(style.borderTopColor), light(paper)].sort();
  return [parseFloat(style.borderTopWidth), (b + 0.05) / (a + 0.05)]; }"""


def test_an_answer_is_shown_as_it_was_meant(visit: Visit, api: Api) -> None:
    api.answer = [RICH]
    page = visit()
    answered(page, "$5 or $6?")
    answer = page.locator("#r1-chat .bot-row")
    assert answer.locator("strong").all_inner_texts() == ["답(5)"]
    assert "It costs $5 and then $10, 2 < 3 <b>x</b> 50*101;" in answer.inner_text()
    formulas = answer.locator("annotation").all_text_contents()
    assert formulas == ["x<y", "\\boxed{5}"]
    assert answer.locator(".katex-error").count() == 0
    assert answer.locator("code").inner_text().strip() == "print('$a$')"
    assert page.locator("#r1-chat .user-row").inner_text().strip() == "$5 or $6?"


def copied(page: Page, button: str) -> str:
    page.evaluate("navigator.clipboard.writeText('nothing yet')")
    page.click(button)
    page.wait_for_function("async () => (await navigator.clipboard.readText()) !== 'nothing yet'")
    return str(page.evaluate("navigator.clipboard.readText()"))


def test_copy_takes_the_answer_alone_and_as_it_was_written(visit: Visit, api: Api) -> None:
    api.answer, api.models = [RICH], ["zero", "final"]
    page = visit()
    answered(page, "2 < 3 <b> *x*?")
    assert copied(page, f"#r1-chat {COPY_ANSWER}") == RICH
    assert copied(page, "#r1-chat .user-row + .message-buttons button >> nth=0") == "2 < 3 <b> *x*?"
    api.answer = ["second"]
    ask(page, "more")
    page.wait_for_selector("#r1-chat >> text=second")
    is_idle(page)
    assert (
        copied(
            page, "#r1-chat .bot-row >> nth=1 >> xpath=following-sibling::*[1] >> button >> nth=0"
        )
        == "second"
    )
    page.click("role=tab[name='Compare']")
    page.click("#r1-go")
    page.wait_for_selector("#r1-pane-1 >> text=second")
    page.wait_for_selector("#r1-compare-stop", state="hidden")
    assert copied(page, f"#r1-pane-1 {COPY_ANSWER}") == "second"


def test_a_question_is_edited_as_it_was_written(visit: Visit, api: Api) -> None:
    page = visit()
    answered(page, "2 < 3 <b> 5*6 $x$?")
    page.click("#r1-chat button[aria-label='Edit']")
    page.wait_for_function(
        "() => document.querySelector('textarea.edit-textarea')?.value === '2 < 3 <b> 5*6 $x$?'"
    )
    page.click("#r1-chat button[aria-label='Submit']")
    until(page, lambda: len(api.requests) == 2)
    assert api.requests[1]["messages"] == api.requests[0]["messages"]
    is_idle(page)


def test_what_a_model_cannot_is_not_offered(visit: Visit, api: Api) -> None:
    api.capabilities, api.models = [], ["plain", "other"]
    api.thinking, api.pause_s = ["hm "] * 400, 0.05
    page = visit()
    page.wait_for_selector("#r1-deepthink", state="hidden")
    ask(page, "7")
    page.wait_for_selector(
        "text=/Thinking… [0-9.]+ s/"
    )  # it thinks all the same, and that is shown
    page.wait_for_selector("text=/hm hm/")
    assert page.locator("#r1-end").is_hidden()
    page.click("#r1-stop")
    page.wait_for_selector("text=/Stopped/")
    page.click("role=tab[name='Compare']")
    page.wait_for_selector("#r1-go")
    assert page.locator("#r1-compare-deepthink").is_hidden()
    page.click("#r1-go")
    until(page, lambda: len(api.requests) == 3)
    assert ["thinking" in body for body in api.requests] == [False] * 3


def test_thinking_that_cannot_be_ended_is_not_offered_to_end(visit: Visit, api: Api) -> None:
    api.capabilities = ["thinking"]
    api.thinking, api.pause_s = ["hm "] * 400, 0.05
    page = visit()
    page.wait_for_selector("#r1-deepthink", state="visible")
    ask(page, "7")
    page.wait_for_selector("text=/hm hm/")
    assert page.locator("#r1-end").is_hidden()
    page.click("#r1-stop")
    page.wait_for_selector("text=/Stopped/")


@pytest.mark.parametrize(("locale", "lang"), [("ko-KR", "ko"), ("zh-CN", "zh-CN")])
def test_every_label_is_in_the_readers_language(
    visit: Visit, api: Api, locale: str, lang: str
) -> None:
    api.models, api.thinking, api.answer = ["7b"], ["5?"], ["5\n\n```\n5\n```"]
    page = visit(locale=locale)
    page.wait_for_selector(f"html[lang='{lang}']")
    foreign = list(seen_in_latin(page))
    ask(page, "5 $x$")
    page.wait_for_selector("#r1-chat .bot-row code")
    is_idle(page)
    foreign += seen_in_latin(page)
    page.click("#r1-chat .user-row + .message-buttons button >> nth=1")
    page.wait_for_selector("textarea.edit-textarea")
    settings(page)
    page.click("role=tab >> nth=1")
    page.wait_for_selector("#r1-go")
    foreign += seen_in_latin(page)
    assert set(foreign) == set()


def seen_in_latin(page: Page) -> list[str]:
    texts = page.evaluate(WORDS_SHOWN)
    assert len(texts) > 20
    return [text for text in texts if LATIN.search(NAMES.sub("", text)) and text != "English"]


def test_labels_follow_the_choice_of_a_language_and_not_the_browsers(
    visit: Visit, api: Api
) -> None:
    page = visit(locale="fr-FR")
    answered(page)
    page.wait_for_selector("#r1-chat button[aria-label='Retry']")
    settings(page)
    for language, lang, retry in (("中文", "zh-CN", "重新回答"), ("English", "en", "Retry")):
        page.click("#r1-language input")
        page.click(f"role=option[name='{language}']")
        page.wait_for_selector(f"html[lang='{lang}']")
        page.wait_for_selector(f"#r1-chat button[aria-label='{retry}']")
        assert page.locator("#r1-language input").input_value() == language


def test_gradio_still_says_what_is_translated() -> None:
    """So that a new gradio with other words is noticed."""
    assets = Path(gradio.__file__).parent / "templates/frontend/assets"
    said = "".join(path.read_text(encoding="utf-8") for path in assets.glob("*.js"))
    ours = {"Question", "Answer", "Examples", "Send"}  # named by page.js
    keys = {english for words in GRADIO_LABELS.values() for english in words} - ours
    assert {english for english in keys if english not in said} == set()
    assert set(GRADIO_LABELS["ko"]) == set(GRADIO_LABELS["zh"]) >= set(GRADIO_LABELS["en"])
    assert set(WORDS["en"]) == set(WORDS["ko"]) == set(WORDS["zh"])


def test_thinking_folds_by_keyboard_and_says_so(visit: Visit, api: Api) -> None:
    page = visit()
    answered(page)
    fold = page.locator("#r1-chat .thought-group [role=button]")
    assert fold.count() == 1  # the line of numbers has nothing to fold
    for key, state in (("Space", "true"), ("Enter", "false")):
        fold.press(key)
        page.wait_for_selector(f"#r1-chat .thought-group [role=button][aria-expanded={state}]")


def test_what_can_be_typed_into_or_ticked_is_seen(visit: Visit, api: Api) -> None:
    page = visit()
    settings(page)
    page.locator("#r1-ask textarea").blur()
    page.click("#r1-deepthink label")  # unticked
    page.add_style_tag(content=NO_FADES)
    for dark in ("false", "true"):
        page.evaluate(f"document.body.classList.toggle('dark', {dark})")
        for box in ("#r1-ask", "#r1-key input", "#r1-language .wrap", "#r1-deepthink label"):
            width, contrast = page.evaluate(CONTRAST, box)
            assert (width >= 1, contrast >= 3) == (True, True), (dark, box, width, contrast)


def last_sound(number: str) -> bool:
    """Whether a number ends in a consonant in Korean: 38 does (삼십팔), 45 does not (사십오)."""
    return number[-1] in "013678"


def test_korean_examples_have_the_particle_their_number_asks_for() -> None:
    pairs = {"은": True, "는": False, "을": True, "를": False, "이": True, "가": False}
    for text in (*EXAMPLES["ko"], *WORDS["ko"].values()):
        for number, particle in re.findall(r"(\d+)([은는을를이가])(?![가-힣])", text):
            assert pairs[particle] == last_sound(number), text
