"""What a run would read of a data file: facts, rows that cannot be used, and first examples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from r1kit.config import TaskConfig
from r1kit.curate.candidate import TrainingRow, messages_of
from r1kit.curate.conversations import ConversationRules, read_conversation_file
from r1kit.files.rows import Faults, RowWatch, unit_of
from r1kit.preview.measure import CountTokens, languages, lengths
from r1kit.tasks.file_task import split_questions, usable_file
from r1kit.tasks.general.preference import Preference, Safety
from r1kit.tasks.general.preference_file import (
    ExampleFile,
    label_of,
    pair_of,
    problem_of,
    prompt_of,
    read_examples,
)
from r1kit.tasks.questions import QuestionFile
from r1kit.types import Message, Problem

N_RUN = 32
"""number of gold programs that are run"""


@dataclass
class Summary:
    """A file as a run would read it."""

    n_rows: int
    facts: list[tuple[str, str]] = field(default_factory=list)
    """label and text, in order"""
    faults: Faults = field(default_factory=list)
    """rows that a run would refuse"""
    examples: list[ShownRow] = field(default_factory=list)
    """first rows"""


@dataclass(frozen=True)
class ShownRow:
    """A row of a file: `ShownRow("line 1", (Message("user", "1+1?"),), ["gold: 2"])`."""

    place: str
    prompt: tuple[Message, ...]
    rest: list[str]
    """further lines, each with what it is"""


def summarize_questions(
    config: TaskConfig, count_tokens: CountTokens | None, n_shown: int, watch: RowWatch
) -> Summary:
    """Summarize a file of questions. Raises DataError if it cannot be read at all."""
    file = usable_file(config, watch)
    summary = Summary(file.n_rows, faults=sorted(file.invalid + file.refused))
    columns = ", ".join(f"{role} = {column}" for role, column in file.columns.items())
    guessed = "" if config.verifier else " (guessed)"
    texts = [item.text(file.verifier) for item in file.questions]
    instruction = file.verifier.instruction if config.instruction is None else config.instruction
    problems = [item.problem("", file.verifier, instruction) for item in file.questions[:n_shown]]
    summary.facts = [
        ("columns", columns),
        ("verifier", f"{file.verifier.name}{guessed}: {_golds(file)}"),
        ("repeated", _repeated(file)),
        ("held out", _held_out(config, file)),
        ("languages", languages(texts) if texts else "none"),
        ("question", lengths(texts, count_tokens)),
    ]  # fmt: skip
    summary.examples = [
        ShownRow(f"{unit_of(file.source)} {item.number}", problem.messages, [_gold(problem)])
        for item, problem in zip(file.questions, problems, strict=False)
    ]
    return summary


def summarize_conversations(
    source: str, is_traces: bool, count_tokens: CountTokens | None, n_shown: int, watch: RowWatch
) -> Summary:
    """Summarize a file of traces or other conversations."""
    file = read_conversation_file(source, ConversationRules(is_traces), watch)
    summary = Summary(file.n_rows + len(file.invalid), faults=sorted(file.invalid))
    turns = [messages_of(row) for row in file.rows]
    thinking = [last.reasoning for *_, last in turns if last.reasoning]
    asked = ["\n".join(turn.content for turn in before) for *before, _ in turns]
    n_long = sum(len(messages) > 2 for messages in turns)
    whole = [f"{question}\n{last.reasoning or ''}\n{last.content}"
             for question, (*_, last) in zip(asked, turns, strict=True)]  # fmt: skip
    summary.facts = [
        ("used", f"{len(turns):,}" + (f"; left out: {file.reasons()}" if file.unusable else "")),
        ("thinking", f"in {len(thinking):,} of {len(turns):,}"),
        ("turns", f"{n_long:,} have more than a question and an answer; the last turn is learned"),
        ("languages", languages(asked) if asked else "none"),
        ("prompt", lengths(asked, count_tokens)),
        ("of thinking", lengths(thinking, count_tokens)),
        ("answer", lengths([last.content for *_, last in turns], count_tokens)),
        ("together", f"{lengths(whole, count_tokens)}; sft.max_length leaves out the longest"),
    ]
    summary.examples = [_conversation_example(row) for row in file.rows[:n_shown]]
    return summary


def summarize_preferences(
    source: str, kind: str, count_tokens: CountTokens | None, n_shown: int, watch: RowWatch
) -> Summary:
    """Summarize a file of pairs, labels or prompts."""
    convert: Callable[..., Any] = {"pairs": pair_of, "labels": label_of}.get(kind, prompt_of)
    file: ExampleFile[Any] = read_examples(source, convert, watch)
    summary = Summary(file.n_rows, faults=sorted(file.invalid))
    reasons = ", ".join(f"{n:,} {why}" for why, n in file.unusable.most_common())
    prompts = ["\n".join(m.content for m in problem_of(e).messages) for e in file.examples]
    summary.facts = [
        ("used", f"{len(file.examples):,}" + (f"; left out: {reasons}" if reasons else "")),
        ("prompts", f"{len(set(prompts)):,} different ones; one in ten is held out"),
        ("languages", languages(prompts) if prompts else "none"),
        ("prompt", lengths(prompts, count_tokens)),
        *_of_kind(file.examples, count_tokens),
    ]
    summary.examples = [_preference_example(example) for example in file.examples[:n_shown]]
    return summary


def _repeated(file: QuestionFile) -> str:
    if not file.repeated:
        return "no question"
    n_other = sum("another answer" in why for _, why in file.repeated)
    return (
        f"{len(file.repeated):,} times a question, {n_other:,} with another answer; the first row "
        "of each is used"
    )


def _golds(file: QuestionFile) -> str:
    kinds = file.gold_kinds
    parts = {
        "exact": "decided exactly" if file.verifier.name == "math" else "usable",
        "Math-Verify": "by Math-Verify",
        "words": "words, which match only if spelled the same",
        "refused": "refused",
    }
    listed = [f"{kinds[kind]:,} {what}" for kind, what in parts.items() if kinds[kind]]
    programs = _programs(file) if file.verifier.name == "code" else ""
    return f"of {kinds.total():,} golds {', '.join(listed) or 'none'}{programs}"


def _programs(file: QuestionFile) -> str:
    """Run the first gold programs, and return how many pass their tests."""
    problems = [item.problem("", file.verifier, "") for item in file.questions if item.answer]
    failed = []
    for problem in problems[:N_RUN]:
        verdict = file.verifier.verify(problem, file.verifier.gold(problem) or "")
        if verdict.correct is not True:
            failed.append(f"{problem.id} ({verdict.why})")
    n = len(problems[:N_RUN])
    listed = f"; not {', '.join(failed[:3])}" if failed else ""
    return f"; of the first {n} programs {n - len(failed)} pass their tests{listed}"


def _held_out(config: TaskConfig, file: QuestionFile) -> str:
    if not file.questions:
        return "nothing"
    _, train, held_out, _ = split_questions(config, "", file)
    how = {str: f"from {config.held_out}", float: f"a share of {config.held_out}"}.get(
        type(config.held_out), "one in ten, by a hash of the question"
    )
    n_same = len(file.questions) - len(train) if isinstance(config.held_out, str) else 0
    same = f"; {n_same:,} for training are also held out, and left out" if n_same else ""
    return f"{how}: {len(train):,} for training, {len(held_out):,} held out{same}"


def _gold(problem: Problem) -> str:
    answer = " ".join(problem.answer.split())
    return f"gold: {answer}" if answer else "no gold answer: any that the verifier accepts"


def _conversation_example(row: TrainingRow) -> ShownRow:
    *before, last = messages_of(row)
    thinking = [f"thinking: {last.reasoning}"] if last.reasoning else []
    place = str(row["provenance"].get("problem"))
    return ShownRow(place, tuple(before), [*thinking, f"answer: {last.content}"])


def _of_kind(examples: Sequence[Any], count_tokens: CountTokens | None) -> list[tuple[str, str]]:
    pairs = [example for example in examples if isinstance(example, Preference)]
    labels = [example for example in examples if isinstance(example, Safety)]
    if pairs:
        n_longer = sum(len(pair.chosen) > len(pair.rejected) for pair in pairs)
        return [
            ("chosen", lengths([pair.chosen for pair in pairs], count_tokens)),
            ("rejected", lengths([pair.rejected for pair in pairs], count_tokens)),
            ("bias", f"chosen is longer in {100 * n_longer / len(pairs):.0f} %; far from 50 %, a "
             "reward model learns length"),
        ]  # fmt: skip
    if labels:
        texts = [f"{label.reasoning or ''}{label.answer}" for label in labels]
        n_safe = sum(label.is_safe for label in labels)
        return [
            ("labels", f"{n_safe:,} safe, {len(labels) - n_safe:,} unsafe"),
            ("completion", lengths(texts, count_tokens)),
        ]
    return []


def _preference_example(example: Preference | Safety | Problem) -> ShownRow:
    problem = problem_of(example)
    rest = []
    if isinstance(example, Preference):
        rest = [f"chosen: {example.chosen}", f"rejected: {example.rejected}"]
    elif isinstance(example, Safety):
        thinking = [f"thinking: {example.reasoning}"] if example.reasoning else []
        label = "safe" if example.is_safe else "unsafe"
        rest = [*thinking, f"answer: {example.answer}", f"label: {label}"]
    return ShownRow(problem.id, problem.messages, rest)
