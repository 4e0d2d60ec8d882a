"""The comparison of `relaydesk sla simulate` as one page: no script, no file beside it, light and dark."""

from __future__ import annotations

from datetime import datetime
from html import escape

from domain.replay import Hours, Report, Tally

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
CELL, LEFT, TOP = 24, 44, 22
DARK = 0.5
"""Of the most in one hour: above it a cell is so full that its number is drawn in the page's colour."""

_STYLE = """
:root { color-scheme: light dark; --ink: #1d2730; --soft: #5b6770; --line: #d5dbe0; --paper: #ffffff; --hot: #b3402a;
  --bar: #2f6d8c; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6eaee; --soft: #9aa6b0; --line: #3a444d; --paper: #161b20; --hot: #ef8a70; --bar: #6fb4d6; } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 60rem;
  margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; } p { color: var(--soft); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; } th, td { padding: .35rem .6rem; border-bottom: 1px solid var(--line);
  text-align: left; } .n { text-align: right; font-variant-numeric: tabular-nums; }
svg text { fill: var(--soft); font: 11px system-ui, sans-serif; } .cell { fill: var(--hot); } .edge { fill: none;
  stroke: var(--line); } .bar { fill: var(--bar); } .track { fill: var(--line); } .in { fill: var(--ink); }
.in.on { fill: var(--paper); }
"""


def render(report: Report, name: str, since: datetime, now: datetime) -> str:
    """The page as HTML. `name` is that of the file that was tried."""
    span = f"{since:%Y-%m-%d} to {now:%Y-%m-%d}"
    most = max(1, *(count for hours in (report.missed_before, report.missed_after) for row in hours for count in row))
    total = report.total
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Service levels under {escape(name)}</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>Service levels under {escape(name)}</h1>
<p>{report.conversations} recorded conversations, {span}, judged by what is in force and by {escape(name)}.
Nothing was changed.</p>
{_bars(total)}
<h2>By policy and clock</h2>
<div class="wide">{_table(report)}</div>
<h2>Missed, by the hour the clock began in</h2>
<p>Hours of each calendar's own time zone. The stronger the colour, the more.</p>
<h3>As it was</h3>
<div class="wide">{_week(report.missed_before, most, "Missed as it was")}</div>
<h3>Under {escape(name)}</h3>
<div class="wide">{_week(report.missed_after, most, f"Missed under {name}")}</div>
<h2>What changes</h2>
{_changes(report)}
</body>
</html>
"""


def _percent(share: float | None) -> str:
    return "no clock decided" if share is None else f"{share:.1%}"


def _bars(total: Tally) -> str:
    rows = []
    for place, (label, share) in enumerate((("now", total.share_before), ("then", total.share_after))):
        y = place * 34
        rows.append(
            f'<text x="0" y="{y + 16}">met {label}</text><rect class="track" x="70" y="{y}" width="400" height="22"/>'
            f'<rect class="bar" x="70" y="{y}" width="{400 * (share or 0):.1f}" height="22"/>'
            f'<text x="480" y="{y + 16}">{_percent(share)}</text>'
        )
    said = f"Met now {_percent(total.share_before)}, then {_percent(total.share_after)}"
    drawn = f'<svg role="img" aria-label="{said}" viewBox="0 0 620 60" width="620" height="60">{"".join(rows)}</svg>'
    return f'<div class="wide">{drawn}</div><p>{said}. {total.added} breaches are added, {total.removed} removed.</p>'


def _table(report: Report) -> str:
    rows = "".join(
        f"<tr><td>{escape(policy)}</td><td>{metric.value.replace('_', ' ')}</td>"
        f'<td class="n">{_percent(tally.share_before)}</td><td class="n">{_percent(tally.share_after)}</td>'
        f'<td class="n">{tally.added}</td><td class="n">{tally.removed}</td></tr>'
        for (policy, metric), tally in sorted(report.tallies.items())
    )
    return (
        '<table><thead><tr><th>policy</th><th>clock</th><th class="n">met now</th><th class="n">met then</th>'
        f'<th class="n">breaches added</th><th class="n">removed</th></tr></thead><tbody>{rows}</tbody></table>'
    )


def _week(hours: Hours, most: int, label: str) -> str:
    drawn = [f'<text x="{LEFT + hour * CELL}" y="14">{hour:02}</text>' for hour in range(0, 24, 3)]
    for day, row in enumerate(hours):
        y = TOP + day * CELL
        drawn.append(f'<text x="0" y="{y + 16}">{DAYS[day]}</text>')
        for hour, count in enumerate(row):
            x = LEFT + hour * CELL
            place = f'x="{x}" y="{y}" width="{CELL - 2}" height="{CELL - 2}"'
            drawn.append(f'<rect class="edge" {place}/>')
            if count:
                title = f"<title>{DAYS[day]} {hour:02}:00: {count}</title>"
                drawn.append(f'<rect class="cell" opacity="{0.15 + 0.85 * count / most:.2f}" {place}>{title}</rect>')
                ink = "in on" if count / most > DARK else "in"
                drawn.append(f'<text class="{ink}" x="{x + 11}" y="{y + 15}" text-anchor="middle">{count}</text>')
    wide, high = LEFT + 24 * CELL, TOP + 7 * CELL
    head = f'<svg role="img" aria-label="{escape(label)}" viewBox="0 0 {wide} {high}" width="{wide}" height="{high}">'
    return f"{head}{''.join(drawn)}</svg>"


def _changes(report: Report) -> str:
    if not report.changes:
        return "<p>No clock comes out differently. Try a shorter or longer target.</p>"
    rows = "".join(
        f"<tr><td>#{one.number}</td><td>{one.metric.value.replace('_', ' ')}</td>"
        f"<td>{'added' if one.added else 'removed'}</td>"
        f'<td class="n">{_moment(one.due_before)}</td><td class="n">{_moment(one.due_after)}</td></tr>'
        for one in report.changes
    )
    more = report.total.added + report.total.removed - len(report.changes)
    rest = f"<p>{more} more are only counted.</p>" if more > 0 else ""
    return (
        '<div class="wide"><table><thead><tr><th>conversation</th><th>clock</th><th>breach</th>'
        f'<th class="n">due now (UTC)</th><th class="n">due then (UTC)</th></tr></thead><tbody>{rows}</tbody></table>'
        f"</div>{rest}"
    )


def _moment(at: datetime | None) -> str:
    return "-" if at is None else f"{at:%Y-%m-%d %H:%M}"
