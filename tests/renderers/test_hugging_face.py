"""Other models: their own chat template, or none."""

import pytest

from r1kit.renderers import renderer_of
from r1kit.types import Message
from tests.renderers.dialects import RENDERER, foreign_tokenizer


def test_a_base_without_a_template_reads_question_and_answer() -> None:
    messages = [Message("system", "be brief"), Message("user", "hi")]
    prompt = renderer_of(foreign_tokenizer(None)).render_prompt(messages)
    assert prompt == [0, 5, 6, 2, 4, 3]


@pytest.mark.parametrize("bos", ["", "<s>", "<s> <s>"])
def test_a_foreign_template_is_obeyed_with_at_most_one_bos(bos: str) -> None:
    foreign = foreign_tokenizer(bos + " {{ '[user] ' + messages[0].content + ' [bot]' }}")
    prompt = renderer_of(foreign).render_prompt([Message("user", "hi")])
    assert prompt == ([0] if bos else []) + [7, 4, 8]


@pytest.mark.parametrize(("ending", "opens"), [(" [bot] <think>\n", True), (" [bot]", False)])
def test_a_template_that_opens_the_thinking_is_recognised(ending: str, opens: bool) -> None:
    foreign = foreign_tokenizer(f"{{{{ messages[0].content }}}}{ending}")
    renderer = renderer_of(foreign)
    assert renderer.opens_thinking is opens
    rendered_prompt = renderer.generation_prompt([Message("user", "hi <think>")])
    assert rendered_prompt.part == ("thinking" if opens else "start")
    assert not RENDERER.opens_thinking
