"""Worked solutions as traces: GSM8K's and MATH's rationales, in which the answer is the last word.

The solution becomes the thinking, and its final answer, in a box, the answer. GSM8K's calculator
notes (`<<48/2=24>>`) are left out.
"""

from __future__ import annotations

import re

from r1kit.files.json_lines import JsonRow
from r1kit.renderers.shapes import is_conversation
from r1kit.types import Message
from r1kit.verify.statements.boxes import last_boxed

_NOTE = re.compile(r"<<[^<>]*>>")


def worked_solution(row: JsonRow) -> tuple[Message, Message] | None:
    """Return question and solved turn of a row with a worked solution; None for other rows."""
    question = next((row[key] for key in ("problem", "question") if row.get(key)), None)
    solution = next((row[key] for key in ("solution", "answer") if row.get(key)), None)
    if not isinstance(question, str) or not isinstance(solution, str) or is_conversation(row):
        return None
    if "####" in solution:
        steps, _, final = solution.rpartition("####")
    else:
        steps, final = solution, last_boxed(solution) or ""
    thinking, answer = _NOTE.sub("", steps).strip(), final.strip()
    if not answer or len(thinking) < len(answer) + len("\\boxed{}") + 1:
        return None  # an answer alone
    return Message("user", question), Message("assistant", f"\\boxed{{{answer}}}", thinking)
