"""The stance of a clause towards what it mentions: asserted, denied, supposed, reported, asked or
doubted.

`stance` classifies a mention by the words of its clause; `withdrawal` classifies later sentences.
English and Chinese put these words before the mention, Korean after it. Source: none; the word
lists were collected from real answers (tests/verify/cases).
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal

from r1kit.verify.statements.sentences import clause_around, sentences
from r1kit.verify.statements.words import one_of, whole

MAX_CLAUSE = 80
"""number of characters of a clause before and after a mention that are looked at"""

Stance = Literal["asserted", "denied", "supposed", "reported", "asked", "doubted"]


def _pattern(*alternatives: str, start: str = "", end: str = "") -> re.Pattern[str]:
    return re.compile(f"{start}(?:{'|'.join(alternatives)}){end}", re.IGNORECASE)


_NOUN = "(?:option|choice|answer)"

# before a mention: "not the option @", "rules out @", 不选@
_DENIED_BEFORE = _pattern(
    whole(
        "not, never, nor, neither, none of, cannot be, can't be, isn't, wasn't, won't be",
        "rather than, instead of, other than, except(?: for)?, rul(?:es?|ed|ing) out",
        "eliminat(?:es?|ed|ing)",
        "(?:do|does|did|would|should|could|ca)n't, (?:everything|anything|all|any|nothing) but",
        "exclud(?:es?|ed|ing), reject(?:s|ed|ing)?, discard(?:s|ed|ing)?, dismiss(?:es|ed|ing)?",
    )
    + r"(?:\s(?:be|is|equal(?: to)?|match|correspond to|agree with|give"
    r"|the|both|either|choose|pick|select|go with))*" + r"(?:\s(?:option|choice|answer|letter)s?)?",
    one_of(
        "不, 并非, 而非, 绝非, 不是, 不会是, 不可能是, 不应该?是, 不能, 不应该?, 不该, 不要, 除",
        "别, 勿, 排除了?, 除了, 除去, 剔除, 并不是, 也不",
    )
    + "(?:选择?|是)?(?:选项|答案)?",
    end=r"[\s*_$({\[\"'“”\\)}\]]*$",
)

# anywhere before it: "I don't think the answer is @", 我不认为@
_DENIED_CLAUSE = _pattern(
    r"\b(?:don't|do not|doesn't|does not|didn't|never|not) (?:think|believe|agree|say|see)\b",
    whole("doubt, doubtful, (?:false|untrue|wrong|incorrect|not true|not the case) (?:that|to)"),
    one_of("wrong, second.best, worst, first, initial, previous, earlier")
    + " (?:answer|choice|guess)",
    one_of("错误答案, 不认为, 不觉得, 不同意, 怀疑, 谈不上"),
)

# after a mention: "@ is clearly wrong", "@ cannot", @项错误, @가 아니다
_DENIED_AFTER = _pattern(
    rf"\s*{_NOUN}?\s*"
    + one_of("is, are, was, were, would be, must be, seems, looks")
    + rf"\s(?:{one_of('also, both, all, clearly, therefore, thus, simply, just')}\s)?"
    + one_of(
        r"not\b, n't, incorrect, wrong, false, invalid, impossible, ruled out, eliminated",
        r"excluded, out\b, unlikely, too\b, mistaken, inconsistent",
    ),
    r"\s*"
    + one_of(
        r"can(?:not|'t| not)\b, isn't, aren't, wasn't, doesn't, does not, do not, don't, didn't",
        r"fails?\b, contradicts?\b, won't",
    ),
    r"\s*(?:选项|项)?\s*(?:中|里)?[^，,。]{0,4}?(?:就|也|都|均|则|显然)?(?:是)?(?:一个)?"
    + one_of(
        "错误, 错的, 错$, 不正确, 不对, 不成立, 不符, 不行, 不是, 不可能, 不选, 不合, 不能, 不满足",
        "未必, 不一定, 不见得, 不太, 不完全, 不应, 可排除, 排除, 被排除, 有误, 矛盾, 并非, 并不",
    ),
    r"\s*(?:번|항|선택지)?\s*(?:은|는|이|가|도|을|를)?\s*(?:모두\s|절대\s)?(?:(?:정답|답)(?:이|가|은|는)?\s*)?"
    + one_of(
        "아니, 아닌, 아닙, 틀리, 틀렸, 틀린, 옳지, 맞지, 될 수 없, 될 수는 없, 되지, 제외, 배제",
        "오답, 거짓, 불가능, 말고, 대신, 해당하지, 적절하지",
        "일 ?리(?:가|는)? ?없, 라고 (?:할|볼) 수 없, 라고 (?:생각|보)하?지 않",
    ),
)

# before a mention: "if @", 假如@; after it: "@ only if", @라면, @的话
_SUPPOSED_BEFORE = _pattern(
    whole(
        "if, suppose, supposing, assum(?:e|es|ing), imagine, unless, provided, in case, whether",
    ),
    one_of(
        "假设, 假如, 如果, 若(?!干), 倘若, 要是, 假定, 设想, 万一, 即使, 就算, 假使",
        "만약, 만일, 가령, 가정",
    ),
)
_SUPPOSED_AFTER = _pattern(
    r"\s*would\b(?! be (?:the )?(?:correct|right|best|answer))",
    r"\s*"
    + one_of("violates, ignores, misses, overlooks, (?:leads to|gives|yields) an? contradiction"),
    r"[^,.。，]{0,8}?"
    + one_of(
        "라면, 다면, 이면, 일 경우, 인 경우, 라 하면, 라고 하면, 라고 가정, 라 가정, 라고 하자",
        r"라 하자, 을 경우, 면\s*(?:모순|안), 的话, 时，?则",
    ),
    rf"\s*(?:is|was|were)?\s*(?:the\s)?(?:correct|right|true)?\s*{_NOUN}?\s*"
    + whole("only if, only for, only when, if and only if, if, unless, provided, assuming, under"),
)
# before a mention: "many students say @", 有人认为@; after it: @라고 주장한다
_REPORTED_BEFORE = _pattern(
    whole(
        "some, many, others, most, people, students?, someone, somebody, friends?, textbook",
        "authors?, he, she, they, (?:one|you) (?:might|may|could|would)",
    )
    + r"[^,.]{0,30}?"
    + whole(
        "says?, said, thinks?, thought, believes?, believed, claims?, claimed, argues?, argued",
        "answers?, answered, chooses?, chose, picks?, picked, guess(?:es|ed)?, go(?:es)? with",
    ),
    one_of("有人, 有的?同学, 有些人, 很多人, 许多人, 小明, 小红, 他, 她")
    + "(?:们)?[^，。]{0,4}?(?:认为|觉得|说|选|以为)",
)
_REPORTED_AFTER = _pattern(r"[^,.。，]{0,6}?라고 (?:말|주장|답|대답)(?:한|하는|했|해)")
_ANSWER = _pattern(r"\banswer\b", "答案", "정답")
_CONSEQUENCE = _pattern(r"\bthen\b", "则", "那么")

_DOUBTED = _pattern(
    whole("maybe, perhaps, possibly, might, may, could"),
    one_of("或许, 也许, (?<!最)可能, 大概, 说不定, 아마, 혹시, 어쩌면, 수도"),
)
_DOUBTED_AFTER = _pattern("수도 있", "것 같", "듯", "지도 모", start=r"[^,.。，]{0,10}?")
_LETTER = re.compile(r"[^\W\d_]")
_ASKED = re.compile(r"[?？][*_\"'”’)\s]*$|吗[。.]?$|(?:인가|일까|을까)[.?]?$")

# a later sentence that begins like one of these takes a statement back
_TAKES_BACK = _pattern(
    r"no\b(?=\s?[,.!:;…—-]|\s(?:wait|that|it|i|this)\b|$)",
    one_of(
        "nope, oops, whoops, wait, hold on, hang on, sorry, apologies, my mistake, correction",
        "scratch that, strike that, never mind, on second thou?ghts?, on reflection, actually",
        "corrected",
    )
    + r"\b",
    # "that is wrong", "the last answer seems wrong"
    one_of(
        "that, this, it, which, the above",
        "the (?:previous |last |first |earlier )?(?:answer|value|result|box)",
        "what i (?:said|wrote)",
    )
    + r"(?:['’]s|\s(?:is|was|seems|looks|must be|can't be|cannot be|isn't|wasn't))?\s?"
    + "(?:clearly |obviously |actually |of course |still )?(?:the |a )?"
    + one_of(
        r"not (?:right|correct|true|it|the (?:final )?answer)\b, wrong, incorrect, false",
        r"mistaken, a mistake, an error, right\?, correct\?",
    ),
    # "that cannot be right"
    "(?:that|this|it) (?:can't|cannot|can not|isn't|doesn't|does not) "
    + one_of("be (?:right|correct|true), right, correct, work"),
    # "I made a mistake"
    "(?:i|we)(?:'ve| have| had|'m| am| was)? "
    + one_of(
        r"made an?\s, slipped, miscounted, miscalculated, misread, mistaken, wrong, forgot",
        "take (?:it|that) back",
    ),
    "let me "
    + one_of(
        "correct, fix, redo, reconsider, recompute, recalculate, re-?do, start over, try again"
    ),
    "(?:it|the answer) should (?:have been|be|actually)",
    "should (?:be|have been)",
    one_of(
        "等等, 等一下, 稍等, 不对, 不[，,], 错了, 抱歉, 对不起, 更正, 纠正, 修正",
        "重新(?:计?算|考虑|思考), 再想, 我(?:刚才|之前)?(?:算|弄|写|看|搞|想)?错, 应该?是",
    ),
    "(?:这|那|此|上面|以上|上述|前面|刚才)(?:个|里|的)?(?:答案|结果|结论|解答)?(?:是|显然|好像|似乎|都)?"
    + one_of("错, 不对, 不正确, 有误, 有问题, 不成立"),
    one_of(
        r"잠깐, 잠시만, 아니[,.야다\s], 아뇨, 아닙니다, 틀렸, 틀린, 정정, 다시 (?:계산|생각|보)",
        "죄송, 실수, 수정, 잘못 (?:계산|생각|봤|풀), 계산(?:을|이) (?:잘못|틀)",
    ),
    r"(?:이건|이것은|이는|이 (?:답|값)은|위(?:의)? 답은|그건|그것은|앞의 답은)\s?"
    + one_of("틀, 잘못, 옳지, 맞지, 아니"),
    start=r"^[\s*_(\[\"'“—–-]*(?:(?:oh|ah|hm+|um|uh|but|and|so|ok(?:ay)?|well)\b[\s,.!…—-]*)?",
)
# ... and so does one that contains one of these
_ADMITS = _pattern(
    "(?:i|we) (?:was|were|am|are) wrong",
    "my (?:answer|result|first answer) (?:is|was) wrong",
    "(?:so|and|but) (?:that|this|it) (?:is|was) wrong",
    one_of("我错了, 我算错, 答案错了, 내가 틀렸, 제가 틀렸, 답이 틀렸"),
)
# ... but one that contains one of these restores it
_CONFIRMS = _pattern(
    r"(?<!not )(?<!in)"
    + whole(
        "yes, yep, indeed, correct, right, confirm(?:s|ed)?, checks out, stands, holds",
        "consistent, verified, fine, matches",
    )
    + r"(?!\?)",
    "(?<!不)" + one_of("没错, 正确, 对的, 是对, 无误, 一致, 成立"),
    one_of("맞(?:다|습|아|네|는), 확인(?:됨|되|했), 옳(?:다|습), 일치"),
)


def stance(sentence: str, start: int, end: int) -> Stance:
    """Return the stance of a sentence towards its part from `start` to `end`."""
    if _ASKED.search(sentence[max(end, len(sentence) - 12) :]):
        return "asked"
    begin, stop = max(0, start - MAX_CLAUSE), min(len(sentence), end + MAX_CLAUSE)
    before, after = clause_around(sentence[begin:stop], start - begin, end - begin)
    return _stance_between(before, after.lstrip(" \t*_$)}]\"'”"))


@lru_cache(maxsize=4096)  # completions end alike: "The answer is $"
def _stance_between(before: str, after: str) -> Stance:
    before = _CONSEQUENCE.split(before)[-1]
    if not _LETTER.search(before) and not _LETTER.search(after):
        return "asserted"  # every word of a stance has letters
    if any(denial.search(before) for denial in (_DENIED_BEFORE, _DENIED_CLAUSE)):
        return "denied"
    if _DENIED_AFTER.match(after):
        return "denied"
    if _SUPPOSED_BEFORE.search(before) or _SUPPOSED_AFTER.match(after):
        return "supposed"
    if _REPORTED_BEFORE.search(before) or _REPORTED_AFTER.match(after):
        return "reported"
    if _DOUBTED.search(before) or _DOUBTED_AFTER.match(after):
        return "doubted"
    return "asserted"


def is_disbelieved(clause: str) -> bool:
    """Return True if a clause denies what follows: "I don't think that"."""
    return _DENIED_CLAUSE.search(clause) is not None


def is_reported_answer(sentence: str) -> bool:
    """Return True if a sentence tells what somebody else answers: "he says the answer is"."""
    is_reported = _REPORTED_BEFORE.search(sentence) or _REPORTED_AFTER.search(sentence)
    return bool(is_reported and _ANSWER.search(sentence))


def is_asked(sentence: str) -> bool:
    """Return True for a question in one of the three languages."""
    return _ASKED.search(sentence[-12:]) is not None


def is_doubtful(text: str) -> bool:
    """Return True if a text has a word of doubt: maybe, 可能, 아마."""
    return _DOUBTED.search(text) is not None


def withdrawal(rest: str) -> str | None:
    """Return the sentence that takes back a statement followed by `rest`; None if it stands.

    A later sentence that confirms the statement restores it: "Wait, is it? Yes, that is right."
    """
    if not any(character.isalpha() for character in rest):
        return None
    taken_back: str | None = None
    for number, sentence in enumerate(sentences(rest)):
        parts = _pieces(sentence.text) if number == 0 else [sentence.text]
        if any(_TAKES_BACK.match(part) for part in parts) or _ADMITS.search(sentence.text):
            taken_back = sentence.text
        elif taken_back is not None and _CONFIRMS.search(sentence.text):
            taken_back = None
    return taken_back


def _pieces(text: str) -> list[str]:
    """Divide the rest of a statement's own sentence: `no` counts only after punctuation."""
    return [text.lstrip(" \t*_$)}]\"'”.,;:…—–-"), *re.split(r"\.{2,}|…|\s[—–-]+\s|[;；]", text)[1:]]
