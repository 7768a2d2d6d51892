"""The chat: one model, a conversation, and everything one may do to it while it is written."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import AsyncIterator
from typing import Any

import gradio as gr

from r1kit.pages import history, turns
from r1kit.pages.api import Api, Wish
from r1kit.pages.markup import DELIMITERS
from r1kit.pages.turns import Turn
from r1kit.pages.words import EXAMPLES, say

Updates = dict[Any, Any]
MAX_CHARS = 100_000
"""of one message in the box"""


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


class Chat:
    """The tab. `language`, `key` and `store` are of the whole page (site.py)."""

    def __init__(
        self, api: Api, language: gr.Dropdown, key: gr.Textbox, store: gr.BrowserState
    ) -> None:
        self._api = api
        self._language, self._key, self._store = language, key, store
        self._wishes: dict[str, Wish] = {}
        """by session: of the answer that is being written there"""

    def draw(self) -> None:
        """The components, in the place where it is called."""
        self.turns: gr.State = gr.State([], time_to_live=3600)
        self.ident = gr.State("", time_to_live=3600)
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

    def listen(self) -> None:
        """What happens on which event."""
        asking = [self.turns, self.model, self.deepthink, self._language, self._key]
        shown = [self.ask, self.turns, self.pane, self.said, self.end, self.stop]
        quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
        many = quiet | {"concurrency_limit": None}
        written = [
            self.ask.submit(self._send, [self.ask, *asking], shown, **many),
            self.pane.example_select(self._example, asking, shown, **many),
            self.pane.retry(self._again, asking, shown, **many),
            self.pane.edit(self._edit, asking, shown, **many),
            self.pane.undo(self._undo, [self.turns, self._language], shown, **quiet),
        ]
        saved = [self._store, self.chats, self.ident]
        keeping = [self._store, self.ident, self.turns]
        self.model.input(self.fit, self.model, self.deepthink, **quiet)
        for event in written:
            event.then(self._save, keeping, saved, **quiet)
        self.stop.click(self._wish_stop, None, None, **many)
        self.end.click(self._wish_answer, None, None, **many)
        here = [*saved, self.turns, self.pane, self.said, self.end, self.stop]
        self.new.click(self._new, keeping, here, **quiet)
        self.delete.click(self._delete, keeping, here, **quiet)
        self.chats.click(self._pick, [self.chats, *keeping, self._language], here, **quiet)

    def labels(self, language: str, written: list[Turn]) -> Updates:
        """Every word on the tab."""
        return {
            self.model: gr.update(label=say(language, "model")),
            self.pane: gr.update(
                value=turns.shown(written, language),
                placeholder=_hello(language),
                examples=_examples(language),
            ),
            self.ask: gr.update(placeholder=say(language, "ask"), label=say(language, "ask")),
            self.deepthink: gr.update(label=say(language, "deepthink")),
            self.end: gr.update(value=say(language, "end")),
            self.stop: gr.update(value=say(language, "stop")),
            self.note: gr.update(value=say(language, "note")),
            self.new: gr.update(value=say(language, "new")),
            self.delete: gr.update(value=say(language, "delete")),
            self.chats: gr.update(label=say(language, "history")),
        }

    async def _send(
        self, text: str, said: list[Turn], model: str, thinks: bool, language: str, key: str,
        request: gr.Request,
    ) -> AsyncIterator[Updates]:  # fmt: skip
        if not text.strip():
            yield {self.ask: ""}
            return
        whole = [*said, turns.user(text)]
        async for updates in self._answer(whole, model, thinks, language, key, request):
            yield updates

    async def _example(
        self, said: list[Turn], model: str, thinks: bool, language: str, key: str,
        event: gr.SelectData, request: gr.Request,
    ) -> AsyncIterator[Updates]:  # fmt: skip
        whole = [*said, turns.user(str(event.value["text"]))]
        async for updates in self._answer(whole, model, thinks, language, key, request):
            yield updates

    async def _again(
        self, said: list[Turn], model: str, thinks: bool, language: str, key: str,
        event: gr.RetryData, request: gr.Request,
    ) -> AsyncIterator[Updates]:  # fmt: skip
        whole = said[: turns.before(said, turns.owner(said, _index(event))) + 1]
        async for updates in self._answer(whole, model, thinks, language, key, request):
            yield updates

    async def _edit(
        self, said: list[Turn], model: str, thinks: bool, language: str, key: str,
        event: gr.EditData, request: gr.Request,
    ) -> AsyncIterator[Updates]:  # fmt: skip
        place = turns.owner(said, _index(event))
        whole = [*said[:place], turns.user(_text(event.value))]
        async for updates in self._answer(whole, model, thinks, language, key, request):
            yield updates

    def _undo(
        self, said: list[Turn], language: str, event: gr.UndoData, request: gr.Request
    ) -> Updates:
        """The last question goes back into the box."""
        self._displace(request)
        place = turns.before(said, turns.owner(said, _index(event)))
        text = said[place]["content"] if place >= 0 else ""
        left = said[: max(place, 0)]
        return {self.ask: text, **self._look(left, language), **self._buttons(None)}

    async def _answer(
        self, whole: list[Turn], model: str, thinks: bool, language: str, key: str,
        request: gr.Request,
    ) -> AsyncIterator[Updates]:  # fmt: skip
        """Writes the next turn; ends early, without a word, when another takes its place."""
        if not whole:
            yield {}
            return
        self._displace(request)
        wish = self._wishes[request.session_hash or ""] = Wish()
        model = model or next(iter(await self._api.models(key or "")), "")
        turn = turns.assistant(model)
        yield {self.ask: "", **self._look(whole, language), **self._buttons(turn)}
        follow = self._api.follow(
            turn, turns.asked(whole), key=key or "", thinks=thinks, wish=wish, language=language
        )
        try:
            async with contextlib.aclosing(follow) as said:
                async for _ in said:
                    if self._wishes.get(request.session_hash or "") is not wish:
                        return
                    yield {**self._look([*whole, turn], language), **self._buttons(turn)}
        finally:
            if self._wishes.get(request.session_hash or "") is wish:
                del self._wishes[request.session_hash or ""]

    def _look(self, said: list[Turn], language: str) -> Updates:
        return {self.turns: list(said), self.pane: turns.shown(said, language),
                self.said: turns.written(said)}  # fmt: skip

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

    def fit(self, model: str | None) -> Updates:
        """DeepThink is there for a model that can do without."""
        return {self.deepthink: gr.update(visible=self._api.can_switch(model or ""))}

    def _displace(self, request: gr.Request) -> None:
        if old := self._wishes.pop(request.session_hash or "", None):
            old.is_stop = True

    def _wish_stop(self, request: gr.Request) -> None:
        if wish := self._wishes.get(request.session_hash or ""):
            wish.is_stop = True

    def _wish_answer(self, request: gr.Request) -> None:
        if wish := self._wishes.get(request.session_hash or ""):
            wish.is_answer = True

    def _save(self, store: object, ident: str, said: list[Turn]) -> Updates:
        ident = ident or uuid.uuid4().hex
        chats = history.remember(store, ident, said)
        return {self._store: chats, self.ident: ident, self.chats: self._listed(chats)}

    def _new(self, store: object, ident: str, said: list[Turn], request: gr.Request) -> Updates:
        return self._turn_to(self._left(store, ident, said, request), "", [], "en")

    def _delete(self, store: object, ident: str, said: list[Turn], request: gr.Request) -> Updates:
        self._displace(request)
        return self._turn_to(history.forget(store, ident), "", [], "en")

    def _pick(
        self, place: int, store: object, ident: str, said: list[Turn], language: str,
        request: gr.Request,
    ) -> Updates:  # fmt: skip
        chosen = history.kept(store)[place]
        chats = self._left(store, ident, said, request)
        turned = next((c for c in chats if c["id"] == chosen["id"]), chosen)
        return self._turn_to(chats, turned["id"], turned["turns"], language)

    def _left(
        self, store: object, ident: str, said: list[Turn], request: gr.Request
    ) -> history.Kept:
        """The chats, with what is on the screen kept among them."""
        self._displace(request)
        return history.remember(store, ident or uuid.uuid4().hex, said)

    def _turn_to(self, chats: history.Kept, ident: str, said: list[Turn], language: str) -> Updates:
        return {self._store: chats, self.ident: ident, self.chats: self._listed(chats),
                **self._look(said, language), **self._buttons(None)}  # fmt: skip

    def _listed(self, chats: history.Kept) -> Any:
        return gr.Dataset(samples=history.titles(chats))

    def listed(self, store: object) -> Updates:
        """The chats of a browser that has just come."""
        return {self.chats: gr.update(samples=history.titles(store))}


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
