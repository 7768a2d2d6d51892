"""A conversation as data, and its three renderings: for the API, the screen and a file.

Turns are plain dictionaries, since they live in the browser's storage, where anyone can change
them: `clean` validates them.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from typing import Any

from r1kit.pages import options
from r1kit.pages.i18n import say
from r1kit.pages.markup import readable, well_formed

Turn = dict[str, Any]
ApiMessage = dict[str, Any]

BETWEEN_ROWS = "\x1e"
"""the ASCII record separator, which no keyboard produces"""
_TEXTS = ("role", "content", "thinking", "state", "error", "model")
_NUMBERS = ("seconds", "total_s", "n_tokens", "n_thinking")
_MAX_NUMBER = 1e12
WRITING = ("thinking", "answering")
"""states of a turn that is being written"""
ENDS = ("done", "stopped", "length", "filtered", "interrupted", "error")
"""states of a finished turn"""
_CUT_OFF = ("stopped", "length", "interrupted", "error")
MAX_MODEL_CHARS = 120
"""maximum number of characters of a model's name on the screen"""
FAILURES = ("gone", "unkeyed", "broken")
"""possible values of `error`, besides a message of the API"""


def user(text: str) -> Turn:
    return {"role": "user", "content": well_formed(text)}


def assistant(model: str) -> Turn:
    """Return an empty answer. Its `state` is one of WRITING or ENDS."""
    texts = {"model": model, "content": "", "thinking": "", "state": "answering", "error": ""}
    return {"role": "assistant", **texts, **dict.fromkeys(_NUMBERS, 0)}


def clean(stored: object, *, is_live: bool = False) -> list[Turn]:
    """Return the turns that a browser stored, without malformed ones.

    An answer that was being written becomes interrupted, unless it is live.
    """
    turns = []
    for item in stored if isinstance(stored, list) else []:
        if isinstance(item, dict) and item.get("role") in ("user", "assistant"):
            turn = user("") if item["role"] == "user" else assistant("")
            turn |= {
                k: well_formed(v) for k, v in item.items() if k in _TEXTS and isinstance(v, str)
            }
            turn |= {k: v for k, v in item.items() if k in _NUMBERS and _is_number(v)}
            turn["cut"] = bool(item.get("cut"))
            if turn["role"] == "assistant":
                turn["options"] = options.read(item.get("options")).as_json()
            turns.append(turn)
    for turn in turns:
        is_over = turn.get("state", "done") in ENDS
        if not is_over and not (is_live and turn is turns[-1]):
            turn["state"] = "interrupted"
    return turns


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and 0 <= value < _MAX_NUMBER


def api_messages(turns: Sequence[Turn]) -> list[ApiMessage]:
    """Return the messages for the API, without past thinking and empty answers."""
    nonempty = [t for t in turns if t["role"] == "user" or t["content"]]
    return [{"role": turn["role"], "content": turn["content"]} for turn in nonempty]


def shown(turns: Sequence[Turn], language: str, *, is_open: bool = False) -> list[ApiMessage]:
    """Return messages for gradio's Chatbot; finished thinking is folded unless `is_open`."""
    return [message for turn in turns for message in _shown(turn, language, is_open)]


def written(turns: Sequence[Turn], language: str) -> str:
    """Return the original text of each row on the screen, which page.js copies and edits."""
    texts = [
        "\n".join(turn["content"] or failure(turn, language) for turn in row)
        for _, row in itertools.groupby(turns, lambda turn: turn["role"])
    ]
    return BETWEEN_ROWS.join(text.replace(BETWEEN_ROWS, "") for text in texts)


def owner(turns: Sequence[Turn], index: int) -> int:
    """Return the index of the turn to which the message at `index` of `shown` belongs."""
    owners = [i for i, turn in enumerate(turns) for _ in _shown(turn, "en")]
    return owners[index] if 0 <= index < len(owners) else len(turns) - 1


def before(turns: Sequence[Turn], index: int) -> int:
    """Return the index of the last user turn at or before `index`, -1 if there is none."""
    users = [i for i, turn in enumerate(turns[: index + 1]) if turn["role"] == "user"]
    return users[-1] if users else -1


def is_cut_off(turn: Turn) -> bool:
    """Return True for an answer that ended too early and can be continued."""
    return turn.get("state") in _CUT_OFF and bool(turn["content"] or turn["thinking"])


def numbers(turn: Turn, language: str, *, names_model: bool = False) -> str:
    """Return one line: model, settings, tokens, speed, thinking share, how it was cut short."""
    parts = []
    if names_model and turn["model"]:
        parts.append(readable(" ".join(turn["model"].split())[:MAX_MODEL_CHARS]))
    parts += options.described(turn.get("options"), language)
    if turn["n_tokens"] and turn["total_s"]:
        parts += [
            say(language, "tokens", turn["n_tokens"]),
            say(language, "speed", turn["n_tokens"] / turn["total_s"]),
            say(language, "share", turn["n_thinking"] / turn["n_tokens"]),
        ]
    if turn["state"] in ("stopped", "length"):
        parts.append(say(language, turn["state"]))
    return " · ".join(parts)


def failure(turn: Turn, language: str) -> str:
    """Return why the answer is incomplete; "" if it is complete or `numbers` shows why."""
    match turn.get("state"):
        case "error":
            error = turn["error"] or "broken"
            return say(language, error) if error in FAILURES else error
        case "filtered":
            return say(language, "filtered", turn["error"])
        case "interrupted":
            return say(language, "interrupted")
        case "done" if not turn["content"]:
            return say(language, "unanswered")
    return ""


def markdown(turns: Sequence[Turn], language: str) -> str:
    """Return the conversation as a Markdown document; thinking is quoted."""
    parts = []
    for turn in turns:
        if turn["role"] == "user":
            parts.append(f"## {say(language, 'you')}\n\n{turn['content']}")
            continue
        quoted = "\n".join(f"> {line}" for line in turn["thinking"].splitlines())
        sections = (f"## {turn['model']}", quoted, turn["content"], failure(turn, language))
        parts.append("\n\n".join(part for part in sections if part))
    return "\n\n".join(parts) + "\n"


def as_json(turns: Sequence[Turn]) -> str:
    """Return the conversation as JSON, with all fields."""
    return json.dumps(list(turns), ensure_ascii=False, indent=2) + "\n"


def _shown(turn: Turn, language: str, is_open: bool = False) -> list[ApiMessage]:
    if turn["role"] == "user":
        return [{"role": "user", "content": readable(turn["content"])}]
    messages = []
    if turn["thinking"] or turn["state"] == "thinking":
        messages.append(_thought(turn, language, is_open))
    if turn["content"]:
        messages.append({"role": "assistant", "content": readable(turn["content"])})
    if reason := failure(turn, language):
        quoted = f"> {readable(' '.join(reason.split()))}"
        messages.append({"role": "assistant", "content": quoted})
    is_writing = turn["state"] in WRITING
    if is_writing and not messages:
        messages.append({"role": "assistant", "content": say(language, "waiting")})
    if not is_writing and (line := numbers(turn, language, names_model=not is_open)):
        metadata = {"title": line, "status": "done"}
        messages.append({"role": "assistant", "content": "", "metadata": metadata})
    return messages


def _thought(turn: Turn, language: str, is_open: bool) -> ApiMessage:
    is_thinking = turn["state"] == "thinking"
    name = "thinking" if is_thinking else "cut" if turn.get("cut") else "thought"
    metadata = {"title": say(language, name, turn["seconds"])}
    if is_thinking or not is_open:
        metadata["status"] = "pending" if is_thinking else "done"
    return {"role": "assistant", "content": readable(turn["thinking"]), "metadata": metadata}
