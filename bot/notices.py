"""What a customer reads about their data, and the buttons under it: rendered at the moment of sending."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bot import texts
from domain import consent
from domain.cases import CaseKind
from domain.model import Customer
from domain.ports import Button
from handlers import cases, privacy

_WITH_DAYS = frozenset(f"asked_{kind.value}" for kind in CaseKind)
Rows = tuple[tuple[Button, ...], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Notices:
    """Who answers for the data, and the company's own words where it has some.

    `own` is the notice by language; a language that it lacks falls back to the first of `languages`, and where that is
    missing too to the shipped words.
    """

    company: str = ""
    contact: str = ""
    own: Mapping[str, str] = field(default_factory=dict)
    languages: Sequence[str] = (texts.DEFAULT,)
    days: int = 30

    def text(self, key: str, language: str | None, customer: Customer | None) -> tuple[str, Rows]:
        """A fixed text and what can be tapped under it."""
        if key == privacy.NOTICE:
            return self._notice(language), ()
        if key == privacy.CHOICES and customer is not None:
            rows = tuple(self._row(purpose, language, customer) for purpose in consent.Purpose)
            rows += (self._asks(language, CaseKind.EXPORT), self._asks(language, CaseKind.ERASE))
            rows += (self._asks(language, CaseKind.CORRECT, CaseKind.COMPLAINT),)
            return f"{self._notice(language)}\n\n{self._say(key, language)}", rows
        if key in _WITH_DAYS:
            return self._say(key, language, days=str(self.days)), ()
        return self._say(key, language), ()

    def _asks(self, language: str | None, *kinds: CaseKind) -> tuple[Button, ...]:
        return tuple(
            Button(text=self._say(f"ask_{kind.value}", language), choice=f"{cases.ASK}{kind.value}") for kind in kinds
        )

    def _notice(self, language: str | None) -> str:
        wanted = texts.pick(language, self.languages)
        body = self.own.get(wanted) or self.own.get(next(iter(self.languages), "")) or self._say("notice", language)
        lines = [body]
        if self.company:
            lines.append(self._say("notice_company", language, company=self.company))
        if self.contact:
            lines.append(self._say("notice_contact", language, contact=self.contact))
        return "\n".join(lines)

    def _row(self, purpose: consent.Purpose, language: str | None, customer: Customer) -> tuple[Button, ...]:
        agreed = consent.allowed(customer.consents, purpose)
        name = self._say(f"purpose_{purpose.value}", language)
        label = self._say("choice_yes" if agreed else "choice_no", language, purpose=name)
        return (Button(text=label, choice=privacy.choice(purpose, agreed=not agreed)),)

    def _say(self, key: str, language: str | None, **values: str) -> str:
        return texts.text(key, language, fallback=self.languages, **values)
