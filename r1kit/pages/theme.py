"""The look of the pages: ink on paper, one accent colour, system fonts (none is ever loaded)."""

from __future__ import annotations

from pathlib import Path

import gradio as gr

CSS = (Path(__file__).parent / "page.css").read_text(encoding="utf-8")
_FONTS = ["system-ui", "-apple-system", "Segoe UI", "Noto Sans CJK KR", "Noto Sans KR",
          "Apple SD Gothic Neo", "PingFang SC", "sans-serif"]  # fmt: skip
_MONO = ["ui-monospace", "SF Mono", "Menlo", "Consolas", "monospace"]
_PAPER, _CARD, _LINE, _INK, _QUIET = "#faf9f6", "#ffffff", "#e6e3dc", "#23211d", "#6f6a60"
_NIGHT, _NIGHT_CARD, _NIGHT_LINE, _CHALK, _DIM = (
    "#171615", "#201f1d", "#34322e", "#ebe8e1", "#a09a8e",
)  # fmt: skip
_EDGE, _NIGHT_EDGE = "#8c867a", "#7a756b"
"""borders of inputs and checkboxes: contrast of at least 3:1 to adjacent colours (WCAG 1.4.11)"""
_ACCENT, _NIGHT_ACCENT = "#2f5d62", "#7fb8b0"


def theme() -> gr.themes.Base:
    """Return gradio's Base theme with every visible colour set for light and dark mode."""
    base = gr.themes.Base(
        font=_FONTS, font_mono=_MONO, radius_size="lg", neutral_hue="stone", primary_hue="teal"
    )
    colours = {
        "body_background_fill": (_PAPER, _NIGHT),
        "body_text_color": (_INK, _CHALK),
        "body_text_color_subdued": (_QUIET, _DIM),
        "background_fill_primary": (_CARD, _NIGHT_CARD),
        "background_fill_secondary": (_PAPER, _NIGHT),
        "border_color_primary": (_LINE, _NIGHT_LINE),
        "border_color_accent": (_ACCENT, _NIGHT_ACCENT),
        "color_accent_soft": ("#eef3f2", "#24302f"),
        "block_background_fill": (_CARD, _NIGHT_CARD),
        "block_border_color": (_LINE, _NIGHT_LINE),
        "block_label_text_color": (_QUIET, _DIM),
        "input_background_fill": (_CARD, _NIGHT_CARD),
        "input_border_color": (_EDGE, _NIGHT_EDGE),
        "checkbox_border_color": (_EDGE, _NIGHT_EDGE),
        "input_placeholder_color": ("#767065", "#8d877b"),
        "button_primary_background_fill": (_ACCENT, _NIGHT_ACCENT),
        "button_primary_background_fill_hover": ("#264c50", "#93c6bf"),
        "button_primary_text_color": ("#ffffff", "#12201e"),
        "button_secondary_background_fill": (_CARD, _NIGHT_CARD),
        "button_secondary_background_fill_hover": ("#f1efe9", "#2a2826"),
        "button_secondary_border_color": (_LINE, _NIGHT_LINE),
        "button_secondary_text_color": (_INK, _CHALK),
        "checkbox_background_color_selected": (_ACCENT, _NIGHT_ACCENT),
        "link_text_color": (_ACCENT, _NIGHT_ACCENT),
    }
    values = {name: light for name, (light, _) in colours.items()}
    values["color_accent"] = _ACCENT  # dark mode: in page.css, since gradio has no name for it
    values |= {f"{name}_dark": dark for name, (_, dark) in colours.items()}
    return base.set(**values, block_shadow="none", button_primary_shadow="none",
                    button_secondary_shadow="none", input_shadow="none")  # fmt: skip
