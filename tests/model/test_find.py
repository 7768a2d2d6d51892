"""Which model a person means, and that a missing path never asks the network."""

import os
import socket
from pathlib import Path

import pytest

from r1kit.config import BaseConfig, ModelConfig, parse
from r1kit.errors import CheckpointError
from r1kit.model.find import find_model
from r1kit.rundir import RunDir
from r1kit.stages import base
from r1kit.stages.plan import Unit


def test_a_folder_is_itself(tmp_path: Path):
    assert find_model(tmp_path) == tmp_path
    assert find_model(str(tmp_path)) == tmp_path


def test_a_run_without_checkpoint_is_a_sentence(tmp_path: Path):
    recipe = parse({"name": "t", "tasks": [{"name": "equation"}]}, "t")
    RunDir.create_or_resume(tmp_path / "run", recipe).close()
    with pytest.raises(CheckpointError, match="has no checkpoint yet"):
        find_model(tmp_path / "run")


@pytest.mark.parametrize(
    "name",
    ["./org/name", "/abs", "a/b/c", "name", "../x", "~/none", "org/", "here/nmae", "a\nb/c"],
)
def test_a_missing_path_is_refused_and_nobody_is_asked(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("the network was asked"))
    (tmp_path / "here").mkdir()
    with pytest.raises(CheckpointError, match="no checkpoint"):
        find_model(name)


def test_a_hub_id_goes_to_the_hub_unless_this_machine_is_offline(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    assert find_model("nobody/no-such.model_1") == "nobody/no-such.model_1"
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(CheckpointError, match="stay offline"):
        find_model("nobody/no-such.model_1")
    assert os.environ["HF_HUB_OFFLINE"] == "1"


def test_a_recipe_whose_model_is_not_there_is_refused_at_once():
    shape = ModelConfig(path="./none")
    with pytest.raises(CheckpointError, match="no checkpoint at ./none"):
        base.make(None, Unit("base", base.run), shape, BaseConfig(tokens=1))
