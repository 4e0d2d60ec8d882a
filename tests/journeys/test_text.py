"""Words that would be markup: a customer's never are, an agent's arrive as a person would read them."""

from __future__ import annotations

import json

from tests.world import LINA, MAYA, Card, Json, Phone, World, eventually, said

TRICKS = [
    "<!channel> everybody wake up",
    "<@U0MAYA> and <@U0LINA|Boss> look",
    "<https://evil.example|https://bank.example/login>",
    "*bold* _italic_ ~gone~ `code` ```block``` > quote",
    "&lt;!here&gt; &amp;amp; <!subteam^S0LEADS>",
    "a\u202egnp.exe\u202c b\u2066c\u2069 d\u200be",
    "null\x00 bell\x07 escape\x1b[31m",
    "<" * 4096,
    ":bomb: #C0LEADS @here",
    "{braces} %s %(name)s ${env}",
]


def pings(blocks: object) -> list[object]:
    """Everything in blocks that Slack would turn into a mention, a link or a style because a customer wrote it."""
    found: list[object] = []
    if isinstance(blocks, list):
        for one in blocks:
            found += pings(one)
    elif isinstance(blocks, dict):
        if blocks.get("type") in ("user", "usergroup", "broadcast", "channel", "link"):
            found.append(blocks)
        if blocks.get("type") == "mrkdwn" and any(
            word in str(blocks["text"]) for word in ("<!channel", "<@", "<!here", "<http")
        ):
            found.append(blocks)
        for value in blocks.values():
            found += pings(value)
    return found


async def test_a_customers_words_are_never_markup(world: World) -> None:
    """No ping, link or style comes from a customer: their words stand as plain text, without what cannot be seen."""
    phone = await world.customer("<!channel> *Ann*", last_name="<https://evil.example|Bank>")
    for words in TRICKS:
        await phone.says(words)
    card = await world.card()

    async def all_shown() -> bool:
        return len([p for p in await card.posts() if p.get("bot_id")]) >= len(TRICKS)

    await eventually(all_shown, what="all messages in the thread")
    for post in [await card.root(), *await card.posts()]:
        assert pings(post["blocks"]) == [], post
        assert "<!" not in post["text"]
        assert "<@" not in post["text"]
        assert "<http" not in post["text"]
    shown = "".join([said(post) for post in await card.posts()])
    assert "<!channel> everybody wake up" in shown, "the words themselves are all there"
    assert "*bold* _italic_ ~gone~ `code`" in shown
    assert "&lt;!here&gt; &amp;amp;" in json.loads(json.dumps(shown))
    for character in "\u202e\u202c\u2066\u2069\u200b":
        assert character not in shown
    for escape in ("\\u0000", "\\u0007", "\\u001b"):
        assert escape not in shown
    await card.says(MAYA, "I see")
    await eventually(phone.answers, what="the answer, after all that")


TYPED = [
    "a_b and *stars* and `ticks` & <tags> [x](y)",
    "see https://shop.example/a_b?x=1&y=2 please",
    "5 < 6 > 4 && 1 &amp; 2",
    "您好，_价格_ 是 <100>",
    "{braces} %s\nand a second line",
]


async def test_an_agents_words_arrive_as_typed(world: World) -> None:
    """Whatever an agent types reaches the phone letter by letter: no markup is made or lost."""
    phone = await world.customer("Ann")
    await phone.says("How much is it?")
    card = await world.card()
    for typed in TYPED:
        await card.says(MAYA, typed)

    async def arrived() -> bool:
        return len(await phone.answers()) == len(TYPED)

    await eventually(arrived, what="all answers")
    assert await phone.answers() == TYPED


async def test_slacks_own_markup_is_read_like_a_person_would(world: World) -> None:
    """Mentions become names, labelled links keep label and address, special mentions become words."""
    phone = await world.customer("Ann")
    await phone.says("Who can help me?")
    card = await world.card()
    links = "<https://shop.example/faq|our FAQ> or <mailto:a@shop.example|a@shop.example>"
    ts = await card.says(MAYA, f"<@{LINA}> will help, see {links} &amp; <!here>", raw=True)
    await card.presses_whispered(MAYA, "send_reply", "Kept inside", "mention")
    await eventually(lambda: _echoed(card, ts), what="the echo")
    answers = await eventually(phone.answers, what="the answer")
    assert answers == ["@李娜 will help, see our FAQ (https://shop.example/faq) or a@shop.example & here"]


COMPOSED = """*Please* reset it:
1. hold _both_ buttons
2. wait ~an hour~ a minute
> it broke
See <https://shop.example/faq|our FAQ>, run `reset --all`:
```
a_b < c
```"""


async def test_an_agents_formatting_is_seen_on_the_phone(world: World) -> None:
    """What was composed in bold, as a list, a link or code is that on the phone; a change of style alone follows."""
    phone = await world.customer("Ann")
    await phone.says("It does not work")
    card = await world.card()
    ts = await card.says(MAYA, COMPOSED, composed=True)
    (answer,) = await eventually(lambda: _sent(phone), what="the answer")
    assert answer["text"] == (
        "Please reset it:\n1. hold both buttons\n2. wait an hour a minute\nit broke\n"
        "See our FAQ, run reset --all:\na_b < c"
    )
    assert _styled(answer) == [
        ("bold", "Please"),
        ("italic", "both"),
        ("strikethrough", "an hour"),
        ("blockquote", "it broke"),
        ("text_link https://shop.example/faq", "our FAQ"),
        ("code", "reset --all"),
        ("pre", "a_b < c"),
    ]
    await eventually(lambda: _echoed(card, ts), what="the echo")
    await world.control("slack/edit", user=MAYA, channel=card.channel, ts=ts, text="Please *reset* it", composed=True)

    async def changed() -> bool:
        (answer,) = await _sent(phone)
        return (answer["text"], _styled(answer)) == ("Please reset it", [("bold", "reset")])

    await eventually(changed, what="the change on the phone")


async def _sent(phone: Phone) -> list[Json]:
    return [message for message in await phone.chat() if message["from"] == "bot"]


async def _echoed(card: Card, ts: str) -> bool:
    return "white_check_mark" in await card.reactions(ts)


def _styled(message: Json) -> list[tuple[str, str]]:
    units = message["text"].encode("utf-16-le")
    return [
        (
            " ".join([one["type"], one["url"]] if "url" in one else [one["type"]]),
            units[2 * one["offset"] : 2 * (one["offset"] + one["length"])].decode("utf-16-le"),
        )
        for one in message["entities"]
    ]
