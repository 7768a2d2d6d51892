"""`r1 chat` with a real, tiny, untrained model: what it says is noise, how it says it is not."""

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from rich.console import Console

from r1kit.chat import Chat, Printer, find_model, run
from r1kit.config import ModelConfig, parse
from r1kit.engines.base import Delta
from r1kit.engines.local import LocalEngine
from r1kit.errors import CheckpointError
from r1kit.model import checkpoint, policy, tokenizer
from r1kit.rundir import RunDir
from r1kit.template import StreamParser
from r1kit.types import Checkpoint, Message, Sampling

TEXTS = ["7x + 3 = 38 <think>try 4</think> wait 다시 5"] * 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that has one checkpoint."""
    words = tokenizer.train(TEXTS, 300)
    shape = ModelConfig(
        family="llama",
        n_layers=1,
        hidden=16,
        intermediate=16,
        n_heads=2,
        n_kv_heads=1,
        max_positions=64,
    )
    model = policy.build(
        shape, len(words), words.eos_token_id, words.pad_token_id, words.bos_token_id, seed=0
    )
    path = tmp_path_factory.mktemp("chat") / "run"
    recipe = parse({"name": "t", "tasks": [{"name": "equation"}]}, "t")
    manifest = Checkpoint("", "base", 1, None, None, "r1", tokenizer.tokenizer_hash(words), "x")
    with RunDir.create_or_resume(path, recipe) as folder:
        checkpoint.save(folder.checkpoint_path("base", 1), model, words, manifest)
    return path


def console() -> Console:
    return Console(file=io.StringIO(), width=80)


def said(chat_console: Console) -> str:
    assert isinstance(chat_console.file, io.StringIO)
    return chat_console.file.getvalue()


@pytest.fixture
def chat(folder: Path) -> Chat:
    model, words = checkpoint.load(find_model(folder))
    engine = LocalEngine(model, words, max_rows=1)
    return Chat(engine, words, Sampling(8, temperature=1.0), 0, console())


def deltas(*texts: str) -> Iterator[Delta]:
    for text in texts:
        yield Delta([1], text)
    yield Delta([], "", "stop")


def test_thinking_its_time_and_the_answer_are_apart(chat: Chat):
    answer = chat._show(deltas("<thi", "nk>try 4", " wait</th", "ink>x = ", "5"), StreamParser())
    assert answer == "x = 5"
    thinking, time, told = said(chat.console).rstrip("\n").split("\n")
    assert thinking == "try 4 wait"
    assert time.startswith("Thought for 0.")
    assert told == "x = 5"


def test_thinking_is_dimmed_and_slanted_on_a_terminal():
    terminal = Console(file=io.StringIO(), force_terminal=True, color_system="standard")
    printer = Printer(terminal)
    for piece in StreamParser().feed("<think>hm</think>5"):
        printer.show(piece)
    printer.end()
    assert "\x1b[2;3mhm\x1b[0m" in said(terminal)
    assert printer.answer == "5"


def test_model_text_cannot_steer_the_terminal(chat: Chat):
    chat._show(deltas("<think>\x1b[2J</think>\x1b]0;title\x07"), StreamParser())
    assert not set(said(chat.console)) & {"\x1b", "\x07"}


def test_a_stopped_answer_keeps_what_was_said(chat: Chat):
    def interrupted() -> Iterator[Delta]:
        yield Delta([1], "<think>a</think>x =")
        raise KeyboardInterrupt

    assert chat._show(interrupted(), StreamParser()) == "x ="
    assert "(stopped)" in said(chat.console)


def test_a_conversation_grows_until_it_is_reset(chat: Chat):
    chat.converse(["hello", "", "again", "/help"])
    assert [m.role for m in chat.messages] == ["user", "assistant", "user", "assistant"]
    assert all(m.reasoning is None for m in chat.messages)
    assert "forget the conversation" in said(chat.console)
    chat.converse(["/reset", "new", "/quit", "never asked"])
    assert [m.content for m in chat.messages if m.role == "user"] == ["new"]


def test_the_same_seed_gives_the_same_answers(chat: Chat):
    first = chat.ask("hello")
    chat.messages = []
    assert chat.ask("hello") == first


def test_a_full_conversation_says_so(chat: Chat):
    chat.messages = [Message("user", "x " * 100)]
    assert chat.ask("more") == ""
    assert "/reset begins anew" in said(chat.console)
    assert len(chat.messages) == 1


def test_questions_from_a_pipe_stand_alone(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("7x + 3 = 38\n\n다시\n"))
    output = console()
    with torch.random.fork_rng():
        run(folder, Sampling(4), 0, output)
    assert "? 7x + 3 = 38\n" in said(output)
    assert "? 다시\n" in said(output)


def test_a_run_without_checkpoint_is_a_sentence(tmp_path: Path):
    recipe = parse({"name": "t", "tasks": [{"name": "equation"}]}, "t")
    RunDir.create_or_resume(tmp_path / "run", recipe).close()
    with pytest.raises(CheckpointError, match="has no checkpoint yet"):
        find_model(tmp_path / "run")
    assert find_model(tmp_path) == tmp_path
