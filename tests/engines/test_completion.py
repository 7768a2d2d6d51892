"""What a completion says and how it counts, however many tokens come at once, however it ends."""

from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from r1kit.engines.base import RequestState
from r1kit.engines.completion import Chunk, GenerationRequest, begin
from r1kit.engines.remote_engine import CompletionUpdate, RemoteCompletion, RemoteEngine
from r1kit.model.tokenizer import train_tokenizer
from r1kit.renderers import r1kit
from r1kit.renderers.base import RenderedPrompt
from r1kit.serve.wire import ChatWriter, FullCompletion
from r1kit.types import Request, SamplingParams
from tests.serve.conftest import TEXTS

WORDS = train_tokenizer(TEXTS, 340)
PROMPT = [5, 6, 7]


CLOSE = tuple(WORDS.encode("</think>", add_special_tokens=False))
EOS = [WORDS.convert_tokens_to_ids(token) for token in (r1kit.EOS, r1kit.USER)]
"""two tokens that end a text, as many models have"""


class Fed(RemoteEngine):
    """Tells the tokens of one completion after the other as they are cut."""

    def __init__(self, *scripts: Iterable[list[int]]) -> None:
        super().__init__(WORDS, vocab_size=len(WORDS), eos_ids=EOS, max_positions=None)
        self.requests: list[Request] = []
        self._scripts = iter(scripts)
        self._parts: Iterator[list[int]] = iter(())

    def step(self) -> list[RequestState]:
        [[completion]] = self._remote_completions.values()
        part = next(self._parts, None)
        if part is None:
            is_ended = bool(completion.token_ids) and completion.token_ids[-1] in EOS
            self._apply(completion, CompletionUpdate(finish="stop" if is_ended else "length"))
        else:
            self._apply(completion, CompletionUpdate(part, [-0.5] * len(part)))
        return []

    def _send(self, state: RequestState, completions: list[RemoteCompletion], ahead: bool) -> None:
        self.requests.append(state.request)
        self._parts = iter(next(self._scripts))

    def _cancel(self, completion: RemoteCompletion) -> None: ...


def said(
    parts: Iterable[list[int]] | Fed, part: str, stop: tuple[str, ...] = (), **fields: Any
) -> list[Chunk]:
    """All that is said of a completion that comes in these parts."""
    engine = parts if isinstance(parts, Fed) else Fed(parts)
    request = Request(PROMPT, 1, SamplingParams(500), 3)
    rendered_prompt = RenderedPrompt(PROMPT, part)  # type: ignore[arg-type]
    ask = GenerationRequest(
        request, rendered_prompt, stop=stop, close_ids=CLOSE, wants_logprobs=True, **fields
    )
    [completing] = begin(engine, ask, WORDS)
    saids: list[Chunk] = []
    while not completing.is_over:
        engine.step()
        saids += completing.advance(engine)
    return saids


def cut(ids: list[int], positions: Iterable[int]) -> list[list[int]]:
    edges = [0, *sorted({index % len(ids) for index in positions} - {0}), len(ids)]
    return [ids[a:b] for a, b in pairwise(edges)]


def counted(saids: list[Chunk]) -> tuple[int, int, str, str]:
    whole = FullCompletion()
    for item in saids:
        whole.add(item)
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
def test_tags_divide_the_count_even_when_all_comes_at_once(
    part: str, text: str, n_thinking: int
) -> None:
    ids = encoded(text)
    assert counted(said([ids], part))[:2] == (len(ids), n_thinking)


@given(st.lists(st.integers(0, 10**6), max_size=12), st.sampled_from(["thinking", "start"]),
       st.sampled_from(["", "<think>"]), st.sampled_from([(), ("is 5",)]))  # fmt: skip
def test_any_cut_says_and_counts_the_same(
    places: list[int], part: str, before: str, stop: tuple[str, ...]
) -> None:
    ids = encoded(f"{before}try 4: 다시 😀 wait</think>\n안녕 😀 the answer is 5")
    alone = said([[item] for item in ids], part, stop)
    together = said(cut(ids, places), part, stop)
    assert counted(together) == counted(alone)


def test_log_probabilities_stand_where_their_tokens_do() -> None:
    ids = encoded("wait</think>5")
    whole = FullCompletion()
    for item in said([ids], "thinking"):
        whole.add(item)
    logprobs = ChatWriter(True, WORDS).whole(whole)["logprobs"]
    assert [t["token"] for t in logprobs["content"]] == [WORDS.decode([i]) for i in encoded("5")]
    assert len(logprobs["reasoning_content"]) == len(ids) - len(logprobs["content"])


CUTS = st.lists(st.integers(0, 10**6), max_size=12)


@pytest.mark.parametrize("eos", EOS)
@given(CUTS)
def test_an_end_of_text_inside_the_thinking_closes_it(eos: int, places: list[int]) -> None:
    thinking, answer = encoded("try 4: wait 다시"), encoded("the answer is 5")
    engine = Fed(cut([*thinking, eos], places), cut([*answer, EOS[0]], places))
    saids = said(engine, "thinking")
    n_tokens = len(thinking) + len(CLOSE) + len(answer) + 1
    assert counted(saids) == (
        n_tokens, len(thinking) + len(CLOSE), "try 4: wait 다시", "the answer is 5"
    )  # fmt: skip
    assert (saids[-1].finish, saids[-1].thought) == ("stop", "stop")
    _, rest = engine.requests
    assert rest.prompt_ids == [*PROMPT, *thinking, *CLOSE]
    assert rest.sampling == SamplingParams(500 - len(thinking) - len(CLOSE), min_tokens=1)
    actual = [token.id for item in saids for token in item.tokens]
    assert actual == [*thinking, *answer, EOS[0]]


@given(CUTS)
def test_an_end_of_text_right_behind_the_thinking_is_not_an_answer(places: list[int]) -> None:
    thought = encoded("try 4</think>\n")
    engine = Fed(cut([*thought, EOS[1]], places), cut([*encoded("5"), EOS[0]], places))
    saids = said(engine, "thinking", budget=len(thought) - 1)
    assert counted(saids)[2:] == ("try 4", "5")
    assert saids[-1].thought == "stop"
    assert engine.requests[1].prompt_ids == [*PROMPT, *thought]


def test_an_answer_that_is_asked_for_again_may_be_empty() -> None:
    engine = Fed([[EOS[0]]], [encoded(" "), [EOS[0]]])
    saids = said(engine, "thinking")
    assert counted(saids)[2:] == ("", "")
    assert saids[-1].finish == "stop"
    assert len(engine.requests) == 2


def test_without_room_for_an_answer_thinking_that_ends_is_cut() -> None:
    thinking = encoded("try 4")
    request = SamplingParams(len(thinking) + len(CLOSE))
    engine = Fed([[*thinking, EOS[0]]])
    ask = GenerationRequest(
        Request(PROMPT, 1, request, 3), RenderedPrompt(PROMPT, "thinking"), close_ids=CLOSE
    )
    [completing] = begin(engine, ask, WORDS)
    engine.step()
    engine.step()
    last = completing.advance(engine)[-1]
    assert (last.finish, last.thought) == ("length", "length")
    assert len(engine.requests) == 1


@given(CUTS, st.sampled_from([("4: w",), ("wait", "4"), ("\n\n", "try"), ("</think>",)]))
def test_stop_strings_in_the_thinking_are_text(places: list[int], stop: tuple[str, ...]) -> None:
    ids = encoded("try 4: wait</think>\n\nthe answer")
    saids = said(cut(ids, places), "thinking", stop)
    assert counted(saids) == (len(ids), len(encoded("try 4: wait</think>")), "try 4: wait",
                              "the answer")  # fmt: skip
    assert saids[-1].finish == "length"


@given(CUTS, st.sampled_from(["thinking", "start", "answer"]))
def test_a_stop_string_ends_the_answer_and_the_count_where_it_is_complete(
    places: list[int], part: str
) -> None:
    thought = {"thinking": "4 is 4</think>", "start": "<think>4 is 4</think>", "answer": ""}[part]
    ids = encoded(f"{thought}the answer is 4, or 5")
    saids = said(cut(ids, places), part, ("is 4", "or"))
    n_tokens, _, thinking, answer = counted(saids)
    assert thinking == ("4 is 4" if thought else "")
    assert answer == "the answer "
    assert n_tokens == len(encoded(f"{thought}the answer is 4"))
    assert saids[-1].finish == "stop"
    assert len([token for item in saids for token in item.tokens]) == n_tokens


def test_text_that_could_begin_a_stop_string_is_said_when_it_does_not() -> None:
    saids = said(cut([*encoded("the answer"), EOS[0]], [3]), "answer", ("answers",))
    assert counted(saids)[3] == "the answer"


def test_chats_tell_the_engine_no_stop_strings() -> None:
    engine = Fed([[*encoded("5"), EOS[0]]], [encoded("wait 5")])
    said(engine, "thinking", ("5",))
    assert {request.sampling.stop for request in engine.requests} == {()}
