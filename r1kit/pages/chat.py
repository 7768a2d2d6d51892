"""The chat: one model, a conversation, and everything one may do to it while it is written."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import gradio as gr

from r1kit.pages import talk, turns
from r1kit.pages.api import AnswerControl, Api
from r1kit.pages.i18n import EXAMPLES, say
from r1kit.pages.markup import DELIMITERS
from r1kit.pages.talk import Talk
from r1kit.pages.turns import Turn

Updates = dict[Any, Any]
QUIET: dict[str, Any] = {
    "show_progress": "hidden", "api_visibility": "private", "concurrency_limit": None,
    "preprocess": False,
}  # fmt: skip
"""of every event. gradio's checks of the inputs are off: they would refuse the name of a model that
an open page still has from the server before this one, and the API says it better."""
NEWEST = QUIET | {"trigger_mode": "always_last"}
"""of every event that shows how things stand: one that comes while another runs is not dropped"""
MAX_CHARS = 100_000
"""of one message in the box"""
_KEEP_S = 1.0
"""between two parts of an answer that the browser keeps; what is shown is newer"""


def transcript(elem_id: str, **options: Any) -> tuple[gr.Chatbot, gr.Textbox]:
    """A pane for hostile text: cleaned, no tags of its own, no files, no pictures (page.css).

    And, out of sight, the same text as it was written, for page.js.
    """
    pane = gr.Chatbot(
        show_label=False, container=False, sanitize_html=True, allow_tags=False,
        allow_file_downloads=False, latex_delimiters=DELIMITERS, reasoning_tags=[], layout="bubble",
        elem_id=elem_id, elem_classes="r1-chat", **options,
    )  # fmt: skip
    return pane, gr.Textbox(visible="hidden", elem_id=f"{elem_id}-said", label="")


class AnswerSettings(NamedTuple):
    """How an answer is wanted, and by which session."""

    model: str
    thinks: bool
    language: str
    key: str
    session: str

    @classmethod
    def of(
        cls, model: object, thinks: object, language: object, key: object, request: gr.Request
    ) -> AnswerSettings:
        """From what a browser sends, where anything can be."""
        texts = [str(one) if one else "" for one in (model, language, key, request.session_hash)]
        return cls(texts[0], bool(thinks), *texts[1:])


class ChatTab:
    """The tab. `language` and `key` are of the whole page (site.py).

    The conversation is kept by the browser (chats.js), and comes with each event (talk.py).
    """

    def __init__(self, api: Api, language: gr.Dropdown, key: gr.Textbox) -> None:
        self._api = api
        self._language, self._key = language, key
        self._wishes: dict[str, AnswerControl] = {}
        """by session: of the answer that is being written there"""

    def draw(self) -> None:
        """The components, in the place where it is called."""
        self.talk = gr.Textbox(visible="hidden", label="")
        """the place of the conversation among the inputs; chats.js fills it in"""
        self.kept = gr.Textbox(visible="hidden", label="")
        """the last part of the conversation, on its way to chats.js"""
        self.reshow = gr.Button(visible="hidden", elem_id="r1-reshow")
        self.relist = gr.Button(visible="hidden", elem_id="r1-relist")
        self.model = gr.Dropdown(
            [], elem_id="r1-model", container=False, show_label=False, filterable=False
        )
        self.pane, self.said = transcript(
            "r1-chat", height="calc(100dvh - 270px)", min_height=260, editable="user",
            buttons=["copy"], placeholder=_hello("en"), examples=_examples("en"),
        )  # fmt: skip
        with gr.Column(elem_id="r1-composer"):
            self.ask = gr.Textbox(
                show_label=False, container=False, lines=1, max_lines=8, elem_id="r1-ask",
                submit_btn=True, autofocus=True, max_length=MAX_CHARS, placeholder=say("en", "ask"),
            )  # fmt: skip
            with gr.Row(elem_id="r1-controls"):
                self.deepthink = gr.Checkbox(
                    True, label=say("en", "deepthink"), container=False, elem_id="r1-deepthink"
                )
                self.end = gr.Button(size="sm", visible=False, elem_id="r1-end")
                self.stop = gr.Button(size="sm", visible=False, elem_id="r1-stop")
            self.note = gr.Markdown(say("en", "note"), elem_id="r1-note")

    def draw_sidebar(self) -> None:
        """What is about all chats."""
        self.new = gr.Button(say("en", "new"), variant="primary", elem_id="r1-new")
        hidden = gr.Textbox(visible=False)
        self.chats = gr.Dataset(
            components=[hidden], samples=[], type="index", layout="table",
            label=say("en", "history"),
            elem_id="r1-chats", samples_per_page=12,
        )  # fmt: skip
        self.delete = gr.Button(say("en", "delete"), size="sm", elem_id="r1-delete")
        self.restore = gr.Button(
            say("en", "restore"), size="sm", visible=False, elem_id="r1-restore"
        )

    def listen(self) -> None:
        """What happens on which event."""
        wishes = [self.model, self.deepthink, self._language, self._key]
        asking = [self.talk, *wishes]
        shown = [self.ask, self.model, self.pane, self.said, self.kept, self.end, self.stop]
        begun = QUIET | {"js": _with_talk("begin")}
        written = [
            self.ask.submit(
                self._send, [self.ask, *wishes], shown, js="r1.ask", trigger_mode="multiple",
                **QUIET,
            ),
            self.pane.example_select(self._example, asking, shown, **begun),
            self.pane.retry(self._again, asking, shown, **begun),
            self.pane.edit(self._edit, asking, shown, **begun),
            self.pane.undo(self._undo, [self.talk, self._language], shown, **begun),
        ]  # fmt: skip
        self.model.input(self.fit, self.model, self.deepthink, **NEWEST)
        for event in written:
            event.success(None, js="r1.free")
            event.failure(
                self._show, [self.talk, self._language], shown, js=_with_talk("failed"), **QUIET
            )
        self.kept.change(None, self.kept, None, js="r1.keep")
        self.relist.click(None, None, [self.chats, self.restore], js="r1.list")
        self.stop.click(self._wish_stop, None, None, js="r1.recall", **QUIET)
        self.end.click(self._wish_answer, None, None, **QUIET)
        turning = {"fresh": self.new, "discard": self.delete, "restore": self.restore,
                   "talk": self.reshow}  # fmt: skip
        for name, button in turning.items():
            button.click(
                self._show, [self.talk, self._language], shown, js=_with_talk(name), **NEWEST
            )
        self.chats.click(
            self._show, [self.chats, self._language], shown,
            js="(place, ...rest) => [r1.pick(place), ...rest]", **NEWEST,
        )  # fmt: skip

    def labels(self, language: str, written: list[Turn]) -> Updates:
        """Every word on the tab."""
        return {
            self.model: gr.update(label=say(language, "model")),
            self.pane: gr.update(
                value=turns.shown(written, language),
                placeholder=_hello(language),
                examples=_examples(language),
            ),
            self.said: gr.update(value=turns.written(written, language)),
            self.ask: gr.update(placeholder=say(language, "ask"), label=say(language, "ask")),
            self.deepthink: gr.update(label=say(language, "deepthink")),
            self.end: gr.update(value=say(language, "end")),
            self.stop: gr.update(value=say(language, "stop")),
            self.note: gr.update(value=say(language, "note")),
            self.new: gr.update(value=say(language, "new")),
            self.delete: gr.update(value=say(language, "delete")),
            self.restore: gr.update(value=say(language, "restore")),
            self.chats: gr.update(label=say(language, "history")),
        }

    async def _send(
        self, said: str, model: str, thinks: bool, language: str, key: str, request: gr.Request
    ) -> AsyncIterator[Updates]:
        """The browser has kept the question already."""
        now = talk.read(said)
        asked = AnswerSettings.of(model, thinks, language, key, request)
        async for updates in self._answer(now, now.turns, len(now.turns), asked):
            yield updates

    async def _example(
        self, said: str, model: str, thinks: bool, language: str, key: str,
        event: gr.SelectData, request: gr.Request,
    ) -> AsyncIterator[Updates]:  # fmt: skip
        now = talk.read(said)
        whole = [*now.turns, turns.user(str(event.value["text"]))]
        asked = AnswerSettings.of(model, thinks, language, key, request)
        async for updates in self._answer(now, whole, len(now.turns), asked):
            yield updates

    async def _again(
        self, said: str, model: str, thinks: bool, language: str, key: str,
        event: gr.RetryData, request: gr.Request,
    ) -> AsyncIterator[Updates]:  # fmt: skip
        now = talk.read(said)
        place = turns.before(now.ended, turns.owner(now.ended, _index(event)))
        asked = AnswerSettings.of(model, thinks, language, key, request)
        async for updates in self._answer(now, now.turns[: place + 1], place + 1, asked):
            yield updates

    async def _edit(
        self, said: str, model: str, thinks: bool, language: str, key: str,
        event: gr.EditData, request: gr.Request,
    ) -> AsyncIterator[Updates]:  # fmt: skip
        now = talk.read(said)
        place = turns.owner(now.ended, _index(event))
        whole = [*now.turns[:place], turns.user(_text(event.value))]
        asked = AnswerSettings.of(model, thinks, language, key, request)
        async for updates in self._answer(now, whole, place, asked):
            yield updates

    def _undo(self, said: str, language: str, event: gr.UndoData, request: gr.Request) -> Updates:
        """The last question goes back into the box."""
        self._displace(request.session_hash or "")
        now = talk.read(said)
        place = max(turns.before(now.ended, turns.owner(now.ended, _index(event))), 0)
        text = "".join(turn["content"] for turn in now.turns[place : place + 1])
        return {self.ask: text, self.kept: now.part(place, []),
                **self._look(now.turns[:place], language), **self._buttons(None)}  # fmt: skip

    async def _answer(
        self, now: Talk, whole: list[Turn], first: int, asked: AnswerSettings
    ) -> AsyncIterator[Updates]:
        """Writes the turn after `whole`; ends early when another takes its place.

        `first` is the place of the first turn that the browser does not have as it is here.
        """
        if not whole:
            yield {self.kept: gr.skip()}
            return
        self._displace(asked.session)
        wish = self._wishes[asked.session] = AnswerControl()
        model = asked.model or next(iter(await self._api.models(asked.key)), "")
        turn = turns.assistant(model)
        kept_at = -_KEEP_S
        follow = self._api.follow(
            turn, turns.asked(whole), key=asked.key, thinks=asked.thinks, wish=wish
        )
        yield self._now([*whole, turn], asked.language)
        try:
            async with contextlib.aclosing(follow) as said:
                async for _ in said:
                    if self._wishes.get(asked.session) is not wish:
                        break
                    updates = self._now([*whole, turn], asked.language)
                    if time.monotonic() - kept_at >= _KEEP_S:
                        kept_at = time.monotonic()
                        updates[self.kept] = now.part(first, [*whole, turn][first:])
                    yield updates
        finally:
            is_shown = self._wishes.get(asked.session) is wish
            if is_shown:
                del self._wishes[asked.session]
        if turn["state"] in turns.WRITING:
            turn["state"] = "stopped"
        last = self._now([*whole, turn], asked.language) if is_shown else {}
        if is_shown and turn["state"] == "error":
            last |= await self._other_models(model, asked.key)
        yield {**last, self.kept: now.part(first, [*whole, turn][first:])}

    async def _other_models(self, model: str, key: str) -> Updates:
        """The choice anew, where the server has this model no more."""
        names = await self._api.models(key)
        if not names or model in names:
            return {}
        return {self.model: gr.update(choices=names, value=names[0])}

    def _now(self, said: list[Turn], language: str) -> Updates:
        return {**self._look(said, language), **self._buttons(said[-1])}

    def _show(self, said: str, language: str, request: gr.Request) -> Updates:
        """The conversation that the browser has turned to; what is written elsewhere ends."""
        self._displace(request.session_hash or "")
        return {**self._look(talk.read(said).ended, language), **self._buttons(None)}

    def _look(self, said: list[Turn], language: str) -> Updates:
        return {self.pane: turns.shown(said, language), self.said: turns.written(said, language)}

    def _buttons(self, turn: Turn | None) -> Updates:
        """Those that only mean something while an answer is written."""
        state = turn["state"] if turn else "done"
        return {
            self.end: gr.update(
                visible=state == "thinking"
                and turn is not None
                and self._api.can_cut(turn["model"])
            ),
            self.stop: gr.update(visible=state in ("thinking", "answering")),
        }

    def fit(self, model: object) -> Updates:
        """DeepThink is there for a model that can do without."""
        return {self.deepthink: gr.update(visible=self._api.can_switch(str(model or "")))}

    def _displace(self, session: str) -> None:
        if old := self._wishes.pop(session, None):
            old.is_stop = True

    def _wish_stop(self, request: gr.Request) -> None:
        if wish := self._wishes.get(request.session_hash or ""):
            wish.is_stop = True

    def _wish_answer(self, request: gr.Request) -> None:
        if wish := self._wishes.get(request.session_hash or ""):
            wish.is_answer = True


def _with_talk(name: str) -> str:
    """An event's `js`: the first of its inputs is what this function of chats.js returns."""
    return f"(_, ...rest) => [r1.{name}(), ...rest]"


def _hello(language: str) -> str:
    return f"## {say(language, 'hello')}\n\n{say(language, 'try')}"


def _examples(language: str) -> list[Any]:
    return [{"text": text} for text in EXAMPLES[language]]


def _index(event: Any) -> int:
    """Of the message an event is about; of a group of messages the first."""
    index = event.index[0] if isinstance(event.index, list | tuple) else event.index
    return int(index)


def _text(value: Any) -> str:
    """Of an edited message, whichever form it comes in."""
    if isinstance(value, list):
        return "".join(_text(part) for part in value)
    return str(value.get("text", "")) if isinstance(value, dict) else str(value)
