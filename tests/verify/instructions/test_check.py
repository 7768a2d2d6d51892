"""IFEval's 25 kinds of instructions: answers that follow them and answers that do not, by hand."""

import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from r1kit.verify.instructions import check_instructions, read_instructions
from r1kit.verify.instructions.kinds import KINDS
from r1kit.verify.instructions.text_measures import (
    detect_language,
    n_capital_words,
    n_sentences,
    n_words,
)
from tests import hostile

ENGLISH = "the quick brown fox jumps over the lazy dog and sleeps"
GERMAN = "Der schnelle braune Fuchs springt über den faulen Hund."

CASES: list[tuple[str, dict[str, Any], list[str], list[str]]] = [
    ("keywords:existence", {"keywords": ["Sun", "moon"]},
     ["Sunday MOONS", "moon, sun"], ["sun", "mo on sun"]),
    ("keywords:frequency", {"keyword": " it ", "frequency": 3, "relation": "at least"},
     ["It, it and it", "bit bit bit"], ["it it"]),
    ("keywords:frequency", {"keyword": "it", "frequency": 3, "relation": "less than"},
     ["it it"], ["it it IT"]),
    ("keywords:forbidden_words", {"forbidden_words": ["bit", "a.b"]},
     ["bits", "axb"], ["a Bit, no", "see a.b here"]),
    ("keywords:letter_frequency", {"letter": "E", "let_frequency": 2, "let_relation": "at least"},
     ["eE"], ["e"]),
    ("keywords:letter_frequency", {"letter": "!", "let_frequency": 1, "let_relation": "less than"},
     ["a"], ["a!"]),
    ("language:response_language", {"language": "de"}, [GERMAN, "123"], [ENGLISH]),
    ("length_constraints:number_sentences", {"num_sentences": 2, "relation": "less than"},
     ["Dr. Smith is here.", "No stop"], ["He came. He left."]),
    ("length_constraints:number_paragraphs", {"num_paragraphs": 2},
     ["a\n***\nb", "***a***b***", "a *** b"], ["a", "a\n\nb", "a******b", "a***b***c"]),
    ("length_constraints:number_words", {"num_words": 3, "relation": "at least"},
     ["one two-three", "it's 5"], ["one two", "... - !"]),
    ("length_constraints:nth_paragraph_first_word",
     {"num_paragraphs": 2, "nth_paragraph": 2, "first_word": "So"},
     ["a\n\nso it is", "a\n\n'SO!' he said"],
     ["a\n\nsome", "so\n\na", "a\n\nso\n\nb", "a\n\n\n\nso"]),
    ("detectable_content:number_placeholders", {"num_placeholders": 2},
     ["[a][b]", "[[a] [b]", "[] []"], ["[a]", "[a [b]", "[a\n] [b"]),
    ("detectable_content:postscript", {"postscript_marker": "P.S."},
     ["Bye\nP.S. x", "p. s. x"], ["P.S", "P.P.S"]),
    ("detectable_content:postscript", {"postscript_marker": "P.P.S"},
     ["P.P.S x", "p. p.s."], ["P.S. x"]),
    ("detectable_content:postscript", {"postscript_marker": "N.B."}, ["n.b. x"], ["nxb. x"]),
    ("detectable_format:number_bullet_lists", {"num_bullets": 2},
     ["* a\n* b", "  - a\n\n\n* b", "*\nx\n- b", "--\n-"], ["* a", "* a\n**b**", "* a\n* b\n- c"]),
    ("detectable_format:constrained_response", {},
     ["My answer is yes.", "I think: My answer is maybe. Bye"], ["my answer is yes.", "yes"]),
    ("detectable_format:number_highlighted_sections", {"num_highlights": 2},
     ["*a* *b*", "**a** *b*", "***a***"], ["*a*", "** **", "*a\nb* *c"]),
    ("detectable_format:multiple_sections", {"section_spliter": "Section", "num_sections": 2},
     ["Section 1 a\nSection 2 b", "Section1 Section\n2"], ["Section 1", "SECTION 1 SECTION 2"]),
    ("detectable_format:json_format", {},
     ['{"a": [1]}', '```json\n{"a": 1}\n```', "```\n[]```", "12"], ["{a: 1}", "Here: {}", "```"]),
    ("detectable_format:title", {},
     ["<<a>>", "x <<<b>>> y"], ["<a>", "<<>>", "<<a\nb>>", ">> <<a"]),
    ("combination:two_responses", {},
     ["a******b", "a\n******\nb\n******"],
     ["a******a ", "a***b", "a******b******c", "a************b"]),
    ("combination:repeat_prompt", {"prompt_to_repeat": "Say hi. "},
     ["say HI. Hi!", "  Say hi."], ["Sure: Say hi.", "Say  hi."]),
    ("startend:end_checker", {"end_phrase": " Is that all? "},
     ["Yes. IS THAT ALL?", '"Is that all?"\n'], ["Is that all? Yes.", "Is that all"]),
    ("startend:quotation", {}, ['"a"', ' "a" b" \n'], ['"', "'a'", '"a', "“a”"]),
    ("change_case:capital_word_frequency",
     {"capital_frequency": 2, "capital_relation": "at least"},
     ["THE END", "DON'T", "A B-C"], ["THE-END", "The End", "NOT now"]),
    ("change_case:english_capital", {},
     ["THE WEATHER IS NICE TODAY AND WE WILL GO TO THE PARK."], [ENGLISH, "A a"]),
    ("change_case:english_lowercase", {},
     [ENGLISH, ENGLISH + " 5!"], ["T" + ENGLISH, GERMAN.lower()]),
    ("punctuation:no_comma", {}, ["a; b、c"], ["a, b"]),
]  # fmt: skip


def row(kind: Any, arguments: Any) -> dict[str, Any]:
    return {"key": 1, "prompt": "?", "instruction_id_list": [kind], "kwargs": [arguments]}


def test_every_kind_is_tested() -> None:
    assert {kind for kind, *_ in CASES} == KINDS.keys()
    assert len(KINDS) == 25


@pytest.mark.parametrize(("kind", "arguments", "followed", "broken"), CASES)
def test_a_kind(
    kind: str, arguments: dict[str, Any], followed: list[str], broken: list[str]
) -> None:
    nulls = {name: None for other in KINDS.values() for name in other.arguments}
    instructions = read_instructions(row(kind, nulls | arguments))  # as Parquet files have them
    for answer in followed:
        assert check_instructions(answer, instructions).strict == (True,), answer
    for answer in [*broken, "", " \n"]:
        assert check_instructions(answer, instructions).strict == (False,), answer


def test_a_loose_check_forgives_a_first_line_a_last_line_and_asterisks() -> None:
    [quoted] = read_instructions(row("startend:quotation", {}))
    for answer in ('Sure:\n"a"', '"a"\nBye', 'Sure:\n"a"\nBye', '**"a"**', 'Sure:\n*"a"*\nBye'):
        report = check_instructions(answer, [quoted])
        assert (report.strict, report.loose) == ((False,), (True,)), answer
    for answer in ('Sure: "a"', 'Sure\n:\n"a"', "Sure\nBye", "a"):
        assert check_instructions(answer, [quoted]).loose == (False,), answer


def test_the_verdict_needs_all_instructions_of_a_prompt() -> None:
    both = read_instructions(
        {
            "instruction_id_list": ["punctuation:no_comma", "startend:quotation"],
            "kwargs": [{}, {}],
        }
    )
    right, wrong = check_instructions('"a"', both).verdict, check_instructions('"a, b"', both)
    assert right.correct is True
    assert wrong.strict == (False, True)
    assert (wrong.verdict.correct, wrong.verdict.why) == (
        False,
        "not followed: punctuation:no_comma",
    )
    assert check_instructions("", both).verdict.outcome == "no answer"


@pytest.mark.parametrize(
    ("kind", "arguments", "why"),
    [
        ("copy:repeat_phrase", {}, "copy:repeat_phrase is of an unknown kind"),
        (5, {}, "5 is of an unknown kind"),
        (
            "keywords:existence",
            {"keywords": None},
            "keywords:existence has a 'keywords' that is no list of texts",
        ),
        (
            "keywords:frequency",
            {"keyword": "a", "frequency": 1, "relation": "at most"},
            "keywords:frequency has a 'relation' that is not one of less than, at least",
        ),
    ],
)
def test_an_instruction_that_cannot_be_checked_is_undecided(
    kind: Any, arguments: Any, why: str
) -> None:
    rows = {
        "instruction_id_list": [kind, "punctuation:no_comma"],
        "kwargs": [arguments, None],
    }
    instructions = read_instructions(rows)
    report = check_instructions("a", instructions)
    assert report.strict == report.loose == (None, True)
    assert (report.verdict.correct, report.verdict.why) == (None, why)
    assert check_instructions("a, b", instructions).verdict.correct is False


@pytest.mark.parametrize(
    "bad",
    [
        {},
        {"instruction_id_list": [], "kwargs": []},
        {"instruction_id_list": ["punctuation:no_comma"], "kwargs": []},
        {"instruction_id_list": "punctuation:no_comma", "kwargs": [{}]},
    ],
)
def test_a_row_without_instructions_is_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="has no list at"):
        read_instructions(bad)


@given(st.sampled_from(sorted(KINDS)), st.data())
@settings(max_examples=200)
def test_hostile_rows_and_answers_are_survived(kind: str, data: st.DataObject) -> None:
    good = next(arguments for name, arguments, *_ in CASES if name == kind)
    values = hostile.values | st.none()
    arguments = {name: data.draw(values | st.just(good[name])) for name in good}
    for instruction in read_instructions(row(kind, arguments)):
        report = check_instructions(data.draw(hostile.texts), [instruction])
        assert (report.strict == (None,)) == bool(instruction.fault)
        assert report.verdict.correct is None or not instruction.fault


@pytest.mark.parametrize("part", ["[", "<<", "*", "\n", " ", "\n *", "**a", "***", "- ", ". ", '"'])
def test_every_kind_takes_linear_time(part: str) -> None:
    answer = part * (20_000 // len(part))
    slow = {"length_constraints:number_sentences": 3.0}  # Punkt needs 100 µs per full stop
    for kind, arguments, *_ in CASES:
        instructions = read_instructions(row(kind, arguments))
        start = time.process_time()
        check_instructions(answer, instructions)
        assert time.process_time() - start < slow.get(kind, 1.0), kind


def test_sentences_words_and_languages() -> None:
    assert n_sentences("Mr. Brown lives in the U.S. today. He likes it! Does he? Yes.") == 4
    assert n_sentences("Prices rose 3.5 % in Jan. and fell again.") == 1
    assert n_sentences("") == 0
    assert n_words("It's 5 o'clock, isn't it?") == 8
    assert n_words("ಕನ್ನಡ ಭಾಷೆಯ") == 2
    assert n_capital_words("NASA and the U.S. DON'T agree, I think") == 5
    assert [detect_language(text) for text in (GERMAN, ENGLISH, "안녕하세요", "?!")] == [
        "de",
        "en",
        "ko",
        None,
    ]
