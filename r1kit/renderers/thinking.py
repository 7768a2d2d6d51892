"""The thinking tags: completions split into thinking and answer, and joined from them."""

from __future__ import annotations

import re

from r1kit.types import FinishReason, ParsedCompletion

THINK = "<think>"
END_THINK = "</think>"
_QUOTES = " `'\"()*“”‘’「」『』"
THINKING_TAGS = (THINK, END_THINK)
"""tokens that are not special: they stay visible in decoded text"""


def parse(text: str, opened: bool = False) -> ParsedCompletion:
    """Split a whole completion; `opened` means that the prompt has opened the thinking."""
    before, has_begun, rest = ("", True, text) if opened else _cut(text, THINK)
    inside, closed, after = _cut(rest, END_THINK)
    if not has_begun:
        return ParsedCompletion(None, text.strip(), False)
    thinking = inside.strip()
    if not closed:
        return ParsedCompletion(thinking, None, False)
    answer = (before + after).strip()
    tags_fit = not before and THINK not in inside + after and END_THINK not in after
    return ParsedCompletion(thinking, answer, bool(tags_fit and thinking and answer))


def is_well_formed(parsed: ParsedCompletion, needs_thinking: bool) -> bool:
    """True if well formed, or a plain answer without tags and no thinking is needed."""
    answer = parsed.answer or ""
    is_plain = parsed.thinking is None and bool(answer) and END_THINK not in answer
    return parsed.well_formed or (is_plain and not needs_thinking)


def past_answer(text: str) -> str:
    """Return a past turn without its thinking.

    A closing tag inside a line, between blanks or quotation marks, is quoted and stays, unless the
    turn begins with thinking.
    """
    if text.lstrip().startswith(THINK):
        return text.split(END_THINK)[-1]
    ends = [match.end() for match in re.finditer(END_THINK, text) if not _is_quoted(text, match)]
    return text[ends[-1] :] if ends else text


def quotes_tag(text: str) -> bool:
    """True if a template that cuts past turns at their last tag would cut an answer."""
    return END_THINK in past_answer(text)


def begins_inside(text: str) -> bool:
    """True if a text closes thinking that it did not open: its prompt has opened it."""
    return END_THINK in text and THINK not in text


def parse_foreign(text: str) -> ParsedCompletion:
    """Split a completion of unknown origin, whose prompt may have opened the thinking."""
    return parse(text, opened=begins_inside(text))


def completion_text(reasoning: str | None, answer: str) -> str:
    """Join reasoning and answer: `<think>try 5</think>\\\\boxed{5}`; no tags without reasoning.

    Raises ValueError if a part itself contains a thinking tag, as it could not be parsed back.
    """
    if any(tag in part for tag in THINKING_TAGS for part in (reasoning or "", answer)):
        raise ValueError("reasoning and answer must not contain thinking tags")
    return answer if reasoning is None else f"{THINK}{reasoning}{END_THINK}{answer}"


def server_text(reasoning: str, content: str, finish: FinishReason) -> str:
    """Join the parts that a server returned into a completion that `parse` reads.

    Tags inside a part cannot be told apart from the added ones: such a text stays readable, but
    does not parse as well-formed, and curation accepts it.
    """
    if not reasoning and any(tag in content for tag in THINKING_TAGS):
        return f"{THINK}{content}" if begins_inside(content) else content
    if reasoning and not content.strip() and finish != "stop":
        return f"{THINK}{reasoning}"  # cut inside the thinking
    try:
        return completion_text(reasoning or None, content)
    except ValueError:
        return f"{THINK}{reasoning}{END_THINK}{content}"


def readable_text(text: str, parsed: ParsedCompletion) -> str:
    """Return a completion of any dialect as a text that `parse` reads, for records.

    A text that `parse` reads already, as all of r1kit's own dialect, is unchanged.
    """
    if parse(text) == parsed:
        return text
    if parsed.thinking is None:
        return parsed.answer or ""
    closing = "" if parsed.answer is None else f"{END_THINK}{parsed.answer}"
    return f"{THINK}{parsed.thinking}{closing}"


def without_tags(text: str) -> str:
    """Replace the thinking tags of a completion with spaces."""
    return text.replace(THINK, " ").replace(END_THINK, " ")


def _is_quoted(text: str, tag: re.Match[str]) -> bool:
    before, after = text[: tag.start()][-1:], text[tag.end() :][:1]
    return before in _QUOTES and after in _QUOTES and bool(before and after)


def _cut(text: str, tag: str) -> tuple[str, bool, str]:
    before, tag_found, after = text.partition(tag)
    return before, bool(tag_found), after
