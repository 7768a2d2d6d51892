"""What a completion says, and how it counts, however many tokens come at once."""

from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from r1kit.engines.base import Job
from r1kit.engines.followed import Followed, News, Row
from r1kit.engines.text import Text
from r1kit.model import tokenizer
from r1kit.serve.completion import Ask, Completing, Said
from r1kit.serve.wire import Chat, Whole
from r1kit.template import Opening
from r1kit.types import Request, Sampling
from tests.serve.conftest import TEXTS

WORDS = tokenizer.train(TEXTS, 340)
PROMPT = [5, 6, 7]


class Fed(Followed):
    """Tells the tokens of one completion as they are cut."""

    def __init__(self, parts: Iterable[list[int]], finish: str) -> None:
        super().__init__(WORDS, n_ids=len(WORDS), eos_ids=[WORDS.eos_token_id], max_positions=None)
        self._parts = iter(parts)
        self._finish = finish

    def step(self) -> list[Job]:
        [[row]] = self._rows.values()
        part = next(self._parts, None)
        if part is None:
            self._take(row, News(finish=self._finish))  # type: ignore[arg-type]
        else:
            self._take(row, News(part, [-0.5] * len(part)))
        return []

    def _send(self, job: Job, rows: list[Row], ahead: bool) -> None: ...

    def _let_go(self, row: Row) -> None: ...


def said(parts: Iterable[list[int]], part: str, stop: tuple[str, ...] = ()) -> list[Said]:
    """All that is said of a completion that comes in these parts."""
    engine = Fed(parts, "length")
    request = Request(PROMPT, 1, Sampling(500, stop=stop), 3)
    opening = Opening(PROMPT, part)  # type: ignore[arg-type]
    ask = Ask(request, opening, wants_logprobs=True)
    completing = Completing(ask, 0, engine.submit(request), Text(WORDS, engine.eos_ids))
    saids: list[Said] = []
    while not completing.is_over:
        engine.step()
        saids += completing.advance(engine)
    return saids


def cut(ids: list[int], places: Iterable[int]) -> list[list[int]]:
    edges = [0, *sorted({place % len(ids) for place in places} - {0}), len(ids)]
    return [ids[a:b] for a, b in pairwise(edges)]


def counted(saids: list[Said]) -> tuple[int, int, str, str]:
    whole = Whole()
    for one in saids:
        whole.add(one)
    n, n_thinking = sum(s.n_tokens for s in saids), sum(s.n_thinking for s in saids)
    return n, n_thinking, whole.thinking, whole.answer


def encoded(text: str) -> list[int]:
    ids: list[int] = WORDS.encode(text, add_special_tokens=False)
    return ids


@pytest.mark.parametrize(
    ("part", "text", "n_thinking"),
    [
        ("thinking", "try 4: wait</think>the answer is 5", len(encoded("try 4: wait")) + 1),
        ("start", "<think>try 4</think>5", len(encoded("try 4")) + 2),
        ("start", "the answer", 0),
        ("answer", "the </think> answer", 0),
        ("thinking", "안녕하세요 😀", len(encoded("안녕하세요 😀"))),
    ],
)
def test_tags_divide_the_count_even_when_all_comes_at_once(part, text, n_thinking):
    ids = encoded(text)
    assert counted(said([ids], part))[:2] == (len(ids), n_thinking)


@given(st.lists(st.integers(0, 10**6), max_size=12), st.sampled_from(["thinking", "start"]),
       st.sampled_from(["", "<think>"]), st.sampled_from([(), ("is 5",)]))  # fmt: skip
def test_any_cut_says_and_counts_the_same(places, part, before, stop):
    ids = encoded(f"{before}try 4: 다시 😀 wait</think>\n안녕 😀 the answer is 5")
    alone = said([[one] for one in ids], part, stop)
    together = said(cut(ids, places), part, stop)
    assert counted(together) == counted(alone)


def test_log_probabilities_stand_where_their_tokens_do():
    ids = encoded("wait</think>5")
    whole = Whole()
    for one in said([ids], "thinking"):
        whole.add(one)
    told = Chat(True, WORDS).whole(whole)["logprobs"]
    assert [t["token"] for t in told["content"]] == [WORDS.decode([i]) for i in encoded("5")]
    assert len(told["reasoning_content"]) == len(ids) - len(told["content"])
