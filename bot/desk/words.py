"""What the desk says to agents and to the operator, in the language of whoever reads it.

The texts are in `bot/texts/desk/`, one file per language. Which language is in force is a matter of the moment, not of
every call: a delivery, a window or a page is made as a whole in one language, within `reading`. Values put into a text
are ids and words, escaped by the caller's renderer. Nothing here is seen by a customer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
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

Names = Callable[[str], str | None]
"""What somebody at the desk is called, by their id; None where that is not known without asking."""

SEPARATOR: Final = " · "
REPLY_WORDS, EDIT_WORDS = commands.called("reply"), frozenset({"edit", "编辑"})
"""What may stand behind the slash command."""
_RULE: Final = "rule "
"""What a company's own rule decided begins so: `rule gold: segment gold`."""
SEVERAL: Final = frozenset({"choices", "known"})
"""What would do, one after the other, with a comma and a blank between them."""
LEFT_IN_HOURS: Final = 120
"""From so many minutes on what is left is told in hours."""
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
    found = DESK.texts(_language.get())[key]
    return found if isinstance(found, str) and "{" not in found else fill(found, values)  # most have nothing to fill in


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
    given = {**values, "commands": help_lines()} if key in ("help", "no_command") else values
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
        lines.append(f"*{say(f'command.{name}')}{say('list.colon').strip()}* {SEPARATOR.join(said)}")
    return "\n".join(lines)


def _command(english: str) -> str:
    others = commands.ALIASES[english] if _language.get() == "zh" else ()
    return " ".join([*(f"`{one}`" for one in others[:1]), f"`{english}`"])


def reason(code: object) -> str:
    """Why something did not go, as an agent reads it."""
    word = str(code or "").strip()
    return named("reason", word) if word else say("reason.unknown")


def unfit(code: object, values: Mapping[str, Any]) -> str:
    """What would do instead of what somebody gave, as the end of a sentence. `values` must be escaped already."""
    found = DESK.texts(_language.get())
    several = {name: listed(str(values[name]).split(", ")) for name in SEVERAL & values.keys()}
    return fill(found.get(f"unfit.{code}") or found["reason.unknown"], _values({**values, **several}))


def why(code: object) -> str:
    """Why an automatic change was made, as an agent reads it; empty when nobody said."""
    word = str(code or "").strip()
    if word.startswith(_RULE):  # what it asks for stands in the configuration; its name says enough
        return say("why.by_rule", name=word.removeprefix(_RULE).partition(": ")[0])
    return listed(signal(one) for one in word.split(", ") if one)


def excuse(code: object) -> str:
    """Why a breach was excused, as an agent reads it; one that is no reason of ours as any other."""
    return named("excuse", code) if has("excuse", code) else why(code)


def signal(word: str) -> str:
    """Why something was decided, or what in the words decided it, as an agent reads it."""
    key = word.replace(" ", "_")
    return named(next((group_ for group_ in ("signal", "why", "reason") if has(group_, key)), "why"), key)


def field(name: str) -> str:
    """A field of the profile, as the beginning of a line; a company's own is called as it calls it."""
    return upper(named("field", name))


def kind(word: str) -> str:
    """What a customer sent, as an agent reads it."""
    return named("kind", word)


def posing(name: str, mime: str) -> str:
    """What is said beside a file that is not what its name says; mrkdwn."""
    program = say(f"program.{mime}") if has("program", mime) else mime
    return say("thread.posing", name=text.inert_mrkdwn(name), program=program)


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
    """With a capital letter in front, where the script has any; `*` for bold may stand before it."""
    first = 1 if said.startswith("*") else 0
    return said[:first] + said[first : first + 1].upper() + said[first + 1 :]


def listed(said: Iterable[str]) -> str:
    """Several things in one line."""
    return say("list.comma").join(said)


def _values(values: Mapping[str, Any]) -> _Values:
    return _Values({key: str(value) for key, value in values.items()})
