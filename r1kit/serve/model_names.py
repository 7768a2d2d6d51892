"""The models of a server by name.

The first model also answers to DeepSeek's model names, which turn thinking on or off.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from r1kit.errors import ConfigError
from r1kit.serve.api_error import ApiError
from r1kit.serve.models import ServedModel
from r1kit.types import Json

ALIASES = {"deepseek-reasoner": True, "deepseek-r1": True, "deepseek-chat": False}
"""name → True if it thinks"""


class Models:
    """All served models; the first also answers to `ALIASES`."""

    def __init__(self, served: Iterable[ServedModel]) -> None:
        self.served = list(served)
        self._by_name: dict[str, tuple[ServedModel, bool]] = {}
        for model in self.served:
            if model.name in self._by_name:
                raise ConfigError(
                    f"Two models would be called {model.name}; rename a folder, or serve one of "
                    "them."
                )
            self._by_name[model.name] = (model, ALIASES.get(model.name, True))
        for alias, thinks in ALIASES.items():  # a model of that name keeps it
            for first in self.served[:1]:
                self._by_name.setdefault(alias, (first, thinks))

    def find(self, name: str | None) -> tuple[ServedModel, bool]:
        """Return the model of a name, and whether it implies thinking. Raises ApiError (404).

        Without a name it is the first model.
        """
        if name is None and self.served:
            name = self.served[0].name
        if name is None or name not in self._by_name:
            raise ApiError(
                404,
                f"model: There is no such model here; /v1/models lists {', '.join(self._by_name)}.",
                param="model",
                code="model_not_found",
            )
        return self._by_name[name]

    def describe(self, name: str) -> Json:
        """Return a model object with OpenAI's and Anthropic's fields. Raises ApiError (404)."""
        facts = self.find(name)[0].describe(name)
        created = datetime.fromtimestamp(facts["created"], UTC)
        return {**facts, "type": "model", "display_name": name, "created_at": created.isoformat()}

    def list(self) -> Json:
        """Return the list of all names, the models' own names before the aliases."""
        names = sorted(self._by_name, key=lambda name: name in ALIASES)
        ends = {"first_id": names[0], "last_id": names[-1]} if names else {}
        data = [self.describe(name) for name in names]
        return {"object": "list", "data": data, "has_more": False, **ends}
