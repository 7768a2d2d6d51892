"""Extract the final answer from a text: the statement that counts, and the value in its words.

statements/reading.py finds the statement: a tag, a box, a marker. Without one, the closing sentence
counts if it states one value. The words after a marker are the answer, unless they are a sentence
that contains one ("Answer: The total cost is $45."). Markers and sentences are searched in the last
MAX_TAIL_CHARS characters, all in linear time.

Source: the order is that of Math-Verify and inspect_ai. Departures: statements/reading.py.
"""

from __future__ import annotations

import itertools
import re
from collections import deque
from dataclasses import replace

from r1kit.verify.math.number_words import in_digits
from r1kit.verify.math.phrases import (
    changes_what_follows,
    expressions,
    rewritten,
    value_in_sentence,
    with_unit,
)
from r1kit.verify.math.tokens import PLAIN_NUMBER
from r1kit.verify.math.units import changes_value, is_measure
from r1kit.verify.statements.markers import clause_end, is_comment
from r1kit.verify.statements.policy import STRICT, GradingPolicy
from r1kit.verify.statements.reading import MAX_TAIL_CHARS, StatedAnswer, corrected, read
from r1kit.verify.statements.sentences import sentences
from r1kit.verify.statements.stance import is_asked, is_reported_answer, withdrawal

MAX_LINE_CHARS = 600
MAX_FORMULA_DISTANCE = 100
"""maximum number of characters between a closing formula and the end of the text"""

_CALCULATIONS = re.compile(r"<<[-+*/0-9.,()%$= ]{1,200}>>")
"""GSM8K's calls of a calculator, which models that learned from it write as well"""
_MATH = re.compile(
    r"\$\$([^$]{1,1000})\$\$|(?<!\\)\$(?![0-9][^$\n]{0,60}\s\$)([^$\n]{1,500})(?<!\\)\$"
    r"|\\\[(.{1,1000}?)\\\]|\\\((.{1,500}?)\\\)",
    re.DOTALL,
)
_FORMULA_WAVERS = re.compile(
    r"\b(?:not|or|nor|neither|either|maybe|perhaps|cannot|never|except|between|instead|wrong|if"
    r"|at least|at most|about|approximately)\b"
    r"|n't|n’t|≠|\\ne\b|!=|아니|않|또는|혹은|或|非|不(?!同|等式|妨|难)",
    re.IGNORECASE,
)
_ENDINGS = re.compile(
    r"\s*(?:임을 (?:알 수 있|확인할 수 있)(?:다|습니다)"
    r"|입니다|이다|이에요|예요|이며|임|이 된다|가 된다|이 됩니다|가 됩니다|이고|다"
    r"|요)?[.。!]?\s*$"
)
_REMARK = re.compile(
    r"\s*\((?:since|because|as|by|from|where|see|using)\b[^()]*\)|\s[-–—]+\s[A-Za-z]{3,}[^0-9$\\]*$"
)
_RESTATED = re.compile(
    r"(?<=[0-9] )([A-Za-z]{1,12}) \((?!(?:and|plus|or|not|minus|mod|base|remainder)\b)"
    r"[^()]*[A-Za-z]{3}[^()]*\)$"
)
# a value with a unit, said again: "160 minutes (2 hours and 40 minutes)"
_RELATIVE = re.compile(r"((?:the|an?) [^.!?\n]{1,100}?),?\swhich (?:is|equals|gives) ([^\n]+)")
# what is meant and its value: "the number of sides, which is 6"
_JOINING = re.compile(r"\s*,?\s*(?:or|and|或者?|和|또는|혹은|,)?\s*", re.IGNORECASE)
_CHECK = re.compile(
    r"^[ \t*_#>(-]{0,8}(?:(?:let me|let's|let us|we can|now|to|i will|i'll|quick|double)[\s-]){0,3}"
    r"(?:(?:double|re|cross|sanity)[\s-]?)?(?:check|verif(?:y|ication))(?:ing)?\b[^\n]{0,400}\Z"
    r"|^[ \t*_#>(-]{0,8}(?:检验|验证|验算|검산|확인|검증)[^\n]{0,400}\Z",
    re.IGNORECASE | re.MULTILINE,
)
_BOLD = re.compile(r"(?<![\w)*])\*\*(?=\S)([^*\n]{1,80})\*\*(?![\w(*])")
_PLEASANTRY = re.compile(
    r"^[ \t*_]{0,4}(?:(?:please )?let me know|i hope|hope (?:this|that)|feel free"
    r"|if you (?:have|need)|is there anything|happy to"
    r"|希望|如果(?:你|您)|如有|请(?:随时)?告诉|도움이|궁금한|더 필요)"
    r"[^\n]{0,300}\Z",
    re.IGNORECASE | re.MULTILINE,
)
_CONCLUSION = re.compile(
    r"\b(?:so|thus|hence|therefore|answer)\b|所以|因此|故|따라서|그러므로|답", re.IGNORECASE
)
_FAILED = re.compile(
    r"≠|\\neq?\b|!=|✗|✘|❌|\bnot\b|n't\b|wrong|incorrect|不|错|아니|않|틀", re.IGNORECASE
)
_CLOSERS = ' \t*_`"}'
_CONTENT = re.compile(r"[^\W\d_]{2,}|[\u3040-\u9fff\uac00-\ud7af]")
_SEVERAL_STATEMENTS = re.compile(r"^(?:yes|no|true|false)\b|[.;:!?]\s+\S", re.IGNORECASE)
_COPULA_TAIL = re.compile(r"\s(?:is|are|was) (?:the|our|your|my|correct|right)\b.*$", re.IGNORECASE)


def extract(text: str) -> str | None:
    """Return the answer as written; None if there is none."""
    return read_answer(text).text


def read_answer(text: str, policy: GradingPolicy = STRICT) -> StatedAnswer:
    """Return the final statement of a text, reduced to the value in its words."""
    text = _CALCULATIONS.sub("", text)
    reading = read(text, policy)
    if reading.form == "box":
        return reading
    if reading.text is not None:
        if PLAIN_NUMBER.fullmatch(reading.text):
            return reading
        value = _marked_value(reading.text, reading.rest)
        if value is None or "boxed" in value:
            return replace(reading, text=None, why="the marked clause states no value")
        return replace(reading, text=_marked_words(value))
    if reading.form == "none":
        value = _closing_value(text[-MAX_TAIL_CHARS:].rstrip(), policy)
        if value is not None and "boxed" not in value:
            return StatedAnswer(value, "closing sentence", "")
    return reading


def _marked_words(value: str) -> str:
    """Mark words that are a number as words, as `\\text` does in a box: `five` is no product."""
    return f"\\text{{{value}}}" if value.isascii() and in_digits(value) is not None else value


def formula_in_words(gold: str) -> str | None:
    """Return the formula of a gold answer that is a sentence: `It is the plane $z = 0$.` → `z = 0`.

    None if the formula is not its end or not its only value, or if the words change what it means.
    """
    formulas = list(_MATH.finditer(gold)) if "$" in gold else []
    if len(formulas) != 1 or gold[formulas[0].end() :].strip(" .。"):
        return None
    words = gold[: formulas[0].start()].strip()
    if not _CONTENT.search(words) or _SEVERAL_STATEMENTS.search(words) or expressions(words):
        return None
    is_changed = _FORMULA_WAVERS.search(words) or changes_what_follows(words)
    return None if is_changed else _content(formulas[0]).lstrip("= ")


def whole_statements(reading: StatedAnswer) -> list[str]:
    """Return the words of a marked statement without reduction: its first line, and all of it."""
    parts = dict.fromkeys((reading.rest.split("\n", 1)[0], reading.rest))
    return [_without_endings(part) for part in parts if part]


def _marked_value(clause: str, rest: str) -> str | None:
    if (formula := _MATH.match(rest)) is not None:
        return _with_unit(formula, rest)
    clause = _RESTATED.sub(r"\1", _REMARK.sub("", clause))
    relative = _RELATIVE.match(rest)
    if relative is not None and not _MATH.search(relative[1]):
        return _marked_value(relative[2][: clause_end(relative[2])], relative[2])
    clause = rewritten(_without_endings(clause))
    if not _is_sentence(clause):
        return _COPULA_TAIL.sub("", clause) or None
    formulas = list(_MATH.finditer(clause))
    if formulas and not clause[formulas[-1].end() :].strip(" .。*_\\"):
        return None if _FORMULA_WAVERS.search(clause) else _content(formulas[-1])
    return value_in_sentence(clause) or clause


def _is_sentence(clause: str) -> bool:
    """Return True if words precede the first value: "The total cost is $45", not "5 cm"."""
    formula = _MATH.search(clause)
    parts = expressions(clause)
    starts = [formula.start()] if formula else []
    starts += [parts[0].start] if parts else []
    return bool(starts) and _CONTENT.search(clause[: min(starts)].replace("\\text", "")) is not None


def _with_unit(formula: re.Match[str], rest: str) -> str:
    """Return a formula and its unit: `$5$ cm` → `5 cm`.

    If the clause has a second formula, or words that change the value, return the whole clause.
    """
    clause = rest[formula.end() :].split("\n", 1)[0]
    clause = corrected(clause[: clause_end(clause)].rstrip(" .。*_")) or ""
    clause = _without_endings(clause) if not clause.isascii() else clause
    content = _content(formula)
    if "$" in clause or "\\(" in clause or changes_value(clause):
        return f"{content} {clause.replace('$', '')}".strip()
    return f"{content} {clause.strip()}" if is_measure(clause) else with_unit(content, clause)


def _closing_value(tail: str, policy: GradingPolicy) -> str | None:
    """Return the last formula if it is near the end, else the value of the last sentence."""
    checked = _without_checks(_BOLD.sub(r"\1", tail))
    if checked is None:
        return None
    tail = checked
    lines = [line for line in tail.splitlines() if line.strip(" \t*_`-#>$\\[]()")]
    if not lines or is_comment(lines[-1][-MAX_LINE_CHARS:]):
        return None
    formulas = deque(_MATH.finditer(tail), 1)
    if formulas and len(tail[formulas[0].end() :].strip()) < MAX_FORMULA_DISTANCE:
        formula = formulas[0]
        sentence = tail[tail.rfind("\n\n", 0, formula.start()) + 1 :]
        if (alternatives := _alternatives(sentence[-MAX_LINE_CHARS:])) is not None:
            return alternatives
        is_unsure = _FORMULA_WAVERS.search(sentence[-MAX_LINE_CHARS:])
        return None if is_unsure else with_unit(_content(formula), tail[formula.end() :])
    for sentence_found in reversed(sentences(lines[-1][-MAX_LINE_CHARS:])):
        sentence = sentence_found.text
        rest = lines[-1][-MAX_LINE_CHARS:][sentence_found.end :]
        if expressions(rewritten(sentence)):
            if policy.can_be_taken_back and withdrawal(rest) is not None:
                return None
            is_stated = not is_asked(sentence) and not is_reported_answer(sentence)
            asserted = corrected(sentence) if is_stated else None
            return None if asserted is None else value_in_sentence(asserted)
    return None


def _without_checks(tail: str) -> str | None:
    """Return a text without pleasantries and checks at its end, whose numbers are the problem's.

    None if a check fails: what it checked is then no answer any more.
    """
    tail = _PLEASANTRY.sub("", tail).rstrip()
    while (check := deque(_CHECK.finditer(tail), 1)) and not _CONCLUSION.search(check[0][0]):
        if _FAILED.search(check[0][0]):
            return None
        tail = tail[: check[0].start()].rstrip()
    return tail


def _alternatives(sentence: str) -> str | None:
    """Return the equations that a closing sentence joins: `So $x = 5$ or $x = -5$.`"""
    formulas = list(_MATH.finditer(sentence))
    if len(formulas) < 2 or _FORMULA_WAVERS.search(sentence[: formulas[0].start()]):
        return None
    contents = [_content(formula) for formula in formulas]
    between = [sentence[a.end() : b.start()] for a, b in itertools.pairwise(formulas)]
    names = {content.partition("=")[0].strip() for content in contents}
    is_list = all(_JOINING.fullmatch(words) for words in between) and len(names) == 1
    return ", ".join(contents) if is_list and "=" in contents[0] else None


def _content(formula: re.Match[str]) -> str:
    return next(group for group in formula.groups() if group is not None).strip()


def _without_endings(line: str) -> str:
    line = re.sub(r"(?:\\\]|\\\)|\$\$)\s*$", "", line.rstrip()) if line.count("$") < 4 else line
    return _ENDINGS.sub("", line).strip(
        _CLOSERS if line.count("{") < line.count("}") else _CLOSERS[:-1]
    )
