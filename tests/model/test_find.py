"""Which model a person means, and that a missing path never asks the network."""

import os
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from huggingface_hub import constants

from r1kit.config import BaseConfig, ModelConfig, parse
from r1kit.errors import CheckpointError
from r1kit.model.find import find_model
from r1kit.runs.run_dir import RunDir
from r1kit.stages import base
from r1kit.stages.plan import PlannedStage


def test_a_folder_is_itself(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    assert find_model(tmp_path) == tmp_path
    assert find_model(str(tmp_path)) == tmp_path


def test_a_run_without_checkpoint_is_a_sentence(tmp_path: Path) -> None:
    recipe = parse({"name": "t", "tasks": [{"name": "equation"}]}, "t")
    RunDir.create_or_resume(tmp_path / "run", recipe).close()
    with pytest.raises(CheckpointError, match="has no checkpoint yet"):
        find_model(tmp_path / "run")


@pytest.mark.parametrize(
    "name",
    ["./org/name", "/abs", "a/b/c", "name", "../x", "~/none", "org/", "here/nmae", "a\nb/c"],
)
def test_a_missing_path_is_refused_and_nobody_is_asked(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("the network was asked"))
    (tmp_path / "here").mkdir()
    with pytest.raises(CheckpointError, match="no checkpoint"):
        find_model(name)


def test_a_path_without_a_model_is_refused_before_torch_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs/tiny").mkdir(parents=True)
    (tmp_path / "file").write_text("")
    for name, actual in (
        ("runs/tiny", "runs/tiny holds no model"),
        ("file", "There is no checkpoint at file"),
        ("runs/tnyi", "no checkpoint at runs/tnyi; did you mean runs/tiny[?] Name a folder"),
    ):
        with pytest.raises(CheckpointError, match=actual):
            find_model(name)


class Hub(BaseHTTPRequestHandler):
    """As the hub answers: a model, one that is not there, one behind terms, one without files."""

    def do_HEAD(self) -> None:
        code = {"there": 200, "gated": 403, "empty": 404, "broken": 500}.get(
            self.path.split("/")[2]
        )
        reason = {403: "GatedRepo", 404: "EntryNotFound", None: "RepoNotFound"}.get(code)
        self.send_response(code or 404)
        self.send_header("ETag", "1")
        if reason:
            self.send_header("X-Error-Code", reason)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A hub of our own, in a folder without models."""
    monkeypatch.chdir(tmp_path)
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    server = HTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    at(monkeypatch, f"http://127.0.0.1:{server.server_port}")
    yield
    server.shutdown()
    server.server_close()


def at(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    template = address + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "ENDPOINT", address)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("org/none", "There is no folder org/none here, and the hub has no model of that name"),
        ("org/gated", "only to those who have agreed to its terms"),
        ("org/empty", "on the hub it holds no model"),
        ("org/broken", "the hub cannot be asked"),
    ],
)
def test_a_hub_id_that_cannot_be_had_is_a_sentence_at_once(
    hub: None, name: str, expected: str
) -> None:
    assert find_model("org/there") == "org/there"
    with pytest.raises(CheckpointError, match=expected):
        find_model(name)


def test_without_a_network_or_offline_nothing_is_tried_again_and_again(
    hub: None, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        at(monkeypatch, f"http://127.0.0.1:{closed.getsockname()[1]}")
        with pytest.raises(CheckpointError, match="hub cannot be asked .*see whether path and"):
            find_model("runs/tnyi")
    assert capfd.readouterr() == ("", "")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(CheckpointError, match="HF_HUB_OFFLINE is set"):
        find_model("nobody/no-such.model_1")
    assert os.environ["HF_HUB_OFFLINE"] == "1"


def test_a_recipe_whose_model_is_not_there_is_refused_at_once() -> None:
    shape = ModelConfig(path="./none")
    with pytest.raises(CheckpointError, match="no checkpoint at ./none"):
        base.make(None, PlannedStage("base", "base.run"), shape, BaseConfig(tokens=1))  # type: ignore[arg-type]
