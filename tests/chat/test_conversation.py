"""`r1 chat` with a real, tiny, untrained model: what it says is noise, how it says it is not."""

import io
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from rich.console import Console

from r1kit.chat import run
from r1kit.chat.backends import LocalBackend, RemoteBackend, open_backend
from r1kit.chat.conversation import Conversation
from r1kit.chat.keyboard import history
from r1kit.chat.screen import Screen
from r1kit.config import ModelConfig, parse
from r1kit.console.error_reporting import sentences
from r1kit.engines.base import RequestState
from r1kit.errors import CheckpointError, EngineError
from r1kit.model import causal_lm, checkpoint
from r1kit.model.tokenizer import tokenizer_hash, train_tokenizer
from r1kit.renderers.stream_parser import Piece, StreamParser
from r1kit.runs.run_dir import RunDir
from r1kit.types import Checkpoint, FinishReason, Message, Request, SamplingParams
from tests.serve.conftest import Server

TEXTS = ["7x + 3 = 38 <think>try 4</think> wait 다시 5"] * 3


@pytest.fixture(scope="module")
def a_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that has one checkpoint."""
    tokenizer = train_tokenizer(TEXTS, 300)
    shape = ModelConfig(
        family="llama",
        n_layers=1,
        hidden=16,
        intermediate=16,
        n_heads=2,
        n_kv_heads=1,
        max_positions=64,
    )
    model = causal_lm.build(
        shape,
        len(tokenizer),
        tokenizer.eos_token_id,
        tokenizer.pad_token_id,
        tokenizer.bos_token_id,
        seed=0,
    )
    path = tmp_path_factory.mktemp("chat") / "run"
    recipe = parse({"name": "t", "tasks": [{"name": "equation"}]}, "t")
    manifest = Checkpoint("", "base", 1, None, None, tokenizer_hash(tokenizer), "x")
    with RunDir.create_or_resume(path, recipe) as open_run:
        checkpoint.save(open_run.checkpoint_path("base", 1), model, tokenizer, manifest)
    return path


def console() -> Console:
    return Console(file=io.StringIO(), width=80)


def terminal() -> Console:
    return Console(file=io.StringIO(), width=20, force_terminal=True, color_system="standard")


def said(output: Console) -> str:
    assert isinstance(output.file, io.StringIO)
    return output.file.getvalue()


@pytest.fixture
def chat(a_run: Path) -> Conversation:
    return Conversation(
        LocalBackend.open_model(str(a_run)), SamplingParams(8, temperature=1.0), 0, console()
    )


class Saying:
    """A backend that replies with these chunks, whatever the messages are."""

    name = "saying"

    def __init__(
        self, *chunks: str, then: BaseException | None = None, finish: FinishReason = "stop"
    ) -> None:
        self.chunks = chunks
        self.then = then
        self.finish = finish

    def stream_reply(self, *_: object) -> Iterator[Piece | FinishReason]:
        parser = StreamParser()
        for chunk in self.chunks:
            yield from parser.feed(chunk)
        if self.then is not None:
            raise self.then
        yield from parser.finish()
        yield self.finish

    def model_names(self) -> list[str]:
        return ["saying"]

    def switch_to(self, name: str) -> "Saying":
        raise CheckpointError(f"There is no {name}.")

    def close(self) -> None: ...


def hearing(*chunks: str, then: BaseException | None = None) -> Conversation:
    return Conversation(Saying(*chunks, then=then), SamplingParams(8), 0, console())


def test_thinking_its_time_and_the_answer_are_apart() -> None:
    chat = hearing("<thi", "nk>try 4", " wait</th", "ink>x = ", "5")
    assert chat.ask("x?") == "x = 5"
    thinking, time, actual = said(chat.console).rstrip("\n").split("\n")
    assert thinking == "try 4 wait"
    assert time.startswith("Thought for 0.")
    assert actual == "x = 5"


def test_an_answer_without_thinking_tells_no_time() -> None:
    chat = hearing("Hello!")
    chat.ask("hi")
    assert said(chat.console) == "Hello!\n"


def test_on_a_terminal_thinking_is_dimmed_under_a_running_timer() -> None:
    output = terminal()
    with Screen(output) as screen:
        for text in ("first line\nsecond 다시 다시 다시", " and more"):
            screen.show(Piece("thinking", text))
        assert screen._live is not None
        screen._live.refresh()
        screen.show(Piece("answer", "5"))
    text = said(output)
    assert "\x1b[2;3mfirst line\x1b[0m" in text
    assert "Thinking … 0." in text
    lines = text.split("Thinking …")[-1].replace("\r", "").splitlines()
    assert lines[-1] == "5"
    assert "Thought for 0." in lines[-2]
    assert (screen.thinking, screen.answer) == ("first line\nsecond 다시 다시 다시 and more", "5")


@pytest.mark.parametrize("make", [console, terminal])
def test_model_text_cannot_steer_the_terminal(make: Callable[[], Console]) -> None:
    output = make()
    with Screen(output) as screen:
        screen.show(Piece("thinking", "\x1b[2J\u202egnp"))
        screen.show(Piece("answer", "\x1b]0;title\x07\x9b31m\x1b]52;c;aGk=\x07"))
    text = said(output)
    assert "�[2J" in text
    assert "�]0;title��31m" in text
    for hostile in ("\x1b[2J", "\x1b]", "\x07", "\x9b", "\u202e"):
        assert hostile not in text


@pytest.mark.parametrize(
    ("chunks", "finish", "why"),
    [
        (("<think>try 4</think>x = ",), "abort", "(broken off in the middle; ask again)"),
        (("<think>try 4",), "stop", "(the model ended without an answer; ask again)"),
        (("<think>try 4</think>\n",), "stop", "(the model ended without an answer; ask again)"),
        (("<think>try 4",), "length", "(cut off at the limit; --max-tokens raises it)"),
    ],
)
def test_every_end_is_explained(chunks: tuple[str, ...], finish: FinishReason, why: str) -> None:
    chat = Conversation(Saying(*chunks, finish=finish), SamplingParams(8), 0, console())
    chat.ask("x?")
    assert said(chat.console).rstrip("\n").split("\n")[-1] == why


def test_a_stopped_answer_keeps_what_was_said() -> None:
    chat = hearing("<think>a</think>x =", then=KeyboardInterrupt())
    assert chat.ask("x?") == "x ="
    assert "(stopped)" in said(chat.console)
    assert chat.messages[-1] == Message("assistant", "x =", "a")


def test_ctrl_c_in_the_middle_of_a_step_leaves_a_working_engine(chat: Conversation) -> None:
    whole = chat.ask("hello"), chat.messages[-1].reasoning
    chat.messages = []
    assert isinstance(chat.backend, LocalBackend)
    engine: Any = chat.backend.engine
    step, steps = engine.step, iter(range(3))

    def interrupted() -> object:
        result = step()
        if next(steps, None) is None:
            raise KeyboardInterrupt
        return result

    engine.step = interrupted
    chat.ask("hello")
    assert "(stopped)" in said(chat.console)
    chat.messages = []
    assert (chat.ask("hello"), chat.messages[-1].reasoning) == whole


def test_a_failure_is_said_and_the_conversation_is_as_it_was() -> None:
    chat = hearing("half", then=EngineError("The server is gone."))
    chat.converse(["x?"])
    assert "The server is gone." in said(chat.console)
    assert chat.messages == []
    with pytest.raises(EngineError):
        chat.answer_each(["x?"])


def test_a_conversation_grows_until_it_is_new(chat: Conversation) -> None:
    chat.converse(["hello", "", "again", "/help"])
    assert [m.role for m in chat.messages] == ["user", "assistant", "user", "assistant"]
    assert "forget the conversation" in said(chat.console)
    chat.converse(["/new", "new", "/quit", "never asked"])
    assert [m.content for m in chat.messages if m.role == "user"] == ["new"]


def test_the_same_seed_gives_the_same_answers(chat: Conversation) -> None:
    first = chat.ask("hello")
    chat.messages = []
    assert chat.ask("hello") == first


def test_a_full_conversation_says_so(chat: Conversation) -> None:
    chat.messages = [Message("user", "x " * 100)]
    chat.converse(["more"])
    assert "start a new one with /new" in said(chat.console)
    assert len(chat.messages) == 1


def test_thinking_can_be_turned_off(chat: Conversation, monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(chat.backend, LocalBackend)
    requests: list[Request] = []
    engine = chat.backend.engine
    submit = engine.submit

    def heard(request: Request) -> RequestState:
        requests.append(request)
        return submit(request)

    monkeypatch.setattr(engine, "submit", heard)
    chat.converse(["hi", "/new", "/think off", "hi", "/think"])
    free, closed = (chat.backend.tokenizer.decode(request.prompt_ids) for request in requests)
    assert closed == free + "<think></think>"
    assert said(chat.console).count("Thinking is off.") == 2


def test_another_model_answers(chat: Conversation, a_run: Path) -> None:
    chat.converse(["/model", "/model nothing", "/model base-000001"])
    text = said(chat.console)
    assert "base-000001\n" in text
    assert "no checkpoint at nothing" in text.replace("\n", " ")
    assert chat.backend.name == str(a_run / "checkpoints" / "base-000001")


def test_a_conversation_is_saved_but_never_over_a_file(tmp_path: Path) -> None:
    chat = hearing("<think>a\nb</think>5")
    file = tmp_path / "talk.md"
    chat.converse(
        ["x?", f"/save {file}", f"/save {file}", "/save", f"/save {tmp_path}/none/talk.md"]
    )
    assert file.read_text() == "## You\n\nx?\n\n## Model\n\n> a\n> b\n\n5\n"
    text = said(chat.console)
    assert "Written to" in text
    assert "exists; name another" in text
    assert "Name a file" in text
    assert "cannot be written" in text


def test_an_unknown_command_is_not_a_question() -> None:
    chat = hearing("5")
    chat.converse(["/thnk on"])
    assert "There is no /thnk." in said(chat.console)
    assert chat.messages == []


def test_questions_from_a_pipe_stand_alone(a_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    typed = io.BytesIO("\ufeff7x + 3 = 38\n\n다시\n".encode() + b"\xff!\n")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(typed, "utf-8", "surrogateescape"))
    output = console()
    with torch.random.fork_rng():
        run(str(a_run), SamplingParams(4), 0, output, None, None)
    assert "? 7x + 3 = 38\n" in said(output)
    assert "? 다시\n" in said(output)
    assert "? ?!\n" in said(output)


def test_a_server_is_talked_to_and_says_what_the_model_says(server: Server) -> None:
    backend = open_backend(f"{server.url}/v1")
    assert isinstance(backend, RemoteBackend)
    messages = [Message("user", "7x + 3 = 38")]
    *parts, finish = backend.stream_reply(messages, SamplingParams(24, temperature=1.0), 5, True)
    assert finish == "length"
    whole = server.ask(temperature=1, top_p=1).json()["choices"][0]["message"]
    pieces = cast("list[Piece]", parts)
    thinking_text = "".join(piece.text for piece in pieces if piece.kind == "thinking")
    assert thinking_text == whole["reasoning_content"]
    *parts, _ = backend.stream_reply(messages, SamplingParams(24), 5, False)
    assert {piece.kind for piece in cast("list[Piece]", parts)} == {"answer"}
    assert "deepseek-chat" in backend.model_names()
    assert backend.switch_to("deepseek-r1").name.startswith("deepseek-r1 at ")
    with pytest.raises(CheckpointError, match="it has tiny"):
        backend.switch_to("other")
    backend.close()


def test_a_server_that_is_not_there_is_a_sentence() -> None:
    with pytest.raises(EngineError, match="gave no answer"):
        open_backend("http://127.0.0.1:9/v1")


def test_what_is_typed_in_another_encoding_is_answered(chat: Conversation, tmp_path: Path) -> None:
    """A terminal and a command line give a byte that is no text as half a character."""
    chat.ask("7x \udcff")
    assert [message.content for message in chat.messages[:1]] == ["7x \N{REPLACEMENT CHARACTER}"]
    chat.converse([f"/save {tmp_path / 'talk.md'}"])
    assert "7x \N{REPLACEMENT CHARACTER}" in (tmp_path / "talk.md").read_text()
    remaining = history(tmp_path / "history")
    remaining.store_string("7x \ud83d")
    assert list(remaining.load_history_strings()) == ["7x \N{REPLACEMENT CHARACTER}"]


def test_no_character_ends_a_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither one that is no text, nor one that the terminal's encoding has no place for."""
    screen = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"7x \xff"), encoding="utf-8"))
    monkeypatch.setattr("sys.stdout", screen)
    with sentences(Console()):
        assert sys.stdin.read() == "7x \N{REPLACEMENT CHARACTER}"
        Console().print("안 \ud83d")
    screen.seek(0)
    assert screen.read() == "\\uc548 \\ud83d\n"
