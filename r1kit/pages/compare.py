"""The compare tab: one question to several models, answered side by side at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import gradio as gr

from r1kit.pages import turns
from r1kit.pages.api import AnswerControl, ApiClient
from r1kit.pages.chat import MAX_CHARS, NEWEST, QUIET, ComponentUpdates, transcript
from r1kit.pages.i18n import EXAMPLES, say

N_COLUMNS = 4
_LOOK_S = 0.1
"""seconds between screen updates of all answers"""


class CompareTab:
    """The compare tab. `language` and `key` belong to the whole page (site.py)."""

    def __init__(self, api: ApiClient, language: gr.Dropdown, key: gr.Textbox) -> None:
        self._api = api
        self._language, self._key = language, key
        self._controls: dict[str, AnswerControl] = {}

    def draw(self) -> None:
        """Create the components in the current gradio layout."""
        self.models = gr.CheckboxGroup([], label=say("en", "models"), elem_id="r1-models")
        with gr.Row(elem_id="r1-compare-ask", equal_height=True):
            self.ask = gr.Textbox(
                show_label=False, container=False, lines=1, max_lines=6, scale=5,
                elem_id="r1-question", max_length=MAX_CHARS,
            )  # fmt: skip
            self.go = gr.Button(say("en", "go"), variant="primary", scale=1, elem_id="r1-go")
        with gr.Row(elem_id="r1-compare-controls"):
            self.deepthink = gr.Checkbox(
                True, label=say("en", "deepthink"), container=False,
                elem_id="r1-compare-deepthink",
            )  # fmt: skip
            self.stop = gr.Button(size="sm", visible=False, elem_id="r1-compare-stop")
        self.columns: list[Any] = []
        self.names, self.panes, self.sources = [], [], []
        with gr.Row(elem_id="r1-columns"):
            for index in range(N_COLUMNS):
                with gr.Column(visible=False) as column:
                    self.names.append(gr.Markdown(elem_classes="r1-name"))
                    pane, source = transcript(
                        f"r1-pane-{index}", height=None, min_height=160, buttons=["copy"]
                    )
                    self.panes.append(pane)
                    self.sources.append(source)
                self.columns.append(column)

    def listen(self) -> None:
        """Register the event handlers."""
        inputs = [self.ask, self.models, self.deepthink, self._language, self._key]
        outputs = [*self.columns, *self.names, *self.panes, *self.sources, self.stop]
        gr.on([self.ask.submit, self.go.click], self._ask_all, inputs, outputs,
              trigger_mode="once", **QUIET)  # fmt: skip
        self.models.input(self.fit, self.models, self.deepthink, **NEWEST)
        self.stop.click(self._wish_stop, None, None, **QUIET)

    def labels(self, language: str) -> ComponentUpdates:
        """Return updates that set all texts on the tab."""
        return {
            self.models: gr.update(label=say(language, "models")),
            self.ask: gr.update(placeholder=EXAMPLES[language][0], label=say(language, "ask")),
            self.go: gr.update(value=say(language, "go")),
            self.deepthink: gr.update(label=say(language, "deepthink")),
            self.stop: gr.update(value=say(language, "stop")),
        }

    def fit(self, models: list[str]) -> ComponentUpdates:
        """Show the DeepThink checkbox if the thinking of any chosen model can be turned off."""
        can_switch = any(self._api.can_switch(model) for model in models)
        return {self.deepthink: gr.update(visible=can_switch)}

    async def _ask_all(
        self, text: str, models: list[str], thinks: bool, language: str, key: str,
        request: gr.Request,
    ) -> AsyncIterator[ComponentUpdates]:  # fmt: skip
        """Ask all chosen models; an empty box asks the question in its placeholder."""
        session = request.session_hash or ""
        if previous := self._controls.pop(session, None):
            previous.is_stop = True
        control = self._controls[session] = AnswerControl()
        question = turns.user(text.strip() or EXAMPLES[language][0])
        answers = [turns.assistant(model) for model in models[:N_COLUMNS]]

        async def follow(turn: turns.Turn) -> None:
            async for _ in self._api.follow(
                turn,
                turns.api_messages([question]),
                key=key or "",
                thinks=thinks,
                control=control,
            ):
                pass  # fmt: skip

        tasks = [asyncio.ensure_future(follow(turn)) for turn in answers]
        try:
            yield self._heads(answers)
            while tasks and not all(task.done() for task in tasks):
                await asyncio.wait(tasks, timeout=_LOOK_S)
                yield self._look(answers, language)
            yield {**self._look(answers, language), self.stop: gr.update(visible=False)}
        finally:
            for task in tasks:
                task.cancel()
            if self._controls.get(session) is control:
                del self._controls[session]

    def _heads(self, answers: list[turns.Turn]) -> ComponentUpdates:
        updates: ComponentUpdates = {self.stop: gr.update(visible=bool(answers))}
        for index, (column, name) in enumerate(zip(self.columns, self.names, strict=True)):
            updates[column] = gr.update(visible=index < len(answers))
            if index < len(answers):
                updates[name] = f"`{answers[index]['model']}`"
        return updates

    def _look(self, answers: list[turns.Turn], language: str) -> ComponentUpdates:
        updates: ComponentUpdates = {}
        # There may be more panes than chosen models.
        for pane, source, turn in zip(self.panes, self.sources, answers, strict=False):
            updates[pane] = turns.shown([turn], language, is_open=True)
            updates[source] = turns.written([turn], language)
        return updates

    def _wish_stop(self, request: gr.Request) -> None:
        if control := self._controls.get(request.session_hash or ""):
            control.is_stop = True
