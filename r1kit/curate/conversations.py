"""Read a file of training conversations, one per line, hand-made or written by `r1 sample`.

{"messages": [{"role": "user", "content": "..."}, {"role": "assistant", "content": "..."}]}
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from r1kit.curate.candidate import TrainingRow
from r1kit.errors import ConfigError
from r1kit.files.json_lines import read_json_lines
from r1kit.files.outside import UnwritableError, read_json, refuse_unwritable

MAX_TOLD = 5
"""number of bad lines listed individually in an error"""
_TEXTS = ("content", "reasoning_content", "reasoning")


def read_conversations(path: Path) -> list[TrainingRow]:
    """Read the rows, each with a `provenance`. Raises ConfigError that lists the invalid lines."""
    rows: list[TrainingRow] = []
    bad: list[str] = []
    for number, line in read_json_lines(path, ConfigError):
        try:
            rows.append({"provenance": {"problem": f"{path.stem}/{number}"}} | _row(line))
        except ValueError as error:
            bad.append(f"line {number} {error}")
    if bad:
        more = f" and {len(bad) - MAX_TOLD} more" if len(bad) > MAX_TOLD else ""
        raise ConfigError(
            f"{path}: {'; '.join(bad[:MAX_TOLD])}{more}. A line is a JSON object with the messages "
            "of a conversation, such as `r1 sample` writes."
        )
    if not rows:
        raise ConfigError(f"{path} is empty; it needs a conversation a line.")
    return rows


def _row(line: str) -> TrainingRow:
    try:
        row = read_json(line)
    except ValueError:
        raise ValueError("is not JSON") from None
    messages = row.get("messages") if isinstance(row, dict) else None
    if not isinstance(messages, list) or not all(map(_is_message, messages)):
        raise ValueError('has no "messages" with a role and a content each')
    if not messages or messages[-1]["role"] != "assistant":
        raise ValueError('has "messages" that do not end with the assistant')
    try:
        refuse_unwritable(messages)
    except UnwritableError:
        raise ValueError("has half of a surrogate pair, which is no text") from None
    if not isinstance(row.get("provenance", {}), dict):
        raise ValueError('has a "provenance" that is no object')
    return dict(row)


def _is_message(turn: Any) -> bool:
    if not isinstance(turn, dict) or turn.get("role") not in ("system", "user", "assistant"):
        return False
    texts = [turn.get(key) for key in _TEXTS]
    return isinstance(texts[0], str) and all(
        text is None or isinstance(text, str) for text in texts
    )
