"""Words, sentences, capital words and the language of a text, measured with libraries.

Source: google-research's instruction_following_eval. Sentences are split by NLTK's Punkt with its
English model, words by NLTK's tokenizer, languages are detected by langdetect. Departures: the
model of Punkt is installed as a package instead of downloaded while a benchmark runs, and
langdetect, which draws at random, is seeded, so that equal answers get equal verdicts.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import regex

from r1kit.errors import require

PACKAGES = ("langdetect", "nltk", "punkt")
_WORD = regex.compile(r"\w+")


def require_packages() -> None:
    """Raise DependencyError unless the libraries of this module are installed."""
    for package in PACKAGES:
        require(package)


def n_words(text: str) -> int:
    """Return the number of runs of letters with their marks, digits and underscores."""
    return len(_WORD.findall(text))


def n_sentences(text: str) -> int:
    return len(_sentence_splitter().tokenize(text))


def n_capital_words(text: str) -> int:
    """Return the number of words in capital letters; a hyphenated word is one, DON'T is two."""
    return sum(word.isupper() for word in _word_splitter().tokenize(text))


def detect_language(text: str) -> str | None:
    """Return the ISO 639-1 code of the language; None for a text without words."""
    from langdetect import LangDetectException

    detector = _language_detectors().create()
    detector.append(text)
    try:
        return str(detector.detect())
    except LangDetectException:
        return None


@cache
def _sentence_splitter() -> Any:
    from nltk.tokenize.punkt import PunktParameters, PunktSentenceTokenizer
    from punkt.data import english

    parameters = PunktParameters()
    parameters.abbrev_types = set(english.ABBREV_TYPES)
    parameters.sent_starters = set(english.SENT_STARTERS)
    parameters.collocations = set(english.COLLOCATIONS)
    parameters.ortho_context.update(english.ORTHO_CONTEXT)
    return PunktSentenceTokenizer(parameters)


@cache
def _word_splitter() -> Any:
    from nltk.tokenize import NLTKWordTokenizer

    return NLTKWordTokenizer()


@cache
def _language_detectors() -> Any:
    from langdetect.detector_factory import PROFILES_DIRECTORY, DetectorFactory

    detectors = DetectorFactory()
    detectors.load_profile(PROFILES_DIRECTORY)
    detectors.set_seed(0)
    return detectors
