"""Figures for talks as files: PDF and SVG of 13.3 by 7.5 inches, and a page with their captions.

Letters are outlines, so that a figure looks the same everywhere; a Korean or Chinese font takes
seconds to embed. The title is in the file's metadata too. A language whose letters no font of this
machine has is left out, and no figure shows empty boxes.
"""

from __future__ import annotations

import io
import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont, findSystemFonts, fontManager, get_font
from matplotlib.patheffects import Normal
from matplotlib.ticker import MaxNLocator

from r1kit.console.markdown_text import escape
from r1kit.errors import ConfigError, DependencyError
from r1kit.files.atomic import explaining_full_disk, replace_file
from r1kit.report.plots import PAPER, style
from r1kit.report.talk_texts import TEXTS
from r1kit.report.talks import TalkFigure, talk_figures
from r1kit.runs.run_reader import RunContents

SIZE_IN = (40 / 3, 7.5)
"""16:9, the page of a slide, inches"""
TITLE_COLUMNS = 58
"""letters in a line of the message; a Korean or Chinese one counts as two"""
FONTS = {
    "en": ("DejaVu Sans",),
    "ko": ("Noto Sans CJK KR", "Noto Sans KR", "Apple SD Gothic Neo", "Malgun Gothic",
           "NanumGothic", "Source Han Sans K", "Noto Sans CJK JP"),
    "zh": ("Noto Sans CJK SC", "Noto Sans SC", "PingFang SC", "Hiragino Sans GB",
           "Microsoft YaHei", "Source Han Sans SC", "WenQuanYi Zen Hei", "Noto Sans CJK JP"),
}  # fmt: skip
"""fonts that have the letters of a language, the best first"""
LANGUAGE_NAMES = {"ko": "Korean", "zh": "Chinese"}


def find_font(language: str) -> str | None:
    """Return the name of a font on this machine with the letters of a language; None without one.

    Fonts that were installed after matplotlib last looked are found as well.
    """
    for is_new_look in (False, True):
        if is_new_look:
            known = {entry.fname for entry in fontManager.ttflist}
            for path in set(findSystemFonts()) - known:
                with suppress(Exception):  # a damaged font file raises anything
                    fontManager.addfont(path)
        there = {entry.name for entry in fontManager.ttflist if Path(entry.fname).exists()}
        if font := next((name for name in FONTS[language] if name in there), None):
            return font
    return None


@contextmanager
def lettering(language: str) -> Iterator[str]:
    """Draw with a font that has the letters of a language; yield "en" if there is none."""
    font = find_font(language)
    if font is None or language == "en":
        yield "en"
        return
    with matplotlib.rc_context({"font.family": [font, *FONTS["en"]], "axes.unicode_minus": False}):
        yield language


def no_font(language: str) -> str:
    """Return the sentence about a language without a font."""
    name = LANGUAGE_NAMES[language]
    return (
        f"No font with {name} letters is installed, so there are no {name} figures: install Noto "
        "Sans CJK (on Debian and Ubuntu `apt install fonts-noto-cjk`)."
    )


def write_talk(
    runs: Sequence[RunContents], folder: Path, languages: Sequence[str]
) -> tuple[list[tuple[Path, str]], list[str]]:
    """Write the figures of runs, seeds of one recipe, into a folder.

    Returns (file without its suffix, message) of each figure, and a sentence for each language
    without a font. Raises DependencyError if no language has one, and ConfigError if there is
    nothing to draw.
    """
    fonts = {language: find_font(language) for language in languages}
    missing = [no_font(language) for language, font in fonts.items() if font is None]
    if len(missing) == len(fonts):
        raise DependencyError(missing[0])
    with explaining_full_disk(folder):
        folder.mkdir(parents=True, exist_ok=True)
    written: list[tuple[Path, str]] = []
    for language, font in fonts.items():
        if font is None:
            continue
        figures = talk_figures(runs, language)
        if not figures:
            raise ConfigError(
                "These runs have nothing to draw yet: a curve needs four steps of RL, bars need "
                "two stages that are evaluated."
            )
        for item in figures:
            path = folder / f"{item.key}-{language}"
            for suffix, content in rendered(item, footer(runs, language), font).items():
                replace_file(path.with_suffix(suffix), content)
            written.append((path, item.message))
        replace_file(folder / f"figures-{language}.md", captions(runs, figures, language))
    return written, missing


def rendered(item: TalkFigure, footer: str, font: str) -> dict[str, bytes]:
    """Return a figure as {".pdf": bytes, ".svg": bytes}; the same figure gives the same bytes."""
    fonts = list(dict.fromkeys((font, *FONTS["en"])))
    letters = set().union(*map(letters_of, fonts))

    def drawable(text: str) -> str:
        return "".join(
            letter if ord(letter) in letters or letter == "\n" else "?" for letter in text
        )

    settings = {
        "font.family": fonts,
        "axes.unicode_minus": False,
        "path.effects": [Normal()],  # in a PDF, letters with an effect become outlines
        "svg.fonttype": "path",
        "svg.hashsalt": item.key,
    }
    pdf, svg = io.BytesIO(), io.StringIO()
    with matplotlib.rc_context(settings):
        figure = paint(item, footer, drawable)
        title = {"Title": item.message}
        FigureCanvasPdf(figure).print_pdf(pdf, metadata=title | {"CreationDate": None})
        FigureCanvasSVG(figure).print_svg(svg, metadata=title | {"Date": None})
    return {".pdf": pdf.getvalue(), ".svg": svg.getvalue().encode()}


@cache
def letters_of(font: str) -> frozenset[int]:
    """Return the characters that a font has."""
    return frozenset(get_font(findfont(font, fallback_to_default=False)).get_charmap())


def paint(item: TalkFigure, footer: str, drawable: Callable[[str], str] = str) -> Figure:
    """Draw a figure of 16:9 with its message as the title.

    `drawable` replaces letters without a glyph: a run may name its reward parts as it likes.
    """
    figure = Figure(figsize=SIZE_IN, facecolor="white")
    lines = balanced(drawable(item.message), TITLE_COLUMNS)
    figure.text(0.045, 0.95, "\n".join(lines), fontsize=29, color=PAPER, va="top", linespacing=1.25)
    top = 0.84 - 0.085 * (len(lines) - 1)
    ax = figure.add_axes((0.105, 0.155, 0.85, top - 0.155))
    item.draw(ax)
    _enlarge(ax, item)
    handles, labels = ax.get_legend_handles_labels()
    if handles:
        shown = list(map(drawable, labels))
        ax.legend(handles, shown, frameon=False, fontsize=17, labelcolor=PAPER, loc="best")
    figure.text(0.955, 0.025, drawable(footer), fontsize=13, color=PAPER, alpha=0.6, ha="right")
    return figure


def _enlarge(ax: Axes, item: TalkFigure) -> None:
    """Make lines and letters legible from the last row."""
    style(ax, PAPER)
    ax.patch.set_visible(False)
    ax.tick_params(labelsize=17, length=5)
    ax.set_xlabel(item.x_label, color=PAPER, fontsize=19)
    ax.set_ylabel(item.y_label, color=PAPER, fontsize=19)
    for line in ax.lines:
        line.set_linewidth(3.2 if line.get_linestyle() == "-" else 2.4)
    if ax.get_xscale() == "linear" and not ax.patches:
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))


def balanced(text: str, n_columns: int) -> list[str]:
    """Break a text into as few lines as fit, of similar length; into two best at a comma."""
    lines = wrapped(text, n_columns)
    commas = [mark.end() for mark in re.finditer(", |: |，|：", text)] if len(lines) == 2 else []
    halves = [(text[:at].rstrip(), text[at:]) for at in commas]
    widths = [max(map(_n_columns, pair)) for pair in halves]
    if widths and min(widths) <= n_columns:
        return list(halves[widths.index(min(widths))])
    while n_columns > 8 and len(shorter := wrapped(text, n_columns - 1)) == len(lines):
        lines, n_columns = shorter, n_columns - 1
    return lines


def wrapped(text: str, n_columns: int) -> list[str]:
    """Break a text after spaces and between Chinese characters; a wide letter is two columns."""
    lines = [""]
    for word in _words(text):
        if lines[-1] and _n_columns((lines[-1] + word).rstrip()) > n_columns:
            lines.append("")
        lines[-1] += word
    return [line.rstrip() for line in lines]


def _n_columns(text: str) -> int:
    return sum(1 + (unicodedata.east_asian_width(letter) in "WF") for letter in text)


def _words(text: str) -> list[str]:
    """Split a text where a line may end; a mark stays with the letters before it."""
    return re.findall(r"(?!$)[^ \u4e00-\u9fff]*[\u4e00-\u9fff]?[^\w ]* *", text)


def footer(runs: Sequence[RunContents], language: str) -> str:
    """Return `tiny · 3 seeds`."""
    words = TEXTS[language]
    one = words["one"].format(seed=runs[0].manifest.get("seed"))
    seeds = words["many"].format(n=len(runs)) if len(runs) > 1 else one
    return words["footer"].format(run=run_name(runs), seeds=seeds)


def run_name(runs: Sequence[RunContents]) -> str:
    return str(runs[0].recipe.get("name") or runs[0].path.name)


def captions(runs: Sequence[RunContents], figures: Sequence[TalkFigure], language: str) -> str:
    """Return a page of Markdown with every figure, its message and its caption."""
    parts = [f"# {escape(TEXTS[language]['title'].format(run=run_name(runs)))}"]
    for item in figures:
        image = f"![{escape(item.message)}]({item.key}-{language}.svg)"
        parts += [f"## {escape(item.message)}", image, item.caption]
    return "\n\n".join(parts) + "\n"
