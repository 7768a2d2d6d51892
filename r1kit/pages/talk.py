"""The open conversation, as it travels between the browser, which keeps it, and the server.

The browser (chats.js) sends the whole conversation with each question, and gets back the turns that
follow, also while they are written. The server keeps nothing, so that a new one can go on.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from r1kit.pages.turns import Turn, assistant, clean

MAX_ID_CHARS = 64


@dataclass(frozen=True)
class Talk:
    """A conversation: `Talk("l3k9", 1, [user("hi")])`."""

    ident: str = ""
    round: int = 0
    """the number of the question in its tab; goes back with every part of the answer"""
    turns: list[Turn] = field(default_factory=list)
    is_live: bool = False
    """another tab is writing the last turn right now"""

    @property
    def ended(self) -> list[Turn]:
        """The turns; a question without an answer has one that says that it was interrupted."""
        if self.is_live or not self.turns or self.turns[-1]["role"] != "user":
            return self.turns
        return [*self.turns, assistant("") | {"state": "interrupted"}]

    def part(self, place: int, turns: Sequence[Turn]) -> str:
        """For the browser: from this place on, the conversation has these turns."""
        part = {"id": self.ident, "round": self.round, "place": place, "turns": list(turns)}
        return json.dumps(part)


def read(text: object) -> Talk:
    """What a browser has sent, where anybody can have changed it; empty if it has no such form."""
    try:
        sent = json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        sent = None
    if not isinstance(sent, dict):
        return Talk()
    ident, number, is_live = sent.get("id"), sent.get("round"), sent.get("is_live") is True
    return Talk(
        ident[:MAX_ID_CHARS] if isinstance(ident, str) else "",
        number if isinstance(number, int) else 0,
        clean(sent.get("turns"), is_live=is_live),
        is_live,
    )
