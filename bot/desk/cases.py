"""A request about somebody's data, as the privacy officer sees it: no name, a deadline, an owner, three buttons."""

from __future__ import annotations

from bot.desk import blocks, words
from bot.desk.entries import Post
from domain.cases import Case, CaseKind, CaseState
from handlers.cases import APPROVE, REFUSE, TAKE

APPROVE_LABEL = {CaseKind.EXPORT: "do_export", CaseKind.ERASE: "do_erase"}


def post(case: Case) -> Post:
    """The post of a case as it stands now."""
    said = words.say("case.said", customer=case.customer_id, wants=words.say(f"case.{case.kind.value}"))
    state = words.say(f"case_state.{_standing(case)}")
    lines = [f"*{said}*", _line(case, state)]
    if case.owner and not case.decided_by:
        lines.append(words.say("case.owner", who=_named(case.owner)))
    if case.decided_by:
        lines.append(words.say("case.decided", who=_named(case.decided_by)))
    made: list[blocks.Block] = [{"type": "section", "text": blocks.mrkdwn("\n".join(lines))}]
    if case.state.is_waiting:
        value = blocks.button_value("", None, f"{case.kind.value}:{case.id}")
        label = words.say(f"case.{APPROVE_LABEL.get(case.kind, 'settled')}")
        refuse = words.say("case.refuse")
        buttons = [
            blocks.button(label, APPROVE, value, primary=True),
            blocks.button(refuse, REFUSE, value),
            blocks.button(words.say("case.take"), TAKE, value),
        ]
        made.append({"type": "actions", "elements": buttons})
    return Post(text=said.replace("`", ""), blocks=made)


def _line(case: Case, state: str) -> str:
    """Its state, and until when the law wants it answered while it is not."""
    if case.state.is_over:
        return words.say("case.over", state=state)
    return words.say("case.stands", state=state, due=blocks.date(case.due_at))


def _standing(case: Case) -> str:
    """How it stands, as the texts call it."""
    if (case.state, case.kind) == (CaseState.FAILED, CaseKind.ERASE):
        return "held"  # nothing else is in the way of an erasure
    if case.state is CaseState.DONE and case.decided_by is None:
        return CaseState.MOOT.value  # as cases were ended that nobody had decided, before there was a state for it
    return case.state.value


def _named(actor: str) -> str:
    return blocks.mention(actor.removeprefix("agent:"))
