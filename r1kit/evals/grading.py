"""Grading of logged completions: a step of its own, whose verdicts are in a file of their own.

Completions can be graded again with another grader, without sampling anything. A grader with
policies gives two verdicts, strict and lenient, so that both scores are known.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from r1kit.errors import EngineError, R1Error
from r1kit.evals.completion_log import LogKey, LogRecord, read_log
from r1kit.evals.graders import DetailedVerdict, Grader
from r1kit.files.atomic import explaining_full_disk, seal
from r1kit.files.json_lines import JsonLines
from r1kit.renderers.thinking import parse, without_tags
from r1kit.types import Problem, Verdict
from r1kit.verify.language import LANGUAGES, language_share

FORMAT = 2
"""version of the lines; a file of another one is begun again"""
N_THREADS = 4
"""grading threads; slow graders run in processes that these threads wait for"""
N_JUDGING = 16
"""grading threads that wait for a judge"""
NO_ANSWER = Verdict(False, None, "no answer: the thinking never ended")
MAX_EXTRACTED = 2000
"""maximum number of characters of an extracted answer in the file of verdicts"""
MAX_WHY = 300


class VerdictFile:
    """The verdicts of a grader on the completions of one benchmark; it only grows."""

    KIND = "verdicts"

    def __init__(self, path: Path, grader: Grader) -> None:
        """Open the file, or begin it again if another version of the grader wrote it."""
        self.path = path
        self.verdicts: dict[LogKey, LogRecord] = {}
        header = {
            "kind": self.KIND,
            "format": FORMAT,
            "grader": grader.name,
            "version": grader.version,
            "judge": grader.judge,
        }
        lines = read_log(path)
        if lines and all(lines[0][1].get(key) == header[key] for key in header):
            for _, record in lines[1:]:
                self.verdicts[record["id"], record["sample"]] = record
            with explaining_full_disk(path):
                os.truncate(path, sum(len(raw) for raw, _ in lines))
            self._lines = JsonLines(path)
        else:
            path.unlink(missing_ok=True)
            self._lines = JsonLines(path)
            self._lines.append(seal(header))

    def add(self, record: LogRecord) -> None:
        """Append a verdict."""
        self._lines.append(seal(record))
        self.verdicts[record["id"], record["sample"]] = record

    def close(self) -> None:
        self._lines.sync()
        self._lines.close()


class Grading:
    """Grades completions in threads while others are being sampled."""

    def __init__(self, has_judge: bool = False) -> None:
        n_threads = N_JUDGING if has_judge else N_THREADS
        self._pool = ThreadPoolExecutor(n_threads, thread_name_prefix="grade")
        self._done: SimpleQueue[tuple[VerdictFile, Future[LogRecord]]] = SimpleQueue()
        self._n_open = 0
        self._failure: EngineError | None = None
        """failure of a judge, after which nothing is graded until the next session"""

    def __enter__(self) -> Grading:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    def add(self, file: VerdictFile, grader: Grader, problem: Problem, record: LogRecord) -> None:
        """Start to grade a completion; `collect` writes its verdict to the file."""
        if self._failure is not None:
            return
        self._n_open += 1
        future = self._pool.submit(grade, grader, problem, record)
        future.add_done_callback(lambda done: self._done.put((file, done)))

    def collect(self, is_last: bool = False) -> None:
        """Write the verdicts that are there; wait for all of them if `is_last`.

        Raises EngineError at the end if a judge has failed: all completions are sampled by then.
        """
        while self._n_open:
            try:
                file, future = self._done.get(block=is_last)
            except Empty:
                return
            self._n_open -= 1
            try:
                file.add(future.result())
            except EngineError as error:
                self._failure = self._failure or error
        if is_last and self._failure is not None:
            raise self._failure


def grade(grader: Grader, problem: Problem, record: Mapping[str, Any]) -> LogRecord:
    """Return the verdict on a completion as a line of the file.

    The strict verdict is in the line itself, and the lenient one at "lenient" if it differs.
    """
    answer = parse(record["text"]).answer
    strict = _verdict(grader, problem, answer, "strict")
    lenient = _verdict(grader, problem, answer, "lenient") if grader.has_policies else strict
    share = None
    if problem.language in LANGUAGES:
        share = language_share(without_tags(record["text"]), problem.language)
    return {
        "id": record["id"],
        "sample": record["sample"],
        "language": share,
        **strict,
        **({} if lenient == strict else {"lenient": lenient}),
    }


def verdict_by(record: LogRecord, policy: str) -> LogRecord:
    """Return the verdict of a line by a policy."""
    verdict: LogRecord = record.get(policy, record)
    return verdict


def _verdict(grader: Grader, problem: Problem, answer: str | None, policy: str) -> LogRecord:
    """Return the verdict on an answer as JSON.

    A grader that fails makes it undecided; only an R1Error, which concerns every completion (a
    machine without sandbox), is raised.
    """
    verdict, failure = NO_ANSWER, False
    if answer is not None:
        try:
            verdict = grader.verify(problem, answer, policy)
        except R1Error:
            raise
        except Exception as error:
            why = f"the grader failed ({type(error).__name__}: {error})"
            verdict, failure = Verdict(None, None, why), True
    details = verdict.details if isinstance(verdict, DetailedVerdict) else None
    return {
        "correct": verdict.correct,
        "extracted": None if verdict.extracted is None else verdict.extracted[:MAX_EXTRACTED],
        "why": verdict.why[:MAX_WHY],
        **({"details": details} if details else {}),
        **({"grader_failed": True} if failure else {}),
    }
