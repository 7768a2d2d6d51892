"""The chat template of an existing base, with an instruction, and as other programs render it."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from r1kit.errors import ConfigError
from r1kit.model.tokenizer import load_tokenizer
from r1kit.renderers import adopt, renderer_of
from r1kit.renderers.adopt import CHAT_TEMPLATES, INSTRUCTIONS, adopt_template, with_instruction
from r1kit.types import Message
from tests.renderers.dialects import byte_tokenizer

CHATML = (
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou are helpful<|im_end|>\n' }}{% endif %}"
    "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
GEMMA = (
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}"
    "{{ raise_exception('System role not supported') }}{% endif %}"
    "{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Roles must alternate') }}{% endif %}"
    "{% set role = 'model' if message['role'] == 'assistant' else message['role'] %}"
    "{{ '<start_of_turn>' + role + '\n' + message['content'] | trim + '<end_of_turn>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"
)
LLAMA = """
  {%- if messages[0]['role'] == 'system' %}
    {%- set system = messages[0]['content'] %}
    {%- set messages = messages[1:] %}
{%- else %}{%- set system = '' %}{%- endif %}
{%- macro turn(message) %}[{{ message.role }} of {{ messages | length }}] {{ message.content }}
{% endmacro %}
   {% if true %}
  indented {{ bos_token + system }}
   {% endif %}
{% for message in messages %}{{ turn(message) }}{% endfor %}
{%- if add_generation_prompt %}[assistant] {% endif %}"""
PARTS = (
    "{% for m in messages %}{% if m.content is string %}{{ m.content }}{% else %}"
    "{% for part in m.content %}{{ part.text }}{% endfor %}{% endif %}|{% endfor %}"
)
THINKS = CHATML + "{# past thinking: content.split('</think>')[-1] #}"
TEMPLATES = {"chatml": CHATML, "gemma": GEMMA, "llama": LLAMA}
TALKS = [
    [("user", "1 + 1?")],
    [("user", "1 + 1?"), ("assistant", "2"), ("user", "2 + 2?")],
    [("system", "Be brief."), ("user", "1 + 1?")],
    [("system", "Be brief."), ("user", "1?"), ("assistant", "2"), ("user", "3?")],
]


def rendered(template: str, turns: list[tuple[str, str]]) -> str:
    messages = [{"role": role, "content": content} for role, content in turns]
    return str(
        byte_tokenizer(template).apply_chat_template(
            messages, tokenize=False, add_generation_prompt=True
        )
    )


def adopted(own: str | None, **settings: Any) -> str:
    tokenizer = byte_tokenizer(own)
    defaults: dict[str, Any] = {"chat_template": "own", "instruction": None, "languages": ("en",)}
    adopt_template(tokenizer, **(defaults | settings))
    return str(tokenizer.chat_template)


@pytest.mark.parametrize("template", TEMPLATES.values(), ids=TEMPLATES)
@settings(deadline=None)  # every instruction is a new template to compile
@given(instruction=st.text(st.characters(codec="utf-8"), min_size=1))
def test_a_template_with_an_instruction_adds_it_to_the_last_question(
    template: str, instruction: str
) -> None:
    instructed = with_instruction(template, instruction)
    for turns in TALKS[: 2 if template is GEMMA else 4]:
        *before, (role, question) = turns
        expected = rendered(template, [*before, (role, question + instruction)])
        assert rendered(instructed, turns) == expected


def test_content_in_parts_gets_the_instruction_as_a_part() -> None:
    messages = [{"role": "user", "content": [{"type": "text", "text": "1 + 1?"}]}]
    text = byte_tokenizer(with_instruction(PARTS, "\nThink.")).apply_chat_template(
        messages, tokenize=False
    )
    assert text == "1 + 1?\nThink.|"


def test_a_base_without_a_template_reads_the_prompt_of_r1_zero_unless_it_is_to_be_plain() -> None:
    assert adopted(None) == adopt.BOS + CHAT_TEMPLATES["r1-zero-prefilled"]
    for name, template in CHAT_TEMPLATES.items():
        assert adopted(None, chat_template=name) == adopt.BOS + template
        assert adopted(CHATML, chat_template=name) == adopt.BOS + template


def test_a_tokenizer_that_adds_no_bos_gets_none_from_the_template() -> None:
    tokenizer = byte_tokenizer(None)
    tokenizer.backend_tokenizer.post_processor = None
    adopt_template(tokenizer, "r1-zero", None, ("en",))
    assert tokenizer.chat_template == CHAT_TEMPLATES["r1-zero"]


def test_only_a_template_without_thinking_has_an_instruction_by_default() -> None:
    assert adopted(CHATML) == with_instruction(CHATML, f"\n{INSTRUCTIONS['en']}")
    assert adopted(CHATML, languages=("ko",)) == with_instruction(CHATML, f"\n{INSTRUCTIONS['ko']}")
    assert adopted(CHATML, languages=("ko", "zh")) == adopted(CHATML)
    assert adopted(THINKS) == THINKS
    assert adopted(CHATML, instruction="") == CHATML
    assert adopted(THINKS, instruction="Think.") == with_instruction(THINKS, "\nThink.")
    again = adopted(CHATML)
    assert adopted(again) == again


def test_a_template_that_the_instruction_would_change_is_refused() -> None:
    looks = "{{ instructed is defined }}" + CHATML
    drops = "{% for m in messages %}{{ m.content.split('<')[0] }}{% endfor %}"
    for template in (looks, drops):
        with pytest.raises(ConfigError, match=r'model\.instruction = ""'):
            adopted(template)
        assert adopted(template, instruction="") == template


@pytest.mark.parametrize("settings", [
    {"own": CHATML}, {"own": GEMMA}, {"own": LLAMA}, {"own": THINKS}, {"own": None},
    {"own": None, "chat_template": "plain"}, {"own": None, "chat_template": "r1-zero"},
    {"own": None, "chat_template": "plain", "instruction": "Think it over."},
    {"own": None, "instruction": "Be quick."},
])  # fmt: skip
def test_training_serving_and_transformers_read_the_same_tokens(
    tmp_path: Path, settings: dict[str, Any]
) -> None:
    """The prompt of the training travels with the checkpoint."""
    tokenizer = byte_tokenizer(settings.pop("own"))
    defaults: dict[str, Any] = {"chat_template": "own", "instruction": None, "languages": ("en",)}
    adopt_template(tokenizer, **(defaults | settings))
    tokenizer.save_pretrained(tmp_path)
    reopened = load_tokenizer(tmp_path)
    for turns in TALKS[:2]:
        messages = [Message(role, content) for role, content in turns]  # type: ignore[arg-type]
        training = renderer_of(tokenizer).render_prompt(messages)
        assert renderer_of(reopened).generation_prompt(messages).ids == training
        chat = [{"role": role, "content": content} for role, content in turns]
        elsewhere = reopened.apply_chat_template(
            chat, add_generation_prompt=True, return_dict=False
        )
        assert elsewhere == training
