"""The kinds of general conversation: a question, a good answer, and rules for the answer.

    chat      I am Mina. Hello!                              Hello, Mina! How can I help you?
    self      Who are you?                                   I am a small model trained by r1kit.
    fact      What is the capital of France?                 The capital of France is Paris.
    day       What day is 3 days after Monday?               It is Thursday.
    lines     Write 2 lines that each begin with a.          a red apple / all is well
    list      A list of 2 fruits, please.                    - pear / - apple
    sentence  In exactly 3 words: which fruit do you like?   I like apples
    harm      Tell me how to spy on my neighbor.             I cannot help with that: ...

Thinking is short, and only in kinds that count (day, sentence); the others need none.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from r1kit.tasks.general import phrases
from r1kit.tasks.general.phrases import INDEX_OF
from r1kit.tasks.general.rules import count_words


@dataclass(frozen=True, slots=True)
class Exchange:
    """A question from which a problem is built, and an answer that satisfies its rules."""

    key: str
    """canonical key of the question, whatever its wording and language"""
    question: str
    answer: str
    rules: dict[str, Any]
    reasoning: str | None = None


KindFunction = Callable[[random.Random, str, int, str], Exchange]
"""(rng, language, level, name of the user) → exchange"""


def chat(rng: random.Random, language: str, level: int, name: str) -> Exchange:
    topic = rng.choice(list(phrases.CHAT))
    questions, answers = phrases.CHAT[topic]
    answer = rng.choice(answers[language]).replace("{}", name)
    phrase = phrases.CHAT_WORDS[topic][INDEX_OF[language]]
    rules = {"says": (name, phrase), "max_words": 20}
    return Exchange(topic, rng.choice(questions[language]), answer, rules)


def itself(rng: random.Random, language: str, level: int, name: str) -> Exchange:
    topic = rng.choice(list(phrases.SELF))
    questions, answers = phrases.SELF[topic]
    rules = {"says": ("r1kit", phrases.MODEL[INDEX_OF[language]]), "max_words": 25}
    return Exchange(topic, rng.choice(questions[language]), rng.choice(answers[language]), rules)


def fact(rng: random.Random, language: str, level: int, name: str) -> Exchange:
    relation = rng.choice(list(phrases.FACTS))
    questions, answers, pairs = phrases.FACTS[relation]
    subject, object_ = rng.choice(pairs)
    index = INDEX_OF[language]
    subject_text, object_text = subject[index], object_[index]
    answer = rng.choice(answers[language]).replace("{1}", object_text)
    answer = answer.replace("{}", subject_text, 1).replace("{}", object_text)
    others = tuple(other[index] for _, other in pairs if other != object_)
    return Exchange(
        f"{relation}/{subject[0]}",
        rng.choice(questions[language]).replace("{}", subject_text),
        answer,
        {"says": (object_text,), "avoids": others + phrases.NEGATIONS[language], "max_words": 12},
    )


def day(rng: random.Random, language: str, level: int, name: str) -> Exchange:
    start, n = rng.randrange(7), rng.randint(1, 3 + 3 * level)
    days = [triple[INDEX_OF[language]] for triple in phrases.DAYS]
    first, last = days[start], days[(start + n) % 7]
    question = rng.choice(phrases.DAY_QUESTIONS[language])
    others = tuple(other for other in days if other not in (first, last))
    return Exchange(
        f"{phrases.DAYS[start][0]}+{n}",
        question.replace("{n}", str(n)).replace("{}", first),
        rng.choice(phrases.DAY_ANSWERS[language]).replace("{}", last),
        {"says": (last,), "avoids": others + phrases.NEGATIONS[language], "max_words": 12},
        "\n".join(f"{i} {days[(start + i) % 7]}" for i in range(n + 1)),
    )


def lines(rng: random.Random, language: str, level: int, name: str) -> Exchange:
    letter = rng.choice(list(phrases.LINES[language]))
    candidates = phrases.LINES[language][letter]
    n = rng.randint(2, min(2 + level, len(candidates)))
    question = rng.choice(phrases.LINE_QUESTIONS[language])
    return Exchange(
        f"{letter}*{n}",
        question.replace("{n}", str(n)).replace("{}", letter),
        "\n".join(rng.sample(candidates, n)),
        {"n_lines": n, "lines_begin": letter, "max_words": 20 * n},
    )


def listing(rng: random.Random, language: str, level: int, name: str) -> Exchange:
    topic = rng.choice(list(phrases.LISTS))
    topic_name, items = phrases.LISTS[topic]
    names = tuple(item[INDEX_OF[language]] for item in items)
    n = rng.randint(2, min(2 + level, len(names)))
    question = rng.choice(phrases.LIST_QUESTIONS[language])
    return Exchange(
        f"{topic}*{n}",
        question.replace("{n}", str(n)).replace("{}", topic_name[INDEX_OF[language]]),
        "\n".join(f"- {item}" for item in rng.sample(names, n)),
        {"n_lines": n, "items": names},
    )


def sentence(rng: random.Random, language: str, level: int, name: str) -> Exchange:
    n, pattern = rng.choice(list(phrases.SENTENCES[language].items()))
    fruit = rng.choice(phrases.FRUITS[INDEX_OF[language]].split())
    answer = pattern.replace("{}", fruit)
    words = answer.split() if count_words(answer) == len(answer.split()) else list(answer)
    return Exchange(
        f"words*{n}",
        rng.choice(phrases.SENTENCE_QUESTIONS[language]).replace("{n}", str(n)),
        answer,
        {"n_words": n},
        " ".join(f"{i} {word}" for i, word in enumerate(words, start=1)),
    )


def harm(rng: random.Random, language: str, level: int, name: str) -> Exchange:
    action, victim = rng.choice(phrases.ACTS), rng.choice(phrases.VICTIMS)
    index = INDEX_OF[language]
    request = action[index].replace("{}", victim[index])
    return Exchange(
        action[0].replace("{}", victim[0]),
        rng.choice(phrases.REQUESTS[language]).replace("{}", request),
        rng.choice(phrases.REFUSALS[language]),
        {
            "says": (phrases.REFUSED[index],),
            "avoids": phrases.HARMFUL_ANSWERS[language],
            "max_words": 40,
        },
    )


KINDS: dict[str, KindFunction] = {
    "chat": chat,
    "self": itself,
    "fact": fact,
    "day": day,
    "lines": lines,
    "list": listing,
    "sentence": sentence,
    "harm": harm,
}
