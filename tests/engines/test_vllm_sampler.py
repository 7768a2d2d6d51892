"""A real vLLM as the sampler of a policy in training (`make vllm`): weights, deaths, refusals."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest
import torch
from transformers import PreTrainedTokenizerFast, Qwen2Config
from transformers.models.auto.modeling_auto import AutoModelForCausalLM

from r1kit.config import LoraConfig, SamplerConfig
from r1kit.engines.base import generate
from r1kit.engines.open import PolicySampler, RunPlace, open_sampler
from r1kit.engines.publish import PublishedFolders
from r1kit.engines.vllm.pool import VllmPool
from r1kit.errors import EngineError
from r1kit.model import attention
from r1kit.model.policy import Policy
from r1kit.model.ranks import Ranks
from r1kit.model.tokenizer import train_tokenizer
from r1kit.types import Completion, Request, SamplingParams
from tests.serve.test_vllm import SMALL, needs_vllm

pytestmark = needs_vllm
CONFIG = SamplerConfig(
    kind="vllm", max_num_seqs=8, vllm_args="--distributed-executor-backend uni --max-model-len 256"
)


def make_policy(tokenizer: PreTrainedTokenizerFast, seed: int) -> Policy:
    """A model with a shared head and biases, whose heads are large enough for vLLM on a CPU."""
    shape = Qwen2Config(
        vocab_size=len(tokenizer), hidden_size=64, intermediate_size=96, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=1, max_position_embeddings=256,
        eos_token_id=tokenizer.eos_token_id, initializer_range=0.2, tie_word_embeddings=True,
    )  # fmt: skip
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(shape, dtype=torch.float32)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith(("norm.weight", "bias")):
                parameter.add_(torch.randn_like(parameter) / 10)
    model.set_attn_implementation(attention.NAME)
    return Policy(model.eval(), tokenizer)


@pytest.fixture(scope="module")
def policy() -> Policy:
    return make_policy(train_tokenizer(["Solve 3x+1=10 wait yes no 0123456789"] * 4, 300), 0)


@pytest.fixture(scope="module")
def notes() -> list[str]:
    return []


@pytest.fixture(scope="module")
def opened(
    policy: Policy, notes: list[str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PolicySampler]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (SMALL | {"VLLM_ENABLE_V1_MULTIPROCESSING": "1"}).items():
            patch.setenv(name, value)
        place = RunPlace(Ranks(), tmp_path_factory.mktemp("run") / "sampler", notes.append)
        with closing(place), open_sampler(policy, CONFIG, place, version=3) as opened:
            yield opened


def requests(n_tokens: int = 24) -> list[Request]:
    return [Request([5 + i, 6, 7], 3, SamplingParams(n_tokens), seed=11 * i) for i in range(4)]


def difference(policy: Policy, request: Request, completion: Completion) -> float:
    """The largest distance between vLLM's log-probabilities and the learner's."""
    ids = torch.tensor(request.prompt_ids + completion.token_ids)
    mask = torch.arange(len(ids)) >= len(request.prompt_ids)
    with torch.no_grad():
        ours = policy.logprobs(ids, [len(ids)], mask, request.sampling.temperature)
    return float((ours - torch.tensor(completion.logprobs)).abs().max())


def test_after_a_publish_vllm_has_the_weights_of_the_learner(
    opened: PolicySampler, policy: Policy
) -> None:
    seen = []
    for version, seed in ((3, 0), (4, 1), (5, 0)):
        if version > 3:
            policy.module.load_state_dict(make_policy(policy.tokenizer, seed).module.state_dict())
            opened.weight_sync.publish(policy, version)
        sampled = generate(opened.sampler, requests())
        for request, completions in zip(requests(), sampled, strict=True):
            assert len({tuple(c.token_ids) for c in completions}) == 3, "each has its own seed"
            for completion in completions:
                assert completion.policy_version == version
                assert difference(policy, request, completion) < 1e-4
        seen.append([[c.token_ids for c in completions] for completions in sampled])
    assert seen[0] == seen[2] != seen[1]


def test_a_killed_vllm_is_started_again_and_every_completion_comes_once(
    opened: PolicySampler, policy: Policy, notes: list[str]
) -> None:
    sync, pool = opened.weight_sync, opened.sampler
    assert isinstance(sync, PublishedFolders)
    assert isinstance(pool, VllmPool)
    assert sync._server is not None
    assert sync._server.pid is not None
    expected = generate(pool, requests(200))
    states = [pool.submit(request) for request in requests(200)]
    n_finished = 0
    guard = psutil.Process(sync._server.pid)
    while not n_finished:
        n_finished += len(pool.step())
        if any(state.n_left < 3 for state in states):
            break
    for process in guard.children(recursive=True):
        os.kill(process.pid, signal.SIGKILL)
    while any(state.n_left for state in states):
        n_finished += len(pool.step())
    assert n_finished == len(states)
    assert [len(state.results()) for state in states] == [3] * 4
    assert not pool.n_open
    for state, request, before in zip(states, requests(200), expected, strict=True):
        for completion, known in zip(state.results(), before, strict=True):
            assert difference(policy, request, completion) < 1e-4
            assert len(completion.token_ids) == len(known.token_ids)
    assert any("is lost" in note for note in notes)


def test_other_weights_on_the_server_end_the_run(opened: PolicySampler, policy: Policy) -> None:
    """What the learner computes is not what the folder has."""
    sync = opened.weight_sync
    assert isinstance(sync, PublishedFolders)
    weights = sync._write(policy, 9)
    weights.logprobs[3] -= 5
    with pytest.raises(EngineError, match="log-probabilities that differ"):
        opened.sampler.publish(weights)  # type: ignore[attr-defined]
    weights = sync._write(policy, 10)
    weights.checksums["model.norm.weight"] = "0"
    with pytest.raises(EngineError, match=r"its model\.norm\.weight is another one"):
        opened.sampler.publish(weights)  # type: ignore[attr-defined]
    opened.weight_sync.publish(policy, 11)


def test_an_adapter_is_published_under_a_new_name(
    tmp_path: Path, notes: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The base is written once; a server that was killed has the newest adapter afterwards."""
    for name, value in (SMALL | {"VLLM_ENABLE_V1_MULTIPROCESSING": "1"}).items():
        monkeypatch.setenv(name, value)
    tokenizer = train_tokenizer(["Solve 3x+1=10 wait yes no 0123456789"] * 4, 300)
    policy = make_policy(tokenizer, 0)
    policy.add_adapter(LoraConfig(r=6), "seed")
    config = CONFIG.model_copy(update={"publish": "adapter"})
    seen = []
    place = RunPlace(Ranks(), tmp_path / "sampler", notes.append)
    with closing(place), open_sampler(policy, config, place) as (pool, sync):
        assert isinstance(sync, PublishedFolders)
        assert isinstance(pool, VllmPool)
        for version in range(3):
            if version:
                torch.manual_seed(version)
                for parameter in policy.trainable():
                    parameter.data.add_(torch.randn_like(parameter) / 4)
                sync.publish(policy, version)
            if version == 2:
                assert sync._server is not None
                assert sync._server.pid is not None
                for process in psutil.Process(sync._server.pid).children(recursive=True):
                    os.kill(process.pid, signal.SIGKILL)
            sampled = generate(pool, requests())
            for request, completions in zip(requests(), sampled, strict=True):
                for completion in completions:
                    assert completion.policy_version == version
                    assert difference(policy, request, completion) < 1e-3
            seen.append([[c.token_ids for c in completions] for completions in sampled])
            folders = sorted(folder.name for folder in place.folder.glob("weights-*"))
            assert [name[8:14] for name in folders] == [f"{version:06d}", "base-" + sync._run[0]]
            [server] = pool._servers
            assert server.admin.adapters() == [f"{sync._run}-{version}"]
    assert seen[0] != seen[1] != seen[2]
    assert not list(place.folder.glob("weights-*"))


def test_a_server_with_another_tokenizer_is_refused(
    opened: PolicySampler, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync = opened.weight_sync
    assert isinstance(sync, PublishedFolders)
    assert sync._server is not None
    monkeypatch.setenv("R1_VLLM_KEY", sync._server.key)
    other = make_policy(train_tokenizer(["quite another text, with 12 apples"] * 4, 300), 0)
    config = SamplerConfig(kind="vllm", urls=(sync._server.url,))
    opening = open_sampler(other, config, RunPlace(Ranks(), tmp_path, print))
    with pytest.raises(EngineError, match="another tokenizer"), opening:
        pass


def test_a_url_that_never_answers_is_named(policy: Policy, tmp_path: Path) -> None:
    config = SamplerConfig(kind="vllm", urls=("http://127.0.0.1:9",), server_timeout_s=0.5)
    opening = open_sampler(policy, config, RunPlace(Ranks(), tmp_path, print))
    started = time.monotonic()
    with pytest.raises(EngineError, match=r"127\.0\.0\.1:9 has not answered for 0\.5 s"), opening:
        pass
    assert time.monotonic() - started < 10
