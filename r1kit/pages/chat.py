"""The chat tab: one model, one conversation, and the actions on it while it is written."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import gradio as gr

from r1kit.pages import open_chat, turns
from r1kit.pages.api import AnswerControl, ApiClient
from r1kit.pages.i18n import EXAMPLES, say
from r1kit.pages.markup import DELIMITERS
from r1kit.pages.open_chat import OpenConversation
from r1kit.pages.turns import Turn

ComponentUpdates = dict[Any, Any]
QUIET: dict[str, Any] = {
    "show_progress": "hidden", "api_visibility": "private", "concurrency_limit": None,
    "preprocess": False,
}  # fmt: skip
"""options of every event. gradio's input checks are off: they would refuse a model name that an
open page still has from a previous server, and the API has a better error message."""
NEWEST = QUIET | {"trigger_mode": "always_last"}
"""options of events that show the current state: one that arrives during another is not dropped"""
MAX_CHARS = 100_000
"""maximum number of characters of a message in the box"""
_KEEP_S = 1.0
"""seconds between the parts of an answer that the browser stores; the screen is more up to date"""


def transcript(elem_id: str, **options: Any) -> tuple[gr.Chatbot, gr.Textbox]:
    """Return a pane for untrusted text, and a hidden textbox with its original text for page.js.

    The pane is sanitized and allows no tags, files or images (page.css).
    """
    pane = gr.Chatbot(
        show_label=False, container=False, sanitize_html=True, allow_tags=False,
        allow_file_downloads=False, latex_delimiters=DELIMITERS, reasoning_tags=[], layout="bubble",
        elem_id=elem_id, elem_classes="r1-chat", **options,
    )  # fmt: skip
    return pane, gr.Textbox(
        visible="hidden", elem_id=f"{elem_id}-said", elem_classes="r1-said", label=""
    )


def budget() -> gr.HTML:
    """Return the place of the slider of the thinking budget, which settings.js draws."""
    return gr.HTML('<div class="r1-place" data-place="budget"></div>', elem_classes="r1-budget",
                   padding=False)  # fmt: skip


class AnswerSettings(NamedTuple):
    """The settings of one answer, and the session that requests it."""

    model: str
    thinks: bool
    language: str
    key: str
    session: str

    @classmethod
    def of(
        cls, model: object, thinks: object, language: object, key: object, request: gr.Request
    ) -> AnswerSettings:
        """Build the settings from a browser's input, which can be anything."""
        texts = [
            str(value) if value else "" for value in (model, language, key, request.session_hash)
        ]
        return cls(texts[0], bool(thinks), *texts[1:])


class ChatTab:
    """The chat tab. `language` and `key` belong to the whole page (site.py).

    The browser stores the conversation (chats.js) and sends it with each event (open_chat.py).
    """

    def __init__(self, api: ApiClient, language: gr.Dropdown, key: gr.Textbox) -> None:
        self._api = api
        self._language, self._key = language, key
        self._controls: dict[str, AnswerControl] = {}
        """by session: the control of the answer that is being written there"""

    def draw(self) -> None:
        """Create the components in the current gradio layout."""
        self.talk = gr.Textbox(visible="hidden", label="")
        """placeholder of the conversation among the inputs; chats.js fills it in"""
        self.part = gr.Textbox(visible="hidden", label="")
        """the latest part of the conversation, for chats.js to store"""
        self.reshow = gr.Button(visible="hidden", elem_id="r1-reshow")
        self.relist = gr.Button(visible="hidden", elem_id="r1-relist")
        self.model = gr.Dropdown(
            [], elem_id="r1-model", container=False, show_label=False, filterable=False
        )
        self.pane, self.source = transcript(
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
                    True,
                    label=say("en", "deepthink"),
                    container=False,
                    elem_id="r1-deepthink",
                    elem_classes="r1-deepthink",
                )
                self.budget = budget()
                self.end = gr.Button(size="sm", visible=False, elem_id="r1-end")
                self.stop = gr.Button(size="sm", visible=False, elem_id="r1-stop")
                self.more = gr.Button(size="sm", visible=False, elem_id="r1-more")
            self.note = gr.Markdown(say("en", "note"), elem_id="r1-note")

    def draw_sidebar(self) -> None:
        """Create the controls for all chats: new, list, delete and restore."""
        self.new = gr.Button(say("en", "new"), variant="primary", elem_id="r1-new")
        gr.HTML(
            '<div class="r1-place" data-place="chats"></div>', elem_id="r1-chats", padding=False
        )
        self.delete = gr.Button(say("en", "delete"), size="sm", elem_id="r1-delete")
        self.restore = gr.Button(
            say("en", "restore"), size="sm", visible=False, elem_id="r1-restore"
        )

    def listen(self) -> None:
        """Register the event handlers."""
        settings = [self.model, self.deepthink, self._language, self._key]
        inputs = [self.talk, *settings]
        outputs = [self.ask, self.model, self.pane, self.source, self.part, self.end, self.stop,
                   self.more]  # fmt: skip
        options = QUIET | {"js": _with_conversation("begin")}
        events = [
            self.ask.submit(
                self._send, [self.ask, *settings], outputs, js="r1.ask", trigger_mode="multiple",
                **QUIET,
            ),
            self.pane.example_select(self._example, inputs, outputs, **options),
            self.pane.retry(self._again, inputs, outputs, **options),
            self.pane.edit(self._edit, inputs, outputs, **options),
            self.more.click(self._continue, inputs, outputs, **options),
            self.pane.undo(self._undo, [self.talk, self._language], outputs, **options),
        ]  # fmt: skip
        self.model.input(self.fit, self.model, [self.deepthink, self.budget], **NEWEST)
        for event in events:
            event.success(None, js="r1.free")
            event.failure(
                self._show,
                [self.talk, self._language],
                outputs,
                js=_with_conversation("failed"),
                **QUIET,
            )
        self.part.change(None, self.part, None, js="r1.keep")
        self.relist.click(None, None, self.restore, js="r1.list")
        self.stop.click(self._wish_stop, None, None, js="r1.recall", **QUIET)
        self.end.click(self._wish_answer, None, None, **QUIET)
        buttons = {"fresh": self.new, "discard": self.delete, "restore": self.restore,
                   "talk": self.reshow}  # fmt: skip
        for name, button in buttons.items():
            button.click(
                self._show,
                [self.talk, self._language],
                outputs,
                js=_with_conversation(name),
                **NEWEST,
            )

    def labels(self, language: str, history: list[Turn]) -> ComponentUpdates:
        """Return updates that set all texts on the tab."""
        return {
            self.model: gr.update(label=say(language, "model")),
            self.pane: gr.update(
                value=turns.shown(history, language),
                placeholder=_hello(language),
                examples=_examples(language),
            ),
            self.source: gr.update(value=turns.written(history, language)),
            self.ask: gr.update(placeholder=say(language, "ask"), label=say(language, "ask")),
            self.deepthink: gr.update(label=say(language, "deepthink")),
            self.end: gr.update(value=say(language, "end")),
            self.stop: gr.update(value=say(language, "stop")),
            self.note: gr.update(value=say(language, "note")),
            self.new: gr.update(value=say(language, "new")),
            self.delete: gr.update(value=say(language, "delete")),
            self.restore: gr.update(value=say(language, "restore")),
            self.more: gr.update(value=say(language, "more"), visible=self._is_open_end(history)),
        }

    async def _send(
        self, talk_json: str, model: str, thinks: bool, language: str, key: str, request: gr.Request
    ) -> AsyncIterator[ComponentUpdates]:
        """Answer the last turn: the browser has already added the question."""
        chat = open_chat.read(talk_json)
        settings = AnswerSettings.of(model, thinks, language, key, request)
        async for updates in self._answer(chat, chat.turns, len(chat.turns), settings):
            yield updates

    async def _example(
        self, talk_json: str, model: str, thinks: bool, language: str, key: str,
        event: gr.SelectData, request: gr.Request,
    ) -> AsyncIterator[ComponentUpdates]:  # fmt: skip
        chat = open_chat.read(talk_json)
        history = [*chat.turns, turns.user(str(event.value["text"]))]
        settings = AnswerSettings.of(model, thinks, language, key, request)
        async for updates in self._answer(chat, history, len(chat.turns), settings):
            yield updates

    async def _again(
        self, talk_json: str, model: str, thinks: bool, language: str, key: str,
        event: gr.RetryData, request: gr.Request,
    ) -> AsyncIterator[ComponentUpdates]:  # fmt: skip
        chat = open_chat.read(talk_json)
        index = turns.before(chat.ended, turns.owner(chat.ended, _index(event)))
        settings = AnswerSettings.of(model, thinks, language, key, request)
        async for updates in self._answer(chat, chat.turns[: index + 1], index + 1, settings):
            yield updates

    async def _edit(
        self, talk_json: str, model: str, thinks: bool, language: str, key: str,
        event: gr.EditData, request: gr.Request,
    ) -> AsyncIterator[ComponentUpdates]:  # fmt: skip
        chat = open_chat.read(talk_json)
        index = turns.owner(chat.ended, _index(event))
        history = [*chat.turns[:index], turns.user(_text(event.value))]
        settings = AnswerSettings.of(model, thinks, language, key, request)
        async for updates in self._answer(chat, history, index, settings):
            yield updates

    async def _continue(
        self, talk_json: str, model: str, thinks: bool, language: str, key: str, request: gr.Request
    ) -> AsyncIterator[ComponentUpdates]:
        """Let the model that wrote the last answer go on with it."""
        chat = open_chat.read(talk_json)
        turn = chat.ended[-1] if chat.ended else turns.user("")
        if not turns.is_cut_off(turn):
            yield {self.part: gr.skip()}
            return
        settings = AnswerSettings.of(turn["model"] or model, thinks, language, key, request)
        first = len(chat.ended) - 1
        async for updates in self._answer(chat, chat.ended[:-1], first, settings, begun=turn):
            yield updates

    def _undo(
        self, talk_json: str, language: str, event: gr.UndoData, request: gr.Request
    ) -> ComponentUpdates:
        """Move the last question back into the box."""
        self._displace(request.session_hash or "")
        chat = open_chat.read(talk_json)
        index = max(turns.before(chat.ended, turns.owner(chat.ended, _index(event))), 0)
        text = "".join(turn["content"] for turn in chat.turns[index : index + 1])
        return {self.ask: text, self.part: chat.part(index, []),
                **self._screen(chat.turns[:index], language)}  # fmt: skip

    async def _answer(
        self, chat: OpenConversation, history: list[Turn], first: int, settings: AnswerSettings,
        *, begun: Turn | None = None,
    ) -> AsyncIterator[ComponentUpdates]:  # fmt: skip
        """Write the turn after `history`; end early when another answer replaces it.

        `first` is the index of the first turn that the browser does not have in this form. `begun`
        is an answer to go on with.
        """
        if not history:
            yield {self.part: gr.skip()}
            return
        self._displace(settings.session)
        control = self._controls[settings.session] = AnswerControl()
        model = settings.model or next(iter(await self._api.models(settings.key)), "")
        turn = turns.assistant(model) | (begun or {}) | {"error": ""}
        sent_at = -_KEEP_S
        follow = self._api.follow(
            turn,
            turns.api_messages(history),
            key=settings.key,
            thinks=settings.thinks,
            options=chat.options,
            control=control,
        )
        yield self._screen([*history, turn], settings.language)
        try:
            async with contextlib.aclosing(follow) as ticks:
                async for _ in ticks:
                    if self._controls.get(settings.session) is not control:
                        break
                    updates = self._screen([*history, turn], settings.language)
                    if time.monotonic() - sent_at >= _KEEP_S:
                        sent_at = time.monotonic()
                        updates[self.part] = chat.part(
                            first, [*history, turn][first:], extends=begun is not None
                        )
                    yield updates
        finally:
            is_shown = self._controls.get(settings.session) is control
            if is_shown:
                del self._controls[settings.session]
        if turn["state"] in turns.WRITING:
            turn["state"] = "stopped"
        last = self._screen([*history, turn], settings.language) if is_shown else {}
        if is_shown and turn["state"] == "error":
            last |= await self._other_models(model, settings.key)
        part = chat.part(first, [*history, turn][first:], extends=begun is not None)
        yield {**last, self.part: part}

    async def _other_models(self, model: str, key: str) -> ComponentUpdates:
        """Return an update of the model list if the server no longer has this model."""
        names = await self._api.models(key)
        if not names or model in names:
            return {}
        return {self.model: gr.update(choices=names, value=names[0])}

    def _screen(self, history: list[Turn], language: str) -> ComponentUpdates:
        return {**self._look(history, language), **self._buttons(history)}

    def _show(self, talk_json: str, language: str, request: gr.Request) -> ComponentUpdates:
        """Show the conversation that the browser has switched to, and stop a running answer."""
        self._displace(request.session_hash or "")
        return self._screen(open_chat.read(talk_json).ended, language)

    def _look(self, history: list[Turn], language: str) -> ComponentUpdates:
        return {
            self.pane: turns.shown(history, language),
            self.source: turns.written(history, language),
        }

    def _buttons(self, history: list[Turn]) -> ComponentUpdates:
        """Return updates of the buttons that depend on the state of the last answer."""
        turn = history[-1] if history else turns.user("")
        state = turn.get("state", "done")
        can_end = state == "thinking" and self._api.can_cut(turn["model"])
        return {
            self.end: gr.update(visible=can_end),
            self.stop: gr.update(visible=state in turns.WRITING),
            self.more: gr.update(visible=self._is_open_end(history)),
        }

    def _is_open_end(self, history: list[Turn]) -> bool:
        """Return True if the last answer ended too early and its model can go on with it."""
        is_cut_off = bool(history) and turns.is_cut_off(history[-1])
        return is_cut_off and self._api.can_continue(history[-1]["model"])

    def fit(self, model: object) -> ComponentUpdates:
        """Show DeepThink and the thinking budget if the model's thinking can be controlled."""
        name = str(model or "")
        return {self.deepthink: gr.update(visible=self._api.can_switch(name)),
                self.budget: gr.update(visible=self._api.can_cut(name))}  # fmt: skip

    def _displace(self, session: str) -> None:
        if control := self._controls.pop(session, None):
            control.is_stop = True

    def _wish_stop(self, request: gr.Request) -> None:
        if control := self._controls.get(request.session_hash or ""):
            control.is_stop = True

    def _wish_answer(self, request: gr.Request) -> None:
        if control := self._controls.get(request.session_hash or ""):
            control.is_answer = True


def _with_conversation(name: str) -> str:
    """Return an event's `js` that makes the result of a chats.js function its first input."""
    return f"(_, ...rest) => [r1.{name}(), ...rest]"


def _hello(language: str) -> str:
    return f"## {say(language, 'hello')}\n\n{say(language, 'try')}"


def _examples(language: str) -> list[Any]:
    return [{"text": text} for text in EXAMPLES[language]]


def _index(event: Any) -> int:
    """Return the index of an event's message; of a group of messages, the first."""
    index = event.index[0] if isinstance(event.index, list | tuple) else event.index
    return int(index)


def _text(value: Any) -> str:
    """Return the text of an edited message, in any of its forms."""
    if isinstance(value, list):
        return "".join(_text(part) for part in value)
    return str(value.get("text", "")) if isinstance(value, dict) else str(value)
