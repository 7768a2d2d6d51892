"""report.html: a self-contained page, light and dark, readable on a phone.

Model output is untrusted: Jinja escapes every value, and the page's content security policy forbids
scripts, so that nothing a model writes can run. Only the figures, which matplotlib drew, are
inserted as markup.
"""

from __future__ import annotations

from itertools import zip_longest
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from r1kit.renderers.thinking import parse
from r1kit.report.facts import Facts, ShownCompletion, shown_completion
from r1kit.report.markdown import CLAIMS_NOTE
from r1kit.report.translate import Translator

MAX_ROLLOUTS = 8
"""maximum number of completions shown per group, chosen from right and wrong ones in turn;
samples.jsonl has all of them"""


SvgFigure = list[tuple[str, str, str]]
"""figures as (title, caption, svg)"""


def render(facts: Facts, pictures: SvgFigure, curves: SvgFigure) -> str:
    """Render the page; pictures are shown large, curves side by side."""
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    t = Translator(facts.language)
    environment.globals |= {"parts": _parts, "number": "{:.3g}".format, "t": t}
    return environment.from_string(PAGE).render(
        facts=facts,
        css=Markup(CSS),
        claims_note=t(CLAIMS_NOTE),
        pictures=[(title, caption, Markup(svg)) for title, caption, svg in pictures],
        curves=[(title, caption, Markup(svg)) for title, caption, svg in curves],
        groups=[_group(record) for record in facts.groups],
    )


def _parts(item: ShownCompletion) -> dict[str, Any]:
    """Split a completion into thinking and answer; the answer is None if there is none."""
    parsed = parse(item.text)
    return {"thinking": parsed.thinking, "answer": parsed.answer}


def _group(record: dict[str, Any]) -> dict[str, Any]:
    completions = [shown_completion(rollout) for rollout in record["rollouts"]]
    return {
        "stage": record["stage"],
        "step": record["step"],
        "problem": record["problem"],
        "n_right": sum(item.correct is True for item in completions),
        "n": len(completions),
        "completions": _both_kinds(completions),
    }


def _both_kinds(completions: list[ShownCompletion]) -> list[ShownCompletion]:
    """Return up to MAX_ROLLOUTS of them in their order, half of them right if there are enough."""
    kinds = (
        [item for item in completions if item.correct is not True],
        [item for item in completions if item.correct is True],
    )
    in_turn = [item for pair in zip_longest(*kinds) for item in pair if item is not None]
    chosen_ids = {id(item) for item in in_turn[:MAX_ROLLOUTS]}
    return [item for item in completions if id(item) in chosen_ids]


CSS = """
:root { color-scheme: light dark; --ink: #1d2228; --soft: #626b75; --line: #e2e5e9;
  --page: #fcfcfb; --card: #ffffff; --accent: #2f6fae; --good: #2c7d4d; --bad: #b4433a; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e6e8; --soft: #98a1ab; --line: #2d3339;
  --page: #14171a; --card: #1b1f23; --accent: #78b0e6; --good: #6cc28e; --bad: #e58a80; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); overflow-wrap: anywhere;
  font: 16px/1.6 system-ui, -apple-system, "Segoe UI", "Noto Sans", "Noto Sans CJK KR",
  sans-serif; }
main { max-width: 60rem; margin: 0 auto; padding: 3.5rem 1.25rem 5rem; }
:lang(ko) { word-break: keep-all; }
h1 { font-size: 1rem; font-weight: 600; color: var(--soft); margin: 0; }
.promise { font-size: clamp(1.5rem, 4.5vw, 2.3rem); line-height: 1.25; font-weight: 650;
  letter-spacing: -0.015em; margin: .4rem 0 0; text-wrap: balance; }
h2 { font-size: 1.2rem; margin: 3.2rem 0 .9rem; }
h3 { font-size: 1rem; margin: 0 0 .6rem; }
p.lead, .soft, figcaption, summary span { color: var(--soft); }
.scroll { overflow-x: auto; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums;
  font-size: .94rem; }
th { text-align: left; font-weight: 500; color: var(--soft); }
th, td { padding: .45rem .9rem .45rem 0; border-bottom: 1px solid var(--line);
  vertical-align: top; }
.wide td, .wide th { white-space: nowrap; overflow-wrap: normal; }
.wide td.soft { white-space: normal; min-width: 11rem; }
.mark { white-space: nowrap; }
.num { text-align: right; white-space: nowrap; }
.grid { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr));
  gap: 1rem; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 10px;
  padding: 1rem 1.1rem; margin: 0; min-width: 0; }
figure svg { width: 100%; height: auto; display: block; }
figcaption { font-size: .87rem; margin-top: .3rem; }
.finding { border-left: 3px solid var(--line); padding: .1rem 0 .1rem 1rem; margin: 0 0 1rem; }
.finding.warning { border-color: var(--bad); }
.finding.fine { border-color: var(--good); }
.finding p { margin: 0; }
.pair + .pair { margin-top: 1.6rem; }
.tag { font-size: .84rem; color: var(--soft); margin: 0 0 .5rem; }
.yes { color: var(--good); } .no { color: var(--bad); }
.thinking { color: var(--soft); font-style: italic; white-space: pre-wrap; margin: 0; }
.answer { white-space: pre-wrap; margin: .5rem 0 0; }
details { border-bottom: 1px solid var(--line); }
details > summary { cursor: pointer; padding: .55rem 0; }
details > .grid { padding: .3rem 0 1.2rem; }
code, pre { font: .9em ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
pre { background: var(--card); border: 1px solid var(--line); border-radius: 8px;
  padding: .8rem 1rem; overflow-x: auto; white-space: pre-wrap; }
"""

PAGE = """\
{% macro mark(correct) %}
{% if correct is none %}<span>{{ t("? undecided") }}</span>
{% elif correct %}<span class="yes">{{ t("✓ right") }}</span>
{% else %}<span class="no">{{ t("✗ wrong") }}</span>{% endif %}
{% endmacro %}
{% macro completion(item) %}
{% set text = parts(item) %}
<p class="tag">{% if item.stage %}<b>{{ item.stage }}</b> · {% endif %}{{ mark(item.correct) }}
· {{ t("{n} tokens, cut off" if item.finish == "length" else "{n} tokens", n=item.n_tokens) }}
{% for part, value in item.reward.items() %} · {{ part }} {{ number(value) }}{% endfor %}</p>
{% if text.thinking %}<p class="thinking">{{ text.thinking }}</p>{% endif %}
{% if text.answer is none %}<p class="answer soft">{{ t("(never stopped thinking)") }}</p>
{% else %}<p class="answer">{{ text.answer }}</p>{% endif %}
{% endmacro %}
{% macro scroll(name) %}{# content that may be wider than the page; the keyboard can scroll it #}
<div class="scroll" role="region" tabindex="0" aria-label="{{ name }}">{{ caller() }}</div>
{% endmacro %}
{% macro pairs(name, rows) %}
{% call scroll(name) %}<table>
{% for name, value in rows %}<tr><th scope="row">{{ name }}</th><td>{{ value }}</td></tr>
{% endfor %}</table>{% endcall %}
{% endmacro %}
<!doctype html>
<html lang="{{ facts.language }}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<title>{{ facts.name }} · r1kit</title>
<style>{{ css }}</style>
</head>
<body>
<main>
<h1>{{ facts.name }}</h1>
<p class="promise">{{ facts.promise | replace(" %", "\u00a0%") }}</p>

{% for table in facts.tables %}
<h2>{{ table.title }}</h2>
{% call scroll(table.title) %}<table class="wide">
<tr>{% for name in table.head %}
<th scope="col"{% if not loop.first %} class="num"{% endif %}>{{ name }}</th>
{% endfor %}</tr>
{% for row in table.rows %}
<tr><td><b>{{ row[0] }}</b></td>
{% for cell in row[1:] %}<td class="num">{{ cell }}</td>{% endfor %}</tr>
{% endfor %}
</table>{% endcall %}

{% if table.note %}<p class="soft">{{ table.note }}</p>{% endif %}
{% endfor %}

{% if facts.claims %}
<h2>{{ t("What the paper claims, and this run") }}</h2>
{% call scroll(t("Claims")) %}<table>
{% for line in facts.claims %}
<tr><td class="mark {{ {"✓": "yes", "✗": "no"}.get(line.mark, "soft") }}">{{ line.mark }}</td>
<td>{{ line.claim }}<br><span class="soft">{{ line.paper }}</span></td>
<td class="num">{{ line.ours }}</td><td class="soft">{{ line.rule }}</td></tr>
{% endfor %}
</table>{% endcall %}

<p class="soft">{{ claims_note }}</p>
{% endif %}

{% for title, caption, svg in pictures %}
<h2>{{ title }}</h2>
<figure class="card">{{ svg }}<figcaption>{{ caption }}</figcaption></figure>
{% endfor %}

{% if curves %}
<h2>{{ t("Curves") }}</h2>
<div class="grid">
{% for title, caption, svg in curves %}
<figure class="card"><h3>{{ title }}</h3>{{ svg }}<figcaption>{{ caption }}</figcaption></figure>
{% endfor %}
</div>
{% endif %}

{% if facts.findings %}
<h2>{{ t("Diagnosis") }}</h2>
{% for finding in facts.findings %}
<div class="finding {{ finding.level }}">
<p><b>{{ finding.title }}</b> <span class="soft">{{ finding.stage }}</span></p>
<p>{{ finding.observation }} {{ finding.cause }}</p>
{% if finding.action %}<p class="soft">{{ finding.action }}</p>{% endif %}
</div>
{% endfor %}
{% endif %}

{% if facts.prompts %}
<h2>{{ t("What the model reads") }}</h2>
{% for names, prompt in facts.prompts %}
<p class="tag"><b>{{ names }}</b></p>
<pre>{{ prompt }}</pre>
{% endfor %}
{% endif %}

{% if facts.comparisons %}
<h2>{{ t("The same question, stage by stage") }}</h2>
{% for comparison in facts.comparisons %}
<section class="pair"><h3>{{ comparison.question }}
<span class="soft">{{ t("expected: {gold}", gold=comparison.gold) }}</span></h3>
<div class="grid">
{% for item in comparison.completions %}<div class="card">{{ completion(item) }}</div>{% endfor %}
</div></section>
{% endfor %}
{% endif %}

{% if groups %}
<h2>{{ t("Samples, step by step") }}</h2>
{% for group in groups %}
<details{{ " open" if loop.last }}><summary>
{{ t("{stage} step {step}", stage=group.stage, step=group.step) }}
<span>· {{ t("{n_right} of {n} right", n_right=group.n_right, n=group.n) }}
· {{ group.problem.question }}</span></summary>
<p class="tag">{{ group.problem.id }} · {{ t("expected: {gold}", gold=group.problem.gold) }}
{% set shown = group.completions | length %}
{% if shown < group.n %}
 · {{ t("{shown} of {n} completions", shown=shown, n=group.n) }}{% endif %}</p>
<div class="grid">
{% for item in group.completions %}<div class="card">{{ completion(item) }}</div>{% endfor %}
</div></details>
{% endfor %}
{% endif %}

<h2>{{ t("What it cost") }}</h2>
{{ pairs(t("Costs"), facts.costs) }}
<h2>{{ t("Where it comes from") }}</h2>
{{ pairs(t("Environment"), facts.environment) }}
<h2>{{ t("Make it again") }}</h2>
<pre>{{ facts.command }}</pre>
</main>
</body>
</html>
"""
