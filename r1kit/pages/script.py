"""page.js and chats.js with their texts, inlined before gradio's scripts and allowed by hash."""

from __future__ import annotations

import json
from pathlib import Path

from r1kit.pages.i18n import GRADIO_LABELS, LANGUAGES, say

_HERE = Path(__file__).parent
_NOTICES = ("away", "unkept", "next")
"""texts that chats.js shows by itself, since it must work without a server"""


def _filled(file: str, name: str, texts: object) -> str:
    """Return the script with its empty constant `name` filled in."""
    script = (_HERE / file).read_text(encoding="utf-8")
    literal = json.dumps(texts, ensure_ascii=False).replace("<", "\\u003c")
    return script.replace(f"const {name} = {{}}", f"const {name} = {literal}", 1)


_WORDS = {code: {name: say(code, name) for name in _NOTICES} for code in LANGUAGES}
_SCRIPTS = (_filled("page.js", "LABELS", GRADIO_LABELS), _filled("chats.js", "WORDS", _WORDS))
HEAD = "".join(f"<script>{script}</script>" for script in _SCRIPTS)
SPEAK = "language => r1.speak(language)"
"""the `js` of the event that changes the language"""
