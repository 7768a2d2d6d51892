"""A real server (uvicorn, a thread, a free port) over a tiny random model saved to disk."""

import contextlib
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import httpx
import pytest
import torch
import uvicorn
from transformers import LlamaConfig
from transformers.models.auto.modeling_auto import AutoModelForCausalLM

from r1kit.engines.grammar import Grammars
from r1kit.engines.local import LocalEngine
from r1kit.http.listener import listening
from r1kit.model import checkpoint
from r1kit.model.folder import fingerprint, vocab_and_eos
from r1kit.model.tokenizer import tokenizer_hash, train_tokenizer
from r1kit.renderers.thinking import END_THINK
from r1kit.serve import app
from r1kit.serve.limits import ServeLimits
from r1kit.serve.models import EngineModel, ServedModel
from r1kit.types import Checkpoint

TEXTS = ["7x + 3 = 38, x = ? try 4: wait, 다시 5를 넣어 봅시다. 안녕하세요 😀 the answer is 5"] * 3
LIMITS = ServeLimits(max_num_seqs=64, max_waiting=512, max_body_bytes=3_000_000)


@pytest.fixture(autouse=True)
def seeds(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests without a seed get the same ones in every run of a test.

    A random model may end its text at once, so that a test fails once in a hundred runs.
    """
    random = Random(request.node.nodeid)
    monkeypatch.setattr("r1kit.serve.models.secrets.randbits", random.getrandbits)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint that talks noise without end: it is trained to nothing."""
    return untrained(tmp_path_factory.mktemp("serve") / "tiny", hidden_size=32, heads=4)


def untrained(path: Path, hidden_size: int, heads: int) -> Path:
    """A folder of random weights and a tokenizer that has read `TEXTS`."""
    tokenizer = train_tokenizer(TEXTS, 340)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=hidden_size, intermediate_size=48,
        num_hidden_layers=2, num_attention_heads=heads, num_key_value_heads=heads // 2,
        max_position_embeddings=512, initializer_range=0.3, bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    manifest = Checkpoint("", "zero", 1, None, None, tokenizer_hash(tokenizer), "x")
    checkpoint.save(path, model, tokenizer, manifest)
    return path


@dataclass
class Server:
    """A running one, with a look inside."""

    url: str
    served: Sequence[ServedModel]
    client: httpx.Client

    @property
    def one(self) -> EngineModel:
        served = self.served[0]
        assert isinstance(served, EngineModel)
        return served

    def ask(self, content: str = "7x + 3 = 38", **fields: Any) -> httpx.Response:
        """A chat of one message."""
        messages = [{"role": "user", "content": content}]
        body = {"model": "tiny", "messages": messages, "max_tokens": 24, "seed": 5, **fields}
        return self.client.post("/v1/chat/completions", json=body)

    def wait_idle(self, seconds: float = 5.0) -> None:
        """Fails unless everything that was asked is gone, down to the engine's rows."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            engine_loop = self.one.engine_loop
            engine: Any = engine_loop.engine
            left = (engine_loop.live, engine_loop._streams, engine._scheduler.requests,
                    engine._slots.sequences, engine._slots.n)  # fmt: skip
            if not any(left):
                return
            time.sleep(0.02)
        raise AssertionError(f"left behind: {left}")


def opened(
    folder: Path, name: str = "tiny", limits: ServeLimits = LIMITS, **of_tokenizer: Any
) -> EngineModel:
    """In this process, where its engine can be looked at; test_processes.py has the real one."""
    model, tokenizer = checkpoint.load(folder, device="cpu")
    for attribute, value in of_tokenizer.items():
        setattr(tokenizer, attribute, value)
    grammars = Grammars(tokenizer, *vocab_and_eos(folder, tokenizer))
    make = partial(
        LocalEngine, model, tokenizer, max_num_seqs=limits.max_num_seqs,
        prefix_tokens=limits.prefix_tokens, grammars=grammars,
    )  # fmt: skip
    weights = fingerprint(folder)
    return EngineModel(name, make, tokenizer, grammars, limits, fingerprint=weights)


@contextlib.contextmanager
def running(
    served: Sequence[ServedModel], limits: ServeLimits = LIMITS, **options: Any
) -> Iterator[Server]:
    listener = listening("127.0.0.1", 0)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    config = uvicorn.Config(
        app.build(served, limits, **options), log_level="error", timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    with httpx.Client(base_url=url, timeout=30) as client:
        try:
            yield Server(url, served, client)
        finally:
            server.should_exit = True
            thread.join(10)
            listener.close()


@pytest.fixture(scope="session")
def server(folder: Path) -> Iterator[Server]:
    with running([opened(folder)]) as running_server:
        yield running_server


@pytest.fixture(scope="session")
def closing(folder: Path) -> Iterator[Server]:
    """A model whose likeliest next token is always the tag that closes thinking."""
    served = opened(folder)
    with running([leaning(served, END_THINK, 1e4)]) as running_server:
        yield running_server


def leaning(served: EngineModel, token: str, by: float) -> EngineModel:
    """A model that says a token always, or never."""
    engine = served.engine_loop.engine
    assert isinstance(engine, LocalEngine)
    model: Any = engine.model
    bias = torch.zeros(model.lm_head.out_features)
    bias[served.decoder.convert_tokens_to_ids(token)] = by
    model.lm_head.bias = torch.nn.Parameter(bias, requires_grad=False)
    return served
