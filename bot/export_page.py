"""The page of an export that a person reads: one file without a script, in the customer's language, light and dark."""

from __future__ import annotations

import json
from html import escape
from typing import Final
from urllib.parse import quote

from bot import texts
from bot.desk import words
from bot.export_format import EntryPart, Export, FilePart

_STYLE: Final = """
:root { color-scheme: light dark; --line: #8884; --soft: #8882; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem } h2 { font-size: 1.15rem; margin-top: 2rem; border-bottom: 1px solid var(--line) }
table { border-collapse: collapse; width: 100% } th { text-align: left; font-weight: 600; padding-right: 1rem }
td, th { padding: .3rem .6rem .3rem 0; vertical-align: top; border-bottom: 1px solid var(--line) }
article { margin: .6rem 0; padding: .5rem .8rem; background: var(--soft); border-radius: .5rem }
article.agent, article.machine { margin-left: 2rem }
p { margin: .2rem 0; white-space: pre-wrap; overflow-wrap: anywhere }
small { opacity: .75 }
"""
_SAID: Final = frozenset({"incoming", "incoming_edit", "outgoing", "automatic", "note"})
"""What is shown in full; every other line stands in customer.json and here as one small one."""


def render(export: Export) -> str:
    """The whole page; every word that came from outside is escaped."""
    language = texts.pick(export.language)
    with words.reading(language):
        bodies = "".join(_body(one, language) for one in (export, *export.linked))
    title = escape(texts.text("export_title", language))
    return (
        f'<!DOCTYPE html><html lang="{language}"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><title>{title}</title>'
        f"<style>{_STYLE}</style></head><body><h1>{title}</h1>{bodies}"
        f"<p><small>{export.format} · {export.exported_at:%Y-%m-%d %H:%M} UTC</small></p></body></html>\n"
    )


def _body(export: Export, language: str) -> str:
    """One record of the person."""

    def say(key: str) -> str:
        return escape(texts.text(f"export_{key}", language))

    about = [
        (say("name"), export.name),
        (say("since"), f"{export.known_since:%Y-%m-%d}"),
        *((escape(words.field(one.field)), one.value) for one in export.profile if one.until is None),
        *(
            (escape(words.named("contact_kind", one.kind)), one.value)
            for one in export.contacts
            if one.removed_at is None
        ),
        *(
            (escape(one.channel.capitalize()), " · ".join(filter(None, (one.name, one.username, one.address))))
            for one in export.identities
        ),
    ]
    rows = "".join(f"<tr><th>{name}</th><td>{escape(value)}</td></tr>" for name, value in about)
    choices = "".join(
        f"<tr><th>{escape(texts.text(f'purpose_{word}', language))}</th><td>{say('yes' if given else 'no')}</td></tr>"
        for word, given in export.consents.items()
    )
    threads = "".join(
        f"<h2>#{one.number} · {escape(one.channel.capitalize())} · {one.opened_at:%Y-%m-%d}</h2>"
        + "".join(_entry(entry, say("us"), say("you")) for entry in one.history)
        for one in export.conversations
    )
    elsewhere = "".join(_fact(one) for one in export.other if one.kind == "fact" and one.text)
    elsewhere = f"<h2>{say('elsewhere')}</h2>{elsewhere}" if elsewhere else ""
    copied = "".join(
        f"<tr><th>{escape(one.where)}</th><td>{escape(one.what)}</td><td>{escape(one.until)}</td></tr>"
        for one in export.copies
    )
    return (
        f"<p>{say('intro')}</p><table>{rows}</table>"
        f"<h2>{say('choices')}</h2><table>{choices}</table>{elsewhere}{threads}"
        f"<h2>{say('copies')}</h2><table>{copied}</table>"
    )


def _fact(entry: EntryPart) -> str:
    """What happened elsewhere; its words are a JSON object (see `domain.facts`)."""
    said = json.loads(entry.text)
    what = words.listed(str(said[name]) for name in ("what", "reference", "amount", "currency", "note") if name in said)
    source = words.say("list.brackets", what=words.named("fact_told_by", entry.about.get("source", "")))
    kind = f"{words.named('fact_shown', entry.about.get('fact', ''))}{source}"
    return f"<article><small>{entry.at:%Y-%m-%d %H:%M} · {escape(kind)}</small><p>{escape(what)}</p></article>"


def _entry(entry: EntryPart, us: str, you: str) -> str:
    when = f"{entry.at:%Y-%m-%d %H:%M}"
    if entry.kind not in _SAID:
        return f"<p><small>{when} {escape(_done(entry.kind))}</small></p>"
    who = you if entry.by == "customer" else us
    said = escape(entry.text) or f"<small>{escape(_without_words(entry))}</small>"
    files = "".join(_file(one) for one in entry.files)
    return f'<article class="{escape(entry.by)}"><small>{when} · {who}</small><p>{said}</p>{files}</article>'


def _without_words(entry: EntryPart) -> str:
    """What stands for a message that has no words: what was told automatically, or what kind of thing was sent."""
    if told := str(entry.about.get("text") or ""):
        about = told.partition("_")[0]
        return words.say(f"told.{about if words.has('told', about) else 'other'}")
    return words.kind(str(entry.about.get("kind") or ""))


def _done(kind: str) -> str:
    """What was done, in the words of a transcript or of a line in a thread."""
    group = next((one for one in ("transcript_done", "change") if words.has(one, kind)), None)
    return words.say("change.other" if group is None else f"{group}.{kind}")


def _file(file: FilePart) -> str:
    name = escape(file.name)
    if file.path is None:
        return f"<p><small>{name} ({escape(words.reason(file.missing))})</small></p>"
    return f'<p><a href="{escape(quote(file.path))}">{name}</a></p>'
