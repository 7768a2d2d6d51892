"""A grammar of answers in which a model may call tools: free text, and calls that follow schemas.

The grammar is in llguidance's Lark, with the JSON schemas in it. Text is free up to the mark that
begins a call in the model's format; the name of an offered tool, its arguments and the end of the
call must follow. An answer that begins with a key of a JSON call is such a call; JSON of another
kind begins with another key. Special tokens stand by id, since patterns match none of them.

Source: llguidance's documentation of its syntax, "Tool calling". Departures: JSON without a mark;
special tokens in free text, which some formats have around all calls of an answer.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from r1kit.renderers.tool_formats import CALL_KEYS, ToolFormat, ToolSchemas

JSON_OPTIONS = {"whitespace_flexible": True, "whitespace_pattern": r"[\x20\x0A]?"}
"""at most one space or newline between JSON tokens: a model may else write them forever"""
_FENCE = r"```\w*\s*"
_JSON_FRAMES = (
    ("", ""), (r"\[\s*", r"[ \n]?\]"), (_FENCE, r"\n?```"), (rf"{_FENCE}\[\s*", r"[ \n]?\]\n?```")
)  # fmt: skip
"""patterns before and after a JSON call: alone, in a list, in a code block, in both"""
_JSON_STARTS = [f"json_{n}" for n in range(len(_JSON_FRAMES))]


def call_grammar(
    tool_format: ToolFormat, schemas: ToolSchemas, special_ids: Mapping[str, int]
) -> str:
    """Return the grammar of an answer that may call these tools with arguments of these schemas.

    `special_ids` has the special tokens of the tokenizer without its EOS tokens.
    """
    begin = tool_format.begin
    # Without an end mark, only another call may follow a call: text would become part of it.
    tail = "rest" if tool_format.end else "more"
    others = sorted({*special_ids.values()} - {special_ids.get(begin)})
    special = f"<[{','.join(map(str, others))}]>"
    first_jump = f" | FIRST {special} rest" if others else ""
    jump = f" | FREE {special} rest" if others else ""
    lines = [
        "%llguidance {}",
        f"start: FIRST | first_open body {tail} | {' | '.join(_JSON_STARTS)}{first_jump}",
        f"rest: FREE | open body {tail}{jump}",
        f'more: "" | {_literal(begin, special_ids)} body more',
        f"body: {' | '.join(f'call_{n}' for n in range(len(schemas)))}",
        "FREE: /(?s:.*)/",
        rf'JSON_CALL: /\s*({_FENCE})?\[?\s*\{{\s*"({"|".join(sorted(CALL_KEYS))})"(?s:.*)/',
        "FIRST: FREE & ~JSON_CALL",
        *_opens(begin, special_ids.get(begin)),
        *_json_rules(tool_format, list(schemas)),
    ]
    before, after = _parts(tool_format)
    for n, (name, schema) in enumerate(schemas.items()):
        opening = _literal(before.replace("NAME", name), special_ids)
        lines.append(f"call_{n}: {opening} arguments_{n} {_literal(after, special_ids)}")
        lines.append(f"arguments_{n}: %json {json.dumps({**schema, 'x-guidance': JSON_OPTIONS})}")
    return "\n".join(lines)


def _parts(tool_format: ToolFormat) -> tuple[str, str]:
    """Return the text of a call between its begin mark and its arguments, and after these."""
    before, _, after = tool_format.example.rpartition("ARGUMENTS")
    end = tool_format.end
    if end:
        after = after[: after.index(end) + len(end)]
    head, mark, rest = before.partition(tool_format.begin)
    return rest if mark else head, after


def _opens(begin: str, begin_id: int | None) -> list[str]:
    """Return the rules for free text up to the mark of a call, a special token or text."""
    mark = re.escape(begin).replace("/", r"\/")
    token = "" if begin_id is None else f"<[{begin_id}]>"
    return [
        f"FIRST_OPEN: /(?s:.*){mark}/ & ~JSON_CALL",
        "first_text[lazy]: FIRST_OPEN",
        f"open_text[lazy]: /(?s:.*){mark}/",
        "first_open: first_text" + (f" | FIRST {token}" if token else ""),
        "open: open_text" + (f" | FREE {token}" if token else ""),
    ]


def _literal(text: str, special_ids: Mapping[str, int]) -> str:
    """Return a text as literals and special tokens."""
    marks = sorted(special_ids, key=len, reverse=True)
    parts = re.split(f"({'|'.join(map(re.escape, marks))})", text) if marks else [text]
    items = [
        f"<[{special_ids[part]}]>" if part in special_ids else json.dumps(part, ensure_ascii=False)
        for part in parts if part
    ]  # fmt: skip
    return " ".join(items)


def _json_rules(tool_format: ToolFormat, names: list[str]) -> list[str]:
    """Return the rules for an answer that is a JSON call, or a list of one, and nothing else.

    Everything up to the first key is one pattern: until then, the text may be free as well.
    """
    key = tool_format.arguments_key
    calls = [
        f'/[ \\n]?:[ \\n]?"{re.escape(name)}"[ \\n]?,[ \\n]?"{key}"[ \\n]?:[ \\n]?/ arguments_{n}'
        for n, name in enumerate(names)
    ]
    rules = [f"json_call: ({' | '.join(calls)}) /[ \\n]?\\}}/"]
    for rule, (head, tail) in zip(_JSON_STARTS, _JSON_FRAMES, strict=True):
        rules.append(rf'{rule.upper()}: /\s*{head}\{{\s*"name"/')
        rules.append(f"{rule}: {rule.upper()} json_call" + (f" /{tail}/" if tail else ""))
    return rules
