"""Evaluations against a scripted server that knows the gold answers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console

from r1kit.evals import run as evaluation
from r1kit.evals.evaluate import EvalOptions
from r1kit.evals.graders import GRADERS
from r1kit.evals.load import load_set
from r1kit.evals.open_model import ModelOptions
from r1kit.evals.protocols import PROTOCOLS
from r1kit.evals.result import read_result
from r1kit.evals.suite import BENCHMARKS
from tests.servers import Body, Reply, said

R1 = PROTOCOLS["r1-paper"]
Answers = dict[str, str]
"""prompt → answer"""


def answers(data: Path, suite: str, shift: int = 0) -> Answers:
    """Gold answers by prompt, or those of the problem `shift` places later."""
    texts: Answers = {}
    for name in suite.split(","):
        eval_set = load_set(BENCHMARKS[name], data)
        grader = GRADERS[eval_set.spec.grader]
        problems = eval_set.prompted(R1, None)
        for index, problem in enumerate(problems):
            other = problems[(index + shift) % len(problems)]
            texts[problem.messages[-1].content] = grader.gold(other)
    return texts


def answering(texts: Answers) -> Callable[[int, Body], Reply]:
    return lambda _, body: said(texts[body["messages"][-1]["content"]], reasoning_content="hm")


def measure(
    urls: str, suite: str, data: Path, out: Path, samples: int | None = 1, **model: Any
) -> dict[str, Any]:
    options = EvalOptions(R1, data, samples)
    evaluation.run(
        ModelOptions(urls, timeout_s=model.pop("timeout_s", 60.0), **model), suite, options, out,
        Console(quiet=True),
    )  # fmt: skip
    return read_result(out)


def pass_at_1(result: dict[str, Any]) -> dict[str, float]:
    return {n: r["scores"]["pass@1"]["value"] for n, r in result["benchmarks"].items()}
