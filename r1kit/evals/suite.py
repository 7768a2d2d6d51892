"""The benchmarks as a table: one row each, with its source, schema, prompt and grader.

Sources and revisions are those that lm-evaluation-harness, inspect-evals and lighteval pin. Every
set is also read from a local file or folder (load.py).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from r1kit.errors import ConfigError
from r1kit.evals import row_readers as rows
from r1kit.evals.prompts import PromptKind
from r1kit.evals.row_readers import RowReader
from r1kit.tasks.code import (
    Codeforces,
    HumanEval,
    HumanEvalPlus,
    LiveCodeBench,
    Mbpp,
    MbppPlus,
)
from r1kit.tasks.long_context import long_context_problems
from r1kit.tasks.world import FAMILIES
from r1kit.types import Problem

_MONTH = re.compile(r"20\d\d-[01]\d")


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
    window: tuple[str, str] | None = None
    """first and last month ("2024-08") of dated problems; others are left out"""
    baseline: tuple[str, ...] = ()
    """names of a local file without suffix that has the answers to compare with"""
    baseline_source: str = ""
    """what that file is"""
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


def _long_context(name: str) -> Callable[[], Iterable[Problem]]:
    """Return a function that makes the problems of a long-context task, by length as subject."""

    def generate() -> Iterable[Problem]:
        return (replace(problem, task=name) for problem in long_context_problems(name, n_each=10))

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
    BenchmarkSpec(
        "gpqa", "GPQA Diamond", "choice", "choice", rows.gpqa,
        "Idavidrein/gpqa:gpqa_diamond:train", None, ("gpqa_diamond", "gpqa"), 198, "CC BY 4.0",
        is_confidential=True, is_gated=True,
        note="The order of options depends on the question's text and on no process.",
    ),
    BenchmarkSpec(
        "mmlu-redux", "MMLU-Redux 2.0", "choice", "choice", rows.mmlu_redux,
        "edinburgh-dawg/mmlu-redux-2.0:*:test", None, ("mmlu_redux",), 5700, "CC BY 4.0",
        note="Sound questions, and those whose wrong answer has a correction.",
    ),
    BenchmarkSpec(
        "mmlu-pro", "MMLU-Pro", "choice-10", "choice",
        rows.choice_rows("question", "options", "answer_index", "category"),
        "TIGER-Lab/MMLU-Pro:default:test", None, ("mmlu_pro",), 12_032, "MIT",
    ),
    BenchmarkSpec(
        "ceval", "C-Eval", "choice-zh", "choice",
        rows.chinese(rows.choice_rows("question", tuple("ABCD"), "answer")),
        "ceval/ceval-exam:*:val", None, ("ceval_val", "ceval"), 1346, "CC BY-NC-SA 4.0",
        note="The validation split: the test split has no answers.",
    ),
    BenchmarkSpec(
        "cmmlu", "CMMLU", "choice-zh", "choice",
        rows.chinese(rows.choice_rows("Question", tuple("ABCD"), "Answer")),
        "haonan-li/cmmlu:*:test", None, ("cmmlu_test", "cmmlu"), 11_582, "CC BY-NC 4.0",
    ),
    BenchmarkSpec(
        "cnmo", "CNMO (LiveMathBench)", "math-zh", "math",
        rows.math_rows(("question", "problem"), ("answer",), "zh"),
        "opencompass/LiveMathBench:v202412_CNMO_cn:test", None, ("cnmo", "CNMO_cn"), 18,
        "CC BY 4.0", is_gated=True,
        note="LiveMathBench's problems: those of R1's table are not published.",
    ),
    BenchmarkSpec(
        "humaneval+", "HumanEval+", "function", "code",
        rows.code_rows(HumanEvalPlus.without_rows()),
        "evalplus/humanevalplus:default:test", None, ("HumanEvalPlus", "humanevalplus"), 164,
        "Apache-2.0",
    ),
    BenchmarkSpec(
        "mbpp+", "MBPP+", "mbpp", "code", rows.code_rows(MbppPlus.without_rows()),
        "evalplus/mbppplus:default:test", None, ("MbppPlus", "mbppplus"), 378, "Apache-2.0",
    ),
    *(
        BenchmarkSpec(
            name, title, "plain", "number", generate=_long_context(name), licence="generated",
            note="1 to 32 thousand tokens, not by the model's tokenizer; three languages.",
        )
        for name, title in (("needle", "Needle in a haystack"), ("multi-hop", "Multi-hop sums"))
    ),
    BenchmarkSpec(
        "ifeval", "IFEval", "plain", "instructions", rows.ifeval,
        "google/IFEval:default:train", None, ("ifeval", "ifeval_input_data"), 541, "Apache-2.0",
        note="Answers that follow all instructions of their prompt, strict: the R1 paper's number.",
    ),
    BenchmarkSpec(
        "hrm8k", "HRM8K", "math-ko", "math", rows.math_rows(("question",), ("answer",), "ko"),
        "HAERAE-HUB/HRM8K:*:test", None, ("hrm8k",), 8011, "MIT",
        note="Korean; hrm8k-en asks the same in English: the difference is the language gap.",
    ),
    BenchmarkSpec(
        "hrm8k-en", "HRM8K in English", "math", "math", rows.math_rows(("original",), ("answer",)),
        "HAERAE-HUB/HRM8K:*:test", None, ("hrm8k",), None, "MIT",
    ),
    BenchmarkSpec(
        "kmmlu", "KMMLU", "choice-ko", "choice", rows.kmmlu,
        "HAERAE-HUB/KMMLU:*:test", None, ("kmmlu_test", "kmmlu"), 35_030, "CC BY-ND 4.0",
    ),
    BenchmarkSpec(
        "livecodebench", "LiveCodeBench", "program", "code",
        rows.code_rows(LiveCodeBench.without_rows(compare="livecodebench")),
        "lighteval/code_generation_lite:v4_v5:test", None,
        ("livecodebench", "code_generation_lite"), None, "CC",
        window=("2024-08", "2025-01"),
        note="The window is R1's; livecodebench:2025-01:2025-04 is another one.",
    ),
    BenchmarkSpec(
        "codeforces", "Codeforces", "program", "code", rows.code_rows(Codeforces.without_rows()),
        "open-r1/codeforces:verifiable:test", None, ("codeforces",), None, "CC BY 4.0",
        note="pass@1 is the share of solved problems. The rating is computed from the contests in "
             "codeforces_contests.jsonl, else estimated from problem ratings.",
    ),
    BenchmarkSpec(
        "simpleqa", "SimpleQA", "plain", "facts", rows.fact_rows("problem", "answer"),
        "lighteval/SimpleQA:default:test", None, ("simpleqa", "simple_qa_test_set"), 4326, "MIT",
        note="Graded by a judge. F is the harmonic mean of correct and correct if attempted.",
    ),
    BenchmarkSpec(
        "frames", "FRAMES without articles", "plain", "facts", rows.fact_rows("Prompt", "Answer"),
        "google/frames-benchmark:default:test", None, ("frames",), 824, "Apache-2.0",
        note="Graded by a judge. Without the Wikipedia articles that published numbers have in the "
             "prompt: from memory, which is much harder.",
    ),
    BenchmarkSpec(
        "alpacaeval", "AlpacaEval 2, plain win rate", "plain", "pair", rows.alpacaeval,
        "tatsu-lab/alpaca_eval:alpaca_eval_gpt4_baseline:eval", None,
        ("alpacaeval", "alpaca_eval_gpt4_baseline"), 805, "CC BY-NC 4.0",
        note="Against gpt4_1106_preview, by a judge, in both orders. Without length control, which "
             "the published numbers have.",
    ),
    BenchmarkSpec(
        "arenahard", "ArenaHard v0.1", "plain", "pair", rows.arenahard,
        "lmarena-ai/arena-hard-auto-v0.1:default:train", None, ("arenahard", "arena-hard"), 500,
        "Apache-2.0",
        baseline=("arenahard_baseline", "gpt-4-0314"),
        baseline_source="gpt-4-0314's answers (data/arena-hard-v0.1/model_answer/gpt-4-0314.jsonl "
                        "of lmarena-ai/arena-hard-auto)",
        note="Against gpt-4-0314, by a judge, in both orders. pass@1 is the plain win rate.",
    ),
)  # fmt: skip
LCB_ALL = "lighteval/code_generation_lite:release_v6:test"
"""source of LiveCodeBench's problems for other windows than R1's"""
BENCHMARKS: dict[str, BenchmarkSpec] = {spec.name: spec for spec in _TABLE}
SUITES: dict[str, tuple[str, ...]] = {
    "r1": (
        "aime24", "math500", "gpqa", "livecodebench", "codeforces", "mmlu", "mmlu-redux",
        "mmlu-pro", "ceval", "cnmo", "ifeval", "simpleqa", "frames", "alpacaeval", "arenahard",
    ),
    "judged": ("simpleqa", "frames", "alpacaeval", "arenahard"),
    "long-context": ("needle", "multi-hop"),
    "math": ("gsm8k", "math500", "aime24", "aime25", "aime26"),
    "code": ("humaneval", "humaneval+", "mbpp", "mbpp+", "livecodebench"),
    "korean": ("hrm8k", "hrm8k-en", "kmmlu"),
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
        elif name.partition(":")[0] in BENCHMARKS:
            spec = _windowed(name)
            chosen[spec.name] = spec
            optional.discard(spec.name)
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


def _windowed(name: str) -> BenchmarkSpec:
    """Return the benchmark of `NAME` or `NAME:FROM:TO`, whose window is in months."""
    base, *months = name.split(":")
    spec = BENCHMARKS[base]
    if not months:
        return spec
    if spec.window is None or len(months) != 2 or not all(map(_MONTH.fullmatch, months)):
        raise ConfigError(
            f"{name!r} is no benchmark; a dated one can have a window of months: "
            "livecodebench:2024-08:2025-01."
        )
    window = (months[0], months[1])
    return spec if window == spec.window else replace(spec, window=window, hub=LCB_ALL)
