"""Whom a command means, and whether whoever types it may do that."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Final

from domain.errors import RelaydeskError, UnknownPerson
from domain.roles import Act, may, sees

if TYPE_CHECKING:
    from bot.opening import Stores
    from bot.settings import Settings
    from domain.model import Conversation


_LOOKS: Final = frozenset({Act.SEE, Act.REVEAL})
"""What a queue can hide; the law's own acts (export, erase, hold) are limited by the role alone."""


class NotAllowed(RelaydeskError):
    """The operating system's user lacks the role (roles.command_line)."""


async def one_person(stores: Stores, text: str) -> str:
    """The id of the one person who is meant; of several customers who are one person any will do. As `one_customer`."""
    found = await stores.record.find_people(text)
    if len(found) > 1:
        whole = await stores.links.members(found[0][0].id)
        if {customer.id for customer, _, _ in found} <= set(whole):
            return found[0][0].id
    return await one_customer(stores, text)


async def one_customer(stores: Stores, text: str) -> str:
    """The id of the one customer who is meant: our id, a whole name, user name, address, number or e-mail.

    Raises UnknownPerson.
    """
    found = await stores.record.find_people(text)
    if len(found) == 1:
        return found[0][0].id
    if not found:
        raise UnknownPerson("nobody is called exactly so; look with: relaydesk customer find")
    ids = ", ".join(customer.id for customer, _, _ in found[:5])
    raise UnknownPerson(f"{len(found)} people are called so; give the id of one: {ids}")


async def allowed(settings: Settings, stores: Stores, act: Act, thing: str) -> str:
    """Who types, as the audit trail names them, if they may do this; a refusal is audited. Raises NotAllowed.

    Without `roles.command_line` everybody may who can open the stores: they hold the master key anyway.
    """
    from bot.cli.stores import audited, os_user

    user = os_user()
    roles = settings.roles.command_line
    if roles and not may(roles.get(user, ()), act):
        await audited(stores, "refused", thing, f"{act.value} without the role")
        raise NotAllowed(f"{user} may not do this; see roles.command_line in {settings.path}")
    if act in _LOOKS and await _is_hidden(settings, stores, thing):
        await audited(stores, "refused", thing, f"{act.value} in a hidden queue")
        raise NotAllowed(f"this customer is not for {user} to see (seen_by in {settings.path})")
    return f"os:{user}"


async def seen(settings: Settings, stores: Stores, customers: Collection[str]) -> set[str]:
    """Those of these customers who were not only in queues that are hidden from whoever types."""
    closed = hidden(settings)
    queues = await stores.dossiers.queues(customers) if closed else {}
    return {one for one in customers if not (theirs := queues.get(one)) or not theirs <= closed}


async def _is_hidden(settings: Settings, stores: Stores, thing: str) -> bool:
    customer = thing.removeprefix("customer:")
    return customer != thing and not await seen(settings, stores, [customer])


def hidden(settings: Settings) -> frozenset[str]:
    """The queues that whoever types may not look at, by `seen_by`; none without `roles.command_line`."""
    from bot.cli.stores import os_user

    user, known = os_user(), settings.roles.command_line
    held = [role.value for role in known.get(user, ())]
    if not known:
        return frozenset()
    limits = {name: queue.seen_by.build() for name, queue in settings.queues.items()}
    return frozenset(name for name, limit in limits.items() if not sees(f"os:{user}", held, limit))


async def allowed_in(settings: Settings, stores: Stores, act: Act, conversation: Conversation) -> None:
    """As `allowed`, for a conversation whose queue may be hidden from whoever types. Raises NotAllowed."""
    from bot.cli.stores import audited, os_user

    thing = f"conversation:{conversation.id}"
    await allowed(settings, stores, act, thing)
    if conversation.queue in hidden(settings):
        await audited(stores, "refused", thing, f"{act.value} in {conversation.queue}")
        raise NotAllowed(f"the queue {conversation.queue} is not for {os_user()} to see (seen_by in {settings.path})")
