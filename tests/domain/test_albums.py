"""Albums: what was sent as one is one message."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from domain import albums
from domain.events import CustomerMessage, CustomerRef
from domain.model import Attachment

ANN = CustomerRef(channel="telegram", address="1", name="Ann")
AT = datetime(2026, 3, 2, 12, tzinfo=UTC)


def part(number: int, text: str = "", **more: object) -> CustomerMessage:
    """One part of an album."""
    file = Attachment(id=f"F{number}", kind="photo", platform_id=f"P{number}", name="photo.jpg", mime="image/jpeg")
    made = CustomerMessage(customer=ANN, at=AT, message_id=str(number), kind="photo", attachments=(file,), group="g")
    return replace(made, text=text, **more)  # type: ignore[arg-type]


@given(st.lists(st.text(max_size=5), min_size=2, max_size=10))
def test_nothing_of_an_album_is_lost(texts: list[str]) -> None:
    """All files in their order and all words, in the place of the part that has words."""
    parts = [part(number, text) for number, text in enumerate(texts)]
    whole = albums.joined(parts)
    assert [file.id for file in whole.attachments] == [f"F{number}" for number in range(len(texts))]
    assert whole.text == "\n".join(text for text in texts if text)
    lead = whole.message_id
    assert whole.details == {
        f"{albums.CAPTION}{p.message_id}": p.text for p in parts if p.text and p.message_id != lead
    }
    assert whole.kind == albums.KIND
    assert whole.message_id == next((p.message_id for p in parts if p.text), "0")


def test_a_lone_part_stays_what_it_is() -> None:
    """A photo that turns out to be alone is a photo."""
    assert albums.joined([part(1)]) == part(1)


def test_only_parts_of_the_same_chat_belong_together() -> None:
    """Another album, another chat, and a message without an album are something else."""
    other = replace(ANN, address="2")
    assert albums.belongs(part(2), part(1))
    assert not albums.belongs(part(2, group="h"), part(1))
    assert not albums.belongs(part(2, customer=other), part(1))
    assert not albums.belongs(part(2, group=None), part(1, group=None))
    assert not albums.may_grow(part(1, group=None))


def test_quotes_and_origins_of_the_first_part_that_has_them_count() -> None:
    """The album answers what its part answers."""
    parts = [part(1), part(2, details={"quoted": "a"}, reply_to="7"), part(3, details={"quoted": "b", "x": "y"})]
    whole = albums.joined(parts)
    assert (whole.reply_to, dict(whole.details)) == ("7", {"quoted": "a", "x": "y"})
