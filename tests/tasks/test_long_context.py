"""Long contexts: every answer follows from the text alone, and every text has its length."""

import re
from itertools import islice
from typing import Any

import pytest

from r1kit import config
from r1kit.errors import TaskError
from r1kit.tasks import mix
from r1kit.tasks.base import split_of
from r1kit.tasks.long_context import LongContext, MultiHop, Needle, long_context_problems
from r1kit.tasks.long_context.task import estimate_tokens
from r1kit.types import Problem
from r1kit.verify.language import language_of

BOTH: list[type[LongContext]] = [Needle, MultiHop]
LANGUAGES = ("en", "ko", "zh")
CODE = {
    "en": r"The code of (\w+)'s locker is (\d+)\.",
    "ko": r"(\w+)의 사물함 비밀번호는 (\d+)이다\.",
    "zh": r"(?:^|[。\n])(\w+?)的储物柜密码是(\d+)。",
}
COINS = {
    "en": (r"(\w+) has (\d+) coins\.", r"(\w+) has (\d+) more coins than (\w+)\.",
           r"(\w+) has (\d+) fewer coins than (\w+)\.",
           r"(\w+) has (\d+) times as many coins as (\w+)\."),
    "ko": (r"(\w+)의 동전은 (\d+)개이다", r"(\w+)의 동전은 (\w+)의 동전보다 (\d+)개 더 많다",
           r"(\w+)의 동전은 (\w+)의 동전보다 (\d+)개 더 적다",
           r"(\w+)의 동전은 (\w+)의 동전의 (\d+)배이다"),
    "zh": (r"(?:^|[。\n])(\w+?)有(\d+)枚硬币。", r"(?:^|[。\n])(\w+?)的硬币比(\w+?)多(\d+)枚",
           r"(?:^|[。\n])(\w+?)的硬币比(\w+?)少(\d+)枚",
           r"(?:^|[。\n])(\w+?)的硬币是(\w+?)的(\d+)倍"),
}  # fmt: skip
ASKED = {"en": r"(?:does|of) (\w+?)(?:'s| )", "ko": r"(\w+?)의", "zh": r"(\w+?)[的有]"}


def text_and_asked(problem: Problem) -> tuple[str, str]:
    text, _, question = problem.messages[-1].content.rpartition("\n\n")
    match = re.search(ASKED[problem.language], question)
    assert match
    return text.replace("。", "。。"), match[1]  # so that neighbours do not share a full stop


def solved(problem: Problem) -> int:
    """Return the answer as it follows from the text."""
    text, asked = text_and_asked(problem)
    if problem.task == "needle":
        return int(dict(re.findall(CODE[problem.language], text))[asked])
    start, *compared = COINS[problem.language]
    coins = {name: int(n) for name, n in re.findall(start, text)}
    links: dict[str, tuple[int, int, str]] = {}
    for kind, pattern in enumerate(compared):
        for parts in re.findall(pattern, text):
            [n] = [int(part) for part in parts if part.isdigit()]
            of, than = (part for part in parts if not part.isdigit())
            links[of] = (kind, n, than)

    def coins_of(name: str) -> int:
        if name in coins:
            return coins[name]
        kind, n, than = links[name]
        before = coins_of(than)
        return before + n if kind == 0 else before - n if kind == 1 else before * n

    return coins_of(asked)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("task_class", BOTH)
def test_the_answer_follows_from_the_text(task_class: type[LongContext], language: str) -> None:
    task = task_class(languages=[language])
    for index in range(60):
        problem = task.problem(index)
        assert solved(problem) == int(problem.answer) > 0
        assert language_of(problem.messages[-1].content) == language
        assert task.verify(problem, f"\\boxed{{{problem.answer}}}").correct is True
        assert task.verify(problem, f"\\boxed{{{int(problem.answer) + 1}}}").correct is False


def by_words(text: str) -> int:
    return len(text.split())


@pytest.mark.parametrize("level", [1, 2, 4])
@pytest.mark.parametrize(("count", "language"), [(by_words, "en"), (len, "zh"), (len, "ko")])
def test_a_text_is_as_long_as_fits(count: Any, language: str, level: int) -> None:
    for task_class in BOTH:
        task = task_class(level=level, languages=[language], count_tokens=count)
        for index in range(4):
            text = task.problem(index).messages[-1].content
            longest = max(map(count, re.split(r"(?<=[.。])\s*", text)))
            assert 1024 * 2 ** (level - 1) - longest - 1 <= count(text) <= 1024 * 2 ** (level - 1)


def test_facts_stand_at_their_depths() -> None:
    problem = Needle(level=3, languages=["en"]).problem(5)
    text = problem.messages[-1].content
    for depth, sentence in problem.meta["facts"]:
        assert text.index(sentence) / len(text) == pytest.approx(depth, abs=0.03)


def test_problems_do_not_depend_on_the_tokenizer_or_the_language() -> None:
    for task_class in BOTH:
        seen = [
            task_class(languages=[language], count_tokens=count).problem(7)
            for language in LANGUAGES
            for count in (estimate_tokens, len)
        ]
        assert len({(problem.id, problem.answer) for problem in seen}) == 1
        assert len({tuple(depth for depth, _ in p.meta["facts"]) for p in seen}) == 1
        assert len({problem.messages for problem in seen}) == len(seen)


def test_splits_are_disjoint_and_gold_answers_verify() -> None:
    for task_class in BOTH:
        train, held_out = (task_class(split=split) for split in ("train", "held_out"))
        mix.validate(train)
        mix.validate(held_out)
        ids = {train.problem(index).id for index in range(100)}
        assert ids.isdisjoint(held_out.problem(index).id for index in range(100))
        assert {split_of(problem_id) for problem_id in ids} == {"train"}
        assert train.problem(3) == task_class().problem(3)
        assert train.problem(3) != task_class(seed=1).problem(3)


def test_hops_are_two_to_four_in_any_order() -> None:
    n_facts, in_order = set(), 0
    for index in range(60):
        facts = MultiHop(languages=["en"]).problem(index).meta["facts"]
        n_facts.add(len(facts))
        chain = [depth for depth, _ in facts[:-3]]
        in_order += chain == sorted(chain, reverse=True)
    assert n_facts == {6, 7, 8}  # the chain's start and hops, and three sentences beside it
    assert 0 < in_order < 30


def test_the_benchmark_asks_the_same_in_every_language() -> None:
    problems = list(long_context_problems("needle", levels=[1, 2], n_each=3, count_tokens=len))
    assert len({problem.id for problem in problems}) == len(problems) == 18
    assert problems[0].id == "needle/1024/en/0"
    english, korean, chinese = (problems[start : start + 3] for start in (0, 3, 6))
    for same in zip(english, korean, chinese, strict=True):
        assert len({problem.answer for problem in same}) == 1
        assert [problem.language for problem in same] == [*LANGUAGES]
    assert [p.meta["subject"] for p in islice(problems, 0, None, 9)] == ["1k tokens", "2k tokens"]


def test_a_recipe_can_train_on_them_and_a_level_too_high_is_refused() -> None:
    tasks = [{"name": "needle"}, {"name": "multi-hop", "level": 2}]
    mixture = mix.load_tasks(config.parse({"name": "t", "tasks": tasks}, "t"), "train")
    assert {problem.task for problem in mixture.problems(0, 20)} == {"needle", "multi-hop"}
    with pytest.raises(TaskError, match=r"levels up to 8 \(131,072 tokens\), not 9"):
        Needle(level=9)
