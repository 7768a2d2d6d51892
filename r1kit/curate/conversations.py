"""Read a file of training conversations, one per line, hand-made or written by `r1 sample`.

{"messages": [{"role": "user", "content": "..."}, {"role": "assistant", "content": "..."}]}
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from r1kit.curate.candidate import TrainingRow
from r1kit.errors import ConfigError
from r1kit.files.json_lines import converted_rows, require_text

_TEXTS = ("content", "reasoning_content", "reasoning")


def read_conversations(path: Path) -> list[TrainingRow]:
    """Read the rows, each with a `provenance`. Raises ConfigError that lists the invalid lines."""

    def convert(number: int, row: TrainingRow) -> TrainingRow:
        _check(row)
        return {"provenance": {"problem": f"{path.stem}/{number}"}} | row

    needs = 'the "messages" of a conversation, such as `r1 sample` writes'
    return converted_rows(path, convert, ConfigError, needs)


def _check(row: TrainingRow) -> None:
    messages = row.get("messages")
    if not isinstance(messages, list) or not all(map(_is_message, messages)):
        raise ValueError('has no "messages" with a role and a content each')
    if not messages or messages[-1]["role"] != "assistant":
        raise ValueError('has "messages" that do not end with the assistant')
    require_text(messages)
    if not isinstance(row.get("provenance", {}), dict):
        raise ValueError('has a "provenance" that is no object')


def _is_message(turn: Any) -> bool:
    if not isinstance(turn, dict) or turn.get("role") not in ("system", "user", "assistant"):
        return False
    texts = [turn.get(key) for key in _TEXTS]
    return isinstance(texts[0], str) and all(
        text is None or isinstance(text, str) for text in texts
    )
