"""The local engine: continuous batching on the very module that is trained."""

from r1kit.engines.local.engine import LocalEngine

__all__ = ["LocalEngine"]
