"""Opens the sampler of a policy, and keeps its weights up to date while the policy is trained."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from r1kit.config import SamplerConfig
from r1kit.engines.base import Sampler
from r1kit.engines.local import LocalEngine
from r1kit.engines.publish import FIXED_TEXT, PublishedFolders, remove_folders
from r1kit.engines.vllm.flags import VllmFlags
from r1kit.engines.vllm.pool import ModelOnServers, VllmPool
from r1kit.engines.vllm.supervisor import SupervisedVllm
from r1kit.model import causal_lm, lora
from r1kit.model.policy import Policy
from r1kit.model.ranks import Ranks
from r1kit.model.tokenizer import tokenizer_hash

VLLM_KEY = "R1_VLLM_KEY"
"""environment variable with the key of vLLM servers that run already"""

LORA_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""the ranks that vLLM's --max-lora-rank can be"""


class WeightSync(Protocol):
    """Moves the weights of a policy in training to the sampler of its completions."""

    def publish(self, policy: Policy, version: int) -> None:
        """Make the sampler use the policy's current weights for all completions it starts.

        These completions carry `policy_version=version`. Call it after every update.
        """
        ...


class SharedWeights:
    """The weight sync of an engine that runs the policy's own module: no weight has to move."""

    def __init__(self, engine: LocalEngine) -> None:
        self._engine = engine

    def publish(self, policy: Policy, version: int) -> None:
        """See `WeightSync`."""
        assert policy.module is self._engine.model, "the engine runs another policy"
        self._engine.publish(version)


class PolicySampler(NamedTuple):
    """A sampler and the way in which it gets new weights."""

    sampler: Sampler
    weight_sync: WeightSync


@dataclass
class RunPlace:
    """The ranks that share the samplers of a run, their folder, and the vLLM of the run.

    That vLLM is kept from stage to stage, as long as the shape of the model stays the same.
    """

    ranks: Ranks
    folder: Path
    """folder for weights and the log of a server, which all ranks and servers see"""
    note: Callable[[str], None]
    """receives sentences for the user"""
    _server: SupervisedVllm | None = None
    _shape: str = ""

    def server(self, policy: Policy, config: SamplerConfig) -> SupervisedVllm:
        """Return the vLLM of the run, for a policy; call it on the first rank only.

        One that loads adapters keeps its base, so that it is started again for another policy.
        """
        shape = _shape(policy)
        rank = None
        if _publishes_adapter(policy, config):
            rank = next(most for most in LORA_RANKS if most >= lora.rank_of(policy.module))
            shape += secrets.token_hex(4)
        if self._server is None or self._shape != shape:
            self.close()
            self.folder.mkdir(parents=True, exist_ok=True)
            log = self.folder / "vllm.log"
            flags = VllmFlags(
                enforce_eager=policy.module.device.type == "cpu",
                max_lora_rank=rank,
                others=f"--dtype {_dtype_name(policy)} {config.vllm_args}",
            )
            self._server, self._shape = SupervisedVllm(flags, config.max_num_seqs, log), shape
            self.note(f"vLLM starts; its log is {log}.")
        return self._server

    def close(self) -> None:
        """End the vLLM of the run and delete its weights."""
        if self._server is not None:
            self._server.close()
            self._server = None
            remove_folders(self.folder)


@contextmanager
def open_sampler(
    policy: Policy, config: SamplerConfig, place: RunPlace | None = None, version: int = 0
) -> Iterator[PolicySampler]:
    """Open a sampler of the policy, as the recipe configures it; leaving the block closes it.

    The policy's current weights are published as `version`. Only the local engine can do without a
    `place`, which ends the vLLM of a run.
    """
    match config.kind:
        case "local":
            engine = LocalEngine(policy.module, policy.tokenizer, max_num_seqs=config.max_num_seqs)
            local = PolicySampler(engine, SharedWeights(engine))
            local.weight_sync.publish(policy, version)
            yield local
        case "vllm":
            assert place is not None, "a server needs a folder for its weights"
            with _on_servers(policy, config, place) as opened:
                opened.weight_sync.publish(policy, version)
                yield opened


@contextmanager
def _on_servers(policy: Policy, config: SamplerConfig, place: RunPlace) -> Iterator[PolicySampler]:
    """Open servers that run already, or start one on the first rank."""
    server: SupervisedVllm | None = None
    ranks, urls, key = place.ranks, list(config.urls), os.environ.get(VLLM_KEY, "")
    if not urls:
        if ranks.is_first:
            server = place.server(policy, config)
            urls, key = [server.url], server.key
        urls, key = ranks.gather((urls, key))[0]
    model = ModelOnServers(
        policy.tokenizer,
        policy.module.get_input_embeddings().num_embeddings,
        causal_lm.eos_ids(policy.module, policy.tokenizer),
        policy.max_positions,
        FIXED_TEXT,
    )
    pool = VllmPool(
        urls, key, model, max_num_seqs=config.max_num_seqs, timeout_s=config.server_timeout_s,
        note=place.note, check_own=server.check if server else lambda: None,
    )  # fmt: skip
    sync = PublishedFolders(
        pool, server, place.folder, ranks, config.logprob_tolerance,
        _publishes_adapter(policy, config),
    )  # fmt: skip
    try:
        yield PolicySampler(pool, sync)
    finally:
        pool.close()
        if server is None and ranks.is_first:
            remove_folders(place.folder)


def _publishes_adapter(policy: Policy, config: SamplerConfig) -> bool:
    return config.publish == "adapter" and lora.has_adapter(policy.module)


def _shape(policy: Policy) -> str:
    """Return everything about a policy that a running server cannot change."""
    config = policy.module.config.to_dict()
    facts = {key: value for key, value in config.items() if not key.startswith("_")}
    return f"{facts} {_dtype_name(policy)} {tokenizer_hash(policy.tokenizer)}"


def _dtype_name(policy: Policy) -> str:
    return str(policy.module.dtype).removeprefix("torch.")
