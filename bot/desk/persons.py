"""A customer as a colleague sees them: profile, segments, last conversations, notes; masked unless it was revealed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from bot.desk import blocks, deadlines, fact_window, reasons, words
from bot.desk.addresses import Place
from bot.desk.entries import Post
from domain import privacy, text
from domain.contacts import ContactPoint
from domain.facts import Fact
from domain.model import Conversation, EntryKind
from domain.ports import PersonView
from domain.profile import Value

CONVERSATIONS, NOTES, NOTE_LENGTH = 5, 3, 300
EARLIER_NAMES, ASKED, SHOWN_FACTS = 5, 3, 5
REVEAL = "reveal"
SUSPECTS = 3
CORRECTED = 2
"""Earlier values of a field that a card shows; the newest."""
FIELDS_SHOWN = 100
"""Options that Slack takes in one menu."""


def places(view: PersonView) -> list[Place]:
    """The cards of the conversations that are listed, to be linked."""
    return [(one.thread.channel, one.thread.ts) for one in _newest_few(view) if one.thread.ts is not None]


def post(view: PersonView, *, clear: bool, links: Mapping[Place, str] = deadlines.NOWHERE) -> Post:
    """The card of a customer. `clear` shows names, addresses and notes as they are; `links` has the addresses of
    `places`, as far as they are known.
    """
    name = view.name if clear or not view.name else privacy.mask_name(view.name)
    said = words.say("person.customer", name=text.inert_mrkdwn(name or words.say("person.erased")))
    made: list[blocks.Block] = [_section([f"*{said}*", *_profile(view, clear=clear)])]
    if view.conversations:
        made.append(_section([words.say("person.conversations"), *_conversations(view, links)]))
    if facts := _facts(view, clear=clear):
        made.append(_section([words.say("person.elsewhere"), *facts]))
    if notes := _notes(view, clear=clear):
        made.append(_section([words.say("person.notes"), *notes]))
    made += _same(view, clear=clear)
    made.append(blocks.context(words.say("person.revealed" if clear else "person.masked")))
    if view.conversations and not clear:
        value = blocks.button_value(_newest(view), None, view.customer_id)
        buttons = [
            blocks.button(words.say("person.note_fact"), fact_window.FACT, value),
            *_asking(view),
            *_correcting(view),
        ]
        made.append({"type": "actions", "elements": buttons})
    if not clear and view.conversations:
        made.append({"type": "actions", "elements": [reasons.menu(REVEAL, _newest(view), view.customer_id)]})
    return Post(text=said, blocks=made)


def _profile(view: PersonView, *, clear: bool) -> list[str]:
    lines = [
        words.say(
            "person.field",
            field=text.inert_mrkdwn(view.channels.get(one.channel, one.channel)),
            value=_address(one.address, one.username, clear=clear),
        )
        for one in view.identities
    ]
    lines += [
        words.say(
            "person.field",
            field=_field(name),
            value=text.inert_mrkdwn(text.excerpt(value, NOTE_LENGTH) if clear else privacy.HIDDEN),
        )
        for name, value in view.profile.items()
    ]
    lines += [_before(name, one, clear=clear) for name, said in view.corrected.items() for one in said[-CORRECTED:]]
    lines += [_contact(one, view, clear=clear) for one in _points(view.contacts)]
    if view.former:
        lines.append(words.say("person.earlier_names", names=text.inert_mrkdwn(_earlier(view.former, clear=clear))))
    lines.append(words.say("person.language", language=words.language(view.language), since=blocks.date(view.since)))
    if view.segments or view.tags:
        lines.append(words.say("person.segments", segments=_listed(view.segments), tags=_listed(view.tags)))
    refused = [words.named("purpose", word) for word, given in view.consents.items() if not given]
    agreed = [words.named("purpose", word) for word, given in view.consents.items() if given]
    if view.ratings:
        lines.append(_satisfaction(view))
    if agreed or refused:
        lines.append(words.say("person.agreed", agreed=_listed(agreed), refused=_listed(refused)))
    return lines


def _before(name: str, one: Value, *, clear: bool) -> str:
    """What was thought before: it stays visible, as corrected, with when and why."""
    value = text.inert_mrkdwn(text.excerpt(one.value, NOTE_LENGTH) if clear else privacy.HIDDEN)
    why = text.inert_mrkdwn(text.excerpt(_said(one.reason or "", clear=clear), NOTE_LENGTH))
    when = blocks.date(one.until or one.at)
    return words.say("person.before", field=_field(name), until=when, value=value, why=why)


def _field(name: str) -> str:
    """A field of the profile as people read it, escaped."""
    return text.inert_mrkdwn(words.field(name))


def _points(contacts: Iterable[ContactPoint]) -> Iterable[ContactPoint]:
    """Each number or address once, the surest way it is known: who was found to be one person has told it twice."""
    best: dict[tuple[str, str], ContactPoint] = {}
    for one in contacts:
        known = best.get((one.kind.value, one.value))
        if known is None or _sureness(one) > _sureness(known):
            best[one.kind.value, one.value] = one
    return best.values()


def _sureness(one: ContactPoint) -> tuple[bool, float]:
    return one.reachable, one.verified_at.timestamp() if one.verified_at else 0.0


def _contact(one: ContactPoint, view: PersonView, *, clear: bool) -> str:
    """A phone number or an e-mail address, and how sure that it is theirs."""
    at = one.verified_at
    state = words.say("person.verified", at=blocks.date(at)) if at else words.say("person.not_verified")
    if not one.reachable:
        state = words.reason(one.reason)
    elif one.id in view.due:
        state = words.say("person.ask_again", state=state)
    value = text.escape_mrkdwn(one.value if clear else one.masked)  # to be copied as it is
    kind, of = words.upper(words.named("contact_kind", one.kind.value)), words.named("contact_type", one.type)
    return words.say("person.contact", kind=kind, type=of, value=value, state=state)


def _earlier(names: tuple[str, ...], *, clear: bool) -> str:
    shown = names[-EARLIER_NAMES:]
    return text.excerpt(words.listed(one if clear else privacy.mask_name(one) for one in shown), NOTE_LENGTH)


def _address(address: str, username: str | None, *, clear: bool) -> str:
    shown = address if clear else privacy.mask_id(address)
    if username:
        shown += f" (@{username if clear else privacy.mask_id(username)})"
    return text.inert_mrkdwn(shown)


def _newest_few(view: PersonView) -> list[Conversation]:
    return sorted(view.conversations, key=lambda one: one.number, reverse=True)[:CONVERSATIONS]


def _conversations(view: PersonView, links: Mapping[Place, str]) -> list[str]:
    lines = [blocks.SEPARATOR.join(_conversation(one, view, links)) for one in _newest_few(view)]
    if len(view.conversations) > CONVERSATIONS:
        lines.append(words.say("person.earlier", count=len(view.conversations) - CONVERSATIONS))
    return lines


def _conversation(one: Conversation, view: PersonView, links: Mapping[Place, str]) -> Iterator[str]:
    """Number, time, how it stands or ended, what it was about, how the customer found it."""
    yield blocks.number(one.number, links.get((one.thread.channel, one.thread.ts or "")))
    yield blocks.date(one.opened_at)
    yield words.named("outcome", one.outcome) if one.outcome else words.named("status", one.status.value)
    if one.intent:
        yield text.inert_mrkdwn(view.topics.get(one.intent, one.intent))
    if rating := view.ratings.get(one.id):
        yield words.say(f"person.rated_{rating}")


def _satisfaction(view: PersonView) -> str:
    """How they found what was answered so far."""
    said = list(view.ratings.values())
    good, partly, bad = (said.count(rating) for rating in ("good", "partly", "bad"))
    return words.say("person.satisfaction", count=len(said), good=good, partly=partly, bad=bad)


def _facts(view: PersonView, *, clear: bool) -> list[str]:
    """What happened elsewhere, the newest first: what and how much, and where it was told."""
    newest = sorted(view.facts, key=lambda one: one.at, reverse=True)
    lines = [
        f"{blocks.date(one.at)} {words.say(f'fact_shown.{one.kind.value}')}{words.say('list.colon')}"
        + text.inert_mrkdwn(text.excerpt(_said(_told(one), clear=clear), NOTE_LENGTH))
        + words.say("list.brackets", what=text.inert_mrkdwn(words.named("fact_told_by", one.source)))
        for one in newest[:SHOWN_FACTS]
    ]
    if len(newest) > SHOWN_FACTS:
        lines.append(words.say("person.earlier", count=len(newest) - SHOWN_FACTS))
    return lines


def _told(fact: Fact) -> str:
    money = f"{fact.amount} {fact.currency}" if fact.amount else ""
    return words.listed(part for part in (fact.what, fact.reference or "", money, fact.note) if part)


def _notes(view: PersonView, *, clear: bool) -> list[str]:
    # A line can be kept inside, sent and called back, and goes along with its thread: it counts once, as it stands now.
    said = (one for one in view.entries if one.kind in (EntryKind.OUTGOING, EntryKind.NOTE))
    now = {one.platform_id or one.id: one for one in said}
    newest = [one for one in now.values() if one.kind is EntryKind.NOTE and one.body][-NOTES:]
    return [
        f"{blocks.date(one.at)}{words.say('list.colon')}"
        + text.inert_mrkdwn(text.excerpt(_said(one.body, clear=clear), NOTE_LENGTH))
        for one in reversed(newest)
    ]


def _said(body: str, *, clear: bool) -> str:
    return body if clear else privacy.mask(body)


def _same(view: PersonView, *, clear: bool) -> list[blocks.Block]:
    """Who is this person, and who may be, with the evidence: somebody decides, and may take it back."""
    made: list[blocks.Block] = []
    conversation = _newest(view) if view.conversations else ""
    for place, (one, other, name) in enumerate(view.links):
        made.append(_section([words.say("person.same", name=_shown_name(name, clear=clear))]))
        value = blocks.button_value(conversation, None, f"{one}:{other}")
        if conversation:
            made.append(
                {"type": "actions", "elements": [blocks.button(words.say("person.unmerge"), f"unmerge:{place}", value)]}
            )
    for place, (suspect, name) in enumerate(view.suspects[:SUSPECTS]):
        signs = words.listed(
            words.say(f"sign.{each.sign.value}")
            + (words.say("list.brackets", what=f"{each.score} %") if each.score < 100 else "")
            for each in suspect.evidence
        )
        made.append(_section([words.say("person.may_be", name=_shown_name(name, clear=clear), signs=signs)]))
        value = blocks.button_value(conversation, None, f"{suspect.one}:{suspect.other}")
        buttons = [
            blocks.button(words.say("person.merge"), f"merge:{place}", value),
            blocks.button(words.say("person.refuse"), f"not_same:{place}", value),
        ]
        if conversation:
            made.append({"type": "actions", "elements": buttons})
    return made


def _shown_name(name: str, *, clear: bool) -> str:
    return text.inert_mrkdwn(text.excerpt(name if clear else privacy.mask_name(name), NOTE_LENGTH))


def _asking(view: PersonView) -> list[blocks.Block]:
    """A button for each contact point that is to be made sure of: the customer is asked in the chat."""
    return [
        blocks.button(
            words.say("person.ask", value=one.masked),
            f"ask_contact:{place}",
            blocks.button_value(_newest(view, one.customer_id), None, one.id),
        )
        for place, one in enumerate([one for one in view.contacts if one.id in view.due][:ASKED])
    ]


def _correcting(view: PersonView) -> list[blocks.Block]:
    """A menu of the profile's fields; each opens a window for the value and the reason.

    What it changes is the profile of the conversation's customer: it is offered where that is whose card this is.
    """
    own = _newest(view)
    if not any(one.id == own and one.customer_id == view.customer_id for one in view.conversations):
        return []
    options = [
        {
            "text": blocks.plain(words.field(name)[:75]),
            "value": blocks.button_value(own, None, f"form=correct:{name}"),
        }
        for name in view.fields[:FIELDS_SHOWN]
    ]
    if not options:
        return []
    return [
        {
            "type": "static_select",
            "action_id": "correct",
            "placeholder": blocks.plain(words.say("person.correct")),
            "options": options,
        }
    ]


def _newest(view: PersonView, customer_id: str | None = None) -> str:
    """The newest conversation of a customer, of whose card this is where none is named; else the person's newest."""
    whose = customer_id or view.customer_id
    return max(view.conversations, key=lambda one: (one.customer_id == whose, one.number)).id


def _listed(names: object) -> str:
    found = [text.inert_mrkdwn(str(one)) for one in names] if isinstance(names, list | tuple) else []
    return words.listed(found) or words.say("list.none")


def _section(lines: list[str]) -> blocks.Block:
    said = "\n".join(lines)
    while len(said) > blocks.SECTION_LIMIT:  # whole lines: half a date is no markup any more
        said = said.rpartition("\n")[0]
    return {"type": "section", "text": blocks.mrkdwn(said)}
