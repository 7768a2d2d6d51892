"""Units: a vocabulary with dimensions and multipliers, in English, Korean and Chinese.

A word after a number is one of five: a measure (`cm`, 厘米, 센티미터), a word that multiplies
(`million`, `dozens`, 万), a counter (개, 个), a counted noun (a plural, `apples`), or a word that
changes the number in another way (`thirds`, `factorial`, `remainder`), after which there is no
number with a unit. Anything else is an unknown unit, which equals only itself. Units of one
dimension are converted within one answer only (`4 hours 30 minutes`): a metre is not a hundred
centimetres if the question asks for metres.
"""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache

MAX_PARTS = 10
COUNTER = "piece"
"""the unit of counters, which every counted noun agrees with"""

_MEASURES: dict[str, tuple[tuple[str, str, str], ...]] = {
    "length": (
        ("millimeter", "1/1000", "mm millimetre 毫米 밀리미터"),
        ("centimeter", "1/100", "cm centimetre 厘米 公分 센티미터 센티"),
        ("decimeter", "1/10", "dm decimetre 分米"),
        ("meter", "1", "m metre 米 公尺 미터"),
        ("kilometer", "1000", "km kms kilometre 千米 公里 킬로미터"),
        ("inch", "127/5000", "in inches 英寸 인치"),
        ("foot", "381/1250", "ft feet 英尺 피트"),
        ("yard", "1143/1250", "yd yds 码 야드"),
        ("mile", "201168/125", "mi 英里 마일"),
    ),
    "mass": (
        ("milligram", "1/1000", "mg 毫克 밀리그램"),
        ("gram", "1", "g gm gms 克 그램"),
        ("jin", "500", "斤"),
        ("kilogram", "1000", "kg kgs kilo 千克 公斤 킬로그램 킬로"),
        ("ton", "1000000", "tonne t 吨 톤"),
        ("ounce", "45359237/1600000", "oz 盎司 온스"),
        ("pound", "45359237/100000", "lb lbs 磅 파운드"),
    ),
    "volume": (
        ("milliliter", "1/1000", "ml millilitre mL 毫升 밀리리터"),
        ("liter", "1", "l litre L 升 리터"),
        ("quart", "0", "qt qts"),
        ("pint", "0", "pt pts"),
        ("gallon", "0", "gal gals"),
    ),
    "time": (
        ("second", "1", "s sec secs 秒 秒钟 초"),
        ("minute", "60", "min mins 分钟 分鐘 분"),
        ("hour", "3600", "h hr hrs 小时 小時 个小时 시간"),
        ("day", "86400", "天 일"),
        ("week", "604800", "wk wks 周 星期 주 주일"),
        ("month", "0", "个月 개월 달"),
        ("year", "0", "yr yrs 年 년"),
    ),
    "angle": (("degree", "1", "deg ° 度 도"), ("radian", "0", "rad rads 弧度 라디안")),
    "dollar": (("cent", "1/100", "¢ ct"), ("dollar", "1", "$ usd buck 美元 달러")),
    "yuan": (("fen", "1/100", ""), ("jiao", "1/10", "角 毛"), ("yuan", "1", "rmb 元 块钱 圆 ¥")),
    "won": (("won", "1", "원 ₩"),),
    "other": (
        ("euro", "1", "€ eur"),
        ("british pound", "1", "£ gbp"),
        ("yen", "1", "円 엔 日元"),
        ("rupee", "1", "₹ rs"),
        ("%", "1", "percent pct percentage 퍼센트 프로"),
        ("mph", "1", ""),
        ("kph", "1", "kmh"),
        ("newton", "1", "n N"),
        ("joule", "1", "j J"),
        ("watt", "1", "w W"),
        ("kilojoule", "1", "kj kJ"),
        ("calorie", "1", "cal"),
        ("kilocalorie", "1", "kcal"),
        ("pascal", "1", "pa Pa"),
        ("kilopascal", "1", "kpa kPa"),
        ("megapascal", "1", "mpa MPa"),
        ("atmosphere", "1", "atm"),
        ("electronvolt", "1", "ev eV"),
        ("kiloelectronvolt", "1", "kev keV"),
        ("megaelectronvolt", "1", "mev MeV"),
        ("ampere", "1", "amp amps"),
        ("ohm", "1", "Ω"),
        ("nanometer", "1", "nm"),
        ("angstrom", "1", "Å"),
        ("fortnight", "1", ""),
        ("kilonewton", "1", "kn kN"),
        ("kilohertz", "1", "khz kHz"),
        ("megahertz", "1", "mhz MHz"),
        ("gigahertz", "1", "ghz GHz"),
        ("kilowatt hour", "1", "kwh kWh"),
        ("volt", "1", "v V"),
        ("kilowatt", "1", "kw kW"),
        ("hertz", "1", "hz Hz"),
        ("mole", "1", "mol"),
        ("celsius", "1", "摄氏度"),
        ("fahrenheit", "1", "华氏度"),
        ("acre", "1", ""),
        ("hectare", "1", "ha 公顷"),
        ("mu", "1", "亩"),
        ("unit", "1", "单位"),
        ("square meter", "1", "平方米 ㎡ 제곱미터 평방미터"),
        ("square centimeter", "1", "平方厘米 ㎠ 제곱센티미터"),
        ("square decimeter", "1", "平方分米"),
        ("square kilometer", "1", "平方千米 平方公里 제곱킬로미터"),
        ("cubic meter", "1", "立方米 세제곱미터"),
        ("cubic centimeter", "1", "立方厘米 세제곱센티미터 cc"),
        ("cubic decimeter", "1", "立方分米"),
    ),
    "": (
        ("person", "1", "people persons 人 个人 名 位 명 사람 인"),
        ("child", "1", "children"),
        ("man", "1", "men"),
        ("woman", "1", "women"),
        ("mouse", "1", "mice"),
        ("foot of", "1", ""),
        ("fish", "1", ""),
        ("sheep", "1", ""),
        ("deer", "1", ""),
        ("die", "1", "dice"),
        ("tooth", "1", "teeth"),
        ("goose", "1", "geese"),
        ("time", "1", "倍 次 번 회 배 遍"),
        ("year old", "1", "岁 歲 살 세"),
        ("point", "1", "점"),
        ("page", "1", "页 頁 쪽 페이지"),
    ),
}
_COUNTERS = (
    "个 個 只 隻 条 本 支 枝 张 張 棵 种 種 件 辆 輛 台 箱 盒 袋 瓶 头 匹 朵 束 座 层 排 行 组"
    " 班 户 道 题 块 根 颗 粒 艘 架"
    " 间 所 家 片 双 对 套 份 盆 筐 桶 杯 碗 幅 面 副 把 顶 扇 枚 节 段 堆 串 篮 群 车 筆 笔 项"
    " 款 场 步 级 平方"
    " 分"
    " 개 마리 권 장 자루 송이 그루 대 병 잔 가지 채 켤레 다발 상자 봉지 조각 쌍 척 벌 줄 칸 층"
    " 반 팀 문제 종류 곳 단 포기 모 판 통 묶음"
)
_MULTIPLIERS = {
    "hundred": 100,
    "thousand": 1000,
    "million": 10**6,
    "billion": 10**9,
    "trillion": 10**12,
    "dozen": 12,
    "score": 20,
    "gross": 144,
    "lakh": 10**5,
    "crore": 10**7,
    "myriad": 10**4,
    "bn": 10**9,
    "mln": 10**6,
    "mn": 10**6,
}
_ORDINALS = (
    "third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth twentieth hundredth"
    " thousandth millionth quarter half halve halves"
)
_CHANGING = frozenset(
    word
    for text in (
        "or and not to times plus minus over by of square cube squared cubed squares cubes half",
        "is are was equals equal if then but no none either neither nor both except about"
        " approximately",
        "than more less fewer at least most root roots factorial factorials modulo mod base"
        " remainder",
        "remainders rem r power powers doubled tripled doubles double triple triples halved"
        " multiplied",
        "divided digit digits multiple multiples factor factors pair pairs couple couples",
        "sin cos tan log ln exp inverse reciprocal negative positive th st nd rd k b bn between"
        " from up",
        "down around nearly almost roughly only maybe perhaps wrong cannot unless ratio tens"
        " ten ones",
        "logs exponent exponents choose tuple tuples one two three four five six seven eight"
        " nine eleven",
        "twelve twenty thirty forty fifty sixty seventy eighty ninety lots loads plusminus",
    )
    for word in text.split()
) | frozenset(word + end for word in _ORDINALS.split() for end in ("", "s"))
"""words that change the number before them, or leave open what it counts"""
_NAMES = {
    spelling: name
    for table in _MEASURES.values()
    for name, _, text in table
    for spelling in (name, *text.split())
}
_SCALES = {
    name: (dimension, Fraction(factor))
    for dimension, table in _MEASURES.items()
    for name, factor, _ in table
    if Fraction(factor) and dimension not in ("", "other")
}
_NO_PLURALS = ("ss", "us", "is", "'s")
_CJK = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af㎡㎠]+")
_CJK_UNITS = {
    **{word: name for word, name in _NAMES.items() if _CJK.fullmatch(word)},
    **dict.fromkeys(_COUNTERS.split(), COUNTER),
}
_LONGEST_CJK = max(map(len, _CJK_UNITS))
_CJK_CHANGING = re.compile(
    "[万萬亿億千百십백천만억조分余不非或和与多]|以上|以下|左右|分之|이상|이하|미만|초과|아니|정도|또는|平方$|立方$|次方|阶乘|제곱$"
)
_TEMPERATURE = re.compile(r"(?:degrees?|°) ?(c|f)(?:elsius|ahrenheit)?\b")
_MANY_TIMES = re.compile(
    r"times(?: (?:as (?:many|much|large|big|long|old|fast|heavy|tall|likely)|larger|bigger))?"
)
_PER = re.compile(r" (?:per|each|every|an?) (?=[a-z])")
_RATE = re.compile(r"/|(?:per|each|every|an?)(?: [a-z]|$)", re.IGNORECASE)
_COMPLEMENT = re.compile(
    r" (?:each|old|long|tall|wide|high|deep|away|left|remaining|total|altogether|in (?:total|all))"
    r"$| of (?:the |these |this )?[a-z]{2,}(?: [a-z]{2,})?$"
)
"""words after a unit that neither change it nor its number: `years old`, `cups of feed`"""
_PART = re.compile(r"[a-z°$¢%€£¥]+|\^|[23{}/.-]")


def is_known(word: str) -> bool:
    """Return True if a plain word is a unit and not a product of letters: `cm`, not `ab`."""
    return len(word) > 1 and word.lower().rstrip(".") in _NAMES


def is_measure(text: str) -> bool:
    """Return True for a measure with optional powers and "per": ` cm`, `m/s`, `square feet`."""
    name = canonical(text.strip())
    parts = re.split(r"[ /^]", name) if name else []
    return bool(parts) and all(part in _NAMES or part in ("2", "3") for part in parts)


def changes_value(text: str) -> bool:
    """Return True if words after a number change it or make it ambiguous: "million", "or so"."""
    words = re.findall(r"[a-z']+", text.lower())
    return any(word in _CHANGING or multiplier(word) for word in words)


def multiplier(word: str) -> int | None:
    """Return what a word multiplies the number before it by: `million`, `dozens`; else None."""
    lower = word.lower()
    return _MULTIPLIERS.get(lower) or _MULTIPLIERS.get(lower.removesuffix("s"))


def scale(unit: str) -> tuple[str, Fraction] | None:
    """Return dimension and size of a unit, in its dimension's own measure; None if unknown."""
    return _SCALES.get(unit)


def is_rate(text: str) -> bool:
    """Return True for a text that begins with "per": `per day`, `an hour`, `/kg`, `each`."""
    return _RATE.match(text.strip()) is not None


def is_cjk_unit(text: str) -> bool:
    """Return True for a Chinese or Korean measure or counter alone: 米, 개."""
    return text in _CJK_UNITS


def is_noun(unit: str) -> bool:
    """Return True for a unit that counts things, such as `apple` or `red marble`."""
    return unit == COUNTER or (unit not in _SCALES and unit != "%" and not unit.startswith("?"))


def leading_unit(text: str) -> str | None:
    """Return the measure or counter with which a text begins: ` cm of wire` → `cm`."""
    if (cjk := _CJK.match(text.lstrip(" "))) is not None:
        return _cjk_prefix(cjk[0])
    words = re.match(
        r"\s?\$?\s?((?:(?:square|cubic|sq\.?) )?[A-Za-z°]+(?:\^[23]|/[a-z]+| per [a-z]+)?)", text
    )
    if words is None or (words[1] == "in" and text[words.end() :].lstrip()[:1].isalpha()):
        return None
    for unit in (words[1], re.split(r" per |/", words[1])[0]):
        if is_measure(unit):
            return unit
    return None


@lru_cache(maxsize=4096)
def canonical(text: str) -> str | None:
    """Return the canonical name of a unit; None if the text is not a unit.

    `" square inches"` → `"inch^2"`, `"miles per hour"` → `"mile/hour"`, `"apples"` → `"apple"`,
    `"个苹果"` → `"piece"`. An unknown word is a unit that begins with "?".
    """
    text = " ".join(text.split())
    if text.startswith("(") and text.endswith(")"):
        text = text[1:-1].strip()
    if _CJK.search(text):
        return _cjk_unit(text)
    if len(text) == 1:
        return _NAMES.get(text, f"?{text}")
    lower = _TEMPERATURE.sub(_temperature, text.lower())
    if _MANY_TIMES.fullmatch(lower):
        return "time"
    for words, exponent in (("square|sq\\.?", 2), ("cubic|cu\\.?", 3)):
        lower = re.sub(rf"\b(?:{words}) ([a-z]+)", rf"\1^{exponent}", lower)
    lower = _PER.sub("/", lower.replace(" squared", "^2").replace(" cubed", "^3"))
    if (complement := _COMPLEMENT.search(lower)) and not changes_value(complement[0][4:]):
        unit = canonical(lower[: complement.start()])
        return None if unit is None or unit.startswith("?") else unit
    parts = _PART.findall(lower)
    if "".join(parts) != lower.replace(" ", "") or not 0 < len(parts) <= MAX_PARTS:
        return None
    words_only = [part for part in parts if part not in "{}."]
    if changes_value(lower) or not words_only:
        return None
    name = " ".join(_name(part) for part in words_only).replace(" ^ ", "^").replace(" / ", "/")
    return name if _is_unit(words_only) else f"?{name}"


def _temperature(match: re.Match[str]) -> str:
    return {"c": "celsius", "f": "fahrenheit"}[match[1]]


def _is_unit(parts: list[str]) -> bool:
    """Return True if every term (between slashes) is a measure, or ends in a plural."""
    terms = " ".join(parts).split("/")
    for number, term in enumerate(terms):
        words = [word for word in term.split() if word not in ("^", "2", "3", "-")]
        if not words or not (all(w in _NAMES for w in words) or number or _is_plural(words[-1])):
            return False
    return True


def _is_plural(word: str) -> bool:
    return word in _NAMES or (
        len(word) > 2 and word.endswith("s") and not word.endswith(_NO_PLURALS)
    )


def _name(part: str) -> str:
    if part in _NAMES:
        return _NAMES[part]
    singular = part[:-1] if part.endswith("s") and not part.endswith("ss") else part
    return _NAMES.get(singular, singular)


def _cjk_unit(text: str) -> str | None:
    """Return the unit of a Chinese or Korean text: a measure, or a counter with its noun."""
    compact = text.replace(" ", "").rstrip(".。")
    if compact in _CJK_UNITS:
        return _CJK_UNITS[compact]
    prefix = _cjk_prefix(compact)
    noun = compact[len(prefix) :] if prefix else compact
    if _CJK_CHANGING.search(noun) or len(noun) > 8 or not _CJK.fullmatch(noun):
        return None
    return _CJK_UNITS[prefix] if prefix else f"?{compact}"


def _cjk_prefix(text: str) -> str | None:
    lengths = range(min(len(text), _LONGEST_CJK), 0, -1)
    return next((text[:n] for n in lengths if text[:n] in _CJK_UNITS), None)
