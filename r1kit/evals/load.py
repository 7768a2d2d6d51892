"""The problems of a benchmark: from a local file or folder, from the hub, or generated.

A local copy is DATA/NAME.jsonl (also .json, .csv, .tsv, .parquet, and text zipped as .gz), or a
folder of such files, as `hf download` makes it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from r1kit.errors import DataError
from r1kit.evals.prompts import worded
from r1kit.evals.protocols import EvalProtocol
from r1kit.evals.suite import BenchmarkSpec
from r1kit.files.hub import hub_rows
from r1kit.files.json_lines import JsonRow, bad_lines
from r1kit.files.rows import TEXT_SUFFIXES, Faults, numbered_rows
from r1kit.files.untrusted import to_json
from r1kit.types import Message, Problem

SUFFIXES = tuple(f"{suffix}{zipped}" for suffix in TEXT_SUFFIXES for zipped in ("", ".gz"))


@dataclass
class EvalSet:
    """The problems of a benchmark as they were read. Their messages are the bare questions."""

    spec: BenchmarkSpec
    source: str
    """file, folder or data set that was read"""
    problems: list[Problem] = field(default_factory=list)
    faults: Faults = field(default_factory=list)
    """rows that cannot be used"""
    n_left_out: int = 0
    """number of rows that the set's own rule leaves out"""

    @property
    def data_hash(self) -> str:
        """A hash of all questions, options and answers, whatever the order of the rows."""
        return short_hash(*sorted(map(content_hash, self.problems)))

    def chosen(self, limit: int | None) -> list[Problem]:
        """Return the first `limit` problems in the order of their hashes: a sample of the set.

        A smaller limit chooses from the problems of a larger one.
        """
        ordered = sorted(self.problems, key=lambda problem: (content_hash(problem), problem.id))
        return ordered[:limit]

    def prompted(self, protocol: EvalProtocol, limit: int | None) -> list[Problem]:
        """Return the chosen problems with the prompts of a protocol; the question is in `meta`."""
        template = protocol.template(self.spec.name, self.spec.kind)
        system = (Message("system", protocol.system),) if protocol.system else ()
        return [
            replace(
                problem,
                messages=(*system, Message("user", worded(problem, template))),
                meta=problem.meta | {"question": problem.messages[-1].content},
            )
            for problem in self.chosen(limit)
        ]


def load_set(spec: BenchmarkSpec, data: Path | None) -> EvalSet:
    """Read or generate all problems of a benchmark.

    Raises DataError if it is neither in the folder `data` nor on the hub, and if no row fits its
    schema; the sentence says how to get it.
    """
    if spec.generate is not None:
        return EvalSet(spec, "generated", list(spec.generate()))
    source = None if data is None else local_source(spec, data)
    result = EvalSet(spec, source or f"{spec.hub}@{spec.revision or 'main'}")
    try:
        rows = _local_rows(spec, Path(source), result.faults) if source else _hub(spec)
        rows = _with_baseline(spec, data, rows) if spec.baseline else rows
        for number, row in rows:
            _add(result, number, row)
    except DataError as error:
        if source is not None:
            raise
        raise DataError(f"{spec.title}: {error} {how_to_get(spec, data)}") from None
    if not result.problems:
        listed = bad_lines(result.source, result.faults, "row") if result.faults else "no rows"
        raise DataError(
            f"{spec.title}: no row can be used, the schema may have changed ({listed}). "
            f"{how_to_get(spec, data)}"
        )
    return result


def how_to_get(spec: BenchmarkSpec, data: Path | None) -> str:
    """Say which command gets a benchmark, and where to put it."""
    folder = data or Path("data")
    agree = f"Agree to its terms at https://huggingface.co/datasets/{spec.repository}, `hf auth " \
            "login`, then: " if spec.is_gated else "Get it where there is a network: "  # fmt: skip
    stem = spec.files[0] if spec.files else spec.repository.rpartition("/")[2]
    return (
        f"{agree}`hf download {spec.repository} --repo-type dataset --local-dir "
        f"{folder / spec.repository.rpartition('/')[2]}`, and give --data {folder}; a file "
        f"{folder / stem}.jsonl with the same fields is read too."
    )


def local_source(spec: BenchmarkSpec, data: Path) -> str | None:
    """Return the file or folder of a benchmark in a folder. Raises DataError if there is none."""
    if not data.is_dir():
        raise DataError(f"--data {data} is no folder; name the one that holds the benchmarks.")
    names = (*spec.files, spec.repository.rpartition("/")[2])
    for name in names:
        for suffix in (*SUFFIXES, ".parquet"):
            if (file := data / f"{name}{suffix}").is_file():
                return str(file)
    folders = (data / name for name in names if name)
    return next((str(folder) for folder in folders if folder.is_dir()), None)


def content_hash(problem: Problem) -> str:
    """Return a hash of question, options and gold answer: it pairs problems of two results."""
    question = problem.meta.get("question") or problem.messages[-1].content
    options: Sequence[str] = problem.meta.get("options") or ()
    return short_hash(str(question), *options, problem.answer)


def short_hash(*parts: str) -> str:
    """Return 16 hexadecimal digits of the SHA-256 of some texts."""
    return hashlib.sha256(to_json(list(parts)).encode()).hexdigest()[:16]


def _add(result: EvalSet, number: int, row: JsonRow) -> None:
    assert result.spec.read is not None
    try:
        problem = result.spec.read(row, result.spec.name, str(number))
    except ValueError as error:
        result.faults.append((number, str(error)))
        return
    if problem is None or not _is_in_window(result.spec, problem):
        result.n_left_out += 1
    else:
        result.problems.append(problem)


def _is_in_window(spec: BenchmarkSpec, problem: Problem) -> bool:
    """True if a dated problem is of the spec's months, or the spec has none."""
    if spec.window is None:
        return True
    first, last = spec.window
    return first <= str(problem.meta.get("date"))[:7] <= last


def _with_baseline(
    spec: BenchmarkSpec, data: Path | None, rows: Iterable[tuple[int, JsonRow]]
) -> Iterator[tuple[int, JsonRow]]:
    """Add the baseline's answers to the rows. Raises DataError without a file of them."""
    files = [file for name in spec.baseline if data and (file := data / f"{name}.jsonl").is_file()]
    if not files:
        raise DataError(
            f"The answers of the baseline are missing; put the file {spec.baseline[0]}.jsonl with "
            f"{spec.baseline_source} into the folder of --data."
        )
    answers = {
        str(row.get("question_id")): _first_turn(row) for _, row in numbered_rows(str(files[0]))
    }
    for number, row in rows:
        yield number, {**row, "baseline": answers.get(str(row.get("question_id")))}


def _first_turn(row: JsonRow) -> str | None:
    """Return the text of `{"choices": [{"turns": [{"content": "..."}]}]}`; None for others."""
    try:
        content = row["choices"][0]["turns"][0]["content"]
    except (KeyError, IndexError, TypeError):
        return None
    return content if isinstance(content, str) else None


def _hub(spec: BenchmarkSpec) -> Iterator[tuple[int, JsonRow]]:
    return enumerate(hub_rows(spec.hub, spec.revision), start=1)


def _local_rows(spec: BenchmarkSpec, source: Path, faults: Faults) -> Iterator[tuple[int, JsonRow]]:
    """Yield the rows of a file, or of all files of a folder, numbered over all of them."""
    if source.is_file():
        yield from numbered_rows(str(source), faults)
        return
    files = _files_of(spec, source)
    if not files:
        raise DataError(f"{spec.title}: {source} holds no file that can be read.")
    number = 0
    for file in files:
        subject = file.parent.name if file.parent != source else file.name.partition(".")[0]
        for _, row in numbered_rows(str(file), faults):
            number += 1
            yield number, {"subject": subject, **row}


def _files_of(spec: BenchmarkSpec, folder: Path) -> list[Path]:
    """Return the data files of the benchmark's configuration and split in a copy of its repository.

    Configuration and split are recognised in the names, where any file has them.
    """
    _, configuration, split = (*spec.hub.split(":"), "", "")[:3]
    files = sorted(
        file for file in folder.rglob("*")
        if file.is_file() and file.name.endswith((*SUFFIXES, ".parquet"))
    )  # fmt: skip
    for word in (configuration, split):
        named = [file for file in files if _has_word(file.relative_to(folder), word)]
        files = named or files
    return files


def _has_word(path: Path, word: str) -> bool:
    stems = {part.partition(".")[0].partition("-00")[0] for part in path.parts}
    return word in stems or any(stem.startswith(f"{word}-") for stem in stems) if word else False
