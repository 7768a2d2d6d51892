"""An Ollama Modelfile for a GGUF file: the chat template in Go's language, sampling, stop tokens.

Ollama cannot run a Jinja template. The Go template here is made of what the Jinja template writes
before, between and after messages, and is compared with it on whole conversations; without
agreement there is none, and Ollama uses what it finds in the GGUF file. Ollama shows thinking apart
from the answer if the template has the message field `Thinking` between two tags.

Departure: the Jinja template of R1-Zero ends a question that has no full stop with one; the Go
template does not.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from r1kit.renderers import renderer_of
from r1kit.renderers.encoding import adds_bos
from r1kit.renderers.r1_zero import R1ZeroRenderer
from r1kit.renderers.thinking import END_THINK, THINK

TEMPERATURE, TOP_P = 0.6, 0.95
"""sampling that DeepSeek recommends for R1"""
MAX_CONTEXT = 32_768
"""longest context that a Modelfile asks for, in tokens; its memory is taken when a model loads"""
DEFAULT_CONTEXT = 4096
"""context of a model that states none"""

Turns = Sequence[tuple[str, str]]
"""(role, content) of each message"""


@dataclass(frozen=True)
class TurnTexts:
    """The texts that a chat template writes around the messages of a conversation."""

    head: str
    """before the first question, without a system message"""
    before_system: str
    after_system: str
    after_question: str
    """between a question and its answer, if more turns follow"""
    after_answer: str
    """between an answer and the next question"""
    tail: str
    """after the last question"""

    def render(self, turns: Turns) -> str:
        """Render a conversation as the Go template does."""
        system = [content for role, content in turns if role == "system"]
        text = self.before_system + system[0] + self.after_system if system else self.head
        last = len(turns) - 1
        for index, (role, content) in enumerate(turns):
            if role == "user":
                text += content + (self.tail if index == last else self.after_question)
            elif role == "assistant":
                text += content + self.after_answer
        return text


def modelfile(
    tokenizer: PreTrainedTokenizerBase,
    gguf: str,
    max_positions: int | None,
    eos_ids: frozenset[int],
) -> str:
    """Return the text of a Modelfile for the file `gguf` beside it."""
    stops = [str(token) for token in tokenizer.convert_ids_to_tokens(sorted(eos_ids))]
    if isinstance(renderer_of(tokenizer), R1ZeroRenderer):
        stops.append(" User:")  # where a base continues with a question of its own
    lines = [f"FROM ./{gguf}", f"PARAMETER temperature {TEMPERATURE}", f"PARAMETER top_p {TOP_P}"]
    lines.append(f"PARAMETER num_ctx {min(max_positions or DEFAULT_CONTEXT, MAX_CONTEXT)}")
    lines += [f"PARAMETER stop {json.dumps(text, ensure_ascii=False)}" for text in stops]
    template = go_template(tokenizer)
    if template is not None:
        lines.append(f'TEMPLATE """{template}"""')
    return "\n".join(lines) + "\n"


def go_template(tokenizer: PreTrainedTokenizerBase) -> str | None:
    """Return the tokenizer's chat template in Go's language; None if it is of another form."""
    texts = turn_texts(tokenizer)
    if texts is None:
        return None
    renderer = renderer_of(tokenizer)
    think, no_thinking = "", ""
    if renderer.has_thinking:
        think = (
            f"{{{{ if and $last .Thinking }}}}{THINK}{{{{ .Thinking }}}}{END_THINK}{{{{ end }}}}"
        )
        closed = renderer.no_thinking_text()
        no_thinking = f"{{{{ if and $.IsThinkSet (not $.Think) }}}}{_go(closed)}{{{{ end }}}}"
    return (
        f"{{{{ if .System }}}}{_go(texts.before_system)}{{{{ .System }}}}{_go(texts.after_system)}"
        f"{{{{ else }}}}{_go(texts.head)}{{{{ end }}}}"
        "{{ range $i, $_ := .Messages }}{{ $last := eq (len (slice $.Messages $i)) 1 }}"
        '{{ if eq .Role "user" }}{{ .Content }}'
        f"{{{{ if $last }}}}{_go(texts.tail)}{no_thinking}"
        f"{{{{ else }}}}{_go(texts.after_question)}{{{{ end }}}}"
        f'{{{{ else if eq .Role "assistant" }}}}{think}{{{{ .Content }}}}'
        f"{{{{ if not $last }}}}{_go(texts.after_answer)}{{{{ end }}}}{{{{ end }}}}{{{{ end }}}}"
    )


def turn_texts(tokenizer: PreTrainedTokenizerBase) -> TurnTexts | None:
    """Return the texts around messages; None if a chat template cannot be taken apart like this.

    A BOS token in front is left out if the tokenizer adds one, as llama.cpp does then.
    """
    marks = [f"{uuid.uuid4().hex[:12]}?" for _ in range(4)]
    system, question, answer, second = marks
    alone = _rendered(tokenizer, [("user", question)])
    talk = _rendered(tokenizer, [("user", question), ("assistant", answer), ("user", second)])
    instructed = _rendered(tokenizer, [("system", system), ("user", question)])
    if alone is None or talk is None:
        return None
    head, _, tail = alone.partition(question)
    between = talk.removeprefix(head + question)
    after_question, _, rest = between.partition(answer)
    after_answer = rest.partition(second)[0]
    before, _, rest = (instructed or f"{head}{system}\n\n{question}").partition(system)
    texts = TurnTexts(head, before, rest.partition(question)[0], after_question, after_answer, tail)
    for turns in _conversations(has_system=instructed is not None):
        if _rendered(tokenizer, turns) != texts.render(turns):
            return None
    return texts


def _conversations(has_system: bool) -> list[Turns]:
    """Conversations on which both templates must agree."""
    first: Turns = [("user", "What is 27 + 14?")]
    long = [*first, ("assistant", "It is 41."), ("user", "And 12?"), ("assistant", "53."),
            ("user", "Thank you!")]  # fmt: skip
    briefly = ("system", "Answer briefly.")
    return [first, long, *([[briefly, *first], [briefly, *long]] if has_system else [])]


def _rendered(tokenizer: PreTrainedTokenizerBase, turns: Turns) -> str | None:
    messages = [{"role": role, "content": content} for role, content in turns]
    try:
        text = str(
            tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
        )
    except Exception:  # a template raises what it likes, for example on a system message
        return None
    return text.removeprefix(tokenizer.bos_token) if adds_bos(tokenizer) else text


def _go(text: str) -> str:
    """Return a text that a Go template writes as it is, inside the quotes of a Modelfile."""
    if "{{" not in text and "}}" not in text and '"' not in text:
        return text
    return f"{{{{ {json.dumps(text, ensure_ascii=False)} }}}}"
