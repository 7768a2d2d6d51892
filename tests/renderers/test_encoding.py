"""Text that never becomes a control token."""

from r1kit.renderers.encoding import encode_completion
from r1kit.renderers.thinking import THINKING_TAGS
from tests.renderers.dialects import CONTROL, TOKENIZER


def test_a_whole_completion_has_tags_and_plain_text() -> None:
    text = "<think>5 </thi<｜User｜></think>\\boxed{5}<think>"
    tokens = encode_completion(TOKENIZER, text)
    assert TOKENIZER.decode(tokens) == text
    control = {TOKENIZER.convert_tokens_to_ids(token) for token in CONTROL}
    tags = [TOKENIZER.convert_tokens_to_ids(tag) for tag in THINKING_TAGS]
    assert [i for i in tokens if i in control] == [*tags, tags[0]]
    assert encode_completion(TOKENIZER, "") == []
