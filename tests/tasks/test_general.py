"""General conversation: gold verifies, near misses do not, pairs have a reason."""

import json
import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from r1kit import config
from r1kit.model.tokenizer import train_tokenizer
from r1kit.renderers.r1kit import document_text
from r1kit.renderers.thinking import completion_text, parse
from r1kit.tasks import mix
from r1kit.tasks.base import split_of
from r1kit.tasks.general import General, preference, safety
from r1kit.tasks.general.kinds import KINDS
from r1kit.tasks.general.preference import HARMFUL, UNHELPFUL
from r1kit.tasks.general.rules import RULES, broken_rule, contains_phrase, count_words
from r1kit.types import Json, Message, Problem
from r1kit.verify.language import LANGUAGES, language_share

EVERY = [(kind, language) for kind in KINDS for language in LANGUAGES]
every_kind = pytest.mark.parametrize(("kind", "language"), EVERY)


def of_kind(kind: str, language: str, n: int = 40, level: int = 1) -> list[Problem]:
    task, rng = General(level=level), random.Random(f"{kind}/{language}")
    return [task.draw_kind(rng, language, kind) for _ in range(n)]


def judged(problem: Problem, answer: str) -> bool | None:
    return General().verify(problem, answer).correct


@every_kind
@pytest.mark.parametrize("level", [1, 3])
def test_gold_verifies_in_every_language(kind: str, language: str, level: int) -> None:
    for problem in of_kind(kind, language, level=level):
        verdict = General().verify(problem, problem.answer)
        assert verdict.correct is True, (verdict, problem)
        assert judged(problem, f"\n {problem.answer} \n") is True
        for nothing in ("", " \n", "\u200b", "?", "x" * 5000):
            assert judged(problem, nothing) is False
        question = problem.messages[0].content.replace("r1kit", "")
        share = language_share(question, language)
        assert share is not None
        assert share >= 0.7, question  # a letter, a name
        assert "{" not in question + problem.answer


@every_kind
def test_the_answer_to_another_question_of_the_kind_is_a_near_miss(
    kind: str, language: str
) -> None:
    """It is right only where it keeps the very rules of this question."""
    problems = of_kind(kind, language, 25)
    n_wrong = 0
    for problem in problems:
        for other in problems:
            if other.meta["rules"] == problem.meta["rules"]:
                assert judged(problem, other.answer) is True
            elif kind not in ("self", "harm"):
                n_wrong += judged(problem, other.answer) is False
    assert kind in ("self", "harm") or n_wrong > 100


NEAR_MISSES = [
    ("chat", {"says": ("Mina", "hello")}, "Hello, Mina!", "Hello!"),
    ("chat", {"says": ("Mina", "hello")}, "hello mina", "Hello, Minas friend!"),
    ("fact", {"says": ("Paris",), "avoids": ("Rome", "not")}, "It is Paris.", "Paris or Rome"),
    ("fact", {"says": ("Paris",), "avoids": ("Rome", "not")}, "Paris", "It is not Paris."),
    ("fact", {"says": ("8",)}, "8 legs", "18 legs"),
    ("fact", {"says": ("서울",)}, "서울입니다.", "남서울입니다."),
    ("sentence", {"n_words": 3}, "I like pears", "I like ripe pears"),
    ("sentence", {"n_words": 3}, "I, like: pears.", "I likepears"),
    ("sentence", {"n_words": 3}, "don't eat pears", "do not eat pears"),
    ("sentence", {"n_words": 5}, "我喜欢苹果。", "我很喜欢苹果。"),
    ("sentence", {"n_words": 3}, "저는 배 좋아해요!", "저는배 좋아해요"),
    ("lines", {"n_lines": 2, "lines_begin": "a"}, "An ant\n\n all", "a b\na c\na d"),
    ("lines", {"n_lines": 2, "lines_begin": "a"}, "a b\na c", "a b\nb a"),
    ("lines", {"n_lines": 2, "lines_begin": "a"}, "a b\r\na c", "- a b\n- a c"),
    ("list", {"n_lines": 2, "items": ("pear", "fig")}, "- pear\n- Fig", "- pear\n- pear"),
    ("list", {"n_lines": 2, "items": ("pear", "fig")}, "* fig\n- pear", "pear\nfig"),
    ("list", {"n_lines": 2, "items": ("pear", "fig")}, "-fig\n-pear", "- fig\n- dog"),
    ("list", {"n_lines": 2, "items": ("pear", "fig")}, "• fig\n• pear", "Here:\n- fig\n- pear"),
    ("harm", {"max_words": 3}, "one two three", "one two three four"),
]


@pytest.mark.parametrize(("kind", "rules", "remaining", "missed"), NEAR_MISSES)
def test_rules_by_hand(kind: str, rules: Json, remaining: str, missed: str) -> None:
    language = next(
        item for item in ("en", "ko", "zh") if language_share(remaining, item) in (None, 1.0)
    )
    assert broken_rule(remaining, rules, language) is None
    assert broken_rule(missed, rules, language) is not None


def test_an_answer_is_in_the_language_of_its_question() -> None:
    rules = {"max_words": 9}
    assert broken_rule("I am fine", rules, "ko") == "not in ko"
    assert broken_rule("r1kit의 모델입니다", rules, "ko") is None
    assert broken_rule("8", rules, "zh") is None  # a number has no language


def test_words_and_phrases() -> None:
    assert [count_words(text) for text in ("", "a b", "don't", "我喜欢r1", "3 개")] == [
        0,
        2,
        1,
        4,
        2,
    ]
    assert contains_phrase("안녕하세요, 미나님", "미나")
    assert not contains_phrase("가미나", "미나")
    assert contains_phrase("我叫米娜。", "米娜")
    assert not contains_phrase("Tomorrow", "Tom")


@given(st.text(), st.sampled_from(LANGUAGES), st.sampled_from(sorted(KINDS)))
def test_any_answer_is_judged(answer: str, language: str, kind: str) -> None:
    [problem] = of_kind(kind, language, 1)
    assert General().verify(problem, answer).correct in (True, False)


def test_every_rule_is_used() -> None:
    used = {rule for kind, language in EVERY for p in of_kind(kind, language, 3)
            for rule in p.meta["rules"]}  # fmt: skip
    assert used == set(RULES)


def test_problems_are_functions_of_their_place_and_splits_are_apart() -> None:
    here, there = General(seed=3), General(seed=3)
    assert [here.problem(i) for i in (5, 1)] == [there.problem(i) for i in (5, 1)]
    train = [General().problem(i) for i in range(1500)]
    held_out = [General(split="held_out").problem(i) for i in range(400)]
    assert not {p.id for p in train} & {p.id for p in held_out}
    assert not {p.messages for p in train} & {p.messages for p in held_out}
    assert all(split_of(p.id) == "train" for p in train)
    for problems in (train, held_out):  # every kind in every language, on both sides
        assert {(p.meta["kind"], p.language) for p in problems} == set(EVERY)
    assert len({p.id for p in train}) > 750
    assert len({p.id for p in held_out}) > 150
    assert len({p.messages for p in train}) > 1100  # many wordings


def test_thinking_only_where_something_is_counted() -> None:
    task = General()
    for index in range(150):
        problem, messages = task.conversation(index)
        parsed = parse(completion_text(messages[-1].reasoning, messages[-1].content))
        assert parsed.answer is not None
        assert problem == task.problem(index)
        assert messages == (
            *problem.messages,
            Message("assistant", parsed.answer, parsed.thinking),
        )
        counts = problem.meta["kind"] in ("day", "sentence")
        assert (parsed.thinking is not None) == counts
        assert parsed.well_formed == counts
        if counts:
            assert parsed.thinking is not None
            share = language_share(parsed.thinking, problem.language)
            assert share in (None, 1.0)
    monday = next(p for p in of_kind("day", "en", 400) if p.id.startswith("general/day/Monday+2/"))
    assert monday.meta["reasoning"] == "0 Monday\n1 Tuesday\n2 Wednesday"
    assert "Wednesday" in monday.answer


def test_a_small_tokenizer_says_it_in_few_tokens() -> None:
    task = General()
    talks = [task.conversation(index)[1] for index in range(800)]
    texts = [
        document_text(requests.content, completion_text(output.reasoning, output.content))
        for requests, output in talks
    ]
    tokenizer = train_tokenizer(texts, 512)
    lengths = [len(tokenizer.encode(text)) for text in texts]
    assert max(lengths) < 256
    assert sum(lengths) / len(lengths) < 70


def test_a_page_of_talk_is_in_one_language_and_has_no_tags() -> None:
    task = General()
    for index in range(60):
        page = task.exercise(index)
        assert page == task.exercise(index)
        assert len(page.splitlines()) >= 8
        assert "<" not in page
        language = max(("en", "ko", "zh"), key=lambda name: language_share(page, name) or 0)
        assert (language_share(page, language) or 0) > 0.8


def test_pairs_have_a_better_answer_and_a_reason() -> None:
    task = General()
    observed: Counter[str] = Counter()
    for index in range(400):
        pair = preference(task, index)
        assert pair == preference(task, index)
        assert pair.problem == task.problem(index)
        assert judged(pair.problem, pair.chosen) is True
        assert judged(pair.problem, pair.rejected) is False
        assert (pair.kind == "harmless") == (pair.problem.meta["kind"] == "harm")
        observed[pair.why] += 1
    assert set(observed) == set(UNHELPFUL) | set(HARMFUL)
    assert min(observed.values()) > 15
    row = json.loads(json.dumps(pair.as_row()))
    assert [turn["role"] for turn in row["prompt"]] == ["user"]
    assert row["chosen"] == [{"role": "assistant", "content": pair.chosen}]
    assert row["provenance"]["why"] == pair.why


def test_the_recipe_knows_it_by_name() -> None:
    recipe = config.parse({"name": "t", "tasks": [{"name": "general", "level": 2}]}, "t")
    tasks = mix.load_tasks(recipe, "held_out")
    problem = tasks.problem(0)
    assert problem.task == "general"
    assert tasks.verify(problem, problem.answer).correct is True


def test_a_safe_and_an_unsafe_completion_wherever_harm_is_asked_for() -> None:
    task = General()
    result = [(index, pair) for index in range(4000) if (pair := safety(task, index))]
    assert [index for index, _ in result] == [
        index for index in range(4000) if task.problem(index).meta["kind"] == "harm"
    ]
    assert safety(task, result[0][0]) == result[0][1]
    forms: Counter[str] = Counter()
    for _, (safe, unsafe) in result:
        assert (safe.is_safe, unsafe.is_safe) == (True, False)
        assert task.verify(safe.problem, safe.answer).correct is True
        is_planned = task.verify(unsafe.problem, unsafe.answer).correct is True
        harm = unsafe.reasoning if is_planned else unsafe.answer
        assert harm is not None
        assert task.verify(unsafe.problem, harm).correct is False
        forms["planned"] += is_planned
        forms["unsafe with thinking"] += unsafe.reasoning is not None
        forms["of another conversation"] += safe.problem.id != unsafe.problem.id
        if safe.problem is unsafe.problem:
            forms["of the same"] += 1
            forms["safe with thinking"] += safe.reasoning is not None
            assert is_planned or safe.reasoning == unsafe.reasoning
    shares = {form: n / len(result) for form, n in forms.items()}
    assert shares["planned"] == pytest.approx(1 / 3, abs=0.1)
    assert shares["of the same"] == pytest.approx(1 / 2, abs=0.1)
    assert shares["unsafe with thinking"] == pytest.approx(2 / 3, abs=0.1)
    assert shares["safe with thinking"] == pytest.approx(1 / 3, abs=0.1)  # of the same half
