"""The real command on a real terminal: a pty, a process, keys and signals."""

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from r1kit.chat.keyboard import history, history_file
from r1kit.types import Json
from tests.forks import completed
from tests.servers import Reply, scripted

R1 = [sys.executable, "-m", "r1kit", "chat"]


class Terminal:
    """A person's side of a pty."""

    def __init__(self, command: list[str], state: Path) -> None:
        self.text = ""
        self._at = 0
        self.pid, self._fd = pty.fork()
        if self.pid == 0:
            os.environ.update(TERM="xterm-256color", XDG_STATE_HOME=str(state))
            os.execv(command[0], command)

    def type(self, keys: str) -> None:
        os.write(self._fd, keys.encode())

    def wait_for(self, words: str, seconds: float = 60) -> str:
        """What came since the last wait, up to these words."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            result = self.text.find(words, self._at)
            if result >= 0:
                start, self._at = self._at, result + len(words)
                return self.text[start : self._at]
            if not self._read():
                break
        raise AssertionError(f"never said: {words!r}; but: {self.text[self._at :]!r}")

    def ends_with_code(self, seconds: float = 20) -> int:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.pid = 0
                return os.waitstatus_to_exitcode(status)
            self._read()
        raise AssertionError("it goes on")

    def close(self) -> None:
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self._fd)

    def _read(self) -> bool:
        if select.select([self._fd], [], [], 0.05)[0]:
            try:
                data = os.read(self._fd, 65536)
            except OSError:  # the other side is gone
                return False
            if b"\x1b[6n" in data:  # where is the cursor?
                self.type("\x1b[1;1R")
            self.text += data.decode(errors="replace")
        return True


def stream(*deltas: dict[str, str]) -> str:
    events: list[Json] = [
        {"choices": [{"delta": delta, "finish_reason": None}]} for delta in deltas
    ]
    events.append({"choices": [{"delta": {}, "finish_reason": "stop"}]})
    return "".join(f"data: {json.dumps(event)}\n\n" for event in events) + "data: [DONE]\n\n"


HOSTILE = stream(
    {"reasoning_content": "hm \x1b[2J다시"}, {"content": "\x1b]0;owned\x07x = 5"}, {"content": "."}
)


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[list[Terminal]]:
    terminals: list[Terminal] = []
    yield terminals
    for terminal in terminals:
        terminal.close()


def test_a_talk_on_a_terminal(tmp_path: Path, opened: list[Terminal]) -> None:
    with scripted([Reply(HOSTILE, headers={"Content-Type": "text/event-stream"})]) as server:
        terminal = Terminal([*R1, server.url], tmp_path)
        opened.append(terminal)
        terminal.wait_for("m at http://127.0.0.1")
        terminal.wait_for("›")
        terminal.type("안녕 你好\x1b\rx?\r")
        answer = terminal.wait_for("x = 5.")
        assert "Thought for 0." in answer
        assert "hm �[2J다시" in answer
        assert "�]0;owned�" in answer
        assert "\x1b]0;owned" not in terminal.text
        terminal.wait_for("›")
        terminal.type("\x03")  # at the prompt: drops what was typed
        terminal.type("/think off\r")
        terminal.wait_for("Thinking is off.")
        terminal.wait_for("›")
        terminal.type("\x04")
        assert terminal.ends_with_code() == 0
        requests = [body for body in server.requests if "messages" in body]
        assert requests[0]["messages"] == [{"role": "user", "content": "안녕 你好\nx?"}]
    file = tmp_path / "r1kit" / "chat_history"
    assert file.stat().st_mode & 0o777 == 0o600
    assert "안녕 你好" in file.read_text()


def test_ctrl_c_stops_the_answer_and_not_the_program(
    tmp_path: Path, opened: list[Terminal]
) -> None:
    kind = {"Content-Type": "text/event-stream"}
    replies = [Reply(HOSTILE, headers=kind, blanks=600), Reply(HOSTILE, headers=kind)]
    with scripted(replies) as server:
        terminal = Terminal([*R1, server.url], tmp_path)
        opened.append(terminal)
        terminal.wait_for("›")
        terminal.type("\x1b[200~7x + 3\n= 38\x1b[201~\r")  # pasted
        terminal.wait_for("Waiting … 0.4")
        terminal.type("\x03")
        terminal.wait_for("(stopped)")
        terminal.wait_for("›")
        terminal.type("again?\r")
        terminal.wait_for("x = 5.")
        terminal.wait_for("›")
        terminal.type("\x04")
        assert terminal.ends_with_code() == 0
        requests = [body["messages"] for body in server.requests if "messages" in body]
        assert [[turn["content"] for turn in turns] for turns in requests] == [
            ["7x + 3\n= 38"],
            ["again?"],
        ]


def test_without_a_terminal_it_is_plain_text(folder: Path) -> None:
    result = completed([*R1, str(folder), "--max-tokens", "6"], "7x + 3 = 38\n다시\n")
    assert result.returncode == 0
    assert [line for line in result.stdout.splitlines() if line.startswith("? ")] == [
        "? 7x + 3 = 38",
        "? 다시",
    ]
    assert "\x1b" not in result.stdout


def test_a_missing_model_is_refused_at_once() -> None:
    started = time.monotonic()
    result = subprocess.run([*R1, "runs/nothing/here"], input="", capture_output=True, text=True)
    assert result.returncode == 3
    assert "There is no checkpoint at runs/nothing/here" in result.stderr
    assert time.monotonic() - started < 15


def test_the_history_is_kept_where_the_system_has_such_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert history_file() == tmp_path / ".local" / "state" / "r1kit" / "chat_history"
    file = tmp_path / "deep" / "chat_history"
    history(file).store_string("다시\nagain")
    assert list(history(file).load_history_strings()) == ["다시\nagain"]


def test_a_history_that_cannot_be_written_costs_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    remaining = history(tmp_path / "file" / "chat_history")
    remaining.store_string("hi")
    gone = history(tmp_path / "gone" / "chat_history")
    (tmp_path / "gone" / "chat_history").unlink()
    (tmp_path / "gone").rmdir()
    gone.store_string("hi")
    assert list(gone.load_history_strings()) == []
