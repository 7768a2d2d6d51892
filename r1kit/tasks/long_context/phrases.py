"""Sentences of long contexts in three languages: the facts, the questions, the text around them.

Every sentence is a function of names and numbers. Korean particles after a name are those that do
not depend on its last sound. The text around the facts has numbers too, but neither the people nor
the things of the facts.
"""

from __future__ import annotations

import random

from r1kit.tasks.general.phrases import INDEX_OF, Translations

FRAME = {
    "en": "Read the text, then answer the question below it.\n\n{text}\n\n{question}",
    "ko": "다음 글을 읽고 그 아래의 질문에 답하십시오.\n\n{text}\n\n{question}",
    "zh": "请阅读下面的文字，然后回答文字下方的问题。\n\n{text}\n\n{question}",
}
CODE: Translations = (
    "The code of {0}'s locker is {n}.",
    "{0}의 사물함 비밀번호는 {n}이다.",
    "{0}的储物柜密码是{n}。",
)
ASK_CODE: Translations = (
    "What is the code of {0}'s locker?",
    "{0}의 사물함 비밀번호는 무엇입니까?",
    "{0}的储物柜密码是多少？",
)
COINS: dict[str, Translations] = {
    "start": ("{0} has {n} coins.", "{0}의 동전은 {n}개이다.", "{0}有{n}枚硬币。"),
    "more": (
        "{0} has {n} more coins than {1}.",
        "{0}의 동전은 {1}의 동전보다 {n}개 더 많다.",
        "{0}的硬币比{1}多{n}枚。",
    ),
    "fewer": (
        "{0} has {n} fewer coins than {1}.",
        "{0}의 동전은 {1}의 동전보다 {n}개 더 적다.",
        "{0}的硬币比{1}少{n}枚。",
    ),
    "times": (
        "{0} has {n} times as many coins as {1}.",
        "{0}의 동전은 {1}의 동전의 {n}배이다.",
        "{0}的硬币是{1}的{n}倍。",
    ),
}
ASK_COINS: Translations = (
    "How many coins does {0} have?",
    "{0}의 동전은 몇 개입니까?",
    "{0}有多少枚硬币？",
)

_CITIES: tuple[Translations, ...] = (
    ("Lisbon", "리스본", "里斯本"), ("Vienna", "빈", "维也纳"), ("Prague", "프라하", "布拉格"),
    ("Busan", "부산", "釜山"), ("Kyoto", "교토", "京都"), ("Oslo", "오슬로", "奥斯陆"),
    ("Cairo", "카이로", "开罗"), ("Lima", "리마", "利马"), ("Delhi", "델리", "德里"),
    ("Boston", "보스턴", "波士顿"), ("Milan", "밀라노", "米兰"), ("Athens", "아테네", "雅典"),
    ("Dublin", "더블린", "都柏林"), ("Hanoi", "하노이", "河内"), ("Bergen", "베르겐", "卑尔根"),
    ("Granada", "그라나다", "格拉纳达"),
)  # fmt: skip
_PLACES: tuple[Translations, ...] = (
    ("museum", "박물관", "博物馆"), ("harbour", "항구", "港口"), ("market", "시장", "市场"),
    ("library", "도서관", "图书馆"), ("station", "기차역", "火车站"), ("garden", "정원", "花园"),
    ("bridge", "다리", "大桥"), ("theatre", "극장", "剧院"), ("school", "학교", "学校"),
    ("square", "광장", "广场"),
)  # fmt: skip
_GOODS: tuple[Translations, ...] = (
    ("lemons", "레몬", "柠檬"), ("candles", "양초", "蜡烛"), ("paper", "종이", "纸张"),
    ("tea", "차", "茶叶"), ("salt", "소금", "食盐"), ("glass", "유리", "玻璃"),
    ("wool", "양털", "羊毛"), ("olives", "올리브", "橄榄"),
)  # fmt: skip
_MONTHS: tuple[Translations, ...] = (
    ("January", "1월", "一月"), ("March", "3월", "三月"), ("April", "4월", "四月"),
    ("June", "6월", "六月"), ("August", "8월", "八月"), ("September", "9월", "九月"),
    ("November", "11월", "十一月"),
)  # fmt: skip
_COLOURS: tuple[Translations, ...] = (
    ("red", "빨간", "红色"), ("green", "초록", "绿色"), ("blue", "파란", "蓝色"),
    ("grey", "회색", "灰色"), ("white", "하얀", "白色"),
)  # fmt: skip
_SENTENCES: tuple[Translations, ...] = (
    (
        "In {year}, the {place} of {city} had {n} visitors.",
        "{year}년에 {city}의 {place}에는 방문객 {n}명이 다녀갔다.",
        "{year}年，{city}的{place}接待了{n}名游客。",
    ),
    (
        "After {n} days of rain, the {place} of {city} was repaired in {year}.",
        "{n}일 동안 비가 온 뒤 {year}년에 {city}의 {place}에서 수리가 이루어졌다.",
        "下了{n}天雨之后，{city}的{place}于{year}年得到修缮。",
    ),
    (
        "The train from {city} to {other} takes {n} minutes and stops near the {place}.",
        "{city}에서 {other}까지 가는 기차는 {n}분이 걸리고 {place} 근처에서 멈춘다.",
        "从{city}到{other}的火车需要{n}分钟，在{place}附近停靠。",
    ),
    (
        "People in {city} say that the {place} is most beautiful in {month}.",
        "{city} 사람들은 {place}의 풍경이 {month}에 가장 아름답다고 말한다.",
        "{city}的人们说，{month}的{place}最美。",
    ),
    (
        "An old map shows {n} streets between the {place} of {city} and the river.",
        "옛 지도에는 {city}의 {place}에서 강까지 길 {n}개가 그려져 있다.",
        "旧地图上，{city}的{place}和河流之间有{n}条街道。",
    ),
    (
        "In {month}, traders from {other} brought {n} crates of {goods} to {city}.",
        "{month}에 {other}의 상인들이 {city}에 {goods} {n}상자를 가져왔다.",
        "{month}，{other}的商人把{n}箱{goods}运到了{city}。",
    ),
    (
        "Near the {place} of {city} stands a house with {n} windows and a {colour} roof.",
        "{city}의 {place} 근처에는 창문 {n}개와 {colour} 지붕이 있는 집이 서 있다.",
        "{city}的{place}附近有一座房子，有{n}扇窗户和{colour}的屋顶。",
    ),
    (
        "Since {year}, people have sold {goods} from {other} at the {place} of {city}.",
        "{year}년부터 {other}에서 온 {goods} 상품이 {city}의 {place}에서 팔리고 있다.",
        "自{year}年以来，{city}的{place}一直出售来自{other}的{goods}。",
    ),
)


def sentence(rng: random.Random, language: str) -> str:
    """Return a random sentence of the text around the facts."""
    index = INDEX_OF[language]
    city, other = (pair[index] for pair in rng.sample(_CITIES, 2))
    return rng.choice(_SENTENCES)[index].format(
        city=city,
        other=other,
        place=rng.choice(_PLACES)[index],
        goods=rng.choice(_GOODS)[index],
        month=rng.choice(_MONTHS)[index],
        colour=rng.choice(_COLOURS)[index],
        year=rng.randint(1700, 2020),
        n=rng.randint(2, 990),
    )
