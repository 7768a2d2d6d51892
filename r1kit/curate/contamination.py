"""Benchmark contamination: find questions in a benchmark by exact match, n-grams and template.

Source: the 8-gram overlap of s1 and open-r1, the 13-grams of GPT-3's paper. Departures: words are
normalised (words.py), whereas those split at spaces and keep punctuation, so that `$x$,` equals
`$x$`; and questions too short for an n-gram, which those never find, are compared as a whole.

Every benchmark is hashed once; a question then costs one lookup per word and mode. Translations and
free paraphrases are not found: no n-gram survives them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from r1kit.config import ContaminationMode as Mode
from r1kit.curate.candidate import Candidate
from r1kit.curate.filter_pipeline import Rejection
from r1kit.curate.words import ngrams, words

SIZES: dict[Mode, int] = {"13-gram": 13, "8-gram": 8}

_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_STOP, _BREAK = r"(?<=[.?!])\s+|(?<=[。？！])", r"\n+"
_ENDS = [re.compile(end) for end in (_STOP, _BREAK, f"{_STOP}|{_BREAK}")]
"""patterns for the end of a sentence: full stops only (lines may be wrapped), line breaks only,
and both"""


@dataclass(frozen=True, slots=True)
class Overlap:
    """A match between a question and a benchmark.

    `Overlap("gsm8k", "8-gram", 0, "natalia sold clips to 48 of her friends")`
    """

    benchmark: str
    mode: Mode
    place: int
    """index of the question in the benchmark"""
    matched: str
    """the shared text, normalised"""


class BenchmarkQuestions:
    """The questions of a benchmark, hashed for lookup."""

    def __init__(self, name: str, questions: Sequence[str]) -> None:
        self.name = name
        self._exact: dict[str, int] = {}
        self._templates: dict[str, int] = {}
        self._ngrams: dict[Mode, dict[int, int]] = {mode: {} for mode in SIZES}
        for index, question in enumerate(questions):
            self._add(index, question)

    def _add(self, index: int, question: str) -> None:
        if whole := _whole(question):
            self._exact.setdefault(whole, index)
            self._templates.setdefault(_template(whole), index)
        tokens = words(question)
        for mode, size in SIZES.items():
            for ngram in ngrams(tokens, size):
                self._ngrams[mode].setdefault(hash(ngram), index)

    def overlaps(self, question: str) -> Iterator[Overlap]:
        """Yield the question's overlap with the benchmark in each mode, most certain first.

        exact: the same words and signs, however short, as the whole of `question` or one of its
        sentences, as instructions are often added around it. 13-gram, 8-gram: that many consecutive
        words. template: the same words and signs except for the numbers.
        """
        whole, tokens = _whole(question), words(question)
        match = next((part for part in (whole, *_sentences(question)) if part in self._exact), None)
        if match is not None:
            yield Overlap(self.name, "exact", self._exact[match], match)
        for mode, size in SIZES.items():
            by_hash = self._ngrams[mode]
            for ngram in ngrams(tokens, size):
                if (index := by_hash.get(hash(ngram))) is not None:
                    yield Overlap(self.name, mode, index, " ".join(ngram))
                    break
        index = self._templates.get(template := _template(whole))
        if index is not None:
            yield Overlap(self.name, "template", index, template)


def uncontaminated(
    candidates: Sequence[Candidate], benchmarks: Sequence[BenchmarkQuestions], modes: Sequence[Mode]
) -> list[Rejection | None]:
    """Reject candidates whose question overlaps a benchmark in one of `modes`; note other modes."""
    remarks: dict[str, Rejection | None] = {}
    for candidate in candidates:
        question = candidate.question
        if question not in remarks:
            overlaps = [
                overlap for benchmark in benchmarks for overlap in benchmark.overlaps(question)
            ]
            remarks[question] = _remark(overlaps, modes)
    return [remarks[candidate.question] for candidate in candidates]


def _remark(overlaps: Sequence[Overlap], modes: Sequence[Mode]) -> Rejection | None:
    """Return a rejection for the first overlap in `modes`, else a note on the first overlap."""
    for overlap in sorted(overlaps, key=lambda overlap: overlap.mode not in modes):
        example = f"“{overlap.matched}” is in question {overlap.place}"
        is_note = overlap.mode not in modes
        return Rejection(f"{overlap.benchmark} {overlap.mode}", example, is_note)
    return None


def _whole(question: str) -> str:
    return " ".join(words(question, with_signs=True))


def _sentences(question: str) -> list[str]:
    return [_whole(part) for end in _ENDS for part in end.split(question)]


def _template(whole: str) -> str:
    return _NUMBER.sub("#", whole)
