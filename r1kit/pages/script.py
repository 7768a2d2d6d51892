"""page.js with the labels of words.py, as the page carries it: before gradio, and by its hash."""

from __future__ import annotations

import json
from pathlib import Path

from r1kit.pages.words import GRADIO_LABELS

_PAGE = (Path(__file__).parent / "page.js").read_text(encoding="utf-8")
_LABELS = json.dumps(GRADIO_LABELS, ensure_ascii=False).replace("<", "\\u003c")
HEAD = f"<script>{_PAGE.replace('const LABELS = {}', f'const LABELS = {_LABELS}', 1)}</script>"
SPEAK = "language => r1.speak(language)"
"""for an event of the choice of a language"""
