"""Opens the sampler of a policy, and keeps its weights up to date while the policy is trained."""

from __future__ import annotations

from typing import NamedTuple, Protocol

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


def open_sampler(policy: Policy, *, max_rows: int) -> PolicySampler:
    """Open a sampler of the policy that keeps up to `max_rows` completions in flight."""
    engine = LocalEngine(policy.module, policy.tokenizer, max_rows=max_rows)
    return PolicySampler(engine, SharedWeights(engine))
