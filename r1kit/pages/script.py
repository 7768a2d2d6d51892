"""The page's scripts with their texts, inlined before gradio's scripts and allowed by hash."""

from __future__ import annotations

import json
from pathlib import Path

from r1kit.pages.i18n import GRADIO_LABELS, LANGUAGES, WORDS

_HERE = Path(__file__).parent
_SHOWN = (
    "away", "unkept", "next", "history", "new", "search", "search_hint", "nothing", "rename",
    "name", "unknown", "answers", "system", "temperature", "top_p", "max_tokens", "seed",
    "default", "reset", "budget", "unlimited", "tokens", "alternatives", "earlier", "later",
    "export_all", "import", "imported", "unreadable",
)  # fmt: skip
"""texts that the scripts show by themselves, since they must work without a server"""
_OTHERS = ("settings.js", "branches.js", "chat_list.js", "chat_files.js")
"""scripts without texts of their own, in their order; the last one starts the page"""


def _filled(file: str, name: str, texts: object) -> str:
    """Return the script with its empty constant `name` filled in."""
    script = (_HERE / file).read_text(encoding="utf-8")
    literal = json.dumps(texts, ensure_ascii=False).replace("<", "\\u003c")
    return script.replace(f"const {name} = {{}}", f"const {name} = {literal}", 1)


_WORDS = {code: {name: WORDS[code][name] for name in _SHOWN} for code in LANGUAGES}
_SCRIPTS = (
    _filled("page.js", "LABELS", GRADIO_LABELS),
    _filled("chats.js", "WORDS", _WORDS),
    *((_HERE / file).read_text(encoding="utf-8") for file in _OTHERS),
)
HEAD = "".join(f"<script>{script}</script>" for script in _SCRIPTS)
SPEAK = "language => r1.speak(language)"
"""the `js` of the event that changes the language"""
