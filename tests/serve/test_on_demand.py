"""Several models in a memory for one, and adapters by name."""

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file
from torch import nn

from r1kit.cli.serving import _adapters
from r1kit.errors import CheckpointError, ConfigError
from r1kit.model import checkpoint
from r1kit.processes import child
from r1kit.serve.local import open_folders
from r1kit.serve.on_demand import ModelMemory
from tests.children import python_children
from tests.forks import ForkedChild
from tests.serve.conftest import LIMITS, Server, running, untrained

pytestmark = pytest.mark.filterwarnings("ignore:.*gradient_checkpointing:FutureWarning")  # peft's
NAMES = ("tiny", "small", "wide")


@pytest.fixture(scope="module", autouse=True)
def forks() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(child, "_start", ForkedChild)
        yield


@pytest.fixture(scope="module")
def folders(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    path = tmp_path_factory.mktemp("models")
    return {
        "tiny": folder,
        "small": untrained(path / "small", hidden_size=16, heads=4),
        "wide": untrained(path / "wide", hidden_size=64, heads=4),
    }


def n_bytes(folder: Path) -> int:
    return sum(tensor.nbytes for tensor in load_file(folder / "model.safetensors").values())


def answer(server: Server, model: str, **fields: Any) -> Any:
    reply = server.ask(model=model, **fields)
    assert reply.status_code == 200, reply.text
    return reply.json()["choices"]


def n_loaded(server: Server) -> int:
    engines: list[Any] = [model.engine_loop.engine for model in server.served]  # type: ignore[attr-defined]
    return sum(engine._engine is not None for engine in engines)


@pytest.fixture(scope="module")
def expected(folders: dict[str, Path]) -> dict[str, Any]:
    """The answers of the models when all of them are loaded."""
    with running(open_folders(folders, LIMITS)) as server:
        return {name: answer(server, name) for name in NAMES}


def test_models_take_turns_in_the_memory(
    folders: dict[str, Path], expected: dict[str, Any]
) -> None:
    memory = ModelMemory(n_bytes(folders["wide"]), 60)
    with running(open_folders(folders, LIMITS, memory=memory)) as server:
        assert n_loaded(server) == 1, "the first"
        for name in (*NAMES, "tiny", "tiny", "small"):
            assert answer(server, name) == expected[name]
            assert n_loaded(server) in (1, 2)
            assert sum(model.n_bytes for model in memory._loaded) <= n_bytes(folders["wide"])
        assert server.client.get("/health").status_code == 200
        assert {model["id"] for model in server.client.get("/v1/models").json()["data"]} > {*NAMES}
        assert 'status="200"} 6' in server.client.get("/metrics").text


def test_the_least_recently_used_model_makes_room(folders: dict[str, Path]) -> None:
    memory = ModelMemory(n_bytes(folders["tiny"]) + n_bytes(folders["wide"]), 60)
    with running(open_folders(folders, LIMITS, memory=memory)) as server:
        for name in ("tiny", "wide", "tiny", "small"):
            answer(server, name)
        assert [engine.name for engine in memory._loaded] == ["tiny", "small"]


def test_a_model_in_use_stays_until_its_answers_have_ended(
    folders: dict[str, Path], expected: dict[str, Any]
) -> None:
    memory = ModelMemory(n_bytes(folders["wide"]), 60)
    answers: dict[str, Any] = {}

    def ask(name: str, **fields: Any) -> None:
        answers[name] = answer(server, name, **fields)

    with running(open_folders(folders, LIMITS, memory=memory)) as server:
        long: dict[str, Any] = {"max_tokens": 400, "ignore_eos": True, "n": 4}
        threads = [threading.Thread(target=ask, args=("tiny",), kwargs=long)]
        threads += [threading.Thread(target=ask, args=(name,)) for name in NAMES[1:]]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert [choice["finish_reason"] for choice in answers["tiny"]] == ["length"] * 4
    assert answers["small"] == expected["small"]
    assert answers["wide"] == expected["wide"]


def test_a_request_that_gets_no_memory_is_refused(folders: dict[str, Path]) -> None:
    memory = ModelMemory(n_bytes(folders["tiny"]), 0.2)
    with running(open_folders({n: folders[n] for n in NAMES[:2]}, LIMITS, memory=memory)) as server:
        first, _ = (model.engine_loop.engine for model in server.served)  # type: ignore[attr-defined]
        first.is_idle = lambda: False
        reply = server.ask(model="small")
        assert reply.status_code == 503
        assert "small is not loaded, and the models in memory are in use" in reply.text
        answer(server, "tiny")


def test_an_engine_that_dies_is_loaded_for_the_next_request(
    folders: dict[str, Path], expected: dict[str, Any]
) -> None:
    memory = ModelMemory(n_bytes(folders["wide"]), 60)
    with running(open_folders(folders, LIMITS, memory=memory)) as server:
        engine: Any = server.one.engine_loop.engine
        psutil.Process(engine._engine.pid).kill()
        while server.one.engine_loop.n_failures == 0:
            server.client.get("/health")
        assert answer(server, "tiny") == expected["tiny"]


def test_a_model_larger_than_the_memory_is_refused(folders: dict[str, Path]) -> None:
    memory = ModelMemory(n_bytes(folders["wide"]) - 1, 60)
    before = python_children()
    with pytest.raises(ConfigError, match=r"weights of wide need .* GB, more than --model-memory"):
        open_folders(folders, LIMITS, memory=memory)
    assert python_children() == before


def adapter(base: Path, path: Path) -> Path:
    """Save an adapter with weights that change answers; beside it, base and adapter as one."""
    model, tokenizer = checkpoint.load(base)
    adapted = get_peft_model(model, LoraConfig(r=4, target_modules="all-linear"))
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(parameter, std=0.2)
    adapted.save_pretrained(path)
    merged = path.with_name(f"{path.name}-merged")
    adapted.merge_and_unload().save_pretrained(merged)
    tokenizer.save_pretrained(merged)
    return path


def test_adapters_have_names(folders: dict[str, Path], tmp_path: Path) -> None:
    paths = [adapter(folders["tiny"], tmp_path / name) for name in ("law", "sums")]
    adapters = _adapters([f"{path.name}={path}" for path in paths], {"tiny": folders["tiny"]})
    with running(open_folders({"tiny": folders["tiny"]}, LIMITS, adapters)) as server:
        answers = [answer(server, name) for name in ("tiny", "law", "sums")]
        fingerprints = {server.ask(model=n).json()["system_fingerprint"] for n in ("tiny", "law")}
    assert len({str(choices) for choices in answers}) == 3
    assert len(fingerprints) == 2
    for same in (tmp_path / "law-merged", tmp_path / "law"):
        with running(open_folders({"law": same}, LIMITS)) as server:
            assert answer(server, "law") == answers[1]


def test_an_adapter_that_does_not_fit_is_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    path = adapter(folders["wide"], tmp_path / "law")
    with pytest.raises(CheckpointError, match="does not fit its base .*; name its own base"):
        open_folders({"tiny": folders["tiny"]}, LIMITS, {"law": path})


@pytest.mark.parametrize(
    ("module", "says"),
    [
        ("law", "write it as NAME=FOLDER"),
        ("=x", "write it as NAME=FOLDER"),
        ("tiny=x", "would be called tiny"),
        ("law=nowhere", "no checkpoint at nowhere"),
        ("law={tiny}", "holds no adapter"),
        ("law={prefix}", "of the kind 'PREFIX_TUNING'"),
    ],
)
def test_an_option_that_names_no_adapter_is_refused(
    folder: Path, tmp_path: Path, module: str, says: str
) -> None:
    (tmp_path / "adapter_config.json").write_text('{"peft_type": "PREFIX_TUNING"}')
    with pytest.raises((CheckpointError, ConfigError), match=says):
        _adapters([module.format(tiny=folder, prefix=tmp_path)], {"tiny": folder})


def test_adapters_need_one_base(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "other")
    with pytest.raises(ConfigError, match="serve only their base"):
        _adapters(["law=x"], {"tiny": folder, "other": tmp_path / "other"})
