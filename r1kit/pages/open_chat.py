"""The open conversation, as sent between the browser, which stores it, and the server.

The browser (chats.js) sends the whole conversation with each question and gets back the turns that
follow, also while they are written. The server stores nothing, so that a restarted one can go on.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

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

    @property
    def ended(self) -> list[Turn]:
        """The turns; a question without an answer is followed by an interrupted answer."""
        if self.is_live or not self.turns or self.turns[-1]["role"] != "user":
            return self.turns
        return [*self.turns, assistant("") | {"state": "interrupted"}]

    def part(self, index: int, turns: Sequence[Turn]) -> str:
        """Return JSON for the browser: the turns of the conversation from `index` on."""
        part = {"id": self.ident, "round": self.round, "place": index, "turns": list(turns)}
        return json.dumps(part)


def read(text: object) -> OpenConversation:
    """Parse untrusted input from a browser; return an empty Talk if it is malformed."""
    try:
        data = json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        data = None
    if not isinstance(data, dict):
        return OpenConversation()
    ident, number, is_live = data.get("id"), data.get("round"), data.get("is_live") is True
    return OpenConversation(
        ident[:MAX_ID_CHARS] if isinstance(ident, str) else "",
        number if isinstance(number, int) else 0,
        clean(data.get("turns"), is_live=is_live),
        is_live,
    )
