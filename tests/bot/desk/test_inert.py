"""Nobody's words style, link or call anybody at the desk, wherever they stand: in a post, a line, a card, an alert."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from bot.desk import alerts, blocks, entries, modals, moves, persons, reacted, words
from bot.desk.entries import Post
from domain import text
from domain.model import Attachment, EntryKind
from tests.bot.desk import kit, test_alerts, test_modals, test_persons

MARKS = ("*{}*", "_{}_", "~{}~", "`{}`", "```{}```", "<@U0MAYA> {}", "<!channel>{}", "<!here|{}>", "@channel {}")
MORE = (
    "<https://evil.example|{}>",
    "<#C0SUPPORT> {}",
    "&lt;!channel&gt; {}",
    "> {}",
    ":tada: {}",
    "\u202e{}\u202c",
    "{}",
)
HOSTILE = st.lists(
    st.tuples(
        st.sampled_from(MARKS + MORE), st.sampled_from(["paid", "Ann", "已付款", "مرحبا", "👩‍👩‍👧", "🇩🇪", "a_b", "x*y"])
    ),
    min_size=1,
    max_size=4,
).map(lambda parts: " ".join(frame.format(inner) for frame, inner in parts))
TOKEN = re.compile(r"<[^>]*>")
SIGN = re.compile(r"(?<![^\W_])[*_~]|[*_~](?![^\W_])|`|:[+-]?\w*[^\W\d_]\w*:")
"""What styles, or is drawn as an emoji: not inside a word."""


def leaves(value: object) -> Iterator[dict[str, Any]]:
    """Every text in blocks."""
    if isinstance(value, list):
        for one in value:
            yield from leaves(one)
    elif isinstance(value, dict):
        if isinstance(value.get("text"), str):
            yield value
        for one in value.values():
            yield from leaves(one)


def power(shown: Any) -> Counter[str]:
    """All that does something in what Slack reads as markup: signs, links, mentions, emoji."""
    found: Counter[str] = Counter()
    for leaf in leaves(shown):
        if leaf["type"] == "mrkdwn":
            assert leaf["verbatim"] is True, "an address would be linked by itself"
            found.update(TOKEN.findall(leaf["text"]))
            found.update(SIGN.findall(TOKEN.sub("", leaf["text"])))
        elif leaf["type"] == "plain_text":
            assert leaf["emoji"] is False
        elif leaf["type"] != "text":
            found[f"{leaf['type']}: {leaf['text']}"] += 1
    return found


def nobody(_user: str) -> None:
    """No name is known."""


def shown(said: str) -> Iterator[tuple[str, Any]]:
    """Everything at the desk that repeats somebody's words, made with these."""
    file = Attachment(id="A", kind="document", platform_id="F", name=f"{said}.pdf", mime="application/pdf", size=10)
    details = {"quoted": said, "forwarded_from": said}
    incoming = kit.entry(EntryKind.INCOMING, body=said, data={"kind": "text"}, details=details, attachments=(file,))
    answer = kit.entry(EntryKind.OUTGOING, body=said)
    failed = kit.entry(EntryKind.NOT_DELIVERED, data={"reason": "blocked", "outbox_id": "O", "agent": kit.MAYA})
    card = kit.card_view(customer_name=said, excerpt=said, segments=(said,), came_about=(said,))

    def post(made: Post) -> Any:
        assert not TOKEN.findall(made.text) or made.text == "", "the words that stand for it call nobody"
        return made.blocks

    yield "a message", post(entries.entry_post(incoming, nobody))
    yield "an edited one", post(entries.edited_post(incoming))
    yield "before and after", post(entries.edit_line(incoming, incoming))
    yield (
        "an emoji on it",
        post(reacted.post([kit.entry(EntryKind.REACTION, body="👍", data={"of": incoming.id})], [incoming])),
    )
    yield "an answer", post(entries.entry_post(answer, nobody))
    yield "one that failed", entries.entry_post(failed, nobody, earlier=answer).blocks
    yield "a file that is not shown", post(entries.file_line(file, "too_large"))
    yield "a file that poses", [blocks.context(words.posing(text.safe_filename(file.name), "text/html"))]
    yield "what only one reads", [blocks.context(entries.whisper("refused_text", {"name": said, "given": said}))]
    yield "a card", blocks.card(card)[0]
    yield "a card with messages", blocks.card(replace(card, carried=(incoming,)), [blocks.quote(said)])[0]
    yield "an alert", alerts.alert_post(test_alerts.given(), (), card, None, in_thread=False).blocks
    yield "what was said before", moves.summary("moved", [incoming, answer], nobody).blocks
    form = replace(test_modals.FORM, customer=said, newest=said, text=said)
    yield "a window", modals.reply_view(form, nobody)["blocks"]
    person = test_persons.view(name=said, entries=(test_persons.note(said),), former=(said,), profile={"company": said})
    for clear in (False, True):
        yield f"a customer, {clear}", persons.post(person, clear=clear).blocks


PLAIN = dict(shown("paid"))


@settings(max_examples=60, deadline=None)
@given(HOSTILE)
@example("*bold* _italic_ ~struck~ `code` <!channel> <@U0MAYA> <https://a.example|b> :tada:")
@example("**" * 40)
@example("\n> quoted\n• listed\n*b*")
def test_nobodys_words_style_link_or_call(said: str) -> None:
    """What does something in a post is the same whatever the words are: it is ours alone."""
    for where, made in shown(said):
        assert power(made) == power(PLAIN[where]), where


@given(st.text(max_size=80))
def test_words_that_style_nothing_are_repeated_letter_by_letter(said: str) -> None:
    """Only signs that would style have a look-alike; nothing is left out, and what is inert stays so."""
    inert = text.inert_mrkdwn(said)
    assert not SIGN.search(text.unescape_slack(inert))
    assert len(text.unescape_slack(inert)) == len(said)
    if not SIGN.search(said):
        assert text.unescape_slack(inert) == said
