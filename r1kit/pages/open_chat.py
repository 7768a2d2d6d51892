"""The open conversation, as sent between the browser, which stores it, and the server.

The browser (chats.js) sends the whole conversation with each question and gets back the turns that
follow, also while they are written. The server stores nothing, so that a restarted one can go on.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from r1kit.pages import options
from r1kit.pages.options import AnswerOptions
from r1kit.pages.turns import Turn, assistant, clean

MAX_ID_CHARS = 64


@dataclass(frozen=True)
class OpenConversation:
    """A conversation: `OpenConversation("l3k9", 1, [user("hi")])`."""

    ident: str = ""
    round: int = 0
    """number of the question in its tab; returned with every part of the answer"""
    turns: list[Turn] = field(default_factory=list)
    is_live: bool = False
    """True if another tab is writing the last turn right now"""
    options: AnswerOptions = field(default_factory=lambda: options.read(None))
    """the settings of the next answer"""

    @property
    def ended(self) -> list[Turn]:
        """The turns; a question without an answer is followed by an interrupted answer."""
        if self.is_live or not self.turns or self.turns[-1]["role"] != "user":
            return self.turns
        return [*self.turns, assistant("") | {"state": "interrupted"}]

    def part(self, index: int, turns: Sequence[Turn], *, extends: bool = False) -> str:
        """Return JSON for the browser: the turns of the conversation from `index` on.

        Turns that they replace are kept as alternatives, unless they are extended.
        """
        part = {"id": self.ident, "round": self.round, "place": index, "turns": list(turns)}
        return json.dumps(part | {"extends": extends})


def read(text: object) -> OpenConversation:
    """Parse untrusted input from a browser; return an empty conversation if it is malformed."""
    data = parsed(text)
    if not isinstance(data, dict):
        return OpenConversation()
    ident, number, is_live = data.get("id"), data.get("round"), data.get("is_live") is True
    return OpenConversation(
        ident[:MAX_ID_CHARS] if isinstance(ident, str) else "",
        number if isinstance(number, int) else 0,
        clean(data.get("turns"), is_live=is_live),
        is_live,
        options.read(data.get("options")),
    )


def parsed(text: object) -> object:
    """Return the data in untrusted JSON, None if it is malformed."""
    try:
        return json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        return None
