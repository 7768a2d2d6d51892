"""A conversation as data, and its three readings: for the API, for the screen, for a file.

Turns are plain dictionaries, since they live in the browser's storage and come back from it, where
anybody can have changed them: `clean` is what lets them in.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from typing import Any

from r1kit.pages.markup import readable
from r1kit.pages.words import say

Turn = dict[str, Any]
Message = dict[str, Any]

BETWEEN_ROWS = "\x1e"
"""the record separator of ASCII, which nobody types"""
_TEXTS = ("role", "content", "thinking", "state", "error", "model")
_NUMBERS = ("seconds", "total_s", "n_tokens", "n_thinking")


def user(text: str) -> Turn:
    return {"role": "user", "content": text}


def assistant(model: str) -> Turn:
    """One that has said nothing yet. `state`: thinking, answering, done, cut, stopped, length or
    error."""
    texts = {"model": model, "content": "", "thinking": "", "state": "answering", "error": ""}
    return {"role": "assistant", **texts, **dict.fromkeys(_NUMBERS, 0)}


def clean(kept: object) -> list[Turn]:
    """The turns in what a browser kept; whatever has not their form is left out."""
    turns = []
    for one in kept if isinstance(kept, list) else []:
        if isinstance(one, dict) and one.get("role") in ("user", "assistant"):
            turn = user("") if one["role"] == "user" else assistant("")
            turn |= {k: v for k, v in one.items() if k in _TEXTS and isinstance(v, str)}
            turn |= {k: v for k, v in one.items() if k in _NUMBERS and isinstance(v, int | float)}
            turn["cut"] = bool(one.get("cut"))
            if turn.get("state") in ("thinking", "answering"):
                turn["state"] = "stopped"  # the page was left before it was over
            turns.append(turn)
    return turns


def asked(turns: Sequence[Turn]) -> list[Message]:
    """What the API is told: texts, without past thinking and without turns that failed."""
    said = [t for t in turns if t["role"] == "user" or t["content"]]
    return [{"role": turn["role"], "content": turn["content"]} for turn in said]


def shown(turns: Sequence[Turn], language: str, *, is_open: bool = False) -> list[Message]:
    """Messages of gradio's Chatbot; thinking that is over is folded, or stays open."""
    return [message for turn in turns for message in _shown(turn, language, is_open)]


def written(turns: Sequence[Turn]) -> str:
    """What page.js copies and edits: the text of each row of the screen, as it was written."""
    rows = itertools.groupby(turns, lambda turn: turn["role"])
    texts = ["\n".join(turn["content"] or turn.get("error", "") for turn in row) for _, row in rows]
    return BETWEEN_ROWS.join(text.replace(BETWEEN_ROWS, "") for text in texts)


def owner(turns: Sequence[Turn], index: int) -> int:
    """The turn that the message at this place of `shown` belongs to."""
    places = [i for i, turn in enumerate(turns) for _ in _shown(turn, "en")]
    return places[index] if 0 <= index < len(places) else len(turns) - 1


def before(turns: Sequence[Turn], place: int) -> int:
    """The place of the user's turn at or before this one, -1 where there is none."""
    users = [i for i, turn in enumerate(turns[: place + 1]) if turn["role"] == "user"]
    return users[-1] if users else -1


def numbers(turn: Turn, language: str) -> str:
    """Tokens, speed and share of the thinking, in one line; how it ended, if not by itself."""
    parts = []
    if turn["n_tokens"] and turn["total_s"]:
        parts = [
            say(language, "tokens", turn["n_tokens"]),
            say(language, "speed", turn["n_tokens"] / turn["total_s"]),
            say(language, "share", turn["n_thinking"] / turn["n_tokens"]),
        ]
    if turn["state"] in ("stopped", "length"):
        parts.append(say(language, turn["state"]))
    return " · ".join(parts)


def markdown(turns: Sequence[Turn], language: str) -> str:
    """The conversation as a page; thinking is quoted."""
    parts = []
    for turn in turns:
        if turn["role"] == "user":
            parts.append(f"## {say(language, 'you')}\n\n{turn['content']}")
            continue
        quoted = "\n".join(f"> {line}" for line in turn["thinking"].splitlines())
        parts.append("\n\n".join(p for p in (f"## {turn['model']}", quoted, turn["content"]) if p))
    return "\n\n".join(parts) + "\n"


def as_json(turns: Sequence[Turn]) -> str:
    """The conversation with all that is known of it."""
    return json.dumps(list(turns), ensure_ascii=False, indent=2) + "\n"


def _shown(turn: Turn, language: str, is_open: bool = False) -> list[Message]:
    if turn["role"] == "user":
        return [{"role": "user", "content": readable(turn["content"])}]
    messages = []
    if turn["thinking"] or turn["state"] == "thinking":
        messages.append(_thought(turn, language, is_open))
    answer = turn["content"] or turn["error"]
    if answer:
        messages.append({"role": "assistant", "content": readable(answer)})
    elif not messages:
        messages.append({"role": "assistant", "content": say(language, "waiting")})
    if turn["state"] not in ("thinking", "answering") and (line := numbers(turn, language)):
        told = {"title": line, "status": "done"}
        messages.append({"role": "assistant", "content": "", "metadata": told})
    return messages


def _thought(turn: Turn, language: str, is_open: bool) -> Message:
    is_thinking = turn["state"] == "thinking"
    name = "thinking" if is_thinking else "cut" if turn.get("cut") else "thought"
    told = {"title": say(language, name, turn["seconds"])}
    if is_thinking or not is_open:
        told["status"] = "pending" if is_thinking else "done"
    return {"role": "assistant", "content": readable(turn["thinking"]), "metadata": told}
