"""The compare tab: one question to several models, answered side by side at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import gradio as gr

from r1kit.pages import bars, options, turns
from r1kit.pages.api import AnswerControl, ApiClient
from r1kit.pages.chat import MAX_CHARS, NEWEST, QUIET, ComponentUpdates, budget, transcript
from r1kit.pages.i18n import EXAMPLES, say
from r1kit.pages.open_chat import parsed
from r1kit.pages.samples import MAX_GOLD_CHARS, ModelComparison

N_COLUMNS = 4
_LOOK_S = 0.1
"""seconds between screen updates of all answers"""
_LOOK_MANY_S = 0.3
"""the same, if there are many samples"""
N_SAMPLES = (1, 4, 16, 64)
"""numbers of samples that can be chosen"""


class CompareTab:
    """The compare tab. `language` and `key` belong to the whole page (site.py)."""

    def __init__(self, api: ApiClient, language: gr.Dropdown, key: gr.Textbox) -> None:
        self._api = api
        self._language, self._key = language, key
        self._controls: dict[str, AnswerControl] = {}

    def draw(self) -> None:
        """Create the components in the current gradio layout."""
        self.options = gr.Textbox(visible="hidden", label="")
        """placeholder of the settings of the answers among the inputs; settings.js fills it in"""
        self.models = gr.CheckboxGroup([], label=say("en", "models"), elem_id="r1-models")
        with gr.Row(elem_id="r1-compare-ask", equal_height=True):
            self.ask = gr.Textbox(
                show_label=False, container=False, lines=1, max_lines=6, scale=5,
                elem_id="r1-question", max_length=MAX_CHARS,
            )  # fmt: skip
            self.gold = gr.Textbox(
                show_label=False, container=False, lines=1, max_lines=1, scale=2, elem_id="r1-gold",
                max_length=MAX_GOLD_CHARS,
            )  # fmt: skip
            self.go = gr.Button(
                say("en", "go"), variant="primary", scale=1, min_width=170, elem_id="r1-go"
            )
        with gr.Row(elem_id="r1-compare-controls"):
            self.deepthink = gr.Checkbox(
                True, label=say("en", "deepthink"), container=False,
                elem_id="r1-compare-deepthink", elem_classes="r1-deepthink",
            )  # fmt: skip
            self.budget = budget()
            self.n_samples = gr.Dropdown(
                _counts("en"), value=1, filterable=False, container=False, show_label=False,
                elem_id="r1-n",
            )  # fmt: skip
            self.has_curve = gr.Checkbox(
                False, label=say("en", "curve"), container=False, elem_id="r1-has-curve"
            )
            self.stop = gr.Button(size="sm", visible=False, elem_id="r1-compare-stop")
        self.columns: list[Any] = []
        self.names, self.panes, self.sources, self.verdicts = [], [], [], []
        with gr.Row(elem_id="r1-columns"):
            for index in range(N_COLUMNS):
                with gr.Column(visible=False) as column:
                    self.names.append(gr.Markdown(elem_classes="r1-name"))
                    pane, source = transcript(
                        f"r1-pane-{index}", height=None, min_height=160, buttons=["copy"]
                    )
                    self.panes.append(pane)
                    self.sources.append(source)
                    self.verdicts.append(gr.HTML(elem_classes="r1-under", padding=False))
                self.columns.append(column)
        self.curve = gr.HTML(elem_id="r1-curve", padding=False)

    def listen(self) -> None:
        """Register the event handlers."""
        inputs = [self.options, self.ask, self.gold, self.models, self.n_samples, self.has_curve,
                  self.deepthink, self._language, self._key]  # fmt: skip
        outputs = [*self.columns, *self.names, *self.panes, *self.sources, *self.verdicts,
                   self.curve, self.stop]  # fmt: skip
        gr.on([self.ask.submit, self.gold.submit, self.go.click], self._ask_all, inputs, outputs,
              js="(_, ...rest) => [r1.optionsText(), ...rest]",
              trigger_mode="once", **QUIET)  # fmt: skip
        self.models.input(self.fit, self.models, [self.deepthink, self.budget], **NEWEST)
        self.stop.click(self._wish_stop, None, None, **QUIET)

    def labels(self, language: str) -> ComponentUpdates:
        """Return updates that set all texts on the tab."""
        return {
            self.models: gr.update(label=say(language, "models")),
            self.ask: gr.update(placeholder=EXAMPLES[language][0], label=say(language, "ask")),
            self.gold: gr.update(placeholder=say(language, "gold"), label=say(language, "gold")),
            self.n_samples: gr.update(choices=_counts(language), label=say(language, "samples")),
            self.has_curve: gr.update(label=say(language, "curve")),
            self.go: gr.update(value=say(language, "go")),
            self.deepthink: gr.update(label=say(language, "deepthink")),
            self.stop: gr.update(value=say(language, "stop")),
        }

    def fit(self, models: list[str]) -> ComponentUpdates:
        """Show the DeepThink checkbox if the thinking of any chosen model can be turned off."""
        return {
            self.deepthink: gr.update(visible=any(map(self._api.can_switch, models))),
            self.budget: gr.update(visible=any(map(self._api.can_cut, models))),
        }

    async def _ask_all(
        self, options_json: str, text: str, gold: str, models: list[str], n: object, curve: object,
        thinks: bool, language: str, key: str, request: gr.Request,
    ) -> AsyncIterator[ComponentUpdates]:  # fmt: skip
        """Ask all chosen models; an empty box asks the question in its placeholder."""
        session = request.session_hash or ""
        if previous := self._controls.pop(session, None):
            previous.is_stop = True
        control = self._controls[session] = AnswerControl()
        comparison = ModelComparison(
            text.strip() or EXAMPLES[language][0], str(gold or "").strip()[:MAX_GOLD_CHARS],
            models[:N_COLUMNS], n if isinstance(n, int) and n in N_SAMPLES else 1, bool(thinks),
            options.read(parsed(options_json)), bool(curve),
        )  # fmt: skip
        await self._api.models(key or "")  # what they can do, as the server says it now
        comparison.prepare(self._api)
        task = asyncio.ensure_future(comparison.run(self._api, key or "", control))
        look_s = _LOOK_S if comparison.n_all <= N_COLUMNS else _LOOK_MANY_S
        try:
            yield self._heads(comparison)
            while not task.done():
                await asyncio.wait([task], timeout=look_s)
                yield self._look(comparison, language)
            yield {**self._look(comparison, language), self.stop: gr.update(visible=False)}
        finally:
            task.cancel()
            if self._controls.get(session) is control:
                del self._controls[session]

    def _heads(self, comparison: ModelComparison) -> ComponentUpdates:
        models = comparison.models
        updates: ComponentUpdates = {self.stop: gr.update(visible=bool(models)), self.curve: ""}
        for index, (column, name) in enumerate(zip(self.columns, self.names, strict=True)):
            updates[column] = gr.update(visible=index < len(models))
            if index < len(models):
                updates[name] = f"`{models[index]}`"
                updates[self.verdicts[index]] = ""
        return updates

    def _look(self, comparison: ModelComparison, language: str) -> ComponentUpdates:
        """Return updates that show the first sample of every model, and what all samples say."""
        updates: ComponentUpdates = {self.curve: bars.curve(comparison, language)}
        for index, model in enumerate(comparison.models):
            samples = comparison.column(model)
            shown = [samples[0].turn]
            updates[self.panes[index]] = turns.shown(shown, language, is_open=True)
            updates[self.sources[index]] = turns.written(shown, language)
            updates[self.verdicts[index]] = bars.summary(comparison, samples, language)
        return updates

    def _wish_stop(self, request: gr.Request) -> None:
        if control := self._controls.get(request.session_hash or ""):
            control.is_stop = True


def _counts(language: str) -> list[tuple[str, int]]:
    """Return the choices of how many answers each model gives."""
    names = [say(language, "n_samples" if n > 1 else "one_sample", n) for n in N_SAMPLES]
    return list(zip(names, N_SAMPLES, strict=True))
