"""Prompts, parsing and streaming; rl-pitfalls 9, 10, 37, 38."""

import time
from itertools import pairwise
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from r1kit.model import tokenizer as tokenizers
from r1kit.renderers import renderer_of
from r1kit.renderers.base import RenderedPrompt
from r1kit.renderers.encoding import encode_completion, encode_text
from r1kit.renderers.r1kit import ASSISTANT, BOS, EOS, SPECIAL_TOKENS, USER, document_text
from r1kit.renderers.stream_parser import Piece, StreamParser
from r1kit.renderers.thinking import END_THINK, THINK, THINKING_TAGS, completion_text, parse
from r1kit.types import Message, Parsed

TOKENIZER = tokenizers.train_tokenizer(
    ["Solve 7 x + 3 = 38. 다시 확인 再试 be brief \\boxed{5}"] * 9, 320
)
Part = Literal["start", "thinking", "answer"]
RENDERER = renderer_of(TOKENIZER)
CONTROL = (*SPECIAL_TOKENS, *THINKING_TAGS)

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
harmless = st.text().filter(lambda text: not any(token in text for token in CONTROL))
roles = st.sampled_from(["system", "user", "assistant"])


def ids(*tokens: str) -> list[int]:
    return [TOKENIZER.convert_tokens_to_ids(token) for token in tokens]


def hugging_face_prompt(messages: list[Message]) -> list[int]:
    turns = [{"role": message.role, "content": message.content} for message in messages]
    return list(TOKENIZER.apply_chat_template(turns, add_generation_prompt=True, return_dict=False))


def test_a_prompt_is_bos_system_user_assistant() -> None:
    messages = [Message("user", "Solve 7 x + 3 = 38."), Message("system", "be brief")]
    text = TOKENIZER.decode(RENDERER.prompt(messages))
    assert text == f"{BOS}be brief{USER}Solve 7 x + 3 = 38.{ASSISTANT}"


def test_past_thinking_is_dropped_and_past_turns_end() -> None:
    messages = [
        Message("user", "7"),
        Message("assistant", "<think>a</think> b</think>5", reasoning="never shown"),
        Message("user", "8"),
    ]
    expected = ids(BOS, USER, "7", ASSISTANT, "5", EOS)
    expected += ids(USER, "8", ASSISTANT)
    assert RENDERER.prompt(messages) == expected
    assert hugging_face_prompt(messages) == expected


@given(st.lists(st.builds(Message, roles, harmless), min_size=1, max_size=4))
def test_harmless_prompts_equal_the_chat_template(messages: list[Message]) -> None:
    assert RENDERER.prompt(messages) == hugging_face_prompt(messages)


@given(st.lists(st.sampled_from(CONTROL) | st.text(max_size=4), max_size=6).map("".join))
def test_people_cannot_write_control_tokens(text: str) -> None:
    prompt = RENDERER.prompt([Message("user", text)])
    assert prompt[:2] == ids(BOS, USER)
    assert prompt[-1:] == ids(ASSISTANT)
    assert not set(prompt[2:-1]) & set(ids(*CONTROL))
    assert TOKENIZER.decode(prompt[2:-1]) == text


def foreign_tokenizer(chat_template: str | None) -> PreTrainedTokenizerFast:
    words = ["<s>", "?", "Question:", "Answer:", "hi", "be", "brief", "[user]", "[bot]", "<think>"]
    backend = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="?"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    backend.post_processor = processors.TemplateProcessing("<s> $A", special_tokens=[("<s>", 0)])
    foreign = PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<s>", unk_token="?")
    foreign.chat_template = chat_template
    return foreign


def test_a_base_without_a_template_reads_question_and_answer() -> None:
    messages = [Message("system", "be brief"), Message("user", "hi")]
    prompt = renderer_of(foreign_tokenizer(None)).prompt(messages)
    assert prompt == [0, 5, 6, 2, 4, 3]


@pytest.mark.parametrize("bos", ["", "<s>", "<s> <s>"])
def test_a_foreign_template_is_obeyed_with_at_most_one_bos(bos: str) -> None:
    foreign = foreign_tokenizer(bos + " {{ '[user] ' + messages[0].content + ' [bot]' }}")
    prompt = renderer_of(foreign).prompt([Message("user", "hi")])
    assert prompt == ([0] if bos else []) + [7, 4, 8]


@pytest.mark.parametrize(("ending", "opens"), [(" [bot] <think>\n", True), (" [bot]", False)])
def test_a_template_that_opens_the_thinking_is_recognised(ending: str, opens: bool) -> None:
    foreign = foreign_tokenizer(f"{{{{ messages[0].content }}}}{ending}")
    renderer = renderer_of(foreign)
    assert renderer.opens_thinking is opens
    opening = renderer.start_turn([Message("user", "hi <think>")])
    assert opening.part == ("thinking" if opens else "start")
    assert not RENDERER.opens_thinking


PARSED = {
    "<think>try 5\nwait</think>\n\\boxed{5}": Parsed("try 5\nwait", "\\boxed{5}", True),
    "\\boxed{5}": Parsed(None, "\\boxed{5}", False),
    "": Parsed(None, "", False),
    "<think>try 5 \\boxed{5}": Parsed("try 5 \\boxed{5}", None, False),
    "5 <think>try 5": Parsed("try 5", None, False),
    "<think>": Parsed("", None, False),
    "<think> \n</think>5": Parsed("", "5", False),
    "<think>a</think> \n": Parsed("a", "", False),
    "\n<think>a</think>5": Parsed("a", "5", False),
    "so <think>a</think>5": Parsed("a", "so 5", False),
    "<think>a<think>b</think>5": Parsed("a<think>b", "5", False),
    "<think>a</think>5</think>6": Parsed("a", "5</think>6", False),
    "<think>a</think>5<think>b</think>6": Parsed("a", "5<think>b</think>6", False),
    "a</think>5": Parsed(None, "a</think>5", False),
    "<THINK>a</THINK>5": Parsed(None, "<THINK>a</THINK>5", False),
}


@pytest.mark.parametrize(("text", "parsed"), PARSED.items())
def test_parse(text: str, parsed: Parsed) -> None:
    assert parse(text) == parsed


OPENED = {
    "try 5</think>5": Parsed("try 5", "5", True),
    "try 5": Parsed("try 5", None, False),
    "<think>try 5</think>5": Parsed("<think>try 5", "5", False),
    "</think>5": Parsed("", "5", False),
}


@pytest.mark.parametrize(("text", "parsed"), OPENED.items())
def test_parse_after_a_tag_in_the_prompt(text: str, parsed: Parsed) -> None:
    assert parse(text, opened=True) == parsed


@given(harmless, harmless)
def test_what_is_written_is_parsed_back(reasoning: str, answer: str) -> None:
    parsed = parse(completion_text(reasoning, answer))
    blank = not reasoning.strip() or not answer.strip()
    assert parsed == Parsed(reasoning.strip(), answer.strip(), not blank)
    assert parse(completion_text(None, answer)) == Parsed(None, answer.strip(), False)


@pytest.mark.parametrize(("reasoning", "answer"), [("a</think>", "5"), ("a", "<think>5")])
def test_parts_with_tags_are_not_written(reasoning: str, answer: str) -> None:
    with pytest.raises(ValueError, match="thinking tags"):
        completion_text(reasoning, answer)


def stream(chunks: list[str], opened: bool) -> list[Piece]:
    parser = StreamParser(opened)
    pieces = [piece for chunk in chunks for piece in parser.feed(chunk)]
    return pieces + parser.finish()


def joined(pieces: list[Piece], kind: str) -> str:
    return "".join(piece.text for piece in pieces if piece.kind == kind)


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
    assert time.process_time() - start < 5


def test_an_exchange_ends_and_a_page_goes_on() -> None:
    assert document_text("1+1=?", "2") == (f"{BOS}{USER}1+1=?{ASSISTANT}2{EOS}")
    assert document_text(None, "1+1=2") == f"{BOS}1+1=2"


QUESTION = [Message("user", "7x + 3")]
PROMPT = RENDERER.prompt(QUESTION)
OPEN, CLOSE = ids(THINK), ids(END_THINK)


@pytest.mark.parametrize(
    ("thinks", "turn", "expected", "part", "begun"),
    [
        (True, None, [OPEN], "thinking", False),
        (False, None, [OPEN, CLOSE], "answer", False),
        (True, Message("assistant", "", "try"), [OPEN, "try"], "thinking", True),
        (True, Message("assistant", "x ="), [OPEN, CLOSE, "x ="], "answer", True),
        (False, Message("assistant", "x ="), [OPEN, CLOSE, "x ="], "answer", True),
        (True, Message("assistant", "x", "try"), [OPEN, "try", CLOSE, "x"], "answer", True),
    ],
)
def test_a_turn_is_opened_in_its_thinking_or_in_its_answer(
    thinks: bool, turn: Message | None, expected: list[str | list[int]], part: Part, begun: bool
) -> None:
    opening = RENDERER.open_turn(QUESTION, thinks, turn)
    parts = [encode_text(TOKENIZER, p) if isinstance(p, str) else p for p in expected]
    assert opening == RenderedPrompt(sum(parts, PROMPT), part, begun)


def test_a_turn_of_a_model_without_thinking_has_no_tags() -> None:
    plain = PreTrainedTokenizerFast(tokenizer_object=TOKENIZER.backend_tokenizer)
    opening = renderer_of(plain).open_turn(QUESTION, True)
    assert opening == RenderedPrompt(renderer_of(plain).prompt(QUESTION), "start")
    assert not renderer_of(plain).has_thinking
    assert RENDERER.has_thinking


def test_a_stream_goes_on_where_the_turn_was_opened() -> None:
    def said(part: Part, begun: bool, *chunks: str) -> list[Piece]:
        parser = RenderedPrompt([], part, begun).stream_parser()
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


def test_a_whole_completion_has_tags_and_plain_text() -> None:
    text = "<think>5 </thi<｜User｜></think>\\boxed{5}<think>"
    tokens = encode_completion(TOKENIZER, text)
    assert TOKENIZER.decode(tokens) == text
    control = {TOKENIZER.convert_tokens_to_ids(token) for token in CONTROL}
    tags = [TOKENIZER.convert_tokens_to_ids(tag) for tag in THINKING_TAGS]
    assert [i for i in tokens if i in control] == [*tags, tags[0]]
    assert encode_completion(TOKENIZER, "") == []
