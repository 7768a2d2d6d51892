"""Chats as the browser keeps them: a list in its local storage, newest first."""

from __future__ import annotations

import json
from typing import Any

from r1kit.pages.turns import Turn, clean

MAX_CHATS = 50
MAX_CHARS = 2_000_000
"""of all chats as JSON; browsers keep about five million for a page"""
_TITLE_CHARS = 42

Kept = list[dict[str, Any]]


def kept(history: object) -> Kept:
    """The chats in what came from a browser; what has not their form is left out."""
    chats = history if isinstance(history, list) else []
    fit = [chat for chat in chats if isinstance(chat, dict) and isinstance(chat.get("id"), str)]
    return [{"id": chat["id"], "turns": clean(chat.get("turns"))} for chat in fit]


def remember(history: object, ident: str, turns: list[Turn]) -> Kept:
    """With this chat first, as it is now; the oldest go where there are too many."""
    others = [chat for chat in kept(history) if chat["id"] != ident]
    chats = [{"id": ident, "turns": clean(turns)}, *others] if turns else others
    chats = chats[:MAX_CHATS]
    while len(chats) > 1 and len(json.dumps(chats)) > MAX_CHARS:
        chats.pop()
    return chats


def forget(history: object, ident: str) -> Kept:
    return [chat for chat in kept(history) if chat["id"] != ident]


def titles(history: object) -> list[list[str]]:
    """A row each: how the chat begins."""
    return [[" ".join(_first(chat).split())[:_TITLE_CHARS] or "…"] for chat in kept(history)]


def _first(chat: dict[str, Any]) -> str:
    return next((turn["content"] for turn in chat["turns"] if turn["role"] == "user"), "")
