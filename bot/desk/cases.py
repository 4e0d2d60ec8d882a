"""A customer's request about their data, as the privacy officer sees it: no name, a deadline, two buttons."""

from __future__ import annotations

from bot.desk import blocks
from bot.desk.entries import Post
from domain import text
from domain.cases import Case, CaseKind, CaseState
from handlers.cases import APPROVE, REFUSE

WANTS = {
    CaseKind.EXPORT: "wants a copy of their data",
    CaseKind.ERASE: "wants their data erased",
    CaseKind.CORRECT: "says that something in their data is wrong",
    CaseKind.COMPLAINT: "complains about the use of their data",
}
STATES = {
    CaseState.OPEN: "waits for your decision",
    CaseState.APPROVED: "granted",
    CaseState.WORKING: "granted, under way",
    CaseState.DONE: "granted and done; the customer knows",
    CaseState.REFUSED: "not granted; the customer knows",
    CaseState.FAILED: "granted, but it could not be sent; decide again",
}
APPROVE_LABEL = {CaseKind.EXPORT: "Send the copy", CaseKind.ERASE: "Erase"}
SETTLE_LABEL = "Settled"
REFUSE_LABEL = "Do not grant"


def post(case: Case) -> Post:
    """The post of a case as it stands now."""
    said = f"Customer `{case.customer_id}` {WANTS[case.kind]}."
    state = STATES[case.state]
    lines = [f"*{said}*", f"{state[0].upper()}{state[1:]}. Answer due {blocks.date(case.due_at)}."]
    if case.decided_by:
        who = case.decided_by.removeprefix("agent:")
        lines.append(f"Decided by {f'<@{who}>' if who.isalnum() else text.escape_mrkdwn(who)}")
    made: list[blocks.Block] = [{"type": "section", "text": blocks.mrkdwn("\n".join(lines))}]
    if case.state.is_waiting:
        value = blocks.button_value("", None, f"{case.kind.value}:{case.id}")
        label = APPROVE_LABEL.get(case.kind, SETTLE_LABEL)
        buttons = [blocks.button(label, APPROVE, value, primary=True), blocks.button(REFUSE_LABEL, REFUSE, value)]
        made.append({"type": "actions", "elements": buttons})
    return Post(text=said.replace("`", ""), blocks=made)
