"""Opens the sampler of a policy, and keeps its weights up to date while the policy is trained."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple, Protocol

from r1kit.config import SamplerConfig
from r1kit.engines.base import Sampler
from r1kit.engines.local import LocalEngine
from r1kit.model.policy import Policy


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


@contextmanager
def open_sampler(policy: Policy, config: SamplerConfig) -> Iterator[PolicySampler]:
    """Open a sampler of the policy, as the recipe configures it; leaving the block closes it."""
    match config.kind:
        case "local":
            engine = LocalEngine(policy.module, policy.tokenizer, max_num_seqs=config.max_num_seqs)
            yield PolicySampler(engine, SharedWeights(engine))
