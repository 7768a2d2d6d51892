"""Count the reflective words in a text, such as "wait" or "check".

Source: the R1 paper (second version, appendix C, behaviour of R1-Zero) counts wait, mistake,
however, but, retry, error, verify, wrong, evaluate, check. Departures: their Korean and Chinese
counterparts, chosen here one word at a time; words that have another meaning in ordinary
mathematics are left out (실수 is also a real number; 再 is also "then", as in "then add 3"; 不对 is
also plain "no").

English words match as whole words, without inflections, as in the paper; Korean ones match at the
start of a word, with any ending; Chinese ones match anywhere except after 不 (不错 is "not bad").
Case is ignored.
"""

from __future__ import annotations

import regex

ENGLISH = (
    *("wait", "mistake", "however", "but", "retry"),
    *("error", "verify", "wrong", "evaluate", "check"),
)
KOREAN = (
    *("잠깐", "잠시만", "기다려"),  # wait
    *("실수했", "오류", "틀렸", "틀린", "틀리"),  # mistake, error, wrong
    *("하지만", "그러나", "그런데"),  # but, however
    *("다시", "재시도"),  # retry
    *("확인", "검산", "검증", "검토", "점검", "평가"),  # check, verify, evaluate
)
CHINESE = (
    *("等等", "等一下", "稍等"),  # wait
    *("错", "失误"),  # mistake, error, wrong
    *("但是", "然而", "不过"),  # but, however
    *("再试", "重试", "重新", "再来", "再算"),  # retry
    *("检查", "验算", "验证", "核对", "评估"),  # check, verify, evaluate
)

_REFLECTION = regex.compile(
    rf"(?<!\p{{Latin}})(?:{'|'.join(ENGLISH)})(?!\p{{Latin}})"
    rf"|(?<!\p{{Hangul}})(?:{'|'.join(KOREAN)})"
    rf"|(?<!不)(?:{'|'.join(CHINESE)})",
    regex.IGNORECASE,
)


def count_reflections(text: str) -> int:
    """Return the number of reflective words in `text`, in all three languages together."""
    return len(reflection_spans(text))


def reflection_spans(text: str) -> list[tuple[int, int]]:
    """Return the first character and the end of each reflective word."""
    return [match.span() for match in _REFLECTION.finditer(text)]
