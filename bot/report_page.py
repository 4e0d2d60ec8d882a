"""The page that `relaydesk evaluate` writes: one HTML file, pictures as inline SVG, no script, nothing fetched.

Colours follow the reader's light or dark setting; numbers stand in tabular figures. Only labels and counts are shown,
never a customer's words.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from html import escape
from pathlib import Path

from classifiers import evaluation
from classifiers.evaluation import Bin, Point, Scores

SIDE, MARGIN = 300, 44  # of a picture's plot, in CSS pixels; room for its labels
LEAST_PRECISION = 0.8  # where the precision axis begins; a tenth under the curve where it goes lower
CONFUSED = 14  # rows of the confusion matrix at most: those with the most mistakes
WORDS: Mapping[str, str] = {"en": "English", "zh": "中文"}

STYLE = Path(__file__).with_suffix(".css")


def page(
    scores: Mapping[str, Scores], *, about: str, made_at: datetime, names: Mapping[str, Mapping[str, str]], goal: float
) -> str:
    """The whole page: a part per language. `about` says which labelled set it was, `names` give intents by language,
    `goal` is the precision that routing aims at.
    """
    version = escape(next(iter(scores.values())).version)
    parts = "".join(_language(language, found, names, goal) for language, found in scores.items())
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1"><title>Triage report</title>'
        f"<style>{STYLE.read_text(encoding='utf-8')}</style></head><body><h1>Triage report</h1>"
        f'<p class="soft">{escape(about)} · classifier <code>{version}</code> · {made_at:%Y-%m-%d %H:%M} UTC</p>{parts}'
        "</body></html>\n"
    )


def _language(language: str, found: Scores, names: Mapping[str, Mapping[str, str]], goal: float) -> str:
    called = {intent: words.get(language) or words.get("en") or intent for intent, words in names.items()}
    tiles = (
        ("Right intent", f"{found.accuracy:.1%}"),
        ("Macro F1", f"{found.macro_f1:.1%}"),
        ("Right queue", f"{found.queue_accuracy:.1%}"),
        ("Routed by itself", f"{found.routed:.1%}"),
        ("of these right", f"{found.routed_precision:.1%}"),
        ("Calibration error", f"{found.ece:.1%}"),
        ("Sentences", str(found.texts)),
    )
    shown = "".join(f'<div class="tile"><b>{value}</b><span>{label}</span></div>' for label, value in tiles)
    return (
        f"<h2>{escape(WORDS.get(language, language))}</h2>"
        f'<div class="tiles">{shown}</div><div class="pictures">'
        f"{_coverage(found, goal)}{_calibration(found.calibration)}</div>"
        f"<h2>By intent</h2>{_classes(found, called)}<h2>What is taken for what</h2>{_confusion(found, called)}"
    )


def _coverage(found: Scores, goal: float) -> str:
    low = min(LEAST_PRECISION, *(math.floor(10 * point.precision) / 10 for point in found.curve))

    def place(point: Point) -> tuple[float, float]:
        return _x(point.coverage), _y((point.precision - low) / (1.0 - low))

    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in map(place, evaluation.thinned(found.curve)))
    level = _y((goal - low) / (1.0 - low)) if goal >= low else _y(0)
    own_x, own_y = _x(found.routed), _y(max(0.0, (found.routed_precision - low) / (1.0 - low)))
    steps = [low + (1.0 - low) * step / 4 for step in range(5)]
    drawn = (
        f"{_frame([f'{step:.0%}' for step in steps], 'routed', 'right queue')}"
        f'<line class="goal" x1="{_x(0):.0f}" x2="{_x(1):.0f}" y1="{level:.1f}" y2="{level:.1f}"/>'
        f'<polyline class="curve" points="{path}"/><circle class="mark" cx="{own_x:.1f}" cy="{own_y:.1f}" r="5"/>'
    )
    told = (
        f"The surest {found.coverage_at(goal):.0%} go to the right queue {goal:.0%} of the time (dotted line). "
        f"The dot is what the classifier does itself: {found.routed:.0%} routed, {found.routed_precision:.1%} right."
    )
    return _figure("Coverage against precision", drawn, told)


def _calibration(bins: Sequence[Bin]) -> str:
    most = max(one.texts for one in bins)
    dots = "".join(
        f'<circle class="dot" cx="{_x(one.confidence):.1f}" cy="{_y(one.accuracy):.1f}" '
        f'r="{3 + 6 * (one.texts / most) ** 0.5:.1f}"><title>{one.texts} answers: said {one.confidence:.0%}, '
        f"right {one.accuracy:.0%}</title></circle>"
        for one in bins
    )
    drawn = (
        f"{_frame([f'{step / 4:.0%}' for step in range(5)], 'said', 'right')}"
        f'<line class="ideal" x1="{_x(0):.0f}" y1="{_y(0):.0f}" x2="{_x(1):.0f}" y2="{_y(1):.0f}"/>{dots}'
    )
    return _figure(
        "Calibration", drawn, "On the line, confidence is what it says. A dot is as large as answers are many."
    )


def _classes(found: Scores, called: Mapping[str, str]) -> str:
    rows = "".join(
        f"<tr><td>{escape(called.get(one.intent, one.intent))}</td><td>{one.texts}</td><td>{one.precision:.0%}</td>"
        f"<td>{one.recall:.0%}</td><td>{one.f1:.2f}</td></tr>"
        for one in sorted(found.classes, key=lambda one: (one.f1, one.intent))
    )
    return (
        '<div class="wide"><table><thead><tr><th>Intent</th><th>Sentences</th><th>Precision</th><th>Recall</th>'
        f"<th>F1</th></tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _confusion(found: Scores, called: Mapping[str, str]) -> str:
    mistakes = {one.intent: 0 for one in found.classes}
    for (truth, given), count in found.confusion.items():
        if truth != given:
            mistakes[truth] = mistakes.get(truth, 0) + count
            mistakes[given] = mistakes.get(given, 0) + count
    chosen = sorted((name for name in mistakes if mistakes[name] and name), key=lambda name: (-mistakes[name], name))
    chosen = sorted(chosen[:CONFUSED])
    if not chosen:
        return "<p>Nothing was confused.</p>"
    heads = "".join(f"<th>{escape(called.get(name, name))}</th>" for name in chosen)
    rows = "".join(
        f"<tr><th>{escape(called.get(truth, truth))}</th>{''.join(_cell(found, truth, given) for given in chosen)}</tr>"
        for truth in chosen
    )
    more = "" if len(mistakes) <= CONFUSED else f" The {len(chosen)} with the most mistakes are shown."
    return (
        f'<p class="soft">Rows are what it was, columns what was answered.{more}</p>'
        f'<div class="wide"><table class="grid"><thead><tr><th></th>{heads}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def _cell(found: Scores, truth: str, given: str) -> str:
    count = found.confusion.get((truth, given), 0)
    if not count:
        return "<td></td>"
    whole = sum(number for (name, _), number in found.confusion.items() if name == truth)
    kind = "hit" if truth == given else "miss"
    return f'<td class="{kind}" style="--much:{15 + 60 * count / whole:.0f}%">{count}</td>'


def _figure(title: str, drawn: str, told: str) -> str:
    size = SIDE + 2 * MARGIN
    return (
        f'<figure><h3>{title}</h3><svg viewBox="0 0 {size} {size - MARGIN // 2}" role="img" aria-label="{title}">'
        f"{drawn}</svg><figcaption>{escape(told)}</figcaption></figure>"
    )


def _frame(levels: Sequence[str], across: str, up: str) -> str:
    """Grid lines with their labels; `levels` are those of the upright axis, from below."""
    parts = []
    for step in range(5):
        x, y = _x(step / 4), _y(step / 4)
        parts.append(f'<line class="axis" x1="{_x(0):.0f}" x2="{_x(1):.0f}" y1="{y:.0f}" y2="{y:.0f}"/>')
        parts.append(f'<text x="{_x(0) - 6:.0f}" y="{y + 4:.0f}" text-anchor="end">{levels[step]}</text>')
        parts.append(f'<text x="{x:.0f}" y="{_y(0) + 16:.0f}" text-anchor="middle">{step / 4:.0%}</text>')
    parts.append(f'<text x="{_x(1):.0f}" y="{_y(0) + 32:.0f}" text-anchor="end">{across} →</text>')
    parts.append(f'<text x="{_x(0) - 38:.0f}" y="{_y(1) - 12:.0f}">{up} ↑</text>')
    return "".join(parts)


def _x(share: float) -> float:
    return MARGIN + SIDE * share


def _y(share: float) -> float:
    return MARGIN / 2 + SIDE * (1.0 - share)
