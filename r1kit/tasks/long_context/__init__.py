"""Long contexts: a question about a few sentences that are hidden in a long generated text."""

from r1kit.tasks.long_context.task import (
    LONG_CONTEXT_TASKS,
    LongContext,
    MultiHop,
    Needle,
    long_context_problems,
)

__all__ = ["LONG_CONTEXT_TASKS", "LongContext", "MultiHop", "Needle", "long_context_problems"]
