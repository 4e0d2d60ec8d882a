"""Whom a command means, and whether whoever types it may do that."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.errors import RelaydeskError, UnknownPerson
from domain.roles import Act, may

if TYPE_CHECKING:
    from bot.opening import Stores
    from bot.settings import Settings


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
    return f"os:{user}"
