"""General conversation: a task with verifiable rules, gold answers and preference pairs."""

from r1kit.tasks.general.preference import Preference, Safety, preference, safety
from r1kit.tasks.general.task import General

__all__ = ["General", "Preference", "Safety", "preference", "safety"]
