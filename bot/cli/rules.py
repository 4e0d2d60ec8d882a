"""The company's rules and product time as commands need them beside a running bot: read, nothing written."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bot.opening import Stores
    from bot.settings import Settings
    from handlers.frame import Context


async def context(settings: Settings, stores: Stores) -> Context:
    """What a decision may use, with every version of policies and calendars that the record knows."""
    from bot import settings_rulebook, terms, times
    from bot.ids import new_id
    from classifiers import taxonomy
    from handlers.frame import Context

    clock = times.Timekeeper(settings.clock.source)
    await clock.start()
    now = clock.now()
    labels = taxonomy.read(settings.classifier.taxonomy) if settings.classifier.taxonomy else taxonomy.read()
    known = await terms.recall(stores.database, settings.sla, now)
    return Context(rules=settings_rulebook.build(settings, labels.labels, known), now=now, new_id=new_id)
