"""General conversation: a task with rules for its answers, gold answers, and preference pairs."""

from r1kit.tasks.general.preference import Preference, preference
from r1kit.tasks.general.task import General

__all__ = ["General", "Preference", "preference"]
