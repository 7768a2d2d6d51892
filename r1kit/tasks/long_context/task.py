"""Questions about facts that are scattered in a long text, at an exact length in tokens.

    Needle(level=3, languages=["ko"], count_tokens=lambda text: len(tokenizer.encode(text)))

Needle asks for one of several codes, each stated in one sentence. MultiHop asks for a number of
coins that follows from up to four sentences in any order. Sources: needle in a haystack (Kamradt
2023) with distractors of the same kind, and variable tracking (RULER, Hsieh et al. 2024, arXiv
2404.06654). Departures: the text is generated, so that no model knows it; numbers are computed, not
copied; every problem exists in three languages with the same facts at the same depths.

Level 1 has a text of 1,024 tokens, and each level doubles it: level 6 has 32,768. Length is that of
the whole question, at most one sentence less, without the chat template.
"""

from __future__ import annotations

import random
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, ClassVar

from r1kit.errors import TaskError
from r1kit.tasks.base import GeneratedTask
from r1kit.tasks.general.phrases import INDEX_OF, NAMES, Translations
from r1kit.tasks.long_context.phrases import ASK_CODE, ASK_COINS, CODE, COINS, FRAME, sentence
from r1kit.types import Message, Problem, Split, Verdict
from r1kit.verify.answer import check_number

SHORTEST = 1024
"""tokens of level 1"""
LEVELS = (1, 2, 3, 4, 5, 6)
MAX_LEVEL = 8
N_CODES = 4
"""codes in a text, of which one is asked for"""
MAX_HOPS = 4
N_OTHER_HOPS = 2
"""hops of a second chain, which nobody asks about"""
PARAGRAPH = 6
"""sentences of a paragraph"""
N_PROBED = 64
"""sentences whose length in tokens tells how many are needed"""

_Fact = tuple[float, str]


def estimate_tokens(text: str) -> int:
    """Return about the number of tokens of a common tokenizer: 4 ASCII letters each, else 1.25."""
    n_ascii = sum(map(str.isascii, text))
    return round(n_ascii / 4 + (len(text) - n_ascii) / 1.25)


class LongContext(GeneratedTask):
    """Base of both tasks.

    `meta` has `n_tokens`, the length, and `facts`, pairs of depth (0 to 1) and sentence, the asked
    one first. `count_tokens` counts without special tokens: problems with other tokenizers have
    the same ids, facts, depths and answers, and another amount of text around them.
    """

    ASK: ClassVar[Translations]

    def __init__(
        self,
        *,
        level: int = 1,
        languages: Sequence[str] = ("en", "ko", "zh"),
        split: Split = "train",
        seed: int = 0,
        count_tokens: Callable[[str], int] = estimate_tokens,
    ) -> None:
        super().__init__(level=level, languages=languages, split=split, seed=seed)
        if level > MAX_LEVEL:
            raise TaskError(
                f"Task {self.name!r} has levels up to {MAX_LEVEL} "
                f"({SHORTEST << (MAX_LEVEL - 1):,} tokens), not {level}; lower its level."
            )
        self.n_tokens = SHORTEST << (level - 1)
        self.count_tokens = count_tokens

    @abstractmethod
    def facts(self, rng: random.Random) -> tuple[list[tuple[Translations, dict[str, Any]]], str]:
        """Draw facts, as sentences with their arguments, the asked one first; return the answer.

        The arguments are `of` and `than`, entries of NAMES, and the number `n`.
        """

    def draw(self, rng: random.Random, language: str) -> Problem:
        """Draw the question and its facts; `problem` puts the text before it."""
        facts, answer = self.facts(rng)
        depths = [rng.random() for _ in facts]
        key = ";".join(_worded(fact, "en") for fact in facts)
        question = self.ASK[INDEX_OF[language]].format(facts[0][1]["of"][INDEX_OF[language]])
        meta = {
            "facts": [
                (depth, _worded(fact, language)) for depth, fact in zip(depths, facts, strict=True)
            ],
            "n_tokens": self.n_tokens,
            "subject": f"{self.n_tokens // 1024}k tokens",
        }
        message = Message("user", question)
        return Problem(
            f"{self.name}/{self.level}/{key}", self.name, (message,), answer, language, meta
        )

    def problem(self, index: int) -> Problem:
        problem = super().problem(index)
        text = self._text(self._rng(index, "text"), problem)
        return replace(problem, messages=(Message("user", text),))

    def verify(self, problem: Problem, answer: str) -> Verdict:
        return check_number(answer, problem.answer)

    def _text(self, rng: random.Random, problem: Problem) -> str:
        """Return as many sentences as fit, with the facts among them, and the question."""
        language, facts = problem.language, sorted(problem.meta["facts"])
        sentences = [sentence(rng, language) for _ in range(N_PROBED)]
        n_each = self.count_tokens(_paragraphs(sentences, language)) / N_PROBED
        n_about = round(self.n_tokens / max(n_each, 1))
        sentences += [sentence(rng, language) for _ in range(n_about)]

        def rendered(n: int) -> str:
            text = _paragraphs(_with_facts(sentences[:n], facts), language)
            return FRAME[language].format(text=text, question=problem.messages[-1].content)

        n = n_about
        for _ in range(2):
            n = min(round(n * self.n_tokens / self.count_tokens(rendered(n))), len(sentences))
        while n > 0 and self.count_tokens(rendered(n)) > self.n_tokens:
            n -= 1
        while n < len(sentences) and self.count_tokens(rendered(n + 1)) <= self.n_tokens:
            n += 1
        return rendered(n)


class Needle(LongContext):
    """One of several codes, each in one sentence."""

    name = "needle"
    ASK = ASK_CODE

    def facts(self, rng: random.Random) -> tuple[list[tuple[Translations, dict[str, Any]]], str]:
        owners = rng.sample(NAMES, N_CODES)
        codes = rng.sample(range(10_000, 100_000), N_CODES)
        facts = [(CODE, {"of": of, "n": n}) for of, n in zip(owners, codes, strict=True)]
        return facts, str(codes[0])


class MultiHop(LongContext):
    """A number that follows from 2 to 4 comparisons; a second chain of them distracts."""

    name = "multi-hop"
    ASK = ASK_COINS

    def facts(self, rng: random.Random) -> tuple[list[tuple[Translations, dict[str, Any]]], str]:
        n_hops = rng.randint(2, MAX_HOPS)
        people = rng.sample(NAMES, n_hops + N_OTHER_HOPS + 2)
        chain, answer = _chain(rng, people[: n_hops + 1])
        other, _ = _chain(rng, people[n_hops + 1 :])
        return [*reversed(chain), *other], str(answer)


LONG_CONTEXT_TASKS: dict[str, type[LongContext]] = {task.name: task for task in (Needle, MultiHop)}


def long_context_problems(
    name: str,
    *,
    levels: Sequence[int] = LEVELS,
    languages: Sequence[str] = ("en", "ko", "zh"),
    n_each: int = 20,
    seed: int = 0,
    count_tokens: Callable[[str], int] = estimate_tokens,
) -> Iterator[Problem]:
    """Yield held-out problems of one task, `n_each` for every length and language.

    Those with one index have the same facts in every language.
    """
    for level in levels:
        for language in languages:
            task = LONG_CONTEXT_TASKS[name](
                level=level,
                languages=[language],
                split="held_out",
                seed=seed,
                count_tokens=count_tokens,
            )
            for index in range(n_each):
                problem = task.problem(index)
                yield replace(problem, id=f"{name}/{task.n_tokens}/{language}/{index}")


def _chain(
    rng: random.Random, people: Sequence[Translations]
) -> tuple[list[tuple[Translations, dict[str, Any]]], int]:
    """Draw comparisons, each of a person with the one before; return the last one's coins."""
    value = rng.randint(5, 60)
    facts = [(COINS["start"], {"of": people[0], "n": value})]
    for than, of in pairwise(people):
        kind = rng.choice(("more", "fewer", "times"))
        n = rng.randint(2, 3) if kind == "times" else rng.randint(2, max(value - 1, 3))
        if kind == "fewer" and n >= value:
            kind = "more"
        value = {"more": value + n, "fewer": value - n, "times": value * n}[kind]
        facts.append((COINS[kind], {"of": of, "than": than, "n": n}))
    return facts, value


def _worded(fact: tuple[Translations, dict[str, Any]], language: str) -> str:
    wording, arguments = fact
    index = INDEX_OF[language]
    names = [arguments[role][index] for role in ("of", "than") if role in arguments]
    return wording[index].format(*names, n=arguments["n"])


def _with_facts(sentences: Sequence[str], facts: Sequence[_Fact]) -> list[str]:
    """Return the sentences with each fact inserted at its depth; `facts` are sorted by depth."""
    result = list(sentences)
    for n_inserted, (depth, fact) in enumerate(facts):
        result.insert(round(depth * len(sentences)) + n_inserted, fact)
    return result


def _paragraphs(sentences: Sequence[str], language: str) -> str:
    space = "" if language == "zh" else " "
    starts = range(0, len(sentences), PARAGRAPH)
    return "\n".join(space.join(sentences[start : start + PARAGRAPH]) for start in starts)
