"""The 25 kinds of instructions of IFEval: a function of the answer and arguments for each.

Source: google-research's instruction_following_eval, whose decisions these are, peculiarities
included: a bullet list may begin with a dash, `***bold***` is a highlight, a postscript may stand
anywhere, and a text in which no language can be detected is in every language. Departures: keywords
and markers are plain text there and here, but there they are also regular expressions; all scans
are linear in the length of the answer.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from r1kit.files.untrusted import read_json
from r1kit.verify.instructions.text_measures import (
    detect_language,
    n_capital_words,
    n_sentences,
    n_words,
)

CONSTRAINED_ANSWERS = ("My answer is yes.", "My answer is no.", "My answer is maybe.")
RELATIONS = ("less than", "at least")
MAX_COUNT = 10**9

_STAR_BULLET = re.compile(r"^[^\S\n]*+\*[^*].*$", re.MULTILINE)
_DASH_BULLET = re.compile(r"^[^\S\n]*+-.*$", re.MULTILINE)
_BRACKET = re.compile(r"\[[^\]\n]*+(\]?)")
_HIGHLIGHT = re.compile(r"\*([^\n*]*)\*")
_DOUBLE_HIGHLIGHT = re.compile(r"\*\*([^\n*]*)\*\*")
_DIVIDER = re.compile(r"\s?\*\*\*\s?")
_FENCE = re.compile(r"(?:```json)?(?:```Json)?(?:```JSON)?(?:```)?")
_WORD_END = re.compile(r"[.,?!'\"]")
_POSTSCRIPTS = {"P.P.S": re.compile(r"p\.\s?p\.\s?s"), "P.S.": re.compile(r"p\.\s?s\.")}


class Kind(NamedTuple):
    """A kind of instructions: its check, and the readers of the check's arguments."""

    check: Callable[..., bool]
    arguments: Mapping[str, Callable[[Any], Any]] = {}


def has_relation(count: int, relation: str, threshold: int) -> bool:
    return count < threshold if relation == "less than" else count >= threshold


def has_keywords(text: str, keywords: Sequence[str]) -> bool:
    return all(_occurrences(keyword, text) for keyword in keywords)


def has_keyword_frequency(text: str, keyword: str, frequency: int, relation: str) -> bool:
    return has_relation(_occurrences(keyword.strip(), text), relation, frequency)


def has_no_forbidden_words(text: str, forbidden_words: Sequence[str]) -> bool:
    patterns = (rf"\b{re.escape(word)}\b" for word in forbidden_words)
    return not any(re.search(pattern, text, re.IGNORECASE) for pattern in patterns)


def has_letter_frequency(text: str, letter: str, let_frequency: int, let_relation: str) -> bool:
    return has_relation(text.lower().count(letter.lower()), let_relation, let_frequency)


def is_in_language(text: str, language: str) -> bool:
    return detect_language(text) in (language, None)


def has_sentences(text: str, num_sentences: int, relation: str) -> bool:
    return has_relation(n_sentences(text), relation, num_sentences)


def has_words(text: str, num_words: int, relation: str) -> bool:
    return has_relation(n_words(text), relation, num_words)


def has_paragraphs(text: str, num_paragraphs: int) -> bool:
    """True if `***` separates so many paragraphs; a divider may also begin or end the text."""
    first, *others = _DIVIDER.split(text)
    inner, last = others[:-1], others[-1:]
    n_outer = sum(bool(paragraph.strip()) for paragraph in (first, *last))
    return all(map(str.strip, inner)) and len(inner) + n_outer == num_paragraphs


def has_first_word(text: str, num_paragraphs: int, nth_paragraph: int, first_word: str) -> bool:
    """True if so many paragraphs are separated by empty lines, and the nth begins with the word."""
    paragraphs = text.split("\n\n")
    n_paragraphs = sum(bool(paragraph.strip()) for paragraph in paragraphs)
    if n_paragraphs != num_paragraphs or nth_paragraph > n_paragraphs:
        return False
    words = paragraphs[nth_paragraph - 1].split()
    word = words[0].lstrip("'").lstrip('"') if words else ""
    return bool(words) and _WORD_END.split(word.lower(), maxsplit=1)[0] == first_word.lower()


def has_placeholders(text: str, num_placeholders: int) -> bool:
    return sum(map(bool, _BRACKET.findall(text))) >= num_placeholders


def has_postscript(text: str, postscript_marker: str) -> bool:
    marker = postscript_marker.strip()
    pattern = _POSTSCRIPTS.get(marker)
    return pattern.search(text.lower()) is not None if pattern else marker.lower() in text.lower()


def has_bullets(text: str, num_bullets: int) -> bool:
    n_bullets = len(_STAR_BULLET.findall(text)) + len(_DASH_BULLET.findall(text))
    return n_bullets == num_bullets


def is_constrained_answer(text: str) -> bool:
    return any(answer in text for answer in CONSTRAINED_ANSWERS)


def has_highlights(text: str, num_highlights: int) -> bool:
    highlights = _HIGHLIGHT.findall(text) + _DOUBLE_HIGHLIGHT.findall(text)
    return sum(bool(highlight.strip()) for highlight in highlights) >= num_highlights


def has_sections(text: str, section_spliter: str, num_sections: int) -> bool:
    headings = re.findall(rf"{re.escape(section_spliter.strip())}\s?\d+", text)
    return len(headings) >= num_sections


def is_json(text: str) -> bool:
    """True for a JSON value, which may be fenced."""
    plain = text.strip()
    fence = _FENCE.match(plain)
    try:
        read_json(plain[fence.end() if fence else 0 :].removesuffix("```").strip())
    except ValueError:
        return False
    return True


def has_title(text: str) -> bool:
    """True if a line has a title in `<<` and `>>`."""
    for line in text.split("\n"):
        start, end = line.find("<<"), line.rfind(">>")
        if 0 <= start < end - 2 and line[start:end].lstrip("<").rstrip(">").strip():
            return True
    return False


def is_two_answers(text: str) -> bool:
    """True if `******` separates two different answers; a separator may also begin or end them."""
    first, *others = text.split("******")
    inner, last = others[:-1], others[-1:]
    answers = [answer.strip() for answer in (first, *inner, *last) if answer.strip()]
    return all(map(str.strip, inner)) and len(answers) == 2 and answers[0] != answers[1]


def repeats_prompt(text: str, prompt_to_repeat: str) -> bool:
    return text.strip().lower().startswith(prompt_to_repeat.strip().lower())


def ends_with(text: str, end_phrase: str) -> bool:
    return text.strip().strip('"').lower().endswith(end_phrase.strip().lower())


def has_capital_words(text: str, capital_frequency: int, capital_relation: str) -> bool:
    return has_relation(n_capital_words(text), capital_relation, capital_frequency)


def is_english_capitals(text: str) -> bool:
    return text.isupper() and is_in_language(text, "en")


def is_english_lowercase(text: str) -> bool:
    return text.islower() and is_in_language(text, "en")


def has_no_comma(text: str) -> bool:
    return "," not in text


def is_quoted(text: str) -> bool:
    plain = text.strip()
    return len(plain) > 1 and plain[0] == plain[-1] == '"'


def _occurrences(keyword: str, text: str) -> int:
    return len(re.findall(re.escape(keyword), text, re.IGNORECASE))


def count(value: Any) -> int:
    """Read a count; Parquet may have made a float of it."""
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise ValueError("is no count")
    if not 0 <= value <= MAX_COUNT or value != int(value):
        raise ValueError("is no count")
    return int(value)


def position(value: Any) -> int:
    """Read the number of a paragraph, counted from 1."""
    if count(value) < 1:
        raise ValueError("is no position")
    return int(value)


def relation(value: Any) -> str:
    if value not in RELATIONS:
        raise ValueError(f"is not one of {', '.join(RELATIONS)}")
    return str(value)


def phrase(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("is no text")
    return value


def phrases(value: Any) -> list[str]:
    if not isinstance(value, list) or not value:
        raise ValueError("is no list of texts")
    return [phrase(item) for item in value]


def letter(value: Any) -> str:
    if len(phrase(value)) != 1:
        raise ValueError("is not one letter")
    return str(value)


KINDS: Mapping[str, Kind] = {
    "keywords:existence": Kind(has_keywords, {"keywords": phrases}),
    "keywords:frequency": Kind(
        has_keyword_frequency, {"keyword": phrase, "frequency": count, "relation": relation}
    ),
    "keywords:forbidden_words": Kind(has_no_forbidden_words, {"forbidden_words": phrases}),
    "keywords:letter_frequency": Kind(
        has_letter_frequency, {"letter": letter, "let_frequency": count, "let_relation": relation}
    ),
    "language:response_language": Kind(is_in_language, {"language": phrase}),
    "length_constraints:number_sentences": Kind(
        has_sentences, {"num_sentences": count, "relation": relation}
    ),
    "length_constraints:number_paragraphs": Kind(has_paragraphs, {"num_paragraphs": count}),
    "length_constraints:number_words": Kind(has_words, {"num_words": count, "relation": relation}),
    "length_constraints:nth_paragraph_first_word": Kind(
        has_first_word, {"num_paragraphs": count, "nth_paragraph": position, "first_word": phrase}
    ),
    "detectable_content:number_placeholders": Kind(has_placeholders, {"num_placeholders": count}),
    "detectable_content:postscript": Kind(has_postscript, {"postscript_marker": phrase}),
    "detectable_format:number_bullet_lists": Kind(has_bullets, {"num_bullets": count}),
    "detectable_format:constrained_response": Kind(is_constrained_answer),
    "detectable_format:number_highlighted_sections": Kind(
        has_highlights, {"num_highlights": count}
    ),
    "detectable_format:multiple_sections": Kind(
        has_sections, {"section_spliter": phrase, "num_sections": count}
    ),
    "detectable_format:json_format": Kind(is_json),
    "detectable_format:title": Kind(has_title),
    "combination:two_responses": Kind(is_two_answers),
    "combination:repeat_prompt": Kind(repeats_prompt, {"prompt_to_repeat": phrase}),
    "startend:end_checker": Kind(ends_with, {"end_phrase": phrase}),
    "startend:quotation": Kind(is_quoted),
    "change_case:capital_word_frequency": Kind(
        has_capital_words, {"capital_frequency": count, "capital_relation": relation}
    ),
    "change_case:english_capital": Kind(is_english_capitals),
    "change_case:english_lowercase": Kind(is_english_lowercase),
    "punctuation:no_comma": Kind(has_no_comma),
}
