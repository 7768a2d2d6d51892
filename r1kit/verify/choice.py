"""Verify multiple-choice answers, as in MMLU, GPQA, C-Eval, GAOKAO and KMMLU.

A letter counts if a sentence states it as the answer: in a box or an answer tag, after a marker
("the answer is", 【答案】, 정답은, 选), before a judgement ("is correct", 项正确, 가 정답), or on a
line of its own; never inside ordinary words. What a sentence denies, supposes or asks is not stated
(statements/stance.py). The last marked letter wins; letters that are only judged must agree. A
statement that names several letters is wrong.

Source: the prompts of simple-evals and C-Eval, the outputs of GAOKAO-Bench. Departure: simple-evals
takes the first "Answer: X".
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from r1kit.types import Verdict
from r1kit.verify.answer import SAME_CHARACTER
from r1kit.verify.statements.boxes import answer_tag, boxes_from_end
from r1kit.verify.statements.policy import STRICT, GradingPolicy
from r1kit.verify.statements.sentences import Sentence, sentences
from r1kit.verify.statements.stance import stance, withdrawal

T = TypeVar("T")

MAX_TAIL_CHARS = 4000
LETTERS = "ABCDEFGHIJ"

_OPEN = (
    r"(?:[\s*_$:：({\[\"'“「‘]|\\(?:boxed|text|textbf|mathrm|mathbf)\{|\\\(|\\\["
    r"|(?:the )?(?:option|choice"
    r"|letter)\b|选项|選項|선택지|보기)*+"
)
_CLOSE = r"[)}\]*_$\"'”’」]*+"
_LETTER = rf"(?-i:[{LETTERS}])(?![A-Za-z0-9_’'+]|-[A-Za-z0-9]|\((?=[-0-9a-z]))"
_AND = r"(?:\\text\{\s*+)?+(?:,|，|/|&|\bor\b|\band\b|或者?|和|与|及|와|과|및|또는|、)(?:\s*+\})?+"
_MORE = rf"(?:{_CLOSE}\s*+{_AND}{_OPEN}{_LETTER})"
_NO_ARTICLE = r"(?<![AI])(?= )|(?! (?!(?:because|since|as|with|for|which|and|or|by)\b)[a-z])"
_LISTED = rf"(?P<letters>(?:{_LETTER}(?:{_NO_ARTICLE})|(?-i:[{LETTERS}]{{2,10}})\b){_MORE}{{0,9}}+)"
_MARKERS = (
    # English
    r"\b(?:answer|ans|choice|option|pick|letter|selection)s?\b"
    r"(?:[\s,*_]{1,3}(?:to|for|of|in|here|therefore|then|thus|hence|selected|chosen)\b[^.:;?!\n]{0,60}?)?"
    r"[*_\"\s,]{0,4}(?:\b(?:is|was|would be|should be|must be|will be|has to be|seems to be"
    r"|appears to be"
    r"|is probably|is likely|is clearly|is therefore|is thus)\b|[:：=])",
    r"\b(?:i|we|you)(?:'d|'ll| would| will| should| must| can| have to)? (?:pick|choose|select"
    r"|go with|answer|say)\b",
    r"\b(?:pick|choos|select|go)ing(?: with)?\b|\b(?:pick|choose|select|chose|selected)\b",
    r"\b(?:selected|chosen|final)\s*[:：]",
    r"\bleav(?:es|ing)(?: us)?(?: with)?(?: only| just)?\b|\bleft with(?: only)?\b"
    r"|\bonly\b(?= [\W_]*[A-J]\b[\W_]*(?:remains|is left|fits|works))",
    r"\bit(?:'s| is| must be| has to be| should be)\b",
    r"\b(?:therefore|thus|hence|so)[,:]?\s+(?:the )?(?:option|choice)\b(?=[\W_]*[A-J][\W_]*$)",
    r"\bnot\b[^.?!\n]{1,30}?\bbut(?: rather)?\b",
    # Chinese
    r"(?:答案|正确(?:的)?选项|正確選項|应选项)\s?(?:应该?|應該?|应当|就|即|只能|可能)?\s?(?:是|为|為|选择?|選|[:：])"
    r"|【\s?(?:最终|正确|参考)?答案?\s?】\s?[:：]?",
    r"(?<![不别未勿非可候所备待挑点当如题])(?:应该?|应当|應|应|故|所以|因此|只能|可|本题|此题|该题)?(?:选择|选出|选|選)(?![项項取])[:：]?",
    r"(?:只剩下?|仅剩|剩下的?(?:是|只有)?|剩余的?(?:是)?)|而(?:应该?)?[是选]|应为",
    # Korean
    r"(?:정답|답변|답안|해답|답)\s?(?:은|는|이|[:：])|남은\s?(?:것은|선택지는|보기는)|(?:아니라|아니고|아닌|말고)",
)
_JUDGEMENTS = (
    r"(?:\s*(?:option|choice))?\s*(?:is|must be|should be)\s+(?:clearly |therefore |thus "
    r"|indeed )?(?:the\s+)?"
    r"(?:only |best |most )?(?:correct|right|appropriate|true(?= answer)|answer\b|choice\b"
    r"|best(?= answer| option| choice))\b"
    r"(?! but)",
    r"\s*(?:remains|fits|works)\b",
    r"\s*(?:번|항)?\s*(?:가|이|는|은)?\s*(?:정답|답(?=이)|맞|옳(?!지)|올바)(?!이? ?아|이? ?될 수)",
    r"\s*(?:选项|项|選項)?[^，,。；;\n]{0,12}?(?:才是|都是|均|就是|便是|是|最|为)?\s*(?:正确|正確|对的|符合题意|最合适|最恰当)(?!性|率)"
    r"|\s*(?:选项|项)?\s*(?:就是|才是|便是|即为|是|为)\s*(?:本题|此题)?(?:的)?答案",
)
_STATED = re.compile(
    rf"(?:{'|'.join(_MARKERS)}){_OPEN}{_LISTED}"
    rf"|(?<![A-Za-z0-9\\]){_LISTED.replace('letters', 'judged')}{_CLOSE}"
    rf"(?P<judgement>{'|'.join(_JUDGEMENTS)})",
    re.IGNORECASE,
)
_ALONE = re.compile(
    rf"{_OPEN}(?:(?:final )?answer\s*[:：]\s*)?{_OPEN}(?P<letters>{_LETTER}{_MORE}{{0,9}}+)"
    rf"{_CLOSE}[.:：。]?\s*(?:번|项|选项)?\s*$",
    re.IGNORECASE,
)
_WRONG = re.compile(
    r"\b(?:incorrect|wrong|false|not (?:correct|right))\b|错误|不正确|不对|옳지|틀[리렸린]"
)
_OPTION_SAYS_NO = re.compile(
    r"[)\]}*_$]*[.):：．、]\s*[*_]*No,\s(?!(?:wait|that|it|i|this|actually|sorry|hold|let|not|the"
    rf"|(?-i:[{LETTERS}]))\b)[^\n]*",
    re.IGNORECASE,
)
"""the text of an option that begins with "No": `C. No, all States are equal`"""
_SURROGATES = re.compile("[\ud800-\udfff]")
_LETTERS_ONLY = re.compile(rf"{_OPEN}(?P<letters>[{LETTERS}]{{2,10}}){_CLOSE}$")
_LABELLED = re.compile(rf"[\s*(\[]*(?P<letters>{_LETTER})[)*\]]*\s*[.):：．、]\s*[*_]*\S")
_BOXED_LABEL = re.compile(
    rf"(?:\\(?:text|textbf|mathrm|mathbf|bf)\{{|[\s*(\[{{])*(?P<letters>{_LETTER})"
    r"(?:[)\]]|\\?[)\]]?\}|\s*[.:：．、])[)}\]]*(?:\\[ ,;:]|[\s.:：])*\S"
)
_FORMULA = re.compile(
    r"[)}\]*_$\"'”]*\s*(?:\\[,;: ]\s*)?(?:=|\\(?:approx|cap|cup|times|cdot|to"
    r"|in|subset|supset|le|ge|lt|gt|ne|pm|div"
    r"|circ|rightarrow|Rightarrow|sim|equiv|parallel|perp|propto|ll|gg)|[≈∩∪>^×·÷→∈⊂⊆≤≥≠±∥⊥]|<(?!/?[a-z])"
    r"|\+\s*[0-9A-Za-z]|:\s*[A-Z]\s*=)"
)
_END_MARK = re.compile(r"<(?:eoa|eoe|/s|end|eos|im_end)[^<>]{0,10}>|<\|[a-z_]{1,20}\|>")
_CIRCLED = {code: f"({code - 0x2460 + 1})" for code in range(0x2460, 0x246A)}
_OPTION_NUMBER = re.compile(r"(?<![0-9A-Za-z.,/^_\\-])(10|[1-9])(?![0-9A-Za-z%/^]|[.,][0-9])")

StatementForm = Literal["last line", "box", "marker", "judgement", "label"]


@dataclass(frozen=True, slots=True)
class StatedLetters:
    """The letters that a text states, how, and where: `StatedLetters("B", "marker", 7)`."""

    letters: str
    form: StatementForm
    end: int
    """position behind the statement in the end of the text"""


def check_choice(
    text: str, gold: str, n_options: int = 4, policy: GradingPolicy = STRICT
) -> Verdict:
    """Return the verdict on an answer; `gold` is one of the first `n_options` letters (2 to 10).

    A gold that is a number (`3`, `②`) means that the options are numbered from 1. The verdict is
    undecided if `gold` is neither. An answer letter beyond the options is wrong.
    """
    if not 2 <= n_options <= len(LETTERS):
        raise ValueError(f"n_options is 2 to {len(LETTERS)}, not {n_options}")
    gold_letter = gold.translate(_CIRCLED).translate(SAME_CHARACTER).strip(" ().번\t\n").upper()
    is_numbered = _OPTION_NUMBER.fullmatch(gold_letter) is not None
    if is_numbered:
        gold_letter, text = LETTERS[int(gold_letter) - 1], numbers_as_letters(text)
    stated = stated_letters(text, policy)
    shown = stated if stated is None or not is_numbered else _as_numbers(stated)
    if len(gold_letter) != 1 or gold_letter not in LETTERS[:n_options]:
        return Verdict(None, shown, f"the gold answer {gold!r} is not one of {n_options} letters")
    if stated is None:
        return Verdict(False, None, "no letter is stated as the answer")
    if len(stated) > 1:
        return Verdict(False, shown, "several letters at once")
    if stated not in LETTERS[:n_options]:
        return Verdict(False, shown, f"not one of {n_options} options")
    is_equal = stated == gold_letter
    expected = _as_numbers(gold_letter) if is_numbered else gold_letter
    return Verdict(is_equal, shown, "equal" if is_equal else f"not {expected}")


def numbers_as_letters(text: str) -> str:
    """Return a text about numbered options with letters instead: `답은 ②번` → `답은 (B)번`."""
    lower = text[-2 * MAX_TAIL_CHARS :].translate(_CIRCLED).translate(SAME_CHARACTER).lower()
    return _OPTION_NUMBER.sub(lambda number: LETTERS[int(number[1]) - 1], lower)


def _as_numbers(letters: str) -> str:
    return ", ".join(str(LETTERS.index(letter) + 1) for letter in letters)


def stated_letters(text: str, policy: GradingPolicy = STRICT) -> str | None:
    """Return the letters of the last statement, deduplicated, in order: "B", "AB", or None."""
    tag = answer_tag(text)
    statement = find_statement(text if tag is None else tag, policy)
    return None if statement is None else distinct(statement.letters)


def find_statement(text: str, policy: GradingPolicy = STRICT) -> StatedLetters | None:
    """Return the statement that counts; None if there is none, or if it is taken back."""
    tail = _SURROGATES.sub("", text[-MAX_TAIL_CHARS:].translate(SAME_CHARACTER))
    tail = _END_MARK.sub("", tail).rstrip()
    statement = _strongest(tail)
    if statement is None:
        return None
    rest = tail[statement.end :]
    if (option := _OPTION_SAYS_NO.match(rest)) is not None:
        rest = rest[option.end() :]
    if policy.can_be_taken_back and withdrawal(rest) is not None:
        return None
    boxes = boxes_from_end(tail)
    is_cut_off = bool(boxes) and not boxes[0].content and boxes[0].start >= statement.end
    return None if is_cut_off and policy.last_box_must_be_whole else statement


def _strongest(tail: str) -> StatedLetters | None:
    """Return the last line if it is only letters; else the last marked or boxed letters; ..."""
    lines = [line for line in tail.splitlines() if line.strip()]
    if lines and (sole_line := _ALONE.match(lines[-1])):
        return StatedLetters(sole_line["letters"], "last line", len(tail))
    statements = [found for sentence in sentences(tail) for found in _statements(sentence)]
    if (box := _boxed(tail)) is not None:
        statements.append(box)
    marked = [found for found in statements if found.form in ("marker", "box")]
    if marked:
        return max(marked, key=lambda found: found.end)
    if statements:
        letters = distinct("".join(found.letters for found in statements))
        return StatedLetters(letters, "judgement", statements[-1].end)
    return _sole_label(lines, len(tail))


def _statements(sentence: Sentence) -> list[StatedLetters]:
    """Return what a sentence asserts: letters after markers, and letters that it judges."""
    found: list[StatedLetters] = []
    text, position = sentence.text, 0
    while (match := _STATED.search(text, position)) is not None:
        group = "letters" if match["letters"] else "judged"
        start, end = match.span(group)
        position = end
        is_box = text[max(0, start - 12) : start].find("boxed{") >= 0
        if is_box or _FORMULA.match(text, end) or stance(text, start, end) != "asserted":
            continue
        found.append(
            StatedLetters(
                match[group],
                "marker" if group == "letters" else "judgement",
                sentence.start + (end if group == "letters" else match.end()),
            )
        )
    return found


def _boxed(tail: str) -> StatedLetters | None:
    """Return the letters of the last box; None if it has a value or a formula."""
    boxes = boxes_from_end(tail)
    if not boxes or not boxes[0].content:
        return None
    content = boxes[0].content
    option = _ALONE.match(content) or _ALONE.match(content.upper()) or _BOXED_LABEL.match(content)
    option = option or _LETTERS_ONLY.match(content)
    if option is None or _FORMULA.match(content, option.end("letters")):
        return None
    return StatedLetters(option["letters"].upper(), "box", boxes[0].end)


def _sole_label(lines: Sequence[str], end: int) -> StatedLetters | None:
    """Return the letter of the only line that begins with a label, as in "B. photosynthesis"."""
    labels = [(line, label) for line in lines if (label := _LABELLED.match(line))]
    if len(labels) != 1:
        return None
    [(line, label)] = labels
    after = line[label.end("letters") :].lstrip(" \t*_$)}].:：、")
    denied = stance(f"{label['letters']} {after}", 0, 1) != "asserted"
    return None if denied or _WRONG.search(after) else StatedLetters(label["letters"], "label", end)


def shuffle_options(
    options: Sequence[T], gold_index: int, seed: int, problem_id: str = ""
) -> tuple[list[T], str]:
    """Shuffle the options; return them and the letter of the gold option.

    The order depends only on (seed, problem_id).
    `shuffle_options(["4", "5"], 1, seed=0, problem_id="mmlu/7")` → `(["5", "4"], "A")`, or the
    other way round. Raises ValueError unless there are 2 to 10 options and the index is in range.
    """
    if not 2 <= len(options) <= len(LETTERS) or not 0 <= gold_index < len(options):
        raise ValueError(f"no option {gold_index} among {len(options)}; there are 2 to 10")
    order = list(range(len(options)))
    random.Random(f"{seed}/{problem_id}").shuffle(order)
    return [options[index] for index in order], LETTERS[order.index(gold_index)]


def distinct(letters: str) -> str:
    """Return the distinct capital letters: `(A) or B` → "AB"; words such as "or" have none."""
    return "".join(dict.fromkeys(letter for letter in letters if letter in LETTERS))
