"""Read a file of training conversations: any source of files/rows.py in any shape of shapes.py.

{"messages": [{"role": "user", "content": "..."}, {"role": "assistant", "content": "..."}]}
"""

from __future__ import annotations

import heapq
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from r1kit.config import ContaminationMode
from r1kit.curate.candidate import TrainingRow, conversation, messages_of
from r1kit.curate.contamination import BenchmarkQuestions
from r1kit.curate.worked import worked_solution
from r1kit.errors import DataError
from r1kit.files.json_lines import JsonRow, bad_lines
from r1kit.files.rows import Faults, RowWatch, is_file, numbered_rows, source_stem, unit_of
from r1kit.renderers.shapes import conversation_messages

N_CHECKED = 1000
"""number of rows of a data set of the hub, all of one type, that are checked before a run"""
_EXAMPLE = 'A row has the "messages" of a conversation, such as `r1 sample` writes.'


@dataclass
class ConversationFile:
    """A file of conversations as it was read."""

    source: str
    rows: list[TrainingRow] = field(default_factory=list)
    n_rows: int = 0
    invalid: Faults = field(default_factory=list)
    """rows that are no conversations"""
    unusable: Counter[str] = field(default_factory=Counter)
    """why conversations are left out → how many"""

    def error(self) -> DataError | None:
        """Return the error for rows that are no conversations, or for a file without any."""
        if self.invalid:
            listed = bad_lines(self.source, sorted(self.invalid), unit_of(self.source))
            return DataError(f"{listed}. {_EXAMPLE}")
        if not self.n_rows:
            return DataError(f"{self.source} is empty. {_EXAMPLE}")
        if not self.rows:
            return DataError(f"{self.source} has no conversation to learn from: {self.reasons()}.")
        return None

    def reasons(self) -> str:
        """List why conversations are left out: `3 without thinking, 1 that occurred before`."""
        return ", ".join(f"{n:,} {why}" for why, n in self.unusable.most_common())


@dataclass(frozen=True)
class ConversationRules:
    """Which conversations of a file are used."""

    needs_thinking: bool = False
    benchmarks: Sequence[BenchmarkQuestions] = ()
    modes: Sequence[ContaminationMode] = ()
    """kinds of overlap with a benchmark that exclude a conversation"""
    limit: int | None = None
    """maximum number of conversations, drawn at random"""
    seed: int = 0

    def fault(self, row: TrainingRow) -> str | None:
        """Return why a conversation is not used, in a phrase; None if it is."""
        *before, last = messages_of(row)
        if not last.content.strip():
            return "without an answer"
        if self.needs_thinking and not (last.reasoning or "").strip():
            return "without thinking"
        question = "\n".join(message.content for message in before if message.role == "user")
        for benchmark in self.benchmarks:
            if any(overlap.mode in self.modes for overlap in benchmark.overlaps(question)):
                return f"with a question of {benchmark.name}"
        return None


def read_conversations(source: str | Path) -> list[TrainingRow]:
    """Read all rows, each with a `provenance`. Raises DataError that lists the invalid rows."""
    file = read_conversation_file(str(source))
    if error := file.error():
        raise error
    return file.rows


def read_conversation_file(
    source: str, rules: ConversationRules | None = None, watch: RowWatch = iter
) -> ConversationFile:
    """Read a source; only the conversations that are used stay in memory, in their order.

    Without rules all are used, also those that repeat others.
    """
    file = ConversationFile(source)
    limit = rules.limit if rules is not None else None
    drawn: list[tuple[float, int, TrainingRow]] = []
    seen: set[int] = set()
    for number, row in watch(numbered_rows(source, file.invalid)):
        try:
            entry = training_conversation(row, f"{source_stem(source)}/{number}")
        except ValueError as error:
            file.invalid.append((number, str(error)))
            continue
        file.n_rows += 1
        place = 0.0
        if rules is not None:
            key = hash(messages_of(entry))
            fault = "that occurred before" if key in seen else rules.fault(entry)
            seen.add(key)
            if fault is not None:
                file.unusable[fault] += 1
                continue
            place = random.Random(f"{rules.seed}/{number}").random()
        drawn.append((place, number, entry))
        if limit and len(drawn) > 2 * limit:
            drawn = _lowest(drawn, limit)
    file.rows = [entry for _, _, entry in sorted(_lowest(drawn, limit), key=lambda item: item[1])]
    return file


def check_conversations(source: str) -> None:
    """Raise DataError unless a file, or the beginning of a data set, holds conversations."""
    if is_file(source):
        file = read_conversation_file(source, ConversationRules(limit=1))
        if error := file.error():
            raise error
        return
    for number, row in islice(numbered_rows(source), N_CHECKED):
        try:
            training_conversation(row, "")
        except ValueError as error:
            raise DataError(f"{source}: row {number} {error}. {_EXAMPLE}") from None


def _lowest(
    drawn: list[tuple[float, int, TrainingRow]], limit: int | None
) -> list[tuple[float, int, TrainingRow]]:
    return drawn if limit is None else heapq.nsmallest(limit, drawn, key=lambda item: item[:2])


def training_conversation(row: JsonRow, name: str) -> TrainingRow:
    """Return a row of any shape as a training row. Raises ValueError with a phrase."""
    messages = worked_solution(row) or conversation_messages(row)
    provenance = row.get("provenance", {})
    if not isinstance(provenance, dict):
        raise ValueError('has a "provenance" that is no object')
    return conversation(messages, **{"problem": name, **provenance})
