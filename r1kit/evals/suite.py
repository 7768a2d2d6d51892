"""The benchmarks as a table: one row each, with its source, schema, prompt and grader.

Sources and revisions are those that lm-evaluation-harness, inspect-evals and lighteval pin. Every
set is also read from a local file or folder (load.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from r1kit.errors import ConfigError
from r1kit.evals import row_readers as rows
from r1kit.evals.prompts import PromptKind
from r1kit.evals.row_readers import RowReader
from r1kit.tasks.code import HumanEval, Mbpp
from r1kit.tasks.world import FAMILIES
from r1kit.types import Problem


@dataclass(frozen=True)
class BenchmarkSpec:
    """A row of the suite."""

    name: str
    title: str
    kind: PromptKind
    grader: str
    """name of the grader (graders.py)"""
    read: RowReader | None = None
    """reads a row; None for a set that is generated"""
    hub: str = ""
    """`repository:configuration:split` on the Hugging Face hub; the configuration `*` means all"""
    revision: str | None = None
    """commit of the repository on the hub"""
    files: tuple[str, ...] = ()
    """names of a local file without suffix, or of a folder, besides the repository's own name"""
    n_rows: int | None = None
    """number of problems of the set as published"""
    licence: str = ""
    is_confidential: bool = False
    """True if the authors ask not to publish its questions, which reports then leave out"""
    is_gated: bool = False
    """True if the hub gives the set only to those who have agreed to its terms"""
    generate: Callable[[], Iterable[Problem]] | None = None
    """makes the problems of a set that is not read"""
    note: str = ""
    """what a reader of a score has to know"""

    @property
    def repository(self) -> str:
        return self.hub.partition(":")[0]


def _world(name: str, level: int, n_each: int) -> Callable[[], Iterable[Problem]]:
    """Return a function that draws held-out problems of every family of the world."""

    def generate() -> Iterable[Problem]:
        for family in FAMILIES.values():
            task, drawn = family(level=level, split="held_out"), dict[str, Problem]()
            for index in range(20 * n_each):
                problem = task.problem(index)
                drawn.setdefault(problem.id, problem)
                if len(drawn) == n_each:
                    break
            for problem in drawn.values():
                meta = problem.meta | {"subject": family.name}
                yield replace(problem, id=f"{name}/{problem.id}", meta=meta)

    return generate


def _aime(year: int, hub: str, revision: str, *files: str) -> BenchmarkSpec:
    return BenchmarkSpec(
        f"aime{year % 100}",
        f"AIME {year}",
        "math",
        "math",
        rows.math_rows(("problem", "Problem", "question"), ("answer", "Answer")),
        hub,
        revision,
        (f"aime{year % 100}", f"aime{year}", f"aime_{year}", *files),
        30,
        "statements © MAA",
        note="30 problems: the score moves by several points from seed to seed.",
    )


_TABLE = (
    BenchmarkSpec(
        "world", "The world, level 1", "plain", "world",
        generate=_world("world", 1, 80), licence="generated",
        note="Held-out problems of the five families, asked as in training.",
    ),
    BenchmarkSpec(
        "world-hard", "The world, level 3", "plain", "world",
        generate=_world("world-hard", 3, 80), licence="generated",
    ),
    BenchmarkSpec(
        "gsm8k", "GSM8K", "math", "math", rows.math_rows(("question",), ("answer",)),
        "openai/gsm8k:main:test", "cc7b047b6e5bb11b4f1af84efc572db110a51b3c",
        ("gsm8k_test", "gsm8k"), 1319, "MIT",
    ),
    BenchmarkSpec(
        "math500", "MATH-500", "math", "math", rows.math_rows(("problem",), ("answer",)),
        "HuggingFaceH4/MATH-500:default:test", None, ("math500_test", "math500", "math_500"), 500,
        "MIT",
    ),
    _aime(2024, "Maxwell-Jia/AIME_2024:default:train", "8d88b2876a82a080e2f172cc9b25d0d9d2cb4792",
          "aime_2024_problems"),
    _aime(2025, "math-ai/aime25:default:test", "563bb8404243c5f09de6ec262f2db674fe5bce9b"),
    _aime(2026, "math-ai/aime26:default:test", "79037aebdb6580008fb960d17cb21fd3099083e3"),
    BenchmarkSpec(
        "mmlu", "MMLU", "choice", "choice", rows.choice_rows("question", "choices", "answer"),
        "cais/mmlu:all:test", "c30699e8356da336a370243923dbaf21066bb9fe",
        ("mmlu_test", "mmlu", "mmlu_sample_12x40"), 14_042, "MIT",
        note="The test split has 105 repeated questions, which are kept.",
    ),
    BenchmarkSpec(
        "humaneval", "HumanEval", "function", "code", rows.code_rows(HumanEval.without_rows()),
        "openai/openai_humaneval:openai_humaneval:test",
        "7dce6050a7d6d172f3cc5c32aa97f52fa1a2e544", ("HumanEval", "humaneval"), 164, "MIT",
    ),
    BenchmarkSpec(
        "mbpp", "MBPP (sanitized)", "mbpp", "code", rows.code_rows(Mbpp.without_rows()),
        "google-research-datasets/mbpp:sanitized:test",
        "4bb6404fdc6cacfda99d4ac4205087b89d32030c", ("mbpp_sanitized", "sanitized-mbpp", "mbpp"),
        257, "CC BY 4.0",
    ),
)  # fmt: skip
BENCHMARKS: dict[str, BenchmarkSpec] = {spec.name: spec for spec in _TABLE}
SUITES: dict[str, tuple[str, ...]] = {
    "r1": (
        "aime24", "aime25", "aime26", "math500", "gsm8k", "mmlu", "humaneval", "mbpp", "world",
    ),
    "all": tuple(BENCHMARKS),
}  # fmt: skip
"""suites by name; a benchmark of a suite that cannot be had is left out with a notice"""
NOT_RUN = {
    "swe-bench": "needs a Docker image per problem",
    "aider": "needs the toolchains of six languages",
}
"""benchmarks of R1's table that this harness does not run, and why"""


def find_benchmarks(suite: str) -> tuple[list[BenchmarkSpec], set[str]]:
    """Return the benchmarks of `NAME[,NAME]`, and the names of those that a suite brought in.

    Raises ConfigError for an unknown name.
    """
    chosen: dict[str, BenchmarkSpec] = {}
    optional: set[str] = set()
    for name in filter(None, (part.strip() for part in suite.split(","))):
        if name in SUITES:
            optional |= set(SUITES[name]) - chosen.keys()
            chosen |= {item: BENCHMARKS[item] for item in SUITES[name] if item not in chosen}
        elif name in BENCHMARKS:
            chosen[name] = BENCHMARKS[name]
            optional.discard(name)
        elif name in NOT_RUN:
            raise ConfigError(f"r1 eval does not run {name}: it {NOT_RUN[name]}.")
        else:
            raise ConfigError(
                f"There is no benchmark {name!r}; there are {', '.join(BENCHMARKS)}, and the "
                f"suites {', '.join(SUITES)}."
            )
    if not chosen:
        raise ConfigError("--suite is empty; name a benchmark, for example --suite gsm8k.")
    return list(chosen.values()), optional
