"""What the desk says to agents and to the operator, in the language of whoever reads it.

The texts are in `bot/texts/desk/`, one file per language. Which language is in force is a matter of the moment, not of
every call: a delivery, a window or a page is made as a whole in one language, within `reading`. Values put into a text
are ids and words, escaped by the caller's renderer. Nothing here is seen by a customer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, Final

from bot.texts import DEFAULT, DESK
from bot.texts.catalogue import fill
from domain import text
from domain.durations import Duration
from handlers import commands

SEPARATOR: Final = " · "
REPLY_WORDS, EDIT_WORDS = frozenset({"reply", "回复"}), frozenset({"edit", "编辑"})
"""What may stand behind the slash command."""
LEFT_IN_HOURS: Final = 120
"""From so many minutes on what is left is told in hours."""
TOLD, TOLD_CLOSE = "For you alone", "Close"
STATUS = {
    "new": "new",
    "open": "open",
    "waiting_customer": "waiting for customer",
    "on_hold": "on hold",
    "done": "done",
    "spam": "set aside as spam",
}
PRIORITY = {"low": "low", "normal": "normal", "high": "high", "urgent": "urgent"}
METRIC = {
    "first_response": "first answer",
    "next_response": "next answer",
    "periodic_update": "next update",
    "resolution": "resolution",
    "total_resolution": "final resolution",
    "requester_wait": "end of the customer's wait",
    "agent_work": "end of our work",
    "return": "first step of its assignee",
    "promise": "promised answer",
}
ALERT_ACT = {
    "first_response": "answer in this thread",
    "next_response": "answer in this thread",
    "periodic_update": "write the customer how it stands",
    "resolution": "answer or resolve it",
    "total_resolution": "answer or resolve it",
    "requester_wait": "answer or resolve it",
    "agent_work": "answer or resolve it",
    "return": "answer, write a note, or put it back",
    "promise": "answer in this thread, or give the customer a new time",
}

PROMISE = "A promise to the customer"
PROMISE_QUESTION = "Track this promise? An answer until {until}."
PROMISE_TRACKED = "Promise tracked: an answer until {until}"
PROMISE_TRACK = "Track it"
TOLD_RECEIVED = "Told the customer automatically: the message has come."
TOLD_BY = "Told the customer automatically: an answer by {at}."
TOLD_CLOSED = "Told the customer automatically: open again {at}."
LATE_ALERT = "This alert is late: Relaydesk was not running when the time came."
ACKNOWLEDGE = "I am looking"
EXCUSE = "Excuse..."
NO_ALERTS = "*Alerts*: none"
ABSENT = {
    "off_duty": "is off duty",
    "off_hours": "is out of hours",
    "dnd": "does not want to be disturbed",
    "away": "is away",
    "gone": "is no longer an agent",
}
"""Why somebody is not asked to act, as a colleague reads it."""
EXCUSES = {
    "third_party": "held up by somebody else",
    "outage": "an outage on our side",
    "customer_agreed": "the customer agreed to wait",
    "wrong_deadline": "the deadline was wrong",
    "not_a_request": "nothing was asked",
}
"""Why a breach is excused, as a lead picks it."""

LANGUAGES = {
    "ar": "Arabic",
    "de": "German",
    "en": "English",
    "es": "Spanish",
    "fr": "French",
    "hi": "Hindi",
    "it": "Italian",
    "ja": "Japanese",
    "ko": "Korean",
    "nl": "Dutch",
    "pl": "Polish",
    "pt": "Portuguese",
    "ru": "Russian",
    "tr": "Turkish",
    "uk": "Ukrainian",
    "vi": "Vietnamese",
    "zh": "Chinese",
}

ASSIGN_ME = "Assign to me"
UNASSIGN = "Put back"
RESOLVE = "Resolve"
REOPEN = "Reopen"
ON_HOLD = "On hold"
BACK_TO_OPEN = "Back to open"
SPAM = "Spam"
WHY_BUTTON = "Why?"
WHY_THEN = "Why then?"
CHECK = "Spot check: is *{topic}* the right topic? If not, pick another one here or on the card."
CHECK_YES = "Yes, {topic}"
RETRY, RETRY_PLAIN, COPY = "Retry", "Send as plain text", "Copy"
SEND_AGAIN = "Send again"
IT_ARRIVED = "It arrived"
PICK_PRIORITY = "Priority"
PICK_LABEL = "Topic or queue"
GROUP_GUESSES = "Best guesses"
GROUP_TOPICS = "Other topics"
GROUP_QUEUES = "Move to queue"
NOBODY = "nobody yet"
NOT_SURE = "Not sure:"
EDITED = "(edited)"

DELIVERY = {
    "waiting": "an answer is on its way",
    "unclear": "not certain that the last answer arrived",
    "failed": "the last answer was not delivered",
}

REASONS = {
    "bad_entities": "the chat app could not read its formatting",
    "blocked": "the customer has blocked the bot",
    "broken_off": "Relaydesk was stopped while it was being sent",
    "cant_initiate": "the customer has to write first",
    "chat_not_found": "the chat no longer exists",
    "deactivated": "the customer's account is gone",
    "download_broken": "the file could not be fetched",
    "download_refused": "the file could not be fetched",
    "empty": "there is nothing in it",
    "file_changed": "the file changed while it was read",
    "file_gone": "the file is no longer there",
    "kept_away": "it stays out of Slack",
    "file_not_found": "the file is no longer there",
    "file_too_large": "the file is too large",
    "forbidden": "the chat app does not allow it",
    "foreign_file_host": "the file is not kept in Slack itself",
    "gone": "it is no longer there",
    "kicked": "the customer has removed the bot",
    "message_gone": "the message is no longer in the chat",
    "message_unknown": "the message's number in the chat is not known",
    "no_answer": "the chat app did not answer",
    "no_file": "the file is no longer there",
    "no_file_access": "Slack does not let us read the file",
    "no_rights": "the bot may not write in this chat",
    "not_member": "the bot is not in this chat any more",
    "not_sendable": "it contains characters that cannot be sent",
    "not_started": "the customer has to write first",
    "odd_answer": "the chat app's answer could not be read",
    "reaction_invalid": "the chat app does not take this emoji there",
    "refused": "the chat app refused it",
    "token": "the chat app does not accept our token",
    "not_theirs": "theirs no more",
    "too_large": "the file is too large",
    "too_late": "it is too old to be changed",
    "too_long": "the text is too long",
    "unencodable": "it contains characters that cannot be sent",
    "unreachable": "the chat app cannot be reached",
    "window_closed": "the chat app's reply window is closed; the customer has to write first",
    "wrong_side": "it was not meant for the chat",
}
"""Reasons that are stable words elsewhere, as an agent reads them; any other word is shown as it is."""

WHY = {
    "assigned_automatically": "assigned automatically",
    "by_agent": "by hand",
    "classifier": "from the text",
    "customer_wrote": "the customer wrote",
    "no_answer": "nobody answered",
    "reapplied": "the newest terms were applied",
    "reopened": "the customer wrote again",
    "rule": "by rule",
    "snooze_over": "its snooze is over",
    "untouched": "nothing was done about it in time",
    "wait": "an answer was sent",
}

KINDS = {
    "album": "several files",
    "animation": "an animation",
    "audio": "a piece of audio",
    "checklist": "a checklist",
    "contact": "a contact",
    "dice": "a throw of the dice",
    "game": "a game",
    "location": "a place",
    "paid_media": "paid media",
    "poll": "a poll",
    "sticker": "a sticker",
    "story": "a story",
    "venue": "a place",
    "video": "a video",
    "video_note": "a video message",
    "voice": "a voice message",
}
"""What a customer sent that is no plain text, photo or document; any other kind is shown by the platform's word."""
SENT = "The customer sent {what}."
ANSWERED = "In answer to: {line}"
FORWARDED = "Forwarded from {name}"
REACTED = "The customer put {emoji} on {what}"
AN_EARLIER_MESSAGE = "an earlier message"

NOTE_CONTACT = "Note as this customer's number"
CONTACT = {
    "added": "A contact point was noted; nobody made sure of it yet",
    "shared": "The customer shared their own phone number: it is verified",
    "confirmed": "The customer confirmed a contact point",
    "checked": "A contact point was made sure of",
    "not_theirs": "A contact point is the customer's no more",
    "removed": "A contact point was taken back",
}
"""What became of a phone number or an e-mail address."""

HISTORY = "Earlier: {at}"
REPLY_BUTTON = "Reply"
REPLY_TITLE, EDIT_TITLE = "Reply to #{number}", "Canned reply"
SEND, CANCEL, SAVE = "Send", "Cancel", "Save"
CANNED, PICK_CANNED, BEST, ALL = "Canned reply", "Search or pick one", "Best fitting", "All"
ANSWER_TO = "To {name}"
ANSWERING, HAS_IT = "*{name}* is answering right now.", "*{name}* has this conversation."
REPLY_NAME, TITLE_IN, TEXT_IN = "Short name", "Title ({language})", "Text ({language})"
VARIABLES = "`{name}` the customer, `{order}` the order they wrote, `{agent}` who answers, and the links of the file."
NO_CANNED = "No canned reply holds these words."
CANNED_HOW = "*Canned replies.* Use one with Reply on a card, or with `/relaydesk reply #1042`:"

ASSIGN, HAND_OVER, SNOOZE_UNTIL, WAKE = "Assign to...", "Hand over...", "Snooze until...", "Wake up"
SNOOZES = {"1h": "Snooze 1 hour", "tomorrow": "Snooze until tomorrow", "monday": "Snooze until Monday"}
UNTIL_CUSTOMER = "until the customer writes"
SNOOZED = "Snoozed until {until}"
SNOOZE_CUSTOMER = "Snooze until they write"
ENDS = {
    "solved": "solved",
    "answered": "question answered",
    "cannot_help": "could not be helped",
    "withdrawn": "withdrawn",
    "duplicate": "asked elsewhere",
    "not_a_request": "not a request",
    "merged": "merged",
}
"""How a conversation ended, as a card and a line say it."""
RESOLVE_AS = "Resolve: {outcome}"
NOT_A_REQUEST, TRANSCRIPT = "Not a request", "Transcript"
JOIN, START = "Join into another...", "Write to them anew..."
MUTED = "*Muted*: nothing they write is shown"
UNMUTED = "Heard again: {count} messages were kept in the record meanwhile"
MUTED_UNTIL = "*muted until {until}*"
JOINED = "#{number} goes on here; what was said there:"
MUTES = {"1h": "Mute for 1 hour", "24h": "Mute for a day"}
UNMUTE = "Unmute"
GROUP_WHO, GROUP_WHEN, GROUP_END, GROUP_MORE = "Whose", "Later", "Close", "More"
MORE = "More"
FORMS = {
    "assign": "Assign",
    "handover": "Hand over",
    "snooze": "Snooze",
    "join": "Join conversations",
    "start": "Write to the customer",
    "act": "Do something",
    "correct": "Correct the profile",
}
FORM_CORRECT, FORM_WHY = "{field}: what it is", "Why; it stands beside the old value"
FORM_SEND, FORM_CLOSE = "OK", "Cancel"
FORM_WHO, FORM_NOTE, FORM_UNTIL = "To whom", "What they should know", "Until"
FORM_OTHER, FORM_FIRST_WORDS = "The conversation it belongs to", "First message"
FORM_WHAT, FORM_HINT = "As you would type it after /relaydesk", "priority urgent"
NEW_THREAD, EARLIER_THREAD = "the new thread", "earlier thread"
CLOSED_HERE = "What is written here reaches nobody."
CUSTOMER = "Customer"
WHISPERS = {
    "refused_stranger": "Only agents can answer here. Nothing was sent to the customer.",
    "not_a_value": "Not noted. {said}",
    "reason_missing": "Not noted: a reason is missing.",
    "refused_queue": "This queue is not for you to see. It is asked for in the configuration (seen_by).",
    "revealed": "In the clear, for you alone; this look stands in the audit trail:\n{said}",
    "why_masked": "What speaks for it are the customer's words, which are masked here.",
    "refused_action": "You do not have the role for this. Nothing was changed.",
    "already_yours": "You have this conversation already.",
    "already_resolved": "This conversation is resolved already.",
    "already_open": "This conversation is open already.",
    "already_theirs": "They have this conversation already.",
    "already_snoozed": "It sleeps until then already.",
    "not_an_agent": "Only somebody who answers customers can have a conversation. Nothing was changed.",
    "already_muted": "They are muted until then already.",
    "not_muted": "They are not muted.",
    "already_joined": "This conversation goes on in another one, see its last line. Nothing was changed.",
    "thread_joined": "This conversation goes on in another one, see its last line. Nothing was sent: answer there.",
    "join_which": "Name the open conversation that it belongs to, by its number. Nothing was changed.",
    "join_others": "Those are two customers. Nothing was changed.",
    "transcript": "The transcript comes to you as a direct message. That you asked stands in the audit trail.",
    "started": "Written. A new card shows it.",
    "start_how": "Say what to write: `/relaydesk start #1042 your words`. Nothing was sent.",
    "start_open": "This conversation is open: write in its thread. Nothing was sent.",
    "start_no_consent": "The customer has not agreed to be written to unasked. Nothing was sent.",
    "start_unreachable": "The customer cannot be reached now, or has to write first. Nothing was sent.",
    "start_guard": "It carries a secret, an internal link or somebody else's address. Nothing was sent.",
    "no_note": "A hand-over needs a note for whoever takes over. Nothing was changed.",
    "snooze_how": (
        "Say until when, in the future: `30m`, `2h`, `3d`, `tomorrow`, `monday`, `2026-03-02 14:00`, or `customer`."
    ),
    "command_which": "Name a conversation that exists: `/relaydesk resolve #1042`.",
    "act_how": "That is no action. `/relaydesk help` lists them. Nothing was changed.",
    "command_done": "Done: #{number}.",
    "already_that_priority": "It has that priority already.",
    "already_that_label": "It has that topic already, set by hand.",
    "already_settled": "This was settled already. Look at the newest line in the thread.",
    "unread_message": "The customer has written again. Nothing was changed: read the new message, then press Resolve.",
    "answer_on_its_way": (
        "An answer is still on its way, or it is not certain that it arrived. "
        "Nothing was changed: wait for the check mark, or settle it in the thread, then press Resolve."
    ),
    "stale_button": "The conversation has changed since this was drawn. Nothing was changed: look at the card again.",
    "edit_not_followed": (
        "Your message was changed only here. The customer still sees what was sent before; "
        "write a new message if something has to be put right."
    ),
    "edit_before_sent": (
        "Your message was changed only here: it is not certain what of it has arrived, or Retry would send it as you "
        "wrote it first. Write a new message if something has to be put right."
    ),
    "thread_moved": "This thread is closed: #{number} goes on in {where}. Nothing was sent: answer there.",
    "undo": "On its way to the customer in {seconds} seconds.",
    "undone": "Called back: nothing was sent. The customer has not seen it.",
    "reaction_refused": "Your emoji did not reach the customer: the chat app does not take it there.",
    "also_answering": "*{name}* has opened a reply to #{number} too. Agree who answers.",
    "reply_kept": "The canned reply *{name}* is saved; everybody can use it now.",
    "reply_not_kept": "The canned reply was not saved, and the old one is still there: {reason}.",
    "copy": "Your answer, to be copied. Only you see this.",
    "kept_unread": (
        "Kept inside: the customer has written again, and you cannot have seen it yet. Read it, then press the button "
        "if your answer still holds."
    ),
    "undo_too_late": "It has left already. Edit or delete your message, and the customer's copy follows.",
    "kept_explicit": (
        "Kept inside: in this queue an answer leaves only when it begins with `>>` or when you press the button."
    ),
    "kept_assignee": "Kept inside: in this queue only the answers of its assignee go to the customer. Take it first.",
    "kept_guard": "Kept inside, to be sure: it carries {what}. Press the button if it is meant for this customer.",
    "kept_note": "Called back: it is a note now, and nothing was sent to the customer.",
    "help": (
        "*Answer* by writing in a customer's thread; a message that begins with `//` stays internal.\n"
        "*Sort* with the buttons and menus on the card.\n"
        "*Anywhere*, by number: `/relaydesk resolve #1042 solved`, `snooze #1042 2h`, `handover #1042 @who note`, "
        "`assign`, `take`, `release`, `reopen`, `wake`, `priority`, `topic`, `move`, `hold`, `spam`, `notarequest`, "
        "`mute`, `unmute`, `join`, `start`, `transcript`.\n"
        "`/relaydesk sla` shows what is overdue, due soon, and yours.\n"
        "`/relaydesk on` and `/relaydesk off` say whether new conversations may be assigned to you."
    ),
    "why": "{said}\n*Words:* {words}\n*Nearest:* {nearest}\n*Rules:* {rules} · {versions}.",
    "acknowledged": "It is shown that you are looking. The next level speaks again if nothing happens.",
    "nothing_to_acknowledge": "No deadline is near or missed here.",
    "promise_tracked": "This promise is tracked already.",
    "promise_over": "Its time has passed, or the conversation is closed. Nothing is tracked.",
    "excused": "The breach is excused in your name. It stays a breach, and reports show both.",
    "nothing_to_excuse": "There is no such breach here, or it was excused already.",
    "customer_how": (
        "Give a conversation's number or our id: `/relaydesk customer #1042`. "
        "Names are looked for with `relaydesk customer find`."
    ),
    "contact_unreadable": "That is no phone number that can be noted, or it is not known any more. Nothing was noted.",
    "contact_not_asked": "The customer cannot be asked in the chat now. Nothing was sent.",
    "fact_refused": "Nothing was noted: {reason}.",
    "fact_noted": "Noted. See it with `/relaydesk customer {customer}`.",
    "contact_asked": "The customer is asked in the chat; their answer shows on their card.",
    "customer_unknown": "There is no such conversation or customer.",
    "on_duty": "You are on duty: new conversations may be assigned to you.",
    "off_duty": "You are off duty: nothing new is assigned to you until you type `/relaydesk on`.",
}

NOTICES = {
    "desk_changed:app_uninstalled": (
        "*The app was uninstalled from Slack.* What waits is kept. Install it again and put the new token into `.env`."
    ),
    "desk_changed:channel_archive": (
        "*The channel {channel} was archived.* Its conversations wait. "
        "Unarchive it, or give its queue another channel in config.yaml."
    ),
    "desk_changed:removed": (
        "*The bot was removed from {channel}.* Its conversations wait. Type `/invite @relaydesk` there."
    ),
    "desk_changed:tokens_revoked": (
        "*Slack has revoked a token of ours.* What waits is kept. "
        "Install the app again and put the new token into `.env`."
    ),
    "access_revoked": (
        "*{where} does not let us in any more* ({reason}). What waits is kept and goes out in order "
        "once this is mended. Run `relaydesk doctor`."
    ),
    "backup_failed": (
        "*A backup could not be made or proved.* It is tried again in half an hour. "
        "Run `relaydesk backup now` to see why."
    ),
    "audit_head": (
        "*Audit trail, {day}:* {place} entries. Head: `{chain}`. Keep this line where nobody can change it; "
        "`relaydesk audit verify --head {place}:{chain}` holds the trail to it."
    ),
    "audit_broken": (
        "*The audit trail does not hold:* {count} entries are not as they were written. Run `relaydesk audit verify`."
    ),
    "access_review": (
        "*Monthly review: who looks at customers?* {taken} since the last one. Run `relaydesk access review`."
    ),
    "retention": "*Kept long enough and taken away:* {taken}. What a legal hold covers stays.",
    "case_due:due": "*A request about data is due {due}.* It waits for a decision: `relaydesk privacy cases`.",
    "case_due:overdue": "*A request about data was due {due}.* It waits for a decision: `relaydesk privacy cases`.",
    "dead_letter": (
        "*Something that came in could not be read and was set aside.* It is kept. See it with `relaydesk dead list`."
    ),
}

GUARDED = {
    "email": "an e-mail address that this customer did not write",
    "internal_link": "a link that only colleagues can open",
    "mention": "the mention of a colleague",
    "phone": "a phone number that this customer did not write",
    "secret": "a password or a key",
}
"""What an answer was kept inside for."""
BUTTONS = {"undo": "Undo", "note": "Keep as a note", "send": "Send to customer"}
"""Buttons in what one person is told."""
UNKNOWN_WHISPER = "That was not possible ({key}). Nothing was sent to the customer."
UNKNOWN_NOTICE = "*Something needs your attention:* {key}. Run `relaydesk doctor`."


PROGRAMS = {
    "application/x-msdownload": "a Windows program",
    "application/x-elf": "a Linux program",
    "application/x-mach-binary": "a macOS program",
    "text/x-script": "a script",
    "text/html": "a web page",
}


_language: ContextVar[str] = ContextVar("desk_language", default=DEFAULT)


@contextmanager
def reading(language: str | None, fallback: str = DEFAULT) -> Iterator[None]:
    """Everything that is said within is said in this language, or in `fallback` where there are no texts in it."""
    token = _language.set(DESK.pick(language, (fallback,)))
    try:
        yield
    finally:
        _language.reset(token)


def language_now() -> str:
    """The language in force."""
    return _language.get()


def say(key: str, /, **values: object) -> str:
    """A text by its key. Raises KeyError for an unknown one or a missing value: mistakes in the program."""
    return fill(DESK.texts(_language.get())[key], values)


def has(group_: str, word: object) -> bool:
    """Whether a group has a text for a word."""
    return f"{group_}.{word}" in DESK.texts(DEFAULT)


def named(group_: str, word: object) -> str:
    """A stable word as people read it; one without a text as it is, with blanks."""
    found = DESK.texts(_language.get()).get(f"{group_}.{word}")
    return found if isinstance(found, str) else str(word).replace("_", " ")


def group(name: str) -> Mapping[str, str]:
    """All texts of a group by their last word, in the order of the default language's file."""
    return _group(_language.get(), name)


@lru_cache(maxsize=256)
def _group(language: str, name: str) -> Mapping[str, str]:
    start = f"{name}."
    return {
        key.removeprefix(start): found
        for key, found in DESK.texts(language).items()
        if key.startswith(start) and isinstance(found, str)
    }


class _Values(dict[str, str]):
    def __missing__(self, key: str) -> str:
        return "?"


def whisper(key: str, values: Mapping[str, Any]) -> str:
    """The words for one person; an unknown key still says something true. `values` must be escaped already."""
    found = DESK.texts(_language.get())
    template = found.get(f"whisper.{key}") or found["whisper.unknown"]
    given = {**values, "commands": help_lines()} if key == "help" else values
    return fill(template, _values(given))


def notice(key: str, values: Mapping[str, Any]) -> str:
    """The words for the operator's channel, by `key` or by `key:kind`. `values` must be escaped already."""
    found = DESK.texts(_language.get())
    kind_ = f"notice.{key}:{values.get('kind', '')}"
    template = found.get(kind_) or found.get(f"notice.{key}") or found["notice.unknown"]
    return fill(template, _values(values))


def help_lines() -> str:
    """Every action of the slash command, by group: its English name, and the one in the reader's language."""
    lines = []
    for name, theirs in commands.GROUPS.items():
        said = [_command(one) for one in theirs]
        lines.append(f"*{say(f'command.{name}')}*{say('list.colon')}{SEPARATOR.join(said)}")
    return "\n".join(lines)


def _command(english: str) -> str:
    others = commands.ALIASES[english] if _language.get() == "zh" else ()
    return " ".join([*(f"`{one}`" for one in others[:1]), f"`{english}`"])


def reason(code: object) -> str:
    """Why something did not go, as an agent reads it."""
    word = str(code or "").strip()
    return named("reason", word) if word else say("reason.unknown")


def why(code: object) -> str:
    """Why an automatic change was made, as an agent reads it; empty when nobody said."""
    word = str(code or "").strip()
    return named("why", word) if word else ""


def kind(word: str) -> str:
    """What a customer sent, as an agent reads it."""
    return named("kind", word)


def posing(name: str, mime: str) -> str:
    """What is said beside a file that is not what its name says; mrkdwn."""
    program = say(f"program.{mime}") if has("program", mime) else mime
    return say("thread.posing", name=text.escape_mrkdwn(name), program=program)


def language(tag: str | None) -> str:
    """A language tag as a person reads it; empty for none."""
    if not tag:
        return ""
    word = tag.split("-")[0].lower()
    return say(f"language.{word}") if has("language", word) else tag


def size(count: int | None) -> str:
    """Bytes as people write them: `340 kB`, `12.5 MB`; empty when unknown."""
    if count is None:
        return ""
    if count < 1_000_000:
        return f"{max(1, round(count / 1000))} kB"
    return f"{count / 1_000_000:.1f} MB"


def span(amount: timedelta) -> str:
    """`45s`, `17m`, `3h 17m`; the sign is left out."""
    seconds = round(abs(amount.total_seconds()))
    if seconds < 60:
        return say("span.seconds", s=seconds)
    hours, minutes = divmod(seconds // 60, 60)
    if not hours:
        return say("span.minutes", m=minutes)
    return say("span.both", h=hours, m=minutes) if minutes else say("span.hours", h=hours)


def target(promised: Duration) -> str:
    """What a policy promises: `30m`, `4h`, `2 business days`."""
    if promised.business_days:
        return say("target.days", d=promised.business_days)
    hours, minutes = divmod(promised.minutes, 60)
    key = "both" if hours and minutes else "hours" if hours else "minutes"
    return say(f"target.{key}", h=hours, m=minutes)


def left(amount: timedelta) -> str:
    """How much time is left, roughly: `25 minutes left`, `3 hours left`; empty under a minute."""
    minutes = int(amount.total_seconds() // 60)
    if minutes < 1:
        return ""
    if minutes < LEFT_IN_HOURS:
        return say("left.minutes", m=minutes)
    return say("left.hours", h=round(minutes / 60))


def day(local: datetime) -> str:
    """`Fri 12 Jun`, of a time in the zone it is told in."""
    return say("day.date", weekday=say(f"weekday.{local.weekday()}"), day=local.day, month=say(f"month.{local.month}"))


def upper(said: str) -> str:
    """With a capital letter in front, where the script has any."""
    return said[:1].upper() + said[1:]


def listed(said: Iterable[str]) -> str:
    """Several things in one line."""
    return say("list.comma").join(said)


def _values(values: Mapping[str, Any]) -> _Values:
    return _Values({key: str(value) for key, value in values.items()})
