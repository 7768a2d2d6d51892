"""Modelfiles: Ollama's template renders what the chat template does."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerBase

from r1kit.export.ollama import Turns, TurnTexts, go_template, modelfile, turn_texts
from r1kit.renderers import r1_zero, renderer_of
from r1kit.renderers.adopt import adopt_template, with_instruction
from r1kit.renderers.thinking import END_THINK, THINK
from tests.renderers.dialects import RENDERER, byte_tokenizer
from tests.renderers.test_adopt import CHATML, GEMMA, LLAMA


def adopted(own: str | None, chat_template: str = "own") -> PreTrainedTokenizerBase:
    tokenizer = byte_tokenizer(own)
    adopt_template(tokenizer, chat_template, None, ("en",))
    return tokenizer


TOKENIZERS: dict[str, PreTrainedTokenizerBase] = {
    "r1kit": RENDERER.tokenizer,
    "chatml": adopted(CHATML),
    "gemma": byte_tokenizer(GEMMA),
    "quoting": byte_tokenizer(with_instruction(CHATML, ' "say" {{ this }} """ \\n')),
    "r1-zero": adopted(None, "r1-zero"),
    "r1-zero-prefilled": adopted(None),
    "plain": adopted(None, "plain"),
}
TALK: Turns = [("user", "27 + 14?"), ("assistant", "41"), ("user", "And 12?")]
SYSTEM: Turns = [("system", "Be brief."), *TALK]


def expected(tokenizer: PreTrainedTokenizerBase, turns: Turns) -> str:
    messages = [{"role": role, "content": content} for role, content in turns]
    text = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    return str(text).removeprefix("<s>")  # llama.cpp adds it


@pytest.mark.parametrize("name", TOKENIZERS)
@given(texts=st.lists(st.text("ab <>/{}\n\"'", min_size=1).map(lambda text: f"x{text}!"),
                      min_size=5, max_size=5))  # fmt: skip
def test_a_chat_template_is_texts_around_messages(name: str, texts: list[str]) -> None:
    tokenizer = TOKENIZERS[name]
    around = turn_texts(tokenizer)
    assert around is not None
    roles = ("user", "assistant", "user", "assistant", "user")
    turns = [*zip(roles, texts, strict=True)]
    assert around.render(turns) == expected(tokenizer, turns)


def test_a_template_of_another_form_is_left_to_ollama() -> None:
    assert turn_texts(byte_tokenizer(LLAMA)) is None
    assert "TEMPLATE" not in modelfile(byte_tokenizer(LLAMA), "a.gguf", None, frozenset())


def test_a_modelfile_has_sampling_context_stops_and_the_template() -> None:
    tokenizer = TOKENIZERS["r1-zero-prefilled"]
    lines = modelfile(tokenizer, "mine.gguf", 100_000, frozenset([1])).splitlines()
    assert lines[:6] == [
        "FROM ./mine.gguf", "PARAMETER temperature 0.6", "PARAMETER top_p 0.95",
        "PARAMETER num_ctx 32768", 'PARAMETER stop "</s>"', 'PARAMETER stop " User:"',
    ]  # fmt: skip
    template = "\n".join(lines[6:])
    assert template.startswith('TEMPLATE """')
    assert template.endswith('"""')
    assert r1_zero.INSTRUCTION in template
    assert "PARAMETER num_ctx 512\n" in modelfile(tokenizer, "a.gguf", 512, frozenset())
    quoting = modelfile(TOKENIZERS["quoting"], "a.gguf", None, frozenset())
    assert quoting.count('"""') == 2


GO = r"""
package main

import ("encoding/json"; "os"; "strings"; "text/template")

type Message struct { Role, Content, Thinking string }
type Case struct { Template, System string; Messages []Message; Think, IsThinkSet bool }

func main() {
	var cases []Case
	var texts []string
	if err := json.NewDecoder(os.Stdin).Decode(&cases); err != nil { panic(err) }
	for _, c := range cases {
		var text strings.Builder
		parsed := template.Must(template.New("").Parse(c.Template))
		if err := parsed.Execute(&text, c); err != nil { panic(err) }
		texts = append(texts, text.String())
	}
	json.NewEncoder(os.Stdout).Encode(texts)
}
"""


def case(
    tokenizer: PreTrainedTokenizerBase, turns: Turns, thinking: str = "", **values: Any
) -> dict[str, Any]:
    """What Ollama passes to the template of a conversation."""
    messages = [{"Role": role, "Content": content, "Thinking": thinking} for role, content in turns]
    return {"Template": go_template(tokenizer), "Messages": messages, **values}


@pytest.mark.skipif(shutil.which("go") is None, reason="needs Go, in which Ollama is written")
def test_go_renders_the_template_as_jinja_does(tmp_path: Path) -> None:
    cases: list[tuple[dict[str, Any], str]] = []
    for name, tokenizer in TOKENIZERS.items():
        texts, renderer = turn_texts(tokenizer), renderer_of(tokenizer)
        assert isinstance(texts, TurnTexts)
        system = texts.render(SYSTEM) if name == "gemma" else expected(tokenizer, SYSTEM)
        cases += [
            (case(tokenizer, TALK[:1]), expected(tokenizer, TALK[:1])),
            (case(tokenizer, TALK, "dropped"), expected(tokenizer, TALK)),
            (case(tokenizer, SYSTEM, System="Be brief."), system),
        ]
        if renderer.has_thinking:
            begun = f"{texts.head}27 + 14?{texts.after_question}{THINK}try{END_THINK}41"
            closed = f"{texts.head}27 + 14?{texts.tail}{renderer.no_thinking_text()}"
            cases += [
                (case(tokenizer, TALK[:2], "try"), begun),
                (case(tokenizer, TALK[:1], IsThinkSet=True), closed),
            ]
    (tmp_path / "main.go").write_text(GO, encoding="utf-8")
    run = subprocess.run(
        ["go", "run", "main.go"], input=json.dumps([data for data, _ in cases]),
        capture_output=True, encoding="utf-8", cwd=tmp_path, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout) == [text for _, text in cases]
