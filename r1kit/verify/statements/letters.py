"""How texts write and state the letter of an option, in English, Chinese and Korean.

`STATED` finds letters after a marker ("the answer is", 答案是, 정답은) and before a judgement
("is correct", 项正确, 가 정답). Source: the prompts of simple-evals and C-Eval, the outputs of
GAOKAO-Bench and KMMLU.
"""

from __future__ import annotations

import re

from r1kit.verify.statements.words import one_of, whole

LETTERS = "ABCDEFGHIJ"

_TEX_FONT = r"\\(?:boxed|text|textbf|mathrm|mathbf)\{"
_OPEN = (
    rf"(?:[\s*_#$:：({{\[\"'“「‘`]|{_TEX_FONT}|\\\(|\\\[|(?:the )?(?:option|choice|letter)\b"
    "|选项|选項|선택지|보기)*+"
)
CLOSE = r"[)}\]*_$\"'”’」`]*+"
_LETTER = rf"(?-i:[{LETTERS}])(?![A-Za-z0-9_’'+#]|-[A-Za-z0-9]|\((?=[-0-9a-z]))"
_AND = (
    r"(?:\\text\{\s*+)?+"
    + one_of(r",|，, /, &, \bor\b, \band\b, 或者?, 和, 与, 及, 와, 과, 및, 또는, 、")
    + r"(?:\s*+\})?+"
)
_MORE = rf"(?:{CLOSE}\s*+{_AND}{_OPEN}{_LETTER})"
_NOT_AN_ARTICLE = (
    rf"(?<![AI])(?= )|(?! (?!{one_of('because, since, as, with, for, which, and, or, by')}\b)[a-z])"
)
_LISTED = (
    rf"(?P<letters>(?:{_LETTER}(?:{_NOT_AN_ARTICLE})|(?-i:[{LETTERS}]{{2,10}})\b){_MORE}{{0,9}}+)"
)
_JUDGED = (
    rf"(?P<judged>(?:{_LETTER}(?:(?<!A)|(?! (?:option|choice)\b))|(?-i:[{LETTERS}]{{2,10}})\b)"
    rf"{_MORE}{{0,9}}+)"
)
# the same before a judgement: no article stands before "is correct"

_ENGLISH_MARKERS = (
    "####",
    # "the answer to the question is", "Option:"
    rf"\b{one_of('answer, ans, choice, option, pick, letter, selection')}s?\b"
    + r"(?:[\s,*_]{1,3}"
    + one_of(
        "to, for, of, in, among, from, here, therefore, then, thus, hence, selected, chosen, that"
    )
    + r"\b[^.:;?!\n]{0,60}?)?"
    + r"[*_\"\s,]{0,4}(?:"
    + whole(
        "is, was, would be, should be, must be, will be, has to be, seems to be, appears to be",
        "can only be, is probably, is likely, is clearly, is therefore, is thus",
    )
    + r"|[:：=]|\s[-–—]\s|(?<=\bans)\.|→|->)",
    # "the right one is", "that would be", "thus B is true"
    rf"\b{one_of('right, correct, best, true, only')} (?:[a-z]{{3,14}} )?"
    r"(?:one|statement|candidate|option)"
    r"(?: left| remaining| that (?:[a-z]+ ){1,4}?)?\s?is\b",
    r"\b(?:will|shall) (?:go with|pick|choose|select|answer)\b",
    r"\b(?:that|this|which) (?:is|would be|must be|leaves)\b"
    r"(?=[\W_]*(?:(?:option|choice) )?[A-J][\W_]*$)",
    r"\b(?:therefore|thus|hence|so)[,:]?\s+(?:(?:the )?(?:option|choice|statement))?"
    r"(?=[\W_]*[A-J][\W_]* is true\b)",
    # "I would pick", "choosing", "selected:"
    r"\b(?:i|we|you)(?:'d|'ll| would| will| should| must| can| have to)? "
    + one_of("pick, choose, select, go with, answer, say")
    + r"\b",
    r"\b(?:pick|choos|select|go)ing(?: with)?\b",
    whole("pick, choose, select, chose, selected"),
    r"\b(?:selected|chosen|final)\s*[:：]",
    # "5, which matches option C"
    r"\b(?:match(?:es)?|corresponds? to|corresponding to|agrees? with|equals?|gives|is)\s+(?:the )?"
    r"(?:option|choice|answer)\b(?=[\W_]*[A-J]\b)",
    # "the data point to B"
    r"\b(?:points? to|suggests?|indicates?|supports?|favou?rs?|confirms?)\b"
    r"(?=[\W_]*(?:(?:the )?(?:option|choice|answer) )?[A-J][\W_]*$)",
    # "Answer (B)", "which corresponds to (B)", "the answer's B", "Verdict: B", "the best match is"
    r"\banswer(?=\s*\([A-J]\))",
    r"\b(?:match(?:es)?|corresponds? to|corresponding to|is)\s+answer choice\b",
    r"\b(?:corresponds? to|corresponding to|matches|matching)(?=\s*\([A-J]\))",
    r"\banswer['’]s\b",
    r"^[\W_]*(?:the )?(?:(?:correct|right|best)(?: one)?|verdict|conclusion|solution|result"
    r"|decision)[*_]*\s*[:：](?=[\W_]*[A-J](?:[\W_]*$|[.)]))",
    r"\b(?:correct|right|best|closest|most [a-z]{4,12}) [a-z]{3,12} (?:is|would be|must be)\b"
    r"(?=[\W_]*[A-J](?![A-Za-z]))",
    # "which leaves only", "only B remains"
    r"\bleav(?:es|ing)(?: us)?(?: with)?(?: only| just)?\b",
    r"\bleft with(?: only)?\b",
    r"\bonly\b(?= [\W_]*[A-J]\b[\W_]*(?:remains|is left|fits|works))",
    # "it must be", "so option B", "not A but"
    r"\bit(?:'s| is| must be| has to be| should be)\b",
    r"\b(?:therefore|thus|hence|so)[,:]?\s+(?:the )?(?:option|choice)\b(?=[\W_]*[A-J][\W_]*$)",
    r"\bso\b[,:]?(?=[\W_]*[A-J][\W_]*(?:\s\([^()]*\)[\W_]*)?$)",
    r"\b(?:hence|therefore|thus|consequently)\b[,:]?(?=[\W_]*(?:[B-J]|A(?=[)*_.!]))[\W_]*$)",
    r"\bnot\b[^.?!\n]{1,30}?\bbut(?: rather)?\b",
)
_CHINESE_MARKERS = (
    r"(?:答案|正确(?:的)?选项|正確選項|应选项)[*_]{0,2}\s?"
    r"(?:应该?|應該?|应当|就|即|只能|可能|显然|当然|明显|肯定|必然|无疑)?\s?(?:是|为|為|选择?|選|[:：])",
    r"答案(?=[\s*_]*[(（]?[A-J](?![A-Za-z]))",
    r"(?:综上(?:所述)?|因此|所以|故)[，,：:]?\s*(?=[(（]?[A-J][)）]?[*_。.!！\s]*$)",
    "(?:应该?|应当|此处|故)填",
    "最[^，。,.]{1,6}的(?:一项|选项|说法)?(?:是|为)",
    r"【\s?(?:最终|正确|参考)?答案?\s?】\s?[:：]?",
    "(?<![不别未勿非可候所备待挑点当如题])"
    + one_of("应该?, 应当, 應, 应, 故, 所以, 因此, 只能, 可, 本题, 此题, 该题")
    + "?(?:选择|选出|选|選)(?![项項取])[:：]?",
    "(?:只剩下?|仅剩|剩下的?(?:是|只有)?|剩余的?(?:是)?)",
    "而(?:应该?)?[是选]",
    r"不是[^，,。\n]{1,20}[，,]\s?(?:应该?)?是",
    "(?:正确|符合题意|符合要求)的?(?:一项|选项|说法)?(?:是|为)",
    "应为",
    r"答案[)\]）]?\s+(?=[A-J]\b)",
)
_KOREAN_MARKERS = (
    r"(?<!오)(?:정답|답변|답안|해답|답)[*_]{0,2}\s?(?:은|는|이|[:：])(?:\s바로(?=\s))?",
    r"(?:따라서|그러므로|그래서|즉)\s*,?\s*"
    r"(?=[(*]{0,3}[A-J][)*]{0,3}\s?번?(?:입니다|이다|다)?[.\s]*$)",
    r"(?:정답|답안)[)\]]?\s+(?=[A-J]\b)",
    r"(?:옳은|맞는|올바른|적절한|알맞은|타당한|적합한)\s?(?:것|선택지|보기|설명|답|진술)(?:은|는)",
    r"(?:사실은|실제로는|결국)(?=\s[A-J](?![A-Za-z]))",
    r"남은\s?(?:것은|선택지는|보기는)",
    "(?:아니라|아니고|아닌|말고)",
)
_JUDGEMENTS = (
    # "option B is the best answer", "B remains"
    r"(?:\s*(?:option|choice))?\s*(?:is|must be|should be)\s+"
    r"(?:clearly |therefore |thus |indeed )?(?:(?:the|our|my)\s+|a\s+(?=better))?"
    r"(?:only |best |most )?"
    + one_of(
        r"correct, right, appropriate, true(?= answer), answer\b, choice\b, possibility, candidate",
        "best(?= answer| option| choice)",
        "(?:option|one|choice)(?= left| remaining| that (?:fits|works))",
        "better (?=answer|option|choice)",
        "(?<=most )(?:accurate|likely|suitable|plausible|reasonable|logical|fitting|effective)",
    )
    + r"\b(?! but)",
    # "B best describes"
    r"\s*(?:best|most (?:accurately|closely|likely|directly))\s+"
    + one_of(
        "describes, answers, explains, fits, matches, represents, captures, completes, expresses",
        "reflects, supports, illustrates, summarizes, characterizes, states, accounts",
    )
    + r"\b",
    r"\s*is what we (?:want|need|are looking for)\b",
    r"\s*(?:remains|fits|works|it is(?=[.!]|$))\b",
    # B가 정답이다, B번이 맞다
    r"\s*(?:번|항)?\s*(?:가|이|는|은)?\s*(?:정답|답(?=이|입니|임)|맞|옳(?!지)|올바)"
    r"(?!이? ?아|이? ?될 수)",
    # B를 선택한다, B가 가장 적절하다
    r"\s*(?:번|항)?\s*(?:을|를)\s*(?:선택(?:합|한다|하겠|했|해야|함)|고르겠|고른다|"
    r"골라야|고릅니다|(?:고르|선택하)면 [된됩])",
    r"\s*(?:번|항)?\s*(?:을|를)\s*(?:정답|답)(?:으로|로)(?= (?:고|선택|정|택|하))",
    r"\s*(?:번|항)?\s*(?:가|이)\s*(?:가장|제일)\s*"
    r"(?:적절|적합|알맞|타당|정확|가까|올바|합당)(?!하지|지|하다고)",
    # B项正确, 选项B符合题意, B就是答案
    r"\s*(?:选项|项|選項)?[^，,。；;\n]{0,12}?(?:才是|都是|均|就是|便是|是|最|为)?\s*"
    + one_of("正确, 正確, 对的, 符合(?:题意|要求)?(?=$|[。.，,；;]), 最合适, 最恰当")
    + "(?!性|率)",
    r"\s*(?:选项|项)?\s*(?:就是|才是|便是|即为|是|为)\s*(?:本题|此题)?(?:的)?答案",
)
STATED = re.compile(
    rf"(?:{'|'.join(_ENGLISH_MARKERS + _CHINESE_MARKERS + _KOREAN_MARKERS)}){_OPEN}{_LISTED}"
    rf"|(?<![A-Za-z0-9\\]){_JUDGED}{CLOSE}"
    rf"(?P<judgement>{'|'.join(_JUDGEMENTS)})",
    re.IGNORECASE,
)
"""letters after a marker, or `judged` letters before a judgement"""

ALONE = re.compile(
    rf"{_OPEN}(?:(?:final )?answer\s*[:：]\s*)?{_OPEN}(?P<letters>{_LETTER}{_MORE}{{0,9}}+)"
    rf"{CLOSE}[.:：。]?\s*(?:번|项|选项)?\s*$",
    re.IGNORECASE,
)
"""a line or a box that has letters only"""
LETTERS_ONLY = re.compile(rf"{_OPEN}(?P<letters>[{LETTERS}]{{2,10}}){CLOSE}$")
LABELLED = re.compile(
    rf"[\s*(\[]*(?:(?:Option|Choice)\s+)?(?P<letters>{_LETTER})[)*\]]*\s*[.):：．、]\s*[*_]*\S"
)
"""a line that begins with the label of an option: `B. photosynthesis`"""
BOXED_LABEL = re.compile(
    rf"(?:\\(?:text|textbf|mathrm|mathbf|bf)\{{|[\s*(\[{{])*(?P<letters>{_LETTER})"
    r"(?:[)\]]|\\?[)\]]?\}|\s*[.:：．、])[)}\]]*(?:\\[ ,;:]|[\s.:：])*\S"
)
"""the same in a box: `\\textbf{(B)}\\ 12`"""
FORMULA = re.compile(
    r"[)}\]*_$\"'”]*\s*(?:\\[,;: ]\s*)?(?:=|\\"
    + one_of(
        "approx, cap, cup, times, cdot, to, in, subset, supset, le, ge, lt, gt, ne, pm, div, circ",
        "rightarrow, Rightarrow, sim, equiv, parallel, perp, propto, ll, gg",
    )
    + r"|[≈∩∪>^×·÷→∈⊂⊆≤≥≠±∥⊥]|<(?!/?[a-z])|\+\s*[0-9A-Za-z]|:\s*[A-Z]\s*=)"
)
"""what follows a letter that is a name in a formula: `C = 2\\pi r`"""
WRONG = re.compile(
    rf"{whole('incorrect, wrong, false, not (?:correct|right)')}|错误|不正确|不对|옳지|틀[리렸린]"
)
OPTION_SAYS_NO = re.compile(
    r"[)\]}*_$]*[.):：．、]\s*[*_]*No,\s(?!"
    + one_of("wait, that, it, i, this, actually, sorry, hold, let, not, the", rf"(?-i:[{LETTERS}])")
    + r"\b)[^\n]*",
    re.IGNORECASE,
)
"""the text of an option that begins with "No": `C. No, all States are equal`"""


def distinct(letters: str) -> str:
    """Return the distinct capital letters: `(A) or B` → "AB"; words such as "or" have none."""
    return "".join(dict.fromkeys(letter for letter in letters if letter in LETTERS))
