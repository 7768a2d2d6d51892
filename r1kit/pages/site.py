"""The whole page: chat and compare, what both share, and gradio told to keep to itself."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # read while gradio is imported

import gradio as gr
from fastapi import FastAPI

from r1kit.pages import turns
from r1kit.pages.api import Api
from r1kit.pages.chat import Chat, Updates
from r1kit.pages.compare import N_COLUMNS, Compare
from r1kit.pages.door import Door
from r1kit.pages.script import SPEAK
from r1kit.pages.theme import CSS, theme
from r1kit.pages.words import LANGUAGES, preferred, say

MAX_WAITING = 64
"""events in gradio's queue; more are refused. What an answer costs is limited by the API."""
_DOWNLOAD = """(text) => { const a = document.createElement('a');
  a.href = URL.createObjectURL(new Blob([text], {type: 'text/plain;charset=utf-8'}));
  a.download = 'chat.%s'; a.click(); setTimeout(() => URL.revokeObjectURL(a.href), 1000); }"""
_DARK = """() => { const dark = document.body.classList.toggle('dark');
  localStorage.setItem('r1-dark', dark ? 'yes' : 'no'); }"""
_ARRIVE = """() => { const dark = localStorage.getItem('r1-dark');
  if (dark) document.body.classList.toggle('dark', dark === 'yes');
  if (innerWidth > 900) document.querySelector('.sidebar .toggle-button')?.click();
  document.documentElement.dataset.ready = 'yes'; }"""


def open_page(url: str) -> Door:
    """The page for a server whose API is at `url`."""
    api = Api(url)
    app = FastAPI(openapi_url=None)
    asyncio.run(_mount(app, api))

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        async with app.router.lifespan_context(app):
            yield
        await api.close()

    return Door(app, lifespan())


async def _mount(app: FastAPI, api: Api) -> None:
    """Where no event loop runs, gradio would make several and leave them open."""
    blocks = Site(api).blocks
    blocks.queue(max_size=MAX_WAITING, api_open=False, status_update_rate=10)
    gr.mount_gradio_app(
        app, blocks, path="/", theme=theme(), css=CSS, footer_links=[], ssr_mode=False,
        show_error=False, max_file_size="1kb", blocked_paths=["/"], mcp_server=False,
        run_history=False,  # it would keep what was said, and the key, once more
    )  # fmt: skip


def merged(*updates: Updates) -> Updates:
    """All of them; what several say of one component is put together."""
    whole: Updates = {}
    for update in updates:
        for component, change in update.items():
            whole[component] = {**whole.get(component, {}), **change}
    return whole


class Site:
    """The components, and what happens when somebody comes, or wants another language."""

    def __init__(self, api: Api) -> None:
        self._api = api
        with gr.Blocks(analytics_enabled=False, title="r1kit", fill_width=True) as self.blocks:
            self._store = gr.BrowserState([], storage_key="r1-chats", secret="r1kit")
            self._wishes = gr.BrowserState({}, storage_key="r1-settings", secret="r1kit")
            with gr.Sidebar(width=270, open=False):
                gr.HTML("<h1>r1kit</h1>", elem_id="r1-brand")
                new_place = gr.Column()
                self._draw_settings()
            self.chat = Chat(api, self._language, self._key, self._store)
            self.compare = Compare(api, self._language, self._key)
            with new_place:
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

    def _listen(self) -> None:
        quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
        lists = [self.chat.model, self.compare.models, self.chat.deepthink, self.compare.deepthink]
        words = [*self._labels("en", [])]
        mine = [self._language, self._key, self.chat.chats]
        shown = [*dict.fromkeys([*words, *lists, *mine])]
        self.blocks.load(self._come, [self._wishes, self._store], shown, **quiet)
        self.blocks.load(None, js=_ARRIVE)
        self._language.change(None, self._language, js=SPEAK)
        mine_now = [self._language, self._key]
        self._language.input(
            self._relabel, [*mine_now, self.chat.turns], [*words, self._wishes], **quiet
        )
        self._key.change(self._rekey, [*mine_now, self.chat.model], [*lists, self._wishes], **quiet)
        self._dark.click(None, js=_DARK)
        said = [self.chat.turns, self._language]
        self._markdown.click(turns.markdown, said, self._file, **quiet).then(
            None, self._file, js=_DOWNLOAD % "md"
        )
        self._json.click(turns.as_json, self.chat.turns, self._file, **quiet).then(
            None, self._file, js=_DOWNLOAD % "json"
        )

    async def _come(self, wishes: object, store: object, request: gr.Request) -> Updates:
        """What a browser sees that has just opened the page."""
        kept = wishes if isinstance(wishes, dict) else {}
        language, key = str(kept.get("language", "")), str(kept.get("key", ""))
        if language not in LANGUAGES:
            language = preferred(request.headers.get("accept-language", ""))
        mine = {self._language: gr.update(value=language), self._key: gr.update(value=key)}
        return merged(
            self._labels(language, []),
            await self._models(key, None),
            self.chat.listed(store),
            mine,
        )

    async def _models(self, key: str, chosen: str | None) -> Updates:
        names = await self._api.models(key)
        model = chosen if chosen in names else next(iter(names), None)
        return {
            self.chat.model: gr.update(choices=names, value=model),
            self.compare.models: gr.update(choices=names, value=names[:N_COLUMNS]),
            **self.chat.fit(model),
            **self.compare.fit(names[:N_COLUMNS]),
        }

    def _relabel(self, language: str, key: str, written: list[turns.Turn]) -> Updates:
        return {**self._labels(language, written), self._wishes: _kept(language, key)}

    async def _rekey(self, language: str, key: str, chosen: str | None) -> Updates:
        return {**await self._models(key, chosen), self._wishes: _kept(language, key)}

    def _labels(self, language: str, written: list[turns.Turn]) -> Updates:
        return {
            **self.chat.labels(language, written),
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


def _kept(language: str, key: str) -> dict[str, str]:
    """What the browser remembers of the settings."""
    return {"language": language, "key": key}
