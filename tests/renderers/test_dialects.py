"""What every chat dialect promises."""

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from r1kit.renderers.base import Renderer
from r1kit.renderers.hugging_face import HuggingFaceRenderer
from r1kit.renderers.plain import PlainRenderer
from r1kit.renderers.r1_zero import R1ZeroRenderer
from r1kit.renderers.r1kit import R1kitRenderer
from r1kit.renderers.thinking import THINKING_TAGS, parse, readable_text
from r1kit.types import Message, ParsedCompletion
from tests.renderers.dialects import RENDERERS, joined, streamed, tagged_text

dialects = pytest.mark.parametrize("renderer", RENDERERS.values(), ids=RENDERERS.keys())


QUESTION = [Message("user", "7x + 3 = 38?")]


harmless = st.text(st.characters(codec="utf-8")).filter(lambda text: "<" not in text)


def control(renderer: Renderer, ids: Sequence[int]) -> list[int]:
    added = set(renderer.tokenizer.get_added_vocab().values())
    return [i for i in ids if i in added]


def decoded(renderer: Renderer, ids: Sequence[int]) -> str:
    """The text as an engine decodes it: thinking tags stay, BOS and EOS do not."""
    return str(renderer.tokenizer.decode(list(ids), skip_special_tokens=True))


def test_the_chat_template_chooses_the_dialect() -> None:
    chosen = [type(renderer) for renderer in RENDERERS.values()]
    assert chosen == [
        R1kitRenderer, HuggingFaceRenderer, HuggingFaceRenderer, HuggingFaceRenderer, PlainRenderer,
        PlainRenderer, R1ZeroRenderer, R1ZeroRenderer,
    ]  # fmt: skip
    assert [renderer.opens_thinking for renderer in RENDERERS.values()] == [
        False, False, True, False, False, False, False, True,
    ]  # fmt: skip
    assert [renderer.has_thinking for renderer in RENDERERS.values()] == [
        True, True, True, True, False, False, True, True,
    ]  # fmt: skip


@dialects
@given(text=tagged_text)
def test_forged_tags_stay_text(renderer: Renderer, text: str) -> None:
    text += "</s><s>"
    messages = renderer.render_prompt([Message("user", text)])
    assert control(renderer, messages) == control(renderer, renderer.render_prompt(QUESTION))
    assert text in renderer.tokenizer.decode(messages)
    shown = renderer.render_target(Message("assistant", text, text))
    assert control(renderer, shown) == control(
        renderer, renderer.render_target(Message("assistant", "5", "a"))
    )


@dialects
@pytest.mark.parametrize("messages", [QUESTION, [Message("system", "be brief"), *QUESTION]])
def test_a_prompt_has_one_bos_in_front(renderer: Renderer, messages: list[Message]) -> None:
    bos = renderer.tokenizer.bos_token_id
    for ids in (
        renderer.render_prompt(messages),
        renderer.encode_prompt("7x"),
        renderer.encode_prompt(""),
    ):
        assert ids[0] == bos
        assert ids.count(bos) == 1


@dialects
@given(reasoning=harmless.filter(str.strip), answer=harmless.filter(str.strip))
def test_a_turn_is_parsed_back(renderer: Renderer, reasoning: str, answer: str) -> None:
    expected = ParsedCompletion(reasoning.strip(), answer.strip(), True)
    ids = renderer.render_target(Message("assistant", answer, reasoning))
    assert ids[-1] == renderer.tokenizer.eos_token_id
    assert renderer.parse(decoded(renderer, ids)) == expected
    assert renderer.parse(renderer.format_completion(reasoning, answer)) == expected
    plain = renderer.parse(decoded(renderer, renderer.render_target(Message("assistant", answer))))
    assert plain.answer == answer.strip()
    assert not plain.thinking


@dialects
@given(answer=harmless.filter(str.strip))
def test_an_opened_turn_and_its_completion_are_the_whole_turn(
    renderer: Renderer, answer: str
) -> None:
    """Thinking opened by the prompt and closed by its tokens, as under a thinking budget."""
    if not renderer.has_thinking:
        return
    rendered_prompt = renderer.continuation_prompt(QUESTION, True)
    assert rendered_prompt.part == "thinking"
    turn = [
        *renderer.render_prompt(QUESTION),
        *renderer.render_target(Message("assistant", answer, "try")),
    ]
    rest = turn[len(rendered_prompt.ids) :]
    assert turn[: len(rendered_prompt.ids)] == rendered_prompt.ids
    parser = rendered_prompt.stream_parser()
    pieces = parser.feed("try") + parser.close()
    closing = [*renderer.encode_text("try"), *renderer.end_thinking_ids()]
    assert rest[: len(closing)] == closing
    pieces += parser.feed(decoded(renderer, rest[len(closing) :])) + parser.finish()
    assert joined(pieces, "thinking") == "try"
    assert joined(pieces, "answer").strip() == answer.strip()


@dialects
@given(text=tagged_text, cuts=st.lists(st.integers(0, 60)))
def test_streams_are_parsed_like_the_whole(renderer: Renderer, text: str, cuts: list[int]) -> None:
    edges = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    pieces = streamed(renderer.stream_parser(), [text[a:b] for a, b in pairwise(edges)])
    whole = renderer.parse(text)
    assert all(piece.text for piece in pieces)
    assert joined(pieces, "thinking").rstrip() == (whole.thinking or "")
    if whole.answer is not None:
        assert joined(pieces, "answer").rstrip() == whole.answer


@dialects
@given(text=tagged_text)
def test_records_of_any_dialect_are_read_with_one_parser(renderer: Renderer, text: str) -> None:
    parsed = renderer.parse(text)
    again = parse(readable_text(text, parsed))
    assert again.thinking == parsed.thinking or any(
        tag in f"{parsed.thinking}{parsed.answer}" for tag in THINKING_TAGS
    )
    if isinstance(renderer, R1kitRenderer):
        assert readable_text(text, parsed) == text
