"""Find the program in an answer: which of its code blocks the tests can run.

A block is fenced (indented, quoted, in a list, with any line ends), or a run of lines of code in a
text without fences. An answer often has more blocks than its program: a draft, an example of use,
the output, assertions. So blocks are read, with `ast`, and never executed:

    tests call a function     the last block that defines it
    tests use stdin, stdout   the last block that reads, writes and does not need an earlier one
                              that does; then the last that writes
    otherwise                 the last block of Python

A block that needs names of earlier blocks is a program together with them. The choice never looks
at test results.
"""

from __future__ import annotations

import ast
import builtins
import re
import textwrap
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from r1kit.verify.code.tests import CallTest, CheckTest, StdioTest, Test

MAX_PROGRAM_CHARS = 200_000
MAX_PARSED_CHARS = 50_000
"""length up to which a block is parsed, which takes at most a quarter of a second"""
MAX_BLOCKS = 50
"""number of code blocks that are considered, counted from the end"""
_OPENING = re.compile(
    r"^(?P<lead>[ \t]*(?:>[ \t]?)*(?:(?:[-*+]|[0-9]{1,9}[.)])[ \t]+)?)"
    r"(?P<fence>`{3,}|~{3,})[ \t]*(?P<label>[^\s`{]*)[^\n`]*$"
    r"|^[^\n`]+(?P<inline>`{3,})[ \t]*(?:python3?|py)[ \t]*$",
    re.MULTILINE | re.IGNORECASE,
)
_PYTHON = re.compile(r"(?:python|pypy|py)?[0-9.]*|.*\.py")
_WRAPPERS = {"markdown", "md"}
"""labels of blocks that only hold another block"""
_LABEL_LINE = re.compile(r"[ \t]*(?:python[0-9.]*|py)[ \t]*\n", re.IGNORECASE)
"""a label on a line of its own, where small models put it"""
_UNKNOWN = {"code", "text", "txt", "plaintext", "plain", "solution"}
"""labels of blocks that are programs only if there are no others"""
_STRING = re.compile(
    r"#[^\n]*|(?P<prefix>\b[rbfu]{1,2})?(?P<body>"
    r'"""[^"\\]*(?:(?:\\.|"(?!""))[^"\\]*)*(?:"""|\Z)'
    r"|'''[^'\\]*(?:(?:\\.|'(?!''))[^'\\]*)*(?:'''|\Z)"
    r'|"(?:\\.|[^"\\\n])*"?'
    r"|'(?:\\.|[^'\\\n])*'?)",
    re.DOTALL | re.IGNORECASE,
)
_CODE_LINE = re.compile(
    r"\s|$|[@#\])}\"']|(?:async )?def |class |import |from \S+ import |return\b|pass$"
    r"|(?:for|while|if|elif|else|with|try|except|finally|match)\b.*:|[a-zA-Z_][\w.]*\(.*\)"
    r"|[a-zA-Z_*(\[][\w.,\[\]() *'\"]*[-+*/%&|^@]?=[^=]"
)
_TEST_LINE = re.compile(r"^(?:def|class|import|from|print\()", re.MULTILINE)
_WRITING = {"print", "write", "writelines"}
_READING = {"input", "stdin", "open", "fileinput", "read", "readline", "readlines"}
_BUILTINS = set(dir(builtins))
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


@dataclass(frozen=True, slots=True)
class _CodeBlock:
    """A block of code in an answer, and the names in it."""

    code: str
    is_python: bool
    """True if it is labelled as Python, or parses and does more than name values"""
    defined: frozenset[str] = frozenset()
    """names that it binds at the top level, with the methods of `Solution`"""
    needed: frozenset[str] = frozenset()
    """names that it uses without binding them"""
    mentioned: frozenset[str] = frozenset()
    """all names and attributes in it"""
    acts: bool = True
    """True if it has statements besides definitions and imports"""

    @property
    def writes(self) -> bool:
        """True if running it can write output."""
        return self.acts and bool(self.mentioned & _WRITING)

    @property
    def reads(self) -> bool:
        """True if running it can read input."""
        return self.acts and bool(self.mentioned & _READING)


def extract_program(text: str, tests: Sequence[Test] = ()) -> str | None:
    """Return the program in an answer that the tests are for; None if there is no program."""
    text = _tagged(text.replace("\r\n", "\n"))
    if _OPENING.search(text):
        labelled = list(_fenced(text))[-MAX_BLOCKS:]
        python = [code for label, code in labelled if label and _PYTHON.fullmatch(label)]
        if len(labelled) == len(python) == 1 and not python[0][:1].isspace():
            return python[0]
        blocks = [_read(code, label) for label, code in labelled if _PYTHON.fullmatch(label)]
        unknown = [_read(code, label) for label, code in labelled if label in _UNKNOWN]
        blocks = blocks or [block for block in unknown if block.is_python]
    else:
        blocks = [_read(code, "") for code in _bare(text)][-MAX_BLOCKS:]
        blocks = [block for block in blocks if block.is_python]
        if not blocks and _TEST_LINE.search(text):
            return text.strip()
    return _chosen(blocks, tests) if blocks else None


def with_signature(program: str, prompt: str, entry_point: str) -> str:
    """Return a program that defines the function; the body of a function goes after its prompt."""
    definition = re.compile(rf"^[ \t]*(?:(?:async )?def|class)[ \t]+{re.escape(entry_point)}\b|"
                            rf"^{re.escape(entry_point)}[ \t]*[:=]", re.MULTILINE)  # fmt: skip
    is_whole = definition.search(program) or not program[:1].isspace()
    return program if is_whole else prompt + program


def _chosen(blocks: Sequence[_CodeBlock], tests: Sequence[Test]) -> str:
    names = {test.function for test in tests if isinstance(test, CallTest)}
    names |= {test.entry_point for test in tests if isinstance(test, CheckTest)}
    if names:
        fitting = [i for i, block in enumerate(blocks) if block.defined & names]
    else:
        has_input = any(isinstance(test, StdioTest) and test.stdin.strip() for test in tests)
        fitting = _whole_programs(blocks, has_input)
    python = [i for i, block in enumerate(blocks) if block.is_python]
    return _with_needed(blocks, (fitting or python or [len(blocks) - 1])[-1])


def _whole_programs(blocks: Sequence[_CodeBlock], has_input: bool) -> list[int]:
    """Return the indices of blocks that are programs with input (if any) and output."""
    writing = [i for i, block in enumerate(blocks) if block.writes]
    whole = [i for i in writing if blocks[i].reads or not has_input]
    independent = [
        i for i in whole if not any(blocks[j].defined & blocks[i].needed for j in whole if j < i)
    ]
    return independent or writing


def _with_needed(blocks: Sequence[_CodeBlock], index: int) -> str:
    """Return a block after the earlier blocks that define the names it needs."""
    parts, needed = [blocks[index].code], set(blocks[index].needed)
    for block in reversed(blocks[:index]):
        if block.defined & needed:
            parts.insert(0, block.code)
            needed = (needed - block.defined) | block.needed
    return "\n".join(parts)


def _tagged(text: str) -> str:
    """Return the content of the last `<answer>` tag, if there is one that is not blank."""
    _, tag, rest = text.rpartition("<answer>")
    content = rest.partition("</answer>")[0]
    return content.strip("\n") if tag and content.strip() else text


def _fenced(text: str) -> Iterator[tuple[str, str]]:
    """Yield label and code of the fenced blocks that are not blank; the last may be cut off."""
    position = 0
    while opening := _OPENING.search(text, position):
        fence = opening["fence"] or opening["inline"]
        label = "python" if opening["inline"] else opening["label"].lower()
        begin = min(opening.end() + 1, len(text))
        if label in _WRAPPERS and _OPENING.match(text, begin):
            position = begin
            continue
        end, position = _end(text, begin, fence)
        if not label and (label_line := _LABEL_LINE.match(text, begin, end)):
            label, begin = "python", label_line.end()
        code = _unindented(text[begin:end], opening["lead"] or "")
        if code.strip():
            yield label, code


def _end(text: str, begin: int, fence: str) -> tuple[int, int]:
    """Return where the code of a block ends, and where the text after its fence begins.

    A fence inside a triple-quoted string closes nothing, unless no other does.
    """
    closing = re.compile(rf"^[ \t>]*{re.escape(fence)}{fence[0]}*[ \t]*(?:<[^\n]*)?$", re.MULTILINE)
    first = closing.search(text, begin)
    closes = first
    for _ in range(MAX_BLOCKS):
        if closes is None:
            break
        if not _is_inside_string(text[begin : closes.start()]):
            return closes.start(), closes.end()
        closes = closing.search(text, closes.end())
    return (first.start(), first.end()) if first else (len(text), len(text))


def _is_inside_string(code: str) -> bool:
    """Return True if the code ends within a triple-quoted string."""
    strings = deque(_STRING.finditer(code), maxlen=1)
    if not strings or strings[0].end() != len(code):
        return False
    body = strings[0]["body"] or ""
    quotes = body[:3]
    return quotes in ('"""', "'''") and (len(body) < 6 or not body.endswith(quotes))


def _unindented(code: str, lead: str) -> str:
    """Remove quote marks and the indentation of an indented fence."""
    if ">" in lead:
        code = re.sub(r"^[ \t]*(?:>[ \t]?)+", "", code, flags=re.MULTILINE)
    lines = code.split("\n")
    blanks = [len(line) - len(line.lstrip()) for line in lines if line.strip()]
    width = min([len(lead.replace(">", "")), *blanks])
    return "\n".join(line[width:] if line.strip() else "" for line in lines) if width else code


def _bare(text: str) -> Iterator[str]:
    """Yield the whole text if it is code, else its runs of lines that look like code."""
    if label_line := _LABEL_LINE.match(text):
        text = text[label_line.end() :]
    if _parsed(text) is not None:
        yield text.strip("\n")
        return
    run: list[str] = []
    for line in [*text.split("\n"), "."]:
        if _CODE_LINE.match(line):
            run.append(line)
        elif run:
            yield "\n".join(run).strip("\n")
            run = []


def _parsed(code: str) -> ast.Module | None:
    """Parse code, also the body of a function; None if it is no Python.

    Strings are emptied first, so that the compiler has nothing to warn about.
    """
    if len(code) > MAX_PARSED_CHARS:
        return None
    code = _STRING.sub(_emptied, code.removeprefix("\ufeff"))
    for source in (code, textwrap.dedent(code)):
        try:
            return ast.parse(source)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
    return None


def _emptied(match: re.Match[str]) -> str:
    """Empty a string or comment; names in an f-string stay, as they are used."""
    body, prefix = match["body"], (match["prefix"] or "").lower()
    if body is None:
        return ""
    if "f" in prefix:
        return str(match[0]) if "\\" not in body else '""'
    return 'b""' if "b" in prefix else '""'


def _read(code: str, label: str) -> _CodeBlock:
    """Read the names of a block. Code that does not parse has only its definitions."""
    tree = _parsed(code)
    if tree is None:
        defined = re.findall(r"^[ \t]*(?:async )?(?:def|class)[ \t]+(\w+)", code, re.MULTILINE)
        words = re.findall(r"\w+", code)
        is_session = code.lstrip().startswith(">>>")
        return _CodeBlock(
            code, bool(label) and not is_session, frozenset(defined), mentioned=frozenset(words)
        )
    used, bound, attributes = _names(tree)
    has_definition = any(isinstance(n, _DEFINITIONS) for n in tree.body)
    returns = any(isinstance(node, ast.Return) for node in ast.walk(tree))
    is_body = not has_definition and (returns or used - bound - _BUILTINS)
    if code[:1].isspace() and _defines(tree) and not is_body:
        code = textwrap.dedent(code)  # and no body of the function that a question begins
    is_code = bool(label) or any(map(_does_something, tree.body))
    return _CodeBlock(
        code,
        is_code and not all(map(_is_value, tree.body)),
        frozenset(_defines(tree)),
        frozenset(used - bound - _BUILTINS),
        frozenset(used | attributes),
        not all(isinstance(n, (*_DEFINITIONS, ast.Import, ast.ImportFrom)) for n in tree.body),
    )


def _is_value(statement: ast.stmt) -> bool:
    """Return True for a statement that is only a literal, such as an output: `12` or `[1, 2]`."""
    return isinstance(statement, ast.Expr) and not any(
        isinstance(node, ast.Call | ast.Name) for node in ast.walk(statement)
    )


def _does_something(statement: ast.stmt) -> bool:
    return isinstance(statement, (*_DEFINITIONS, ast.Import, ast.ImportFrom, ast.Return)) or any(
        isinstance(node, ast.Call) for node in ast.walk(statement)
    )


def _defines(tree: ast.Module) -> set[str]:
    """Return the names that a module binds at the top level, and the methods of `Solution`."""
    names: set[str] = set()
    for statement in tree.body:
        if isinstance(statement, _DEFINITIONS):
            names.add(statement.name)
            if isinstance(statement, ast.ClassDef) and statement.name == "Solution":
                names |= {node.name for node in statement.body if isinstance(node, _DEFINITIONS)}
        else:
            names |= _names(statement)[1]
    return names


def _names(tree: ast.AST) -> tuple[set[str], set[str], set[str]]:
    """Return the names that code uses, the names that it binds, and its attributes."""
    used: set[str] = set()
    bound: set[str] = set()
    attributes: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            (used if isinstance(node.ctx, ast.Load) else bound).add(node.id)
        elif isinstance(node, ast.Attribute):
            attributes.add(node.attr)
        elif isinstance(node, _DEFINITIONS):
            bound.add(node.name)
        elif isinstance(node, ast.arg):
            bound.add(node.arg)
        elif isinstance(node, ast.alias):
            bound.add(node.asname or node.name.split(".")[0])
            attributes.add(node.name)
        elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and node.name:
            bound.add(node.name)
    return used, bound, attributes
