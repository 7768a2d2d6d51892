"""Check which of its instructions an answer follows, strictly and loosely.

    check_instructions("no commas here", read_instructions(row)).verdict

Source: IFEval (Zhou et al. 2023, arXiv 2311.07911) and its code, google-research's
instruction_following_eval. Strictly, the answer itself follows an instruction; loosely, it does so
also without its first line, its last line, both, or its asterisks. Departures: an instruction of
an unknown kind, or with arguments that are missing or of a wrong type, is undecided with the
reason; the original stops at the first one, and draws the second at random.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from r1kit.types import Verdict
from r1kit.verify.instructions.kinds import KINDS
from r1kit.verify.instructions.text_measures import require_packages


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction: `Instruction("startend:end_checker", {"end_phrase": "Bye."})`."""

    kind: str
    arguments: dict[str, Any] = field(default_factory=dict)
    fault: str = ""
    """reason for which it cannot be checked: "is of an unknown kind"; empty if it can"""

    def is_followed(self, answer: str) -> bool:
        """Return True if an answer follows the instruction; an empty one follows none."""
        return bool(answer.strip()) and KINDS[self.kind].check(answer, **self.arguments)


@dataclass(frozen=True, slots=True)
class InstructionReport:
    """The instructions of a prompt, and which of them an answer follows; None is undecided."""

    instructions: tuple[Instruction, ...]
    strict: tuple[bool | None, ...]
    loose: tuple[bool | None, ...]
    start: str | None
    """the first 200 characters of the answer; None if it is empty"""

    @property
    def verdict(self) -> Verdict:
        """Return the verdict of record: whether all instructions are followed strictly."""
        correct = all_followed(self.strict)
        pairs = zip(self.instructions, self.strict, strict=True)
        broken = [instruction.kind for instruction, followed in pairs if followed is False]
        if broken:
            return Verdict(correct, self.start, f"not followed: {', '.join(broken)}")
        faults = [f"{item.kind} {item.fault}" for item in self.instructions if item.fault]
        return Verdict(correct, self.start, "; ".join(faults) or "all followed")


def all_followed(followed: Sequence[bool | None]) -> bool | None:
    """Return whether a whole prompt is followed: False if one instruction is not, else None if
    one is undecided."""
    if False in followed:
        return False
    return None if None in followed or not followed else True


def read_instructions(row: Mapping[str, Any]) -> tuple[Instruction, ...]:
    """Read the instructions of a row from `instruction_id_list` and `kwargs`.

    Raises ValueError with a phrase if the row has no instructions, and DependencyError if the
    libraries that check them are not installed.
    """
    require_packages()
    kinds, arguments = row.get("instruction_id_list"), row.get("kwargs")
    if not isinstance(kinds, list) or not kinds:
        raise ValueError('has no list at "instruction_id_list"')
    if not isinstance(arguments, list) or len(arguments) != len(kinds):
        raise ValueError('has no list at "kwargs" with the arguments of every instruction')
    return tuple(_read(*pair) for pair in zip(kinds, arguments, strict=True))


def _read(kind: Any, arguments: Any) -> Instruction:
    if not isinstance(kind, str) or kind not in KINDS:
        return Instruction(str(kind)[:200], fault="is of an unknown kind")
    values = arguments if isinstance(arguments, dict) else {}  # null: no arguments
    read: dict[str, Any] = {}
    for name, reader in KINDS[kind].arguments.items():
        try:
            read[name] = reader(values.get(name))
        except ValueError as error:
            return Instruction(kind, fault=f"has a {name!r} that {error}")
    return Instruction(kind, read)


def check_instructions(answer: str, instructions: Sequence[Instruction]) -> InstructionReport:
    """Check an answer, without its thinking, against the instructions of its prompt."""
    variants = dict.fromkeys(_loose_variants(answer))
    strict: list[bool | None] = []
    loose: list[bool | None] = []
    for instruction in instructions:
        if instruction.fault:
            strict.append(None)
            loose.append(None)
        else:
            strict.append(instruction.is_followed(answer))
            loose.append(strict[-1] or any(map(instruction.is_followed, variants)))
    start = answer.strip()[:200] or None
    return InstructionReport(tuple(instructions), tuple(strict), tuple(loose), start)


def _loose_variants(answer: str) -> Iterator[str]:
    """Yield the answer with and without its first line, last line and asterisks."""
    lines = answer.split("\n")
    for part in (answer, *("\n".join(lines[cut]).strip() for cut in _CUTS)):
        yield part
        yield part.replace("*", "")


_CUTS = (slice(1, None), slice(None, -1), slice(1, -1))
