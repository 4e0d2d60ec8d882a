"""`relaydesk show 1042`: a conversation with its clocks and its timeline."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bot.cli.terminal import (
    DEFAULT_CONFIG,
    FAILED,
    AsJson,
    ConfigFile,
    complain,
    guarded,
    numbered,
    say,
    show_json,
    table,
    when,
)

if TYPE_CHECKING:
    from domain.model import Entry
    from storage.views import View

Number = Annotated[str, typer.Argument(metavar="NUMBER", help="With or without #.")]
Reveal = Annotated[bool, typer.Option("--reveal", help="Print names and texts in the clear.")]


@guarded
def show(number: Number, path: ConfigFile = DEFAULT_CONFIG, reveal: Reveal = False, as_json: AsJson = False) -> None:
    """Show a conversation. The read is audited under your user; personal text needs --reveal."""
    from bot import settings
    from bot.cli import people, stores
    from domain.roles import Act

    wanted = numbered(number)

    async def work() -> tuple[View, list[Entry]] | None:
        read = settings.load(path)
        async with stores.existing(read) as opened:
            found = await opened.record.by_number(wanted)
            if found is None:
                return None
            await people.allowed_in(read, opened, Act.REVEAL if reveal else Act.SEE, found)
            await stores.audited(opened, "show.reveal" if reveal else "show", f"conversation:{found.id}")
            view = (await opened.views.load([found.id]))[found.id]
            return view, await opened.record.timeline(found.id)

    loaded = asyncio.run(work())
    if loaded is None:
        complain(f"relaydesk: there is no conversation #{wanted}")
        raise typer.Exit(FAILED)
    facts, clocks, lines = _facts(loaded[0], reveal), _clocks(loaded[0]), _lines(loaded[1], reveal)
    if as_json:
        show_json({"conversation": facts, "clocks": clocks, "timeline": lines})
        return
    for name, value in facts.items():
        if value not in (None, ""):
            say(f"{name:<12} {when(value) if name == 'opened' else value}")
    if clocks:
        say()
        table(
            "clock",
            "state",
            "started (UTC)",
            "due (UTC)",
            rows=[[c["metric"], c["state"], when(c["started"]), when(c["due"])] for c in clocks],
        )
    say()
    table(
        "at (UTC)",
        "who",
        "what",
        "",
        rows=[[when(line["at"]), line["actor"], line["kind"], line["text"]] for line in lines],
    )
    if not reveal:
        say()
        say("Texts and names are hidden; --reveal prints them, and that is written into the audit trail.")


def _facts(view: View, reveal: bool) -> dict[str, Any]:
    from domain import privacy

    it = view.conversation
    return {
        "number": f"#{it.number}",
        "customer": view.customer.name if reveal else privacy.mask_name(view.customer.name),
        "customer id": it.customer_id,
        "channel": it.channel,
        "language": it.language,
        "status": it.status.value,
        "priority": it.priority.value,
        "queue": it.queue,
        "intent": it.intent or "not sure",
        "assignee": it.assignee or "nobody yet",
        "policy": it.policy,
        "opened": it.opened_at,
        "thread": f"{it.thread.channel} {it.thread.ts or '(not posted yet)'}",
        "delivery": f"{it.delivery_state.value} {it.delivery_reason or ''}".strip() if it.delivery_state else None,
    }


def _clocks(view: View) -> list[dict[str, Any]]:
    return [
        {
            "metric": clock.metric.value.replace("_", " ") + (f" {clock.instance}" if clock.instance > 1 else ""),
            "state": clock.state.value.replace("_", " "),
            "started": clock.started_at,
            "due": clock.due_at,
        }
        for clock in view.clocks
    ]


def _lines(entries: list[Entry], reveal: bool) -> list[dict[str, Any]]:
    from domain import privacy

    lines = []
    for entry in entries:
        said = (entry.body if reveal else privacy.HIDDEN) if entry.body else _words(entry.data)
        lines.append({"at": entry.at, "actor": str(entry.actor), "kind": entry.kind.value, "text": said})
    return lines


def _words(data: dict[str, Any]) -> str:
    """What a change says without personal text: from, to, why."""
    before, after, why = data.get("from"), data.get("to"), data.get("reason")
    move = f"{before} → {after}" if before is not None and after is not None else str(after or before or "")
    return " · ".join(str(part) for part in (move, why) if part)
