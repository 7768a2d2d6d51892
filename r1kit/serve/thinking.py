"""Thinking on, off and limited, in the spelling of every API that clients are written for.

| spelling | written for |
|---|---|
| `thinking` {type, budget_tokens} | DeepSeek, Anthropic |
| `enable_thinking`, `thinking_budget` | Qwen |
| `chat_template_kwargs` {enable_thinking, thinking} | vLLM, SGLang |
| `reasoning` {enabled, effort, max_tokens, exclude} | OpenRouter; OpenAI's responses |
| `think` | Ollama |
| `disable_reasoning` | Cerebras |
| `include_reasoning` | vLLM, OpenRouter |
| `reasoning_effort` | OpenAI |

Precedence: a switch, then a budget (which turns thinking on), then an effort, then the model's
name. Two spellings of one rank must agree, or the request is refused. The shares of an effort are
those that OpenRouter documents; high and above have none.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field

from r1kit.serve.api_error import ApiError
from r1kit.serve.fields import Effort, TokenLimit, WholeNumber, WireModel
from r1kit.types import Json

SHARES = {"minimal": 0.1, "low": 0.2, "medium": 0.5}
"""effort → share of max_tokens that thinking may use; the other efforts have no limit"""


class Thinking(WireModel):
    """Thinking on or off, in the spelling of DeepSeek and Anthropic."""

    type: Literal["enabled", "disabled", "adaptive"]
    """thinking before the answer, or none; `adaptive` is the default of the model's name"""
    budget_tokens: TokenLimit | None = None
    """maximum number of thinking tokens; longer thinking is closed, and the answer begins"""
    display: Literal["summarized", "omitted"] | None = None
    """`omitted`: the model thinks, and the thinking is not returned; it is never summarized"""


class TemplateOptions(WireModel):
    """Options of the chat template; those that are not about thinking are refused."""

    enable_thinking: bool | None = None
    """thinking on or off, as Qwen's templates read it"""
    thinking: bool | None = None
    """thinking on or off, as DeepSeek's templates read it"""


class Reasoning(WireModel):
    """The amount of thinking, in the spelling of OpenRouter and of OpenAI's responses."""

    without_effect = frozenset({"summary", "generate_summary"})

    effort: Effort | None = None
    """as `reasoning_effort` in a chat request"""
    max_tokens: TokenLimit | None = None
    """maximum number of thinking tokens"""
    enabled: bool | None = None
    """thinking on or off"""
    exclude: bool | None = None
    """true: the model thinks, and the thinking is not returned"""
    summary: str | None = None
    """accepted, no effect: the thinking itself is returned"""
    generate_summary: str | None = None
    """accepted, no effect"""


@dataclass(frozen=True, slots=True)
class ThinkingChoice:
    """The thinking that a request asks for."""

    is_on: bool
    param: str | None
    """field that turned it on or off, other than an effort; None if there is none"""
    budget: int | None
    budget_param: str | None
    effort: str | None

    def limit(self, max_tokens: int) -> int | None:
        """Return the maximum number of thinking tokens, None for no limit of its own."""
        if self.budget is not None or self.effort not in SHARES:
            return self.budget
        return max(1, int(SHARES[self.effort] * max_tokens))


class ThinkingParams(WireModel):
    """The fields about thinking that chat and responses share."""

    thinking: Thinking | None = None
    """thinking on or off, and its budget"""
    enable_thinking: bool | None = None
    """thinking on or off (Qwen)"""
    thinking_budget: WholeNumber | None = Field(None, ge=-1)
    """maximum number of thinking tokens (Qwen); 0 turns thinking off, -1 is no limit"""
    chat_template_kwargs: TemplateOptions | None = None
    """thinking on or off (vLLM, SGLang)"""
    reasoning: Reasoning | None = None
    """thinking on or off, its effort or budget, and whether it is returned (OpenRouter)"""
    think: bool | Literal["low", "medium", "high"] | None = None
    """thinking on or off, or an effort (Ollama)"""
    disable_reasoning: bool | None = None
    """true turns thinking off (Cerebras)"""
    include_reasoning: bool | None = None
    """false: the model thinks, and the thinking is not returned (vLLM, OpenRouter)"""
    reasoning_effort: Effort | None = None
    """`none` turns thinking off, all others turn it on: `minimal` with at most 10 % of max_tokens,
    `low` 20 %, `medium` 50 %; the others without a limit"""

    def thinking_choice(self, by_name: bool) -> ThinkingChoice:
        """Return the thinking asked for; `by_name` is the default of the model's name.

        Raises ApiError if two fields contradict each other.
        """
        on, on_param = _agreed(self._switches())
        budget, budget_param = _agreed(self._budgets())
        effort, _ = _agreed(self._efforts())
        if on is None:
            on_by_effort = by_name if effort is None else effort != "none"
            on = True if budget is not None else on_by_effort
        return ThinkingChoice(on, on_param or budget_param, budget, budget_param, effort)

    @property
    def hides_thinking(self) -> bool:
        """True if the thinking is not to be returned."""
        is_omitted = self.thinking is not None and self.thinking.display == "omitted"
        is_excluded = self.reasoning is not None and self.reasoning.exclude is True
        return self.include_reasoning is False or is_excluded or is_omitted

    def thinking_fields(self) -> Json:
        """Return the fields as the client wrote them, for a server that reads the same ones."""
        return self.model_dump(include=set(ThinkingParams.model_fields), exclude_none=True)

    def _switches(self) -> Iterable[tuple[str, bool | None]]:
        if self.thinking is not None and self.thinking.type != "adaptive":
            yield "thinking", self.thinking.type == "enabled"
        yield "enable_thinking", self.enable_thinking
        if self.thinking_budget == 0:
            yield "thinking_budget", False
        options = self.chat_template_kwargs or TemplateOptions()
        yield "chat_template_kwargs.enable_thinking", options.enable_thinking
        yield "chat_template_kwargs.thinking", options.thinking
        yield "reasoning.enabled", self.reasoning.enabled if self.reasoning else None
        yield "think", None if self.think is None else self.think is not False
        if self.disable_reasoning is not None:
            yield "disable_reasoning", not self.disable_reasoning

    def _budgets(self) -> Iterable[tuple[str, int | None]]:
        yield "thinking.budget_tokens", self.thinking.budget_tokens if self.thinking else None
        if self.thinking_budget is not None and self.thinking_budget > 0:
            yield "thinking_budget", self.thinking_budget
        yield "reasoning.max_tokens", self.reasoning.max_tokens if self.reasoning else None

    def _efforts(self) -> Iterable[tuple[str, str | None]]:
        yield "reasoning.effort", self.reasoning.effort if self.reasoning else None
        yield "think", self.think if isinstance(self.think, str) else None
        yield "reasoning_effort", self.reasoning_effort


def _agreed(choices: Iterable[tuple[str, Any]]) -> tuple[Any, str | None]:
    """Return the value that all given fields have and the first field. Raises ApiError."""
    given = [(param, value) for param, value in choices if value is not None]
    if not given:
        return None, None
    (first, value), *others = given
    for param, other in others:
        if other != value:
            raise ApiError(
                400,
                f"{param}: It contradicts {first}; leave one of the two out.",
                param=param,
            )
    return value, first
