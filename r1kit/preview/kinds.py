"""Recognise what a data file holds, by the keys of its first rows."""

from __future__ import annotations

from collections.abc import Sequence

from r1kit.curate.worked import worked_solution
from r1kit.errors import DataError
from r1kit.files.json_lines import JsonRow
from r1kit.renderers.shapes import conversation_messages, is_conversation
from r1kit.tasks.columns import column_names, map_columns
from r1kit.tasks.row_verifiers import VERIFIERS, guess_verifier

KINDS = ("questions", "traces", "conversations", "pairs", "labels", "prompts")
"""what a file can hold"""
USES = {
    "traces": '[cold_start]  # or [rejection]\ntraces = "FILE"',
    "conversations": '[rejection]  # or [cold_start]\nconversations = "FILE"',
    "pairs": '[preference]\npairs = "FILE"',
    "labels": '[preference]\nlabels = "FILE"',
    "prompts": '[general]\nprompts = "FILE"  # or harmful_prompts',
}
"""how a recipe uses a file of each kind; questions are a task"""


def kinds_of(source: str, rows: Sequence[JsonRow], columns: dict[str, str]) -> list[str]:
    """Return the kinds that rows can be read as, the likeliest first; `columns` are mapped ones.

    Raises DataError if there is none.
    """
    kinds = []
    if _most(["chosen" in row and "rejected" in row for row in rows]):
        kinds.append("pairs")
    if _most([_is_labelled(row) for row in rows]):
        kinds.append("labels")
    if not kinds and _most([is_conversation(row) for row in rows]):
        kinds += _conversations(rows)
    mapped = map_columns(source, rows, columns)
    needed = VERIFIERS[guess_verifier(mapped)].needs
    if all(role in mapped for role in needed):
        kinds.insert(0 if columns else len(kinds), "questions")
    if "traces" not in kinds and _most([worked_solution(row) is not None for row in rows]):
        kinds.append("traces")
    if "problem" in mapped or kinds:
        kinds.append("prompts")
    if not kinds:
        raise DataError(
            f"{source} holds nothing that r1kit knows: it has {column_names(rows)}; map the "
            "columns of questions with --column problem=NAME --column answer=NAME."
        )
    return kinds


def _conversations(rows: Sequence[JsonRow]) -> list[str]:
    """Return both kinds of conversations, traces first if most of them have thinking."""
    have_thinking = []
    for row in rows:
        try:
            have_thinking.append(bool(conversation_messages(row)[-1].reasoning))
        except ValueError:
            continue
    return ["traces", "conversations"] if _most(have_thinking) else ["conversations"]


def _is_labelled(row: JsonRow) -> bool:
    has_label = any(row.get(key) is not None for key in ("label", "is_safe", "safe"))
    return has_label and any(row.get(key) for key in ("completion", "response"))


def _most(answers: Sequence[bool]) -> bool:
    return sum(answers) * 2 > len(answers)
