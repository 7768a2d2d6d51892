"""Protocols by name: how an evaluation samples, and with which prompts.

Sources: r1-paper: the R1 paper, section 3 (T 0.6, top-p 0.95, 32,768 tokens, no system prompt) and
the long version's appendix D.1 (k per benchmark). open-r1: its README and lighteval's tasks.
simple-evals: its sampler and evaluations. evalplus: its generator for instruct models; departure:
the beginning of the answer is not written for the model.

The graders behind all published numbers are lenient: they take the last box (lighteval's
Math-Verify) or the line after "Answer:" (simple-evals) and ignore what stands around it; the rules
of the R1 paper are not published.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from r1kit.errors import ConfigError
from r1kit.evals.prompts import (
    CHOICE,
    CHOICE_CAPITALS,
    EVALPLUS_PROMPTS,
    OPEN_R1_PROMPTS,
    R1_PROMPTS,
    SIMPLE_EVALS_PROMPTS,
    PromptKind,
    Prompts,
)
from r1kit.types import SamplingParams
from r1kit.verify.statements.policy import find_policy


@dataclass(frozen=True)
class EvalProtocol:
    """Settings of an evaluation that have a name."""

    name: str
    temperature: float = 0.6
    top_p: float = 0.95
    max_tokens: int = 32_768
    """maximum tokens per completion, thinking included"""
    system: str = ""
    """system prompt; empty: none is sent"""
    opens_thinking: bool = True
    """True if the prompt of a model with thinking tags ends in `<think>`"""
    prompts: Prompts = field(default_factory=dict)
    """templates that differ from those of r1-paper"""
    by_benchmark: Mapping[str, str] = field(default_factory=dict)
    """templates of single benchmarks"""
    samples: Mapping[str, int] = field(default_factory=dict)
    """k by benchmark; 1 for the others"""
    policy: str = "lenient"
    """how answers are read where the field disagrees, "strict" or "lenient"
    (verify/statements/policy.py)"""
    changes: Mapping[str, Any] = field(default_factory=dict)
    """settings of the user that differ from those of the name"""

    @property
    def title(self) -> str:
        """The name with the changed settings: `r1-paper (max_tokens 256)`."""
        notes = ", ".join(f"{key} {value}" for key, value in self.changes.items())
        return f"{self.name} ({notes})" if notes else self.name

    @property
    def sampling(self) -> SamplingParams:
        return SamplingParams(self.max_tokens, self.temperature, self.top_p)

    def template(self, benchmark: str, kind: PromptKind) -> str:
        """Return the template of a benchmark whose questions are of a kind."""
        if benchmark in self.by_benchmark:
            return self.by_benchmark[benchmark]
        return self.prompts.get(kind) or R1_PROMPTS[kind]

    def changed(self, **settings: Any) -> EvalProtocol:
        """Return the protocol with settings of the user; None leaves a setting as it is.

        Raises ConfigError for an unknown policy.
        """
        find_policy(settings.get("policy") or self.policy)
        changes = {
            key: value
            for key, value in settings.items()
            if value is not None and value != getattr(self, key)
        }
        return replace(self, **changes, changes={**self.changes, **changes})


_R1 = EvalProtocol(
    "r1-paper",
    by_benchmark={"gpqa": CHOICE_CAPITALS},
    samples={
        "aime24": 64, "aime25": 64, "aime26": 64, "gpqa": 64, "math500": 16, "cnmo": 16,
        "codeforces": 16, "livecodebench": 8,
    },
)  # fmt: skip
PROTOCOLS: dict[str, EvalProtocol] = {
    protocol.name: protocol
    for protocol in (
        _R1,
        EvalProtocol(
            "open-r1",
            prompts=OPEN_R1_PROMPTS,
            samples={"aime24": 64, "aime25": 64, "math500": 4, "gpqa": 8, "livecodebench": 16},
        ),
        EvalProtocol(
            "simple-evals",
            temperature=0.5,
            top_p=1.0,
            max_tokens=2048,
            system="You are a helpful assistant.",
            opens_thinking=False,
            prompts={**SIMPLE_EVALS_PROMPTS, "choice-10": CHOICE},
            samples={"gpqa": 4, "math500": 10, "humaneval": 5},
        ),
        EvalProtocol(
            "evalplus",
            temperature=0.0,
            top_p=1.0,
            max_tokens=768,
            opens_thinking=False,
            prompts=EVALPLUS_PROMPTS,
        ),
    )
}


def find_protocol(name: str) -> EvalProtocol:
    """Return a protocol by name. Raises ConfigError, which lists them, for an unknown name."""
    if name not in PROTOCOLS:
        raise ConfigError(f"There is no protocol {name!r}; there are {', '.join(PROTOCOLS)}.")
    return PROTOCOLS[name]
