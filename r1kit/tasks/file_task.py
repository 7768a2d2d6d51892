"""A file or data set of questions as a task: epochs, a held-out part, a verifier.

Every row occurs once per epoch, in an order that depends on seed and epoch alone. Held out is a
share of the rows, decided by a hash of the question's text, or another file or split, whose
questions are then left out of training: no question is on both sides.
"""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import Any

from r1kit.config import TaskConfig
from r1kit.errors import TaskError
from r1kit.files.rows import RowWatch, is_file, source_stem
from r1kit.tasks.base import HELD_OUT_SHARE, Task, hash_share
from r1kit.tasks.epochs import Epochs
from r1kit.tasks.questions import Question, QuestionFile, read_question_file
from r1kit.tasks.row_verifiers import RowVerifier
from r1kit.types import Problem, Split, Verdict

PUBLIC: dict[str, dict[str, Any]] = {
    "gsm8k": {"path": "openai/gsm8k:main:train", "held_out": "test"},
    "math": {
        "path": "DigitalLearningGmbH/MATH-lighteval:default:train",
        "held_out": "HuggingFaceH4/MATH-500:default:test",
        "on_bad_rows": "skip",
    },
    "countdown-tasks": {
        "path": "Jiayi-Pan/Countdown-Tasks-3to4:default:train",
        "verifier": "countdown",
    },
}
"""public sets by name: their settings, unless the recipe has others"""


class FileTask(Task):
    """The questions of a file, or of a data set of the hub."""

    is_finite = True
    remedy = "correct that row, or delete it"

    def __init__(self, config: TaskConfig, split: Split = "train", seed: int = 0) -> None:
        super().__init__(split=split, seed=seed)
        assert config.path is not None
        self.name = config.name or source_stem(config.path)
        self.verifier, train, held_out, self.notes = split_questions(config, self.name)
        self.instruction = self.verifier.instruction
        if config.instruction is not None:
            self.instruction = config.instruction
        self.questions = held_out if split == "held_out" else train
        if not self.questions:
            raise TaskError(
                f"Task {self.name!r} has no {split} question among the {len(train + held_out)} "
                f"that {config.path} has; add rows, or set held_out."
            )
        self.epochs = Epochs(len(self.questions), f"{self.name}/{split}/{seed}")

    def problem(self, index: int) -> Problem:
        question = self.questions[self.epochs[index]]
        return question.problem(self.name, self.verifier, self.instruction)

    def longest(self) -> Problem:
        """Return the problem with the longest question."""
        question = max(self.questions, key=lambda item: len(item.text(self.verifier)))
        return question.problem(self.name, self.verifier, self.instruction)

    def verify(self, problem: Problem, answer: str) -> Verdict:
        return self.verifier.verify(problem, answer)

    def gold(self, problem: Problem) -> str | None:
        return self.verifier.gold(problem)


def file_config(config: TaskConfig) -> TaskConfig:
    """Return the settings of a task that reads a file; those of a public set are its defaults.

    A local copy of one is a folder like that of the hub, or a file, which has no other split.
    """
    preset, own = dict(PUBLIC.get(config.name or "", {})), config.model_dump(exclude_unset=True)
    if preset and config.path is not None:
        if Path(config.path).is_dir():
            own["path"] = f"{config.path}:{preset['path'].partition(':')[2]}"
        else:
            preset.pop("held_out", None)
    return TaskConfig.model_validate(preset | own)


def split_questions(
    config: TaskConfig, name: str, file: QuestionFile | None = None
) -> tuple[RowVerifier, list[Question], list[Question], list[str]]:
    """Return the verifier, the questions for training, those held out, and notes on other rows.

    `file` is that of `config.path` if it has been read already.

    Raises DataError for a file that cannot be read, and, unless such rows are skipped, for rows
    that cannot be used.
    """
    assert config.path is not None
    file = file or _usable(config, config.path)
    notes = [file.note(name)]
    if isinstance(config.held_out, str):
        source = held_out_source(config.path, config.held_out)
        other = _usable(config, source, file.verifier.name)
        texts = {item.text(other.verifier) for item in other.questions}
        train = [item for item in file.questions if item.text(file.verifier) not in texts]
        notes.append(other.note(name))
        if n_same := len(file.questions) - len(train):
            notes.append(
                f"Task {name}: {n_same:,} questions for training are also held out; left out."
            )
        held_out = other.questions
    else:
        share = 1 / HELD_OUT_SHARE if config.held_out is None else config.held_out
        places = {item.id: hash_share(item.text(file.verifier)) for item in file.questions}
        lowest = min(places.values(), default=0.0)  # at least one question is held out
        held_out = [item for item in file.questions if places[item.id] < max(share, lowest * 1.001)]
        train = [item for item in file.questions if places[item.id] >= max(share, lowest * 1.001)]
    return file.verifier, train, held_out, [note for note in notes if note]


def held_out_source(source: str, held_out: str) -> str:
    """Return the source of the held-out rows: another file or data set, or a split of the same."""
    if is_file(source) or is_file(held_out) or "/" in held_out:
        return held_out
    repository, _, rest = source.partition(":")
    return f"{repository}:{rest.partition(':')[0]}:{held_out}"


def usable_file(config: TaskConfig, watch: RowWatch) -> QuestionFile:
    """Read the file of a task, with the rows that cannot be used. Raises DataError."""
    assert config.path is not None
    columns = dict(config.columns)
    return read_question_file(config.path, config.verifier, columns, watch=watch)


def _usable(config: TaskConfig, source: str, second: str | None = None) -> QuestionFile:
    """Read the file of a task, or as the second one that of held-out rows with its verifier."""
    columns = tuple(sorted(config.columns.items()))
    verifier = second or config.verifier
    file = _read(source, verifier, columns, second is not None, _stamp(source))
    error = file.error()
    if error is not None and (config.on_bad_rows == "error" or not file.questions):
        raise error
    return file


@lru_cache(maxsize=8)  # both splits of a task are of one file
def _read(
    source: str,
    verifier: str | None,
    columns: tuple[tuple[str, str], ...],
    is_second: bool,
    stamp: object,
) -> QuestionFile:
    return read_question_file(source, verifier, dict(columns), is_second=is_second)


def _stamp(source: str) -> object:
    """Return what changes when a local file is written again."""
    try:
        status = os.stat(source)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size
