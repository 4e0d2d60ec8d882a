"""`relaydesk explain 1042`: why a conversation was sorted as it was."""

from __future__ import annotations

import asyncio
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import typer

from bot.cli.show import Number, Reveal
from bot.cli.terminal import DEFAULT_CONFIG, FAILED, AsJson, ConfigFile, complain, guarded, numbered, say, show_json

if TYPE_CHECKING:
    from bot.learning_why import Why
    from classifiers.explain import Explanation

MASKED = "•••"


@guarded
def explain(number: Number, path: ConfigFile = DEFAULT_CONFIG, reveal: Reveal = False, as_json: AsJson = False) -> None:
    """Say why a conversation has its topic.

    Probabilities, words, nearest examples, rules, versions. Audited; customers' words need --reveal.
    """
    from bot import models, settings, settings_rulebook
    from bot.cli import people, stores
    from bot.learning_why import Reasons
    from classifiers import explain as reasons
    from classifiers import taxonomy
    from domain.roles import Act

    wanted = numbered(number)
    chosen = settings.load(path)

    async def work() -> Why | None:
        async with stores.existing(chosen) as opened:
            found = await opened.record.by_number(wanted)
            if found is None:
                return None
            await people.allowed_in(chosen, opened, Act.REVEAL if reveal else Act.SEE, found)
            await stores.audited(opened, "explain.reveal" if reveal else "explain", f"conversation:{found.id}")
            classifier = (await asyncio.to_thread(models.choose, chosen)).classifier

            async def explained(words: str, hint: str | None) -> Explanation:
                return await asyncio.to_thread(reasons.explain, classifier, words, hint)

            looked_up = Reasons(
                views=opened.views,
                record=opened.record,
                labels=opened.labels,
                rules=settings_rulebook.build(chosen, classifier.labels),
                explains=explained,
                examples=chosen.classifier.taxonomy or taxonomy.STARTER,
            )
            return await looked_up.why(found.id)

    why = asyncio.run(work())
    if why is None:
        complain(f"relaydesk: there is no conversation #{wanted}")
        raise typer.Exit(FAILED)
    shown = why if reveal else hidden(why)
    if as_json:
        show_json(asdict(shown))
        return
    lines = shown.lines()
    for name, key in (("said", "said"), ("words", "words"), ("nearest", "nearest"), ("rules", "rules")):
        say(f"{name:<9} {lines[key]}")
    say(f"{'read':<9} {lines['versions']}")
    if not reveal:
        say()
        say("Customers' words are hidden; --reveal prints them, and that is written into the audit trail.")


def hidden(why: Why) -> Why:
    """The same without what customers wrote; the taxonomy's own examples stay."""
    return replace(
        why,
        words=(MASKED,) * len(why.words),
        nearest=tuple(replace(one, text=MASKED) if one.confirmed else one for one in why.nearest),
    )
