"""The whole page: the chat and compare tabs, their shared settings, and gradio's options."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # read while gradio is imported

import gradio as gr
from fastapi import FastAPI

from r1kit.pages import turns
from r1kit.pages.api import ApiClient
from r1kit.pages.chat import NEWEST, QUIET, ChatTab, ComponentUpdates
from r1kit.pages.compare import N_COLUMNS, CompareTab
from r1kit.pages.i18n import LANGUAGES, preferred, say
from r1kit.pages.open_chat import read
from r1kit.pages.page_app import PageApp
from r1kit.pages.script import SPEAK
from r1kit.pages.theme import CSS, theme

MAX_WAITING = 64
"""events in gradio's queue; more are refused. The API limits the cost of answers."""
_DOWNLOAD = """(text) => { const a = document.createElement('a');
  a.href = URL.createObjectURL(new Blob([text], {type: 'text/plain;charset=utf-8'}));
  a.download = 'chat.%s'; a.click(); setTimeout(() => URL.revokeObjectURL(a.href), 1000); }"""
_ARRIVE = """() => { r1.dark();
  if (innerWidth > 900) document.querySelector('.sidebar .toggle-button')?.click();
  document.documentElement.dataset.ready = 'yes'; }"""


def open_page(url: str) -> PageApp:
    """Return the page for a server whose API is at `url`."""
    api = ApiClient(url)
    app = FastAPI(openapi_url=None)
    blocks = asyncio.run(_mount(app, api))

    async def forget(session: str) -> None:
        queue = blocks._queue
        await queue.clean_events(session_hash=session)
        queue.pending_messages_per_session.pop(session, None)
        queue.pending_event_ids_session.pop(session, None)

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        async with app.router.lifespan_context(app):
            yield
        await api.close()

    return PageApp(app, lifespan(), forget)


async def _mount(app: FastAPI, api: ApiClient) -> gr.Blocks:
    """Mount gradio in an event loop; without one it would make several and leave them open."""
    blocks: gr.Blocks = Site(api).blocks
    blocks.queue(max_size=MAX_WAITING, api_open=False, status_update_rate=10)
    gr.mount_gradio_app(
        app, blocks, path="/", theme=theme(), css=CSS, footer_links=[],
        ssr_mode=False, show_error=False, max_file_size="1kb", blocked_paths=["/"],
        mcp_server=False, run_history=False,  # it would store conversations and the key
    )  # fmt: skip
    return blocks


def merged(*updates: ComponentUpdates) -> ComponentUpdates:
    """Return all updates; several updates of one component are merged."""
    result: ComponentUpdates = {}
    for update in updates:
        for component, change in update.items():
            result[component] = {**result.get(component, {}), **change}
    return result


class Site:
    """The components, and the handlers of page loads and changed settings."""

    def __init__(self, api: ApiClient) -> None:
        self._api = api
        with gr.Blocks(analytics_enabled=False, title="r1kit", fill_width=True) as self.blocks:
            self._stored_settings = gr.Textbox(visible="hidden", label="")
            with gr.Sidebar(width=270, open=False):
                gr.HTML("<h1>r1kit</h1>", elem_id="r1-brand")
                chats_column = gr.Column()
                gr.HTML('<div class="r1-place" data-place="answers"></div>',
                        elem_id="r1-answers", padding=False)  # fmt: skip
                self._draw_settings()
            self.chat = ChatTab(api, self._language, self._key)
            self.compare = CompareTab(api, self._language, self._key)
            with chats_column:
                self.chat.draw_sidebar()
            with gr.Column(elem_id="r1-main"), gr.Tabs():
                with gr.Tab("Chat", id="chat") as self._chat_tab:
                    self.chat.draw()
                with gr.Tab("Compare", id="compare") as self._compare_tab:
                    self.compare.draw()
            self.chat.listen()
            self.compare.listen()
            self._listen()

    def _draw_settings(self) -> None:
        with gr.Accordion("Settings", open=False, elem_id="r1-settings") as self._settings:
            self._language = gr.Dropdown(
                [(name, code) for code, name in LANGUAGES.items()], value="en", filterable=False,
                elem_id="r1-language",
            )  # fmt: skip
            self._key = gr.Textbox(type="password", max_length=512, elem_id="r1-key")
            self._dark = gr.Button(size="sm", elem_id="r1-dark")
            self._markdown = gr.Button(size="sm", elem_id="r1-markdown")
            self._json = gr.Button(size="sm", elem_id="r1-json")
            self._file = gr.Textbox(visible="hidden", label="")
            gr.HTML('<div class="r1-place" data-place="files"></div>', elem_id="r1-files",
                    padding=False)  # fmt: skip

    def _listen(self) -> None:
        lists = [self.chat.model, self.compare.models, self.chat.deepthink, self.chat.budget,
                 self.compare.deepthink, self.compare.budget]  # fmt: skip
        texts = [*self._labels("en", [])]
        settings = [self._language, self._key]
        outputs = [*dict.fromkeys([*texts, *lists, *settings])]
        talk = self.chat.talk
        self.blocks.load(
            self._come, [self._stored_settings, talk], outputs,
            js="() => [r1.settings(), r1.talk()]", **QUIET,
        ).then(None, None, self.chat.restore, js="r1.arrive")  # fmt: skip
        self.blocks.load(None, js=_ARRIVE)
        self._language.change(None, self._language, js=SPEAK)
        self._language.input(
            self._relabel, [talk, self._language], texts,
            js="(_, language) => [r1.talk(), language]", **NEWEST,
        )  # fmt: skip
        self._key.change(self._rekey, [self._key, self.chat.model], lists, **QUIET)
        for setting in (self._language, self._key):
            setting.change(None, settings, None, js="r1.set")
        self._dark.click(None, js="() => r1.dark(true)")
        for button, export, suffix in ((self._markdown, _markdown, "md"),
                                       (self._json, _json, "json")):  # fmt: skip
            button.click(
                export, [talk, self._language], self._file,
                js="(_, language) => [r1.talk(), language]", **QUIET,
            ).then(None, self._file, js=_DOWNLOAD % suffix)  # fmt: skip

    async def _come(
        self, settings_json: str, talk_json: str, request: gr.Request
    ) -> ComponentUpdates:
        """Return the updates for a browser that has just opened the page."""
        language, key = _settings(settings_json)
        if language not in LANGUAGES:
            language = preferred(request.headers.get("accept-language", ""))
        settings = {self._language: gr.update(value=language), self._key: gr.update(value=key)}
        models = await self._models(key, "")  # first, since labels depend on what models can do
        return merged(self._labels(language, read(talk_json).ended), models, settings)

    async def _models(self, key: str, chosen: str) -> ComponentUpdates:
        names = await self._api.models(key)
        model = chosen if chosen in names else next(iter(names), None)
        return {
            self.chat.model: gr.update(choices=names, value=model),
            self.compare.models: gr.update(choices=names, value=names[:N_COLUMNS]),
            **self.chat.fit(model),
            **self.compare.fit(names[:N_COLUMNS]),
        }

    def _relabel(self, talk_json: str, language: str) -> ComponentUpdates:
        return self._labels(language, read(talk_json).ended)

    async def _rekey(self, key: object, chosen: object) -> ComponentUpdates:
        return await self._models(str(key or ""), str(chosen or ""))

    def _labels(self, language: str, history: list[turns.Turn]) -> ComponentUpdates:
        return {
            **self.chat.labels(language, history),
            **self.compare.labels(language),
            self._chat_tab: gr.update(label=say(language, "chat")),
            self._compare_tab: gr.update(label=say(language, "compare")),
            self._settings: gr.update(label=say(language, "settings")),
            self._language: gr.update(label=say(language, "language")),
            self._key: gr.update(label=say(language, "key"), info=say(language, "key_hint")),
            self._dark: gr.update(value=say(language, "dark")),
            self._markdown: gr.update(value=say(language, "markdown")),
            self._json: gr.update(value=say(language, "json")),
        }


def _settings(settings_json: str) -> tuple[str, str]:
    """Return the language and key that the browser stored."""
    try:
        value = json.loads(settings_json)
    except (ValueError, TypeError, RecursionError):
        value = None
    settings = value if isinstance(value, dict) else {}
    return str(settings.get("language", "")), str(settings.get("key", ""))


def _markdown(talk_json: str, language: str) -> str:
    return turns.markdown(read(talk_json).ended, language)


def _json(talk_json: str, language: str) -> str:
    return turns.as_json(read(talk_json).turns)
