"""The same for text that arrives in chunks."""

import time
from itertools import pairwise
from typing import Literal

from hypothesis import given
from hypothesis import strategies as st

from r1kit.renderers.base import RenderedPrompt
from r1kit.renderers.stream_parser import Piece, StreamParser
from r1kit.renderers.thinking import THINKING_TAGS, parse
from tests.renderers.dialects import joined

Part = Literal["start", "thinking", "answer"]


fragments = st.sampled_from(
    [
        *THINKING_TAGS,
        "<",
        "</",
        "<thi",
        "nk>",
        "/",
        ">",
        " ",
        "\n",
        "a",
        "5 ",
        "확인",
        "\x00",
    ]
)


tagged_text = st.lists(fragments | st.text(max_size=3), max_size=12).map("".join)


def stream(chunks: list[str], opened: bool) -> list[Piece]:
    parser = StreamParser(opened)
    pieces = [piece for chunk in chunks for piece in parser.feed(chunk)]
    return pieces + parser.finish()


@given(tagged_text, st.lists(st.integers(0, 60)), st.booleans())
def test_streams_parse_like_the_whole_however_cut(text: str, cuts: list[int], opened: bool) -> None:
    edges = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    pieces = stream([text[a:b] for a, b in pairwise(edges)], opened)
    whole = parse(text, opened)
    assert all(piece.text for piece in pieces)
    assert joined(pieces, "thinking").rstrip() == (whole.thinking or "")
    if whole.answer is not None:
        assert joined(pieces, "answer").rstrip() == whole.answer
    for kind in ("thinking", "answer"):
        assert joined(pieces, kind) == joined(stream([text], opened), kind)


def test_a_stream_holds_back_only_what_may_be_a_tag() -> None:
    parser = StreamParser()
    assert parser.feed("\n<th") == []
    assert parser.feed("ink> try 5 ") == [Piece("thinking", "try 5 ")]
    assert parser.feed("< 6 </thin") == [Piece("thinking", "< 6 ")]
    assert parser.feed("g </think") == [Piece("thinking", "</thing ")]
    assert parser.feed(">\n\n5 <think>") == [Piece("answer", "5 <think>")]
    assert parser.finish() == []


def test_an_unfinished_tag_at_the_end_is_text() -> None:
    assert stream(["<think>a</thi"], False) == [Piece("thinking", "a"), Piece("thinking", "</thi")]


def test_hostile_text_is_parsed_in_linear_time() -> None:
    texts = ("<think>" * 300_000, "<" * 2_000_000, " " * 2_000_000, "<think>" + "</thin" * 300_000)
    start = time.process_time()
    for text in texts:
        parse(text)
        stream([text], False)
    stream(list("<think>" + "</thin" * 30_000), False)
    assert (
        time.process_time() - start < 20
    )  # a busy machine takes a few; quadratic time would be minutes


def test_a_stream_goes_on_where_the_turn_was_opened() -> None:
    def said(part: Part, has_text: bool, *chunks: str) -> list[Piece]:
        parser = RenderedPrompt([], part, has_text).stream_parser()
        return [piece for chunk in chunks for piece in parser.feed(chunk)] + parser.finish()

    assert said("thinking", False, " try 5</th", "ink> 5") == [
        Piece("thinking", "try 5"),
        Piece("answer", "5"),
    ]
    assert said("thinking", True, " try")[0] == Piece("thinking", " try")
    assert said("answer", True, " <think> 5") == [Piece("answer", " <think> 5")]
    assert said("answer", False, " <think> 5") == [Piece("answer", "<think> 5")]
    assert said("start", False, "<think>a</think>b") == [
        Piece("thinking", "a"),
        Piece("answer", "b"),
    ]


def test_thinking_can_be_closed_without_a_tag() -> None:
    parser = StreamParser(opened=True)
    assert parser.feed("try </thi") == [Piece("thinking", "try ")]
    is_thinking = parser.is_thinking
    assert is_thinking
    assert parser.close() == [Piece("thinking", "</thi")]
    assert not parser.is_thinking
    assert parser.feed("5 <think> </think>") == [Piece("answer", "5 <think> </think>")]
