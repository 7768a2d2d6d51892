"""The chat template of an existing base: its own or a recipe's choice, and its instruction.

Everything is in the template that is saved with the checkpoint, so that transformers, vLLM and
every other program that reads chat templates render the prompt of the training. An instruction is
added to the last user message, because some templates refuse system messages (Gemma's) and others
replace a default system text (ChatML's). A template is a program: the one with the instruction is
compared with the original on whole conversations before it is used.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from r1kit.errors import ConfigError
from r1kit.renderers import plain, r1_zero
from r1kit.renderers.encoding import adds_bos
from r1kit.renderers.thinking import END_THINK, THINK

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

CHAT_TEMPLATES = {
    "r1-zero": r1_zero.CHAT_TEMPLATE,
    "r1-zero-prefilled": r1_zero.PREFILLED_CHAT_TEMPLATE,
    "plain": plain.CHAT_TEMPLATE,
}
"""chat templates that a recipe can choose (`model.chat_template`)"""
WITHOUT_TEMPLATE = "r1-zero-prefilled"
"""the one for a base that has no chat template of its own"""
INSTRUCTIONS = {
    "en": f"First think step by step between {THINK} and {END_THINK}, then give the final answer "
    "in \\boxed{}.",
    "ko": f"먼저 {THINK}와 {END_THINK} 사이에서 단계별로 생각한 다음, "
    "최종 답을 \\boxed{}에 쓰세요.",
    "zh": f"请先在 {THINK} 和 {END_THINK} 之间逐步思考，然后把最终答案写在 \\boxed{{}} 中。",
}
"""language → the instruction for a chat template without thinking. Of eight English wordings, in
the question and as a system message, this one in the question made two small models together begin
with `<think>` most likely (docs/log.md)"""
BOS = "{{ bos_token }}"
APPEND = (
    "{%- set instructed = namespace(turns=[], last=-1) %}"
    "{%- for message in messages %}"
    "{%- if message['role'] == 'user' %}{%- set instructed.last = loop.index0 %}{%- endif %}"
    "{%- endfor %}"
    "{%- for message in messages %}"
    "{%- if loop.index0 != instructed.last %}"
    "{%- set instructed.turns = instructed.turns + [message] %}"
    "{%- elif message['content'] is string %}"
    "{%- set instructed.turns = instructed.turns"
    " + [{'role': 'user', 'content': message['content'] + INSTRUCTION}] %}"
    "{%- else %}"
    "{%- set instructed.turns = instructed.turns + [{'role': 'user', 'content':"
    " message['content'] + [{'type': 'text', 'text': INSTRUCTION}]}] %}"
    "{%- endif %}"
    "{%- endfor %}"
    "{%- set messages = instructed.turns %}\n"
)
"""Jinja in front of a chat template. The last newline belongs to the last tag: templates are read
with `trim_blocks`, and the first line that follows still begins a line, as `lstrip_blocks` needs"""
_CONVERSATIONS = (
    (("user", "1 + 1?"),),
    (("system", "Be brief."), ("user", "1 + 1?")),
    (("user", "1 + 1?"), ("assistant", "2"), ("user", "2 + 2?")),
)


def adopt_template(
    tokenizer: PreTrainedTokenizerBase,
    chat_template: str,
    instruction: str | None,
    languages: Sequence[str],
) -> None:
    """Give a tokenizer the chat template of a recipe, with its instruction.

    `chat_template` is "own" or a key of `CHAT_TEMPLATES`. `instruction` is added to every question;
    None means the default: one in the recipe's only language, or else in English, for a template
    of its own that has no thinking, and no instruction for all others. Raises ConfigError if the
    template cannot carry the instruction.
    """
    own = tokenizer.chat_template
    is_own = chat_template == "own" and own is not None
    if not is_own:
        name = WITHOUT_TEMPLATE if chat_template == "own" else chat_template
        tokenizer.chat_template = (BOS if adds_bos(tokenizer) else "") + CHAT_TEMPLATES[name]
    if instruction is None:
        has_default = is_own and END_THINK not in str(own)
        language = languages[0] if len(languages) == 1 else "en"
        instruction = INSTRUCTIONS[language] if has_default else ""
    if instruction:
        _instruct(tokenizer, f"\n{instruction}")


def with_instruction(template: str, instruction: str) -> str:
    """Return a chat template that adds a text to the last user message, and is else the same."""
    return APPEND.replace("INSTRUCTION", jinja_text(instruction)) + template


def jinja_text(text: str) -> str:
    """Return a text as a string of a Jinja template; no part of it is read as a tag."""
    escapes = str.maketrans({"\\": "\\\\", "'": "\\'", "\n": "\\n", "\r": "\\r"})
    return f"'{text.translate(escapes)}'"


def _instruct(tokenizer: PreTrainedTokenizerBase, instruction: str) -> None:
    own: Any = tokenizer.chat_template
    names = own if isinstance(own, dict) else {"": own}
    new = {name: with_instruction(template, instruction) for name, template in names.items()}
    expected = [_rendered(tokenizer, turns, instruction) for turns in _CONVERSATIONS]
    tokenizer.chat_template = new if isinstance(own, dict) else new[""]
    is_read = all(text is None or instruction.strip() in text for text in expected)
    if not is_read or expected != [_rendered(tokenizer, turns) for turns in _CONVERSATIONS]:
        tokenizer.chat_template = own
        raise ConfigError(
            "The model's chat template cannot carry the instruction: it drops or changes it; set "
            'model.instruction = "" and ask for the thinking in your questions.'
        )


def _rendered(
    tokenizer: PreTrainedTokenizerBase, turns: Sequence[tuple[str, str]], addition: str = ""
) -> str | None:
    """Render a conversation, with a text added to its last turn; None if it is refused."""
    messages = [{"role": role, "content": content} for role, content in turns]
    messages[-1]["content"] += addition
    try:
        return str(
            tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
        )
    except Exception:  # a template raises what it likes, for example on a system message
        return None
