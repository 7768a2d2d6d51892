"""One question to several models, several times each: the samples, and what they say together.

A known answer decides each sample, with the verifiers that train and measure the models. With
budgets, every model answers with each of them, which shows what its thinking is worth.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from r1kit.errors import DependencyError
from r1kit.pages import turns
from r1kit.pages.api import AnswerControl, ApiClient
from r1kit.pages.options import AnswerOptions
from r1kit.types import Verdict
from r1kit.verify.answer import final_answer
from r1kit.verify.choice import check_choice
from r1kit.verify.exact import check_exact
from r1kit.verify.math import check_math
from r1kit.verify.math.gold import gold_kind
from r1kit.verify.statements.letters import LETTERS
from r1kit.verify.wilson import wilson

MAX_SAMPLES = 64
N_AT_ONCE = 16
"""completions of one comparison that are sampled at once"""
MAX_GOLD_CHARS = 500
_BUDGETS = (0, 16, 64, 256, 1024, 4096)
"""thinking budgets of a curve, in tokens; 0 is no thinking"""


@dataclass
class AnswerSample:
    """One answer: `AnswerSample(turn)`; the verdict follows if the gold answer is known."""

    turn: turns.Turn
    verdict: Verdict | None = None
    is_over: bool = False

    @property
    def is_counted(self) -> bool:
        """True for an answer that has ended by itself or at a limit: only those are counted."""
        return self.is_over and self.turn["state"] in ("done", "length", "filtered")

    @property
    def is_right(self) -> bool | None:
        """The verdict, None if it is undecided or not known."""
        return self.verdict.correct if self.verdict else None

    @property
    def answer(self) -> str | None:
        """The final answer that was read in the text."""
        text = self.verdict.extracted if self.verdict else final_answer(self.turn["content"])
        return " ".join(text.split())[:60] if text else None


@dataclass(frozen=True)
class SampleTally:
    """The samples of one model with one budget, counted."""

    n: int
    n_right: int
    n_undecided: int
    answers: list[tuple[str | None, int]]
    """final answers, the most frequent first"""
    mean_tokens: float

    @property
    def share(self) -> float:
        """The share of right answers among the decided ones, 0 if there is none."""
        return self.n_right / self.n_decided if self.n_decided else 0.0

    @property
    def n_decided(self) -> int:
        """The number of right and wrong answers."""
        return self.n - self.n_undecided

    @property
    def interval(self) -> tuple[float, float]:
        """The interval of the share."""
        return wilson(self.n_right, self.n_decided)


def tally(samples: Sequence[AnswerSample]) -> SampleTally:
    """Count the samples that have ended; failed ones are left out."""
    counted = [sample for sample in samples if sample.is_counted]
    answers = Counter(sample.answer for sample in counted).most_common()
    n_tokens = sum(sample.turn["n_tokens"] for sample in counted)
    return SampleTally(
        len(counted),
        sum(sample.is_right is True for sample in counted),
        sum(sample.is_right is None for sample in counted),
        answers,
        n_tokens / len(counted) if counted else 0.0,
    )


def graded(text: str, gold: str) -> Verdict:
    """Return the verdict on an answer; the form of the gold answer chooses the verifier.

    A letter is an option, words are compared as words, all else is mathematics.
    """
    if len(gold) == 1 and gold in LETTERS:
        return check_choice(text, gold, len(LETTERS))
    if gold_kind(gold)[0] == "words":
        return check_exact(text, gold)
    try:
        return check_math(text, gold)
    except DependencyError as error:
        return Verdict(None, None, str(error))


@dataclass
class ModelComparison:
    """The samples of a question, by model and thinking budget."""

    question: str
    gold: str
    models: Sequence[str]
    n: int
    """samples of each model with each budget"""
    thinks: bool
    options: AnswerOptions
    has_curve: bool = False
    """True if the models answer with several budgets"""
    cells: dict[tuple[str, int | None], list[AnswerSample]] = field(default_factory=dict)
    problem: str = ""
    """name of the text that says why there are no verdicts, "" if there are or none were asked"""

    def __post_init__(self) -> None:
        if self.gold and gold_kind(self.gold)[0] == "refused":
            self.gold, self.problem = "", "ungradable"
        elif self.has_curve and not self.gold:
            self.problem = "needs_gold"
        self.has_curve = self.has_curve and bool(self.gold)

    def budgets(self, api: ApiClient, model: str) -> list[int | None]:
        """Return the budgets of a model; the last one is the reader's own, None for no limit."""
        own = self.options.budget if self.thinks else 0
        if not self.has_curve or not api.can_cut(model):
            return [own]
        limit = math.inf if own is None else own
        return [*(budget for budget in _BUDGETS if budget < limit), own]

    def prepare(self, api: ApiClient) -> None:
        """Make a sample for every model, budget and repetition."""
        for model in self.models:
            for budget in self.budgets(api, model):
                empty = [AnswerSample(turns.assistant(model)) for _ in range(self.n)]
                self.cells[model, budget] = empty

    def column(self, model: str) -> list[AnswerSample]:
        """Return the samples of a model with the reader's own budget."""
        return [samples for (name, _), samples in self.cells.items() if name == model][-1]

    @property
    def n_over(self) -> int:
        """The number of samples that have ended."""
        return sum(sample.is_over for samples in self.cells.values() for sample in samples)

    @property
    def n_all(self) -> int:
        """The number of all samples."""
        return sum(map(len, self.cells.values()))

    async def run(self, api: ApiClient, key: str, control: AnswerControl) -> None:
        """Sample all answers, the first one of every model and budget first, and grade them."""
        free = asyncio.Semaphore(N_AT_ONCE)
        await asyncio.gather(*(
            self._sample(api, key, control, free, budget, i, samples[i])
            for i in range(self.n) for (_, budget), samples in self.cells.items()
        ))  # fmt: skip

    async def _sample(
        self, api: ApiClient, key: str, control: AnswerControl, free: asyncio.Semaphore,
        budget: int | None, repetition: int, sample: AnswerSample,
    ) -> None:  # fmt: skip
        async with free:
            if control.is_stop:
                sample.turn["state"] = "stopped"
                sample.is_over = True
                return
            follow = api.follow(
                sample.turn,
                turns.api_messages([turns.user(self.question)]),
                key=key,
                thinks=budget != 0,
                options=self.options.repeated(budget, repetition),
                control=control,
            )
            async for _ in follow:
                pass
            if self.gold:
                text = sample.turn["content"]
                sample.verdict = await asyncio.to_thread(graded, text, self.gold)
            sample.is_over = True
