"""The name above an answer: whose it is, how the customer reads it, and whether it is news to them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bot import texts
from domain import signing, text
from domain.model import Entry
from domain.rulebook import Rulebook
from domain.signing import Name, Signature
from storage.signing import Signatures


@dataclass(frozen=True, kw_only=True, slots=True)
class Signing:
    """Finds names when they are shown. `name_of` knows people at the desk; `now` is product time."""

    rules: Rulebook
    languages: Sequence[str]
    name_of: Callable[[str], Awaitable[str | None]]
    shown: Signatures
    now: Callable[[], datetime]

    async def of(self, entry: Entry, language: str | None) -> Name | None:
        """The name that an answer is under; None where it is under none."""
        how, queue = signing.read(entry.data)
        return await self.name(how, queue, entry.actor.id, language)

    async def name(self, how: Signature, queue: str, agent_id: str | None, language: str | None) -> Name | None:
        """The agent's name where that is wanted and known, else the team's."""
        if how == "none":
            return None
        if how == "agent" and agent_id:
            own = self.rules.agent_names.get(agent_id) or await self.name_of(agent_id) or ""
            if said := signing.name(own):
                return Name(key=f"agent:{agent_id}"[:80], said=said)
        said = signing.name(self.rules.team_name(queue, language, *self.languages))
        return Name(key=f"team:{queue}"[:80], said=said) if said else None

    async def is_news(self, conversation_id: str, name: Name) -> bool:
        """Whether the newest name that the customer was shown there is another one, or long ago."""
        before = await self.shown.newest(conversation_id)
        return before is None or before.key != name.key or self.now() - before.at > signing.AGAIN_AFTER

    async def announced(self, data: Mapping[str, Any]) -> Mapping[str, Any]:
        """What an agent is told of an answer on its way, with the name that the customer will read."""
        how, queue = signing.read(data)
        author = str(data.get("author") or data.get("user"))  # who sends a colleague's line signs it no other way
        name = await self.name(how, queue, author, data.get("language"))
        return {**data, "text": "undo"} if name is None else {**data, "name": name.said}

    def label(self, name: Name, language: str | None, units: int) -> str:
        """The line that stands above the words, in a message that takes so many UTF-16 units."""
        label = texts.text("signed", language, fallback=self.languages, name=name.said)
        return text.split_utf16(label, signing.room(units) - 1)[0]
